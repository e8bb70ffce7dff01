// SPDX-License-Identifier: MIT
// detail.js - the counter that was picked: its value comes with events when it is busy; the rest is asked for.

const HISTORY_MAX = 900; // points
const ASK_EVERY_MS = 5000; // for what no event tells

let picked = null; // {name, value, rate, at; base, times, values, rates: of the chart; refused; asking}
let asked = new AbortController();
let askTimer = 0;
let chartKind = 'value';
let chart = null;

const pickRow = (row) => {
	if (row.name !== undefined) pick(row.name);
	else tellUnnamed(row);
};

const reset = (name) => {
	picked?.asking?.abort();
	picked = { name, value: null, rate: null, at: 0, base: 0n, refused: new Set(), times: [], values: [], rates: [] };
	$('detail-name').replaceChildren(nameElement(name));
	say($('detail-value'), '\u2026');
	for (const id of ['detail-rate', 'detail-note', 'change-note', 'log-note']) say($(id), '');
	for (const id of ['hits', 'shards']) $(id).replaceChildren();
	for (const id of ['hits-note', 'log']) $(id).hidden = true;
	$('log').tBodies[0].replaceChildren();
	$('unnamed').hidden = true;
	$('detail').hidden = false;
	document.querySelector('main').classList.add('split');
	showWhole(false);
};

// A long name has some lines, and the rest on demand.
const clipName = () => {
	const name = $('detail-name').firstElementChild;
	if (name && $('whole').ariaExpanded === 'false') $('whole').hidden = name.scrollHeight <= name.clientHeight + 1;
};

const showWhole = (is) => {
	$('whole').ariaExpanded = String(is);
	$('detail-name').classList.toggle('whole', is);
	say($('whole'), is ? 'Less of the name' : 'Whole name');
	clipName();
};
$('whole').addEventListener('click', () => showWhole($('whole').ariaExpanded === 'false'));

// On a phone it is alone in view, elsewhere beside the list.
const bringDetail = () =>
	$('detail').scrollIntoView({ block: wide.matches ? 'nearest' : 'start', behavior: calm.matches ? 'auto' : 'smooth' });

// What it was before it was picked is in the list. `isNew`: the address was another one.
const pick = (name, isNew = true) => {
	if (!isName(name)) {
		tell('A name has 1 to 255 bytes, of UTF-8 without control characters.', isNew);
		return;
	}
	if (picked?.name === name) {
		bringDetail();
		return;
	}
	reset(name);
	dropChart();
	const row = rows.get(`n${name}`);
	if (row) note(row.value, row.rate);
	if (isNew) history.pushState(null, '', `#${encodeURIComponent(name)}`);
	for (const r of rows.values()) showRow(r);
	ask();
	bringDetail();
};

// Why there is nothing to be shown.
const tell = (text, isNew) => {
	unpick(isNew);
	$('unnamed').hidden = false;
	say($('unnamed'), text);
};

const tellUnnamed = (row) =>
	tell(`The name ${row.cells.name.textContent} is not UTF-8: shcount can tell more of it, HTTP cannot.`);

const unpick = (isNew = true) => {
	picked?.asking?.abort();
	picked = null;
	asked.abort();
	clearTimeout(askTimer);
	dropChart();
	$('detail').hidden = true;
	document.querySelector('main').classList.remove('split');
	$('unnamed').hidden = true;
	if (isNew && location.hash) history.pushState(null, '', location.pathname);
	for (const row of rows.values()) showRow(row);
	drawTrends();
};

const rateBetween = (value) => {
	const seconds = (Date.now() - picked.at) / 1000;
	return picked.value === null || seconds <= 0 ? 0 : Number(BigInt(value) - BigInt(picked.value)) / seconds;
};

const tellNote = (text) => say($('detail-note'), text || (picked.base ? 'The chart shows by how much it has changed.' : ''));

// One more point.
const note = (value, rate) => {
	const p = picked;
	p.rate = rate ?? rateBetween(value);
	p.value = value;
	p.at = Date.now();
	p.times.push(p.at / 1000);
	if (p.values.length === 0 && Math.abs(Number(value)) >= CHART_EXACT_MAX) p.base = BigInt(value);
	p.values.push(Number(BigInt(value) - p.base));
	p.rates.push(p.rate);
	for (const points of [p.times, p.values, p.rates]) if (points.length > HISTORY_MAX) points.shift();
	say($('detail-value'), exact(value));
	$('detail-value').classList.toggle('long', exact(value).length > 20);
	say($('detail-rate'), `${rateText(p.rate)} per second`);
	drawChart();
};

// Its value and its shards are of one answer, or they would not fit. Of what was refused for good nothing is asked again.
const look = async (rate) => {
	const p = picked;
	if (!isAdmitted || p.refused.has('value')) return;
	p.asking?.abort();
	const mine = p.asking = new AbortController();
	try {
		const reply = await post('/sharded', JSON.stringify({ counterId: p.name, operationType: 'GET_TOTAL' }), {}, mine.signal);
		if (mine.signal.aborted) return;
		note(String(reply.totalValue), rate);
		showShards(Object.entries(reply.shardValues).map(([k, v]) => [k, String(v)]));
		tellNote('');
	} catch (e) {
		if (mine.signal.aborted || !(e instanceof Refused)) return;
		if (e.status !== 429 && e.status < 500) p.refused.add('value');
		tellNote(e.message);
	} finally {
		if (p.asking === mine) p.asking = null;
	}
};

