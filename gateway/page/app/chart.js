// SPDX-License-Identifier: MIT
// chart.js - the picked counter since it was picked.

const dropChart = () => {
	chart?.destroy?.();
	chart = null;
	$('chart').replaceChildren();
};

const chartWidth = () => Math.max(200, $('chart').clientWidth);

const clock = new Intl.DateTimeFormat('en', { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' });

// Of larger values it is drawn how far they are from the first one: ticks would all look the same, and between numbers
// near 2^63 there are others that a number of JavaScript's cannot be.
const CHART_EXACT_MAX = 1e7;

const valueTick = (v) => {
	if (!Number.isInteger(v)) return '';
	return (picked?.base && v > 0 ? '+' : '') + (Math.abs(v) < CHART_EXACT_MAX ? whole.format(v) : shortly(v));
};
const tickText = (v) => (chartKind === 'value' ? valueTick(v) : shortly(v));

// Steps between ticks must be numbers that make a difference when they are added, or uPlot adds them up for ever.
const range = (u, low, high) => {
	const least = Math.max(Math.abs(low), Math.abs(high), 1) * 1e-9;
	if (!(high - low > least)) return [low - Math.max(1, least), high + Math.max(1, least)];
	return uPlot.rangeNum(low, high, 0.1, chartKind === 'rate');
};

const timeRange = (u, low, high) => {
	const last = u.data[0].at(-1);
	return last === undefined ? [low, high] : [Math.min(low, last - 10), last];
};

// As wide as its longest text; a second look at the same must not make it another one.
const axisSize = (u, texts, i, turn) => {
	const axis = u.axes[i];
	if (turn > 1) return axis._size;
	[u.ctx.font] = axis.font;
	const widths = (texts ?? []).map((t) => u.ctx.measureText(t).width / devicePixelRatio);
	return Math.ceil(axis.ticks.size + axis.gap + 4 + Math.max(24, ...widths));
};

const makeChart = () => {
	const axis = { stroke: color('--faint'), grid: { stroke: color('--line'), width: 1 }, ticks: { stroke: color('--line'), width: 1 } };
	return new uPlot({
		width: chartWidth(),
		height: 208,
		legend: { show: false },
		cursor: { drag: { x: false, y: false } },
		scales: { x: { range: timeRange }, y: { range } },
		axes: [{ ...axis, space: 80, values: (u, ticks) => ticks.map((s) => clock.format(new Date(s * 1000))) }, { ...axis, size: axisSize, values: (u, ticks) => ticks.map(tickText) }],
		series: [{}, { stroke: color('--accent'), width: 2, fill: `${color('--accent')}22`, points: { show: (u) => u.data[0].length < 2 }, paths: uPlot.paths.linear() }],
	}, [[], []], $('chart'));
};

// Without uPlot (a build that could not get it): a line.
const makePlain = () => {
	const canvas = make('canvas', undefined, 'plain');
	$('chart').replaceChildren(canvas);
	return { setData: ([, points]) => drawLine(canvas, points, color('--accent'), 0) };
};

const drawChart = () => {
	if (!picked.times.length || $('detail').hidden) return;
	chart ??= window.uPlot ? makeChart() : makePlain();
	chart.setData([picked.times, chartKind === 'value' ? picked.values : picked.rates]);
};

document.querySelector('.switch').addEventListener('click', (event) => {
	const kind = event.target.dataset.chart;
	if (!kind || !picked) return;
	chartKind = kind;
	for (const b of document.querySelectorAll('.switch button')) b.setAttribute('aria-pressed', String(b.dataset.chart === kind));
	drawChart();
});

const redraw = () => {
	drawTrends();
	dropChart();
	if (picked) drawChart();
};
dark.addEventListener('change', redraw);
new ResizeObserver(() => {
	if (chart?.setSize && chart.width !== chartWidth()) chart.setSize({ width: chartWidth(), height: 208 });
	drawTrends();
	clipName();
}).observe(document.querySelector('main'));
