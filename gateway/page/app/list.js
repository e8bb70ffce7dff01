// SPDX-License-Identifier: MIT
// list.js - the busiest counters: rows that keep their element while they are known, their trends, and the way among them
// with the keyboard.

const TREND_POINTS = 60;
const KEEP_MS = 60000; // a counter that was busy stays in the list

const list = $('counters').tBodies[0];
const rows = new Map(); // by key: {key, name, value, rate, trend, seen, tr, cells}
let current = ''; // the key of the row that has, or had, the focus

// Of names that are not UTF-8 there is only their base64.
const keyOf = (t) => (t.name !== undefined ? `n${t.name}` : `b${t.name_base64}`);

const addRow = (key, t) => {
	const tr = make('tr');
	const cells = { name: make('td', undefined, 'name'), value: make('td', '', 'number'), rate: make('td', '', 'number'), trend: make('td', undefined, 'trend') };
	const canvas = make('canvas');
	canvas.setAttribute('aria-hidden', 'true');
	cells.name.append(nameElement(t.name ?? `base64:${t.name_base64}`));
	cells.trend.append(canvas);
	tr.append(cells.name, cells.value, cells.rate, cells.trend);
	tr.tabIndex = -1;
	tr.dataset.key = key;
	const row = { key, name: t.name, trend: [], tr, cells, canvas };
	rows.set(key, row);
	return row;
};

const dropRow = (row) => {
	row.tr.remove();
	rows.delete(row.key);
};

const takeTop = (top, now) => {
	for (const t of top) {
		const row = rows.get(keyOf(t)) || addRow(keyOf(t), t);
		row.value = t.value;
		row.rate = t.rate;
		row.seen = now;
		row.isFresh = true;
	}
	for (const row of rows.values()) {
		if (!row.isFresh) {
			row.rate = 0; // it is not among those that have changed
			if (top.length >= 20 || now - row.seen > KEEP_MS) {
				dropRow(row);
				continue;
			}
		}
		row.isFresh = false;
		row.trend.push(row.rate);
		if (row.trend.length > TREND_POINTS) row.trend.shift();
	}
};

// Rows stay where they are while somebody is about to use them.
const isInUse = () => list.contains(document.activeElement) || list.matches(':hover');

const orderRows = () => {
	const sorted = [...rows.values()];
	const place = (row) => (row.tr.parentNode ? row.tr.rowIndex : Infinity);
	if (isInUse()) {
		const places = new Map(sorted.map((row) => [row, place(row)]));
		sorted.sort((a, b) => (places.get(a) === places.get(b) ? 0 : places.get(a) - places.get(b)));
	} else {
		sorted.sort((a, b) => Math.abs(b.rate) - Math.abs(a.rate) || b.seen - a.seen || (a.key < b.key ? -1 : 1));
	}
	sorted.forEach((row, i) => {
		if (list.rows[i] !== row.tr) list.insertBefore(row.tr, list.rows[i] || null);
	});
};

const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

const drawLine = (canvas, points, stroke, slots) => {
	const ratio = devicePixelRatio || 1;
	const width = Math.round(canvas.clientWidth * ratio);
	const height = Math.round(canvas.clientHeight * ratio);
	if (!width || !height) return;
	if (canvas.width !== width) canvas.width = width;
	if (canvas.height !== height) canvas.height = height;
	const c = canvas.getContext('2d');
	const low = Math.min(slots ? 0 : Infinity, ...points);
	const span = Math.max(slots ? 0 : -Infinity, ...points) - low || 1;
	const x = (i) => width - ratio - ((points.length - 1 - i) / Math.max((slots || points.length) - 1, 1)) * (width - 2 * ratio);
	const y = (v) => height - 2 * ratio - ((v - low) / span) * (height - 4 * ratio);
	c.clearRect(0, 0, width, height);
	c.strokeStyle = stroke;
	c.lineWidth = 1.5 * ratio;
	c.lineJoin = 'round';
	c.beginPath();
	points.forEach((v, i) => (i ? c.lineTo(x(i), y(v)) : c.moveTo(x(i), y(v))));
	if (points.length === 1) c.lineTo(x(0) + ratio, y(points[0]));
	c.stroke();
};

const showRow = (row) => {
	say(row.cells.value, exact(row.value));
	say(row.cells.rate, rateText(row.rate));
	row.tr.classList.toggle('still', !row.rate);
	row.tr.setAttribute('aria-selected', String(!!picked && row.name === picked.name));
};

const drawTrends = () => {
	const stroke = color('--accent');
	for (const row of rows.values()) drawLine(row.canvas, row.trend, stroke, TREND_POINTS);
};

// The one that can be reached by Tab; the others are by arrows. While nobody has been in the list it is the first.
const entrance = () => rows.get(current)?.tr ?? list.rows[0];

const showEntrance = () => {
	const tr = entrance();
	for (const row of rows.values()) row.tr.tabIndex = row.tr === tr ? 0 : -1;
};

const setCurrent = (key) => {
	current = key;
	showEntrance();
};

const showTop = (state) => {
	const why = !state.backends.some((b) => b.answers) ? 'No figures: the backend does not answer.'
		: state.backends.every((b) => b.kind !== 'daemon') ? 'Only a shcounterd tells which counters are busiest. Look at one by its name.'
		: state.top ? 'Nothing counts now.' : 'Waiting for the first figures.';
	if (state.top) takeTop(state.top, Date.now());
	orderRows();
	for (const row of rows.values()) showRow(row);
	drawTrends();
	showEntrance();
	$('counters').hidden = !rows.size;
	$('none').hidden = rows.size > 0;
	say($('none'), why);
};

const focusRow = (tr) => {
	if (!tr) return;
	setCurrent(tr.dataset.key);
	tr.focus();
	tr.scrollIntoView({ block: 'nearest' });
};

list.addEventListener('click', (event) => {
	const row = rows.get(event.target.closest('tr')?.dataset.key);
	if (!row) return;
	setCurrent(row.key);
	pickRow(row);
});

list.addEventListener('focusin', (event) => setCurrent(event.target.closest('tr').dataset.key));

list.addEventListener('keydown', (event) => {
	const tr = event.target.closest('tr');
	if (event.altKey || event.ctrlKey || event.metaKey) return;
	switch (event.key) {
	case 'ArrowDown': focusRow(tr.nextElementSibling); break;
	case 'ArrowUp': focusRow(tr.previousElementSibling); break;
	case 'Home': focusRow(list.rows[0]); break;
	case 'End': focusRow(list.rows[list.rows.length - 1]); break;
	case 'Enter':
	case ' ': pickRow(rows.get(tr.dataset.key)); break;
	default: return;
	}
	event.preventDefault();
});
