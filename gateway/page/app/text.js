// SPDX-License-Identifier: MIT
// text.js - elements, and numbers as people read them. Values are strings or BigInt: they may be beyond what a number of
// JavaScript's holds exactly.

const $ = (id) => document.getElementById(id);
const calm = matchMedia('(prefers-reduced-motion: reduce)');
const dark = matchMedia('(prefers-color-scheme: dark)');
const wide = matchMedia('(min-width: 62rem)');

const make = (tag, text, className) => {
	const e = document.createElement(tag);
	if (text !== undefined) e.textContent = text;
	if (className) e.className = className;
	return e;
};

// Text that is there already is left alone: a screen reader would read it again, a selection would be lost.
const say = (e, text) => {
	if (e.textContent !== text) e.textContent = text;
};

// ---- numbers ----

const small = new Intl.NumberFormat('en', { maximumFractionDigits: 1 });
const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const exact = (value) => BigInt(value).toLocaleString('en');
const rateText = (rate) => (Math.abs(rate) < 100 ? small : whole).format(rate);

const bytesText = (bytes) => {
	const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
	let unit = 0;
	for (; bytes >= 1024 && unit < units.length - 1; unit++) bytes /= 1024;
	return [small.format(bytes), units[unit]];
};

const durationText = (s) => {
	if (s < 120) return [whole.format(s), 's'];
	if (s < 7200) return [whole.format(s / 60), 'min'];
	if (s < 172800) return [whole.format(s / 3600), 'h'];
	return [whole.format(s / 86400), 'days'];
};

const millisecondsText = (ms) => (ms < 1000 ? [ms < 10 ? ms.toFixed(2) : whole.format(ms), 'ms'] : durationText(ms / 1000));

// JSON whose long integers stay what they are: as strings.
const parseExact = (text) =>
	JSON.parse(text.replace(/"(?:[^"\\]|\\.)*"|-?\d{16,}(?![\d.eE])/g, (m) => (m[0] === '"' ? m : `"${m}"`)));
