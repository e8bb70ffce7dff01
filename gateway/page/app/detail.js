// SPDX-License-Identifier: MIT
// detail.js - the counter that was picked: its value comes with events when it is busy; the rest is asked for.

const HISTORY_MAX = 900; // points
const ASK_EVERY_MS = 5000; // for what no event tells

let picked = null; // {name, value, rate, at; base, times, values, rates: of the chart; refused}
let asked = new AbortController();
let askTimer = 0;
let chartKind = 'value';
let chart = null;

const pickRow = (row) => {
	if (row.name !== undefined) pick(row.name);
	else tellUnnamed(row);
};

const reset = (name) => {
	picked = { name, value: null, rate: null, at: 0, base: 0n, refused: new Set(), times: [], values: [], rates: [] };
	say($('detail-name'), name);
	say($('detail-value'), '\u2026');
	for (const id of ['detail-rate', 'detail-note', 'change-note', 'log-note']) say($(id), '');
	for (const id of ['hits', 'shards']) $(id).replaceChildren();
	for (const id of ['hits-note', 'shards-note', 'log']) $(id).hidden = true;
	$('log').tBodies[0].replaceChildren();
	$('unnamed').hidden = true;
	$('detail').hidden = false;
	document.querySelector('main').classList.add('split');
};

// On a phone it is alone in view, elsewhere beside the list.
const bringDetail = () =>
	$('detail').scrollIntoView({ block: wide.matches ? 'nearest' : 'start', behavior: calm.matches ? 'auto' : 'smooth' });

// What it was before it was picked is in the list.
const pick = (name) => {
	if (picked?.name === name) {
		bringDetail();
		return;
	}
	reset(name);
	dropChart();
	const row = rows.get(`n${name}`);
	if (row) note(row.value, row.rate);
	history.replaceState(null, '', `#${encodeURIComponent(name)}`);
	for (const r of rows.values()) showRow(r);
	ask();
	bringDetail();
};

const tellUnnamed = (row) => {
	unpick();
	$('unnamed').hidden = false;
	say($('unnamed'), `The name ${row.cells.name.textContent} is not UTF-8: shcount can tell more of it, HTTP cannot.`);
};

const unpick = () => {
	picked = null;
	asked.abort();
	clearTimeout(askTimer);
	dropChart();
	$('detail').hidden = true;
	document.querySelector('main').classList.remove('split');
	history.replaceState(null, '', location.pathname);
	for (const row of rows.values()) showRow(row);
	drawTrends();
};

const rateBetween = (value) => {
	const seconds = (Date.now() - picked.at) / 1000;
	return picked.value === null || seconds <= 0 ? 0 : Number(BigInt(value) - BigInt(picked.value)) / seconds;
};

// One more point.
const note = (value, rate) => {
	const p = picked;
	p.rate = rate ?? rateBetween(value);
	p.value = value;
	p.at = Date.now();
	p.times.push(p.at / 1000);
	if (p.values.length === 0 && Math.abs(Number(value)) >= CHART_EXACT_MAX) {
		p.base = BigInt(value);
		say($('detail-note'), 'The chart shows by how much it has changed.');
	}
	p.values.push(Number(BigInt(value) - p.base));
	p.rates.push(p.rate);
	for (const points of [p.times, p.values, p.rates]) if (points.length > HISTORY_MAX) points.shift();
	say($('detail-value'), exact(value));
	say($('detail-rate'), `${rateText(p.rate)} per second`);
	drawChart();
};

// Each second: from the event, or by asking when it is not among the busiest.
const follow = async (state) => {
	const row = state.top?.find((t) => t.name === picked.name);
	const { name } = picked;
	if (row) {
		note(row.value, row.rate);
		return;
	}
	if (!state.backends.some((b) => b.answers)) return;
	try {
		const reply = await get('/counter/value', { counter_id: name }, asked.signal);
		if (picked?.name === name) note(String(reply.current_value));
	} catch (e) {
		if (picked?.name === name && e instanceof Refused) say($('detail-note'), e.message);
	}
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

const askShards = async (name, signal) => {
	const reply = await post('/sharded', JSON.stringify({ counterId: name, operationType: 'GET_TOTAL' }), {}, signal);
	return () => showShards(Object.entries(reply.shardValues || {}).map(([k, v]) => [k, String(v)]));
};

const timeText = (text) => {
	const t = new Date(text);
	const isToday = t.toDateString() === new Date().toDateString();
	return isToday ? t.toLocaleTimeString() : t.toLocaleString();
};

const showLog = (entries) => {
	$('log').hidden = !entries.length;
	say($('log-note'), entries.length ? '' : 'Nothing is in it yet.');
	$('log').tBodies[0].replaceChildren(...entries.reverse().map((e) => {
		const tr = make('tr');
		const time = make('td', timeText(e.timestamp));
		time.title = e.timestamp;
		tr.append(time, make('td', e.operation), make('td', exact(e.value), 'number'), make('td', exact(e.updated_value), 'number'), make('td', e.peer ?? ''));
		return tr;
	}));
};

const askLog = async (name, signal) => {
	const entries = await get('/counter/logs', { counter_id: name, limit: 20 }, signal);
	return () => showLog(entries);
};

const PARTS = [[askHits, 'hits-note', 'hits'], [askShards, 'shards-note', 'shards'], [askLog, 'log-note', 'log']];

// What was refused to this token, or is not written, is not asked for again.
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
	if (!picked || dialog.open) return;
	asked = new AbortController();
	const { name } = picked;
	const { signal } = asked;
	await Promise.all(PARTS.map((part) => askPart(part, name, signal)));
	if (signal.aborted) return;
	if (picked.value === null) await follow({ top: null, backends: [{ answers: true }] });
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
		const reply = await change(`/counter/${sign}`, `{"counter_id":${JSON.stringify(name)},"value":${BigInt(amount)}}`);
		if (picked?.name !== name) return;
		tellChange(`${sign === 'increment' ? '+' : '\u2212'}${exact(amount)}`);
		// Of several backends one may be away: it was added, and the sum is not known.
		if (reply.new_value !== null) note(String(reply.new_value));
		ask();
	} catch (e) {
		if (picked?.name === name) tellChange(e instanceof Refused ? e.message : 'No answer: it may have been done.', true);
	}
};

// Enter in the field adds.
$('change').addEventListener('submit', (event) => {
	event.preventDefault();
	changeBy('increment');
});
$('subtract').addEventListener('click', () => changeBy('decrement'));
