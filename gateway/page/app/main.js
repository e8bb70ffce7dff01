// SPDX-License-Identifier: MIT
// main.js - by name, by key, by address; and the beginning.

$('find').addEventListener('submit', (event) => {
	event.preventDefault();
	const name = $('find-name').value;
	if (!name) return;
	pick(name);
	$('find-name').value = '';
	$('detail').focus({ preventScroll: true });
});

const close = (isNew = true) => {
	unpick(isNew);
	if (rows.has(current)) focusRow(rows.get(current).tr);
};
$('close').addEventListener('click', () => close());

// Not an address: each of those is a counter's name.
document.querySelector('.skip').addEventListener('click', (event) => {
	event.preventDefault();
	$('busiest').focus();
});

document.addEventListener('keydown', (event) => {
	const isTyping = event.target.matches('input');
	if (dialog.open || event.altKey || event.ctrlKey || event.metaKey) return;
	if (event.key === '/' && !isTyping) {
		$('find-name').focus();
		event.preventDefault();
	} else if (event.key === 'Escape' && event.target === $('find-name')) {
		$('find-name').value = '';
		$('find-name').blur();
		if (rows.has(current)) focusRow(rows.get(current).tr);
	} else if (event.key === 'Escape' && picked) {
		close();
	} else if ((event.key === 'ArrowDown' || event.key === 'ArrowUp') && event.target === document.body) {
		focusRow(entrance());
		event.preventDefault();
	}
});

const nameOfAddress = () => {
	try {
		return decodeURIComponent(location.hash.slice(1));
	} catch {
		return ''; // no name of ours
	}
};

const pickFromAddress = () => {
	const name = nameOfAddress();
	if (name) pick(name, false);
	else if (picked) close(false);
};
// Back and Forward, or an address that was typed.
addEventListener('popstate', pickFromAddress);

// ---- all of it ----

function show(state) {
	showHealth(state);
	showTop(state);
	if (picked) follow(state);
}

pickFromAddress();
connect();
