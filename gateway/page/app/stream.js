// SPDX-License-Identifier: MIT
// stream.js - server-sent events (GET /events), read with fetch, for an EventSource cannot send a token; begun again when
// they end.

const SILENCE_MS = 25000; // of a stream that sends something every 15 s
const RETRY_MS = [500, 1000, 2000, 4000, 8000, 15000];

let stream = new AbortController();
let hasTold = false; // this one
let failures = 0;
let retryTimer = 0;
let retryAt = 0;
let lastHeard = 0;

const setConnection = (state, text) => {
	$('connection').dataset.state = document.body.dataset.state = state;
	say($('connection-text'), text);
};

const onEvent = (kind, data) => {
	if (kind !== 'state') return;
	failures = 0;
	hasTold = true;
	lastHeard = Date.now();
	show(JSON.parse(data));
};

// As the standard has it, but for `id` and `retry`: how often we try again is ours.
const reader = () => {
	let rest = '';
	let kind = '';
	let data = [];
	return (text) => {
		rest += text;
		const lines = rest.split('\n');
		rest = lines.pop();
		for (const line of lines) {
			if (line === '') {
				if (data.length) onEvent(kind || 'message', data.join('\n'));
				kind = '';
				data = [];
			} else if (line.startsWith('event:')) {
				kind = line.slice(6).trim();
			} else if (line.startsWith('data:')) {
				data.push(line.slice(5).replace(/^ /, ''));
			}
		}
	};
};

const read = async (signal) => {
	const response = await check(await fetch('/events', { headers: headers(), cache: 'no-store', signal }));
	isAdmitted = true;
	ask();
	const chunks = response.body.getReader();
	const decoder = new TextDecoder();
	const take = reader();
	lastHeard = Date.now();
	for (;;) {
		const { done, value } = await chunks.read();
		if (done) return;
		lastHeard = Date.now();
		take(decoder.decode(value, { stream: true }));
	}
};

const tellRetry = () => {
	const seconds = Math.ceil((retryAt - Date.now()) / 1000);
	if (retryAt && seconds > 0) setConnection('lost', `no connection, next try in ${seconds} s`);
};

const retry = () => {
	// Not all pages at once when a gateway comes back.
	isAdmitted = false;
	const wait = RETRY_MS[Math.min(failures++, RETRY_MS.length - 1)] * (0.75 + Math.random() / 2);
	retryAt = Date.now() + wait;
	tellRetry();
	retryTimer = setTimeout(connect, wait);
};

const stopRetrying = () => {
	clearTimeout(retryTimer);
	retryAt = 0;
	stream.abort();
};

const disconnect = (why) => {
	stopRetrying();
	stream = new AbortController();
	setConnection('lost', why);
};

async function connect() {
	stopRetrying();
	const mine = stream = new AbortController();
	hasTold = false;
	if (failures || !lastHeard) setConnection('wait', 'connecting');
	let isEnd = false;
	try {
		await admit(mine.signal);
		await read(mine.signal);
		isEnd = true; // as the gateway wants it now and then
	} catch (e) {
		if (e instanceof Refused && e.status === 401 && mine === stream) {
			setConnection('lost', 'a token is wanted');
			return;
		}
	}
	if (mine !== stream) return; // another one has begun
	if (isEnd && hasTold) connect();
	else retry();
}

addEventListener('online', connect);
document.addEventListener('visibilitychange', () => {
	if (!document.hidden && retryAt) connect();
});
setInterval(() => {
	tellRetry();
	if (!retryAt && lastHeard && Date.now() - lastHeard > SILENCE_MS && !dialog.open) {
		lastHeard = Date.now();
		failures++;
		connect();
	}
}, 1000);