// Each second. How fast it changes is in the event when it is among the busiest.
const follow = (state) => {
	if (picked.asking || !state.backends.every((b) => b.answers)) return;
	look(state.top?.find((t) => t.name === picked.name)?.rate);
};

// ---- its parts ---- each asks, shows, and says what is in the way

const showHits = (hits) => {
	$('hits').replaceChildren(...hits.map(([title, n]) => {
		const box = make('div');
		box.append(make('dt', title), make('dd', exact(n)));
		return box;
	}));
};

const askHits = async (name, signal) => {
	const windows = [['Last 60 s', '60s'], ['Last hour', '1h'], ['Last 24 h', '24h']];
	const replies = await Promise.all(windows.map(([, last]) => get('/hits', { counter_id: name, last }, signal)));
	return () => showHits(windows.map(([title], i) => [title, String(replies[i].hits)]));
};

const showShards = (shards) => {
	const size = (n) => Math.abs(Number(n));
	const most = Math.max(1, ...shards.map(([, n]) => size(n)));
	$('shards').replaceChildren(...shards.map(([name, n]) => {
		const item = make('li');
		const track = make('span', undefined, 'track');
		const bar = make('span', undefined, 'bar');
		bar.style.width = `${(100 * size(n)) / most}%`;
		track.append(bar);
		item.append(make('span', name), track, make('span', exact(n)));
		return item;
	}));
};

const timeText = (text) => {
	const t = new Date(text);
	const isToday = t.toDateString() === new Date().toDateString();
	return isToday ? t.toLocaleTimeString() : t.toLocaleString();
};

// Null: nobody keeps one.
const showLog = (entries) => {
	$('log').hidden = !entries?.length;
	if (!entries) say($('log-note'), 'There is none. A daemon keeps a log of names that fit a pattern of its setting audit; Redis keeps none.');
	else say($('log-note'), entries.length ? '' : 'Nothing is in it yet.');
	if (entries) $('log').tBodies[0].replaceChildren(...entries.reverse().map((e) => {
		const tr = make('tr');
		const time = make('td', timeText(e.timestamp));
		time.title = e.timestamp;
		tr.append(time, make('td', e.operation), make('td', exact(e.value), 'number'), make('td', exact(e.updated_value), 'number'), make('td', e.peer ?? ''));
		return tr;
	}));
};

const askLog = async (name, signal) => {
	const entries = await get('/counter/logs', { counter_id: name, limit: 20, or_none: true }, signal);
	return () => showLog(entries);
};

const PARTS = [[askHits, 'hits-note', 'hits'], [askLog, 'log-note', 'log']];

// What was refused to this token is not asked for again.
const askPart = async ([work, noteId, bodyId], name, signal) => {
	if (picked.refused.has(bodyId)) return;
	try {
		const put = await work(name, signal);
		if (picked?.name !== name || signal.aborted) return;
		say($(noteId), '');
		$(bodyId).hidden = false;
		put();
		$(noteId).hidden = !$(noteId).textContent;
	} catch (e) {
		if (picked?.name !== name || signal.aborted) return;
		if (e.status === 403 || e.status === 409) picked.refused.add(bodyId);
		// The stream tells who is away; what was known stays.
		if ((!(e instanceof Refused) || e.status >= 500) && $(bodyId).childElementCount && bodyId !== 'log') return;
		say($(noteId), e instanceof Refused ? e.message : 'The gateway does not answer.');
		$(noteId).hidden = false;
		$(bodyId).hidden = true;
	}
};

async function ask() {
	clearTimeout(askTimer);
	asked.abort();
	if (!picked || !isAdmitted) return;
	if (picked.value === null && !picked.asking) look();
	asked = new AbortController();
	const { name } = picked;
	const { signal } = asked;
	await Promise.all(PARTS.map((part) => askPart(part, name, signal)));
	if (!signal.aborted) askTimer = setTimeout(ask, ASK_EVERY_MS);
}

// ---- changing it ----

const newKey = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, '0')).join('');

// The key makes it safe to ask again when no answer came, or none that says what has happened.
const change = async (path, body) => {
	const key = { 'Idempotency-Key': newKey() };
	try {
		return await post(path, body, key);
	} catch (e) {
		if (e instanceof Refused && e.status !== 503 && e.status !== 504) throw e;
		await new Promise((go) => setTimeout(go, 1000));
		return post(path, body, key);
	}
};

const tellChange = (text, isBad) => {
	$('change-note').className = isBad ? 'bad' : '';
	say($('change-note'), text);
};

const changeBy = async (sign) => {
	const { name } = picked;
	const amount = $('amount').value.trim();
	if (!/^\d{1,19}$/.test(amount) || BigInt(amount) > 9223372036854775807n) {
		tellChange('The amount is a whole number of 64 bits.', true);
		return;
	}
	tellChange('\u2026');
	try {
		// The digits as they are: a number of JavaScript's would round them.
		await change(`/counter/${sign}`, `{"counter_id":${JSON.stringify(name)},"value":${BigInt(amount)}}`);
		if (picked?.name !== name) return;
		tellChange(`${sign === 'increment' ? '+' : '\u2212'}${exact(amount)}`);
		look();
		ask();
	} catch (e) {
		if (picked?.name === name) tellChange(e instanceof Refused ? e.message : 'No answer: it may have been done.', true);
	}
};

// What was done before says nothing of what stands there now.
$('amount').addEventListener('input', () => tellChange(''));

// Enter in the field adds.
$('change').addEventListener('submit', (event) => {
	event.preventDefault();
	changeBy('increment');
});
$('subtract').addEventListener('click', () => changeBy('decrement'));
