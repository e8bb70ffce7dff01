// SPDX-License-Identifier: MIT
// ask.js - requests to the gateway, and the token that it may want.

const TOKEN_KEY = 'shcounter-token';
let token = sessionStorage.getItem(TOKEN_KEY) || '';
let isAdmitted = false; // nothing is asked before the stream of events was let in

const headers = (more) => (token ? { ...more, Authorization: `Bearer ${token}` } : { ...more });

class Refused extends Error {
	constructor(status, text) {
		super(text);
		this.status = status;
	}
}

const reasonOf = async (response) => {
	const text = await response.text();
	try {
		return JSON.parse(text).error.details;
	} catch {
		return `HTTP ${response.status}`;
	}
};

const check = async (response) => {
	if (response.ok) return response;
	const why = await reasonOf(response);
	if (response.status === 401) askForToken(why);
	throw new Refused(response.status, why);
};

const get = async (path, words, signal) => {
	const response = await check(
		await fetch(`${path}?${new URLSearchParams(words)}`, { headers: headers(), cache: 'no-store', signal }));
	return response.status === 204 ? null : parseExact(await response.text());
};

const post = async (path, body, more, signal) => {
	const response = await check(await fetch(path, {
		method: 'POST', headers: headers({ 'Content-Type': 'application/json', ...more }), body, signal,
	}));
	return parseExact(await response.text());
};

// ---- the token ----

const dialog = $('token');

const askForToken = (why) => {
	token = '';
	isAdmitted = false;
	sessionStorage.removeItem(TOKEN_KEY);
	$('sign-out').hidden = true;
	say($('token-why'), `${why[0].toUpperCase()}${why.slice(1)}. It is kept until this tab is closed.`);
	if (dialog.open) return;
	dialog.showModal();
	$('token-text').focus();
};

$('token').addEventListener('submit', (event) => {
	event.preventDefault();
	token = $('token-text').value.trim();
	if (!/^[\x21-\x7e]+$/.test(token)) {
		say($('token-why'), 'A token has printable ASCII characters only.');
		return;
	}
	sessionStorage.setItem(TOKEN_KEY, token);
	$('token-text').value = '';
	$('sign-out').hidden = false;
	dialog.close();
	picked?.refused.clear();
	connect();
});
dialog.addEventListener('cancel', (event) => event.preventDefault());

$('sign-out').hidden = !token;
$('sign-out').addEventListener('click', () => {
	askForToken('The token was forgotten');
	disconnect('a token is wanted');
});

// Whether a token is wanted nobody needs one to ask: what would be refused is not tried.
const admit = async (signal) => {
	if (token) return;
	const response = await check(await fetch('/health', { cache: 'no-store', signal }));
	if (!(await response.json()).needs_token) return;
	askForToken('This gateway wants a token');
	throw new Refused(401, 'a token is wanted');
};
