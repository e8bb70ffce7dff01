// SPDX-License-Identifier: MIT
// health.js - how the backends are.

const backendParts = new Map(); // by index: {box, head, list, figures}

const backendPart = (i) => {
	if (backendParts.has(i)) return backendParts.get(i);
	const part = { box: make('div', undefined, 'backend'), head: make('p'), list: make('dl', undefined, 'figures'), figures: new Map() };
	part.box.append(part.head, part.list);
	$('health').append(part.box);
	backendParts.set(i, part);
	return part;
};

// In this order, whichever came first.
const FIGURES = ['Answers in', 'Requests', 'Counters', 'Connections', 'Commit', 'Commits', 'Durable epoch', 'Store', 'Uplink',
	'Uplink lag', 'Names due', 'Names refused', 'Memory', 'Up for'];

const addFigure = (part, title) => {
	const f = { title, box: make('div'), value: make('dd') };
	const next = [...part.figures.values()].filter((o) => FIGURES.indexOf(o.title) > FIGURES.indexOf(title))
		.sort((a, b) => FIGURES.indexOf(a.title) - FIGURES.indexOf(b.title))[0];
	f.box.append(make('dt', title), f.value);
	part.list.insertBefore(f.box, next ? next.box : null);
	part.figures.set(title, f);
	return f;
};

// `parts`: the number and its unit.
const figure = (part, title, parts, state) => {
	const f = part.figures.get(title) || addFigure(part, title);
	f.isShown = true;
	const text = parts.join('\u2009');
	if (f.value.textContent !== text) {
		f.value.textContent = parts[0];
		if (parts[1]) f.value.append('\u2009', make('small', parts[1]));
	}
	f.value.className = state || '';
};

const uplinkFigure = (part, u) => {
	if (!u.up) figure(part, 'Uplink', ['down'], 'bad');
	else if (u.restored) figure(part, 'Uplink', ['restored'], 'warn');
	else figure(part, 'Uplink lag', millisecondsText(u.lag_ms || 0), u.lag_ms > 10000 ? 'warn' : '');
	if (u.due) figure(part, 'Names due', [whole.format(u.due)]);
	if (u.refused) figure(part, 'Names refused', [whole.format(u.refused)], 'bad');
};

const epochsBehind = (info) => info.open_epoch - 1 - info.durable_epoch;

const showFigures = (part, b) => {
	const info = b.info;
	figure(part, 'Answers in', millisecondsText(b.answer_ms));
	if ('requests_per_s' in info) figure(part, 'Requests', [rateText(info.requests_per_s), '/s']);
	figure(part, 'Counters', [whole.format(info.counters)]);
	figure(part, 'Connections', [whole.format(info.connections)]);
	if ('commit_ms_p99' in info)
		figure(part, 'Commit', millisecondsText(info.commit_ms ?? info.commit_ms_p99));
	if ('commits_per_s' in info) figure(part, 'Commits', [rateText(info.commits_per_s), '/s']);
	if ('durable_epoch' in info)
		figure(part, 'Durable epoch', [whole.format(info.durable_epoch), epochsBehind(info) > 1 ? `${epochsBehind(info)} behind` : ''],
			epochsBehind(info) > 5 ? 'warn' : '');
	if (info.store && info.store !== 'ok') figure(part, 'Store', [info.store], 'bad');
	if (info.uplink) uplinkFigure(part, info.uplink);
	figure(part, 'Memory', bytesText(info.memory_bytes || 0));
	figure(part, 'Up for', durationText(info.uptime_s || 0));
};

const KINDS = { daemon: 'shcounterd', server: 'Redis', cluster: 'Redis Cluster' };

const showBackend = (b, i) => {
	const part = backendPart(i);
	const head = b.answers ? `${KINDS[b.kind]} ${b.info?.version ?? ''}` : 'does not answer';
	for (const f of part.figures.values()) f.isShown = false;
	part.box.dataset.state = b.answers ? 'ok' : 'away';
	part.head.replaceChildren(make('strong', head), make('span', b.name || ''),
		...(b.answers ? [] : [make('span', b.error || '', 'away')]));
	if (b.info) showFigures(part, b);
	part.list.hidden = !b.info;
	for (const f of part.figures.values()) f.box.hidden = !f.isShown;
};

const showHealth = (state) => {
	const away = state.backends.filter((b) => !b.answers).length;
	state.backends.forEach(showBackend);
	if (!away) setConnection('live', 'live');
	else if (state.backends.length === 1) setConnection('away', 'the backend does not answer');
	else setConnection('away', `${away} of ${state.backends.length} backends do not answer`);
};
