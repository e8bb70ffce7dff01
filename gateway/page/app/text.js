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

// ---- names ---- any UTF-8: what would not be seen, or would turn around what stands beside it, is spelled out

// Control and format characters, every blank but the plain one, letters that are empty. What joins emoji is meant so.
const UNSEEN = /(?<!\p{Extended_Pictographic}\ufe0f?|\p{Emoji_Modifier})\u200d|(?!\u200d)[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]|(?! )\p{Zs}|[\u115f\u1160\u3164\uffa0\u2800]/gu;

const codeOf = (c) => `U+${c.codePointAt(0).toString(16).toUpperCase().padStart(4, '0')}`;

// Whatever its direction, it is that of nothing else.
const nameElement = (name) => {
	const e = make('bdi');
	let at = 0;
	for (const m of name.matchAll(UNSEEN)) {
		e.append(name.slice(at, m.index), make('span', codeOf(m[0]), 'code'));
		at = m.index + m[0].length;
	}
	e.append(name.slice(at));
	e.title = name.replace(UNSEEN, (c) => `<${codeOf(c)}>`);
	return e;
};

// As the gateway has it, which would refuse others.
const isName = (name) => {
	const bytes = new TextEncoder().encode(name).length;
	return bytes > 0 && bytes <= 255 && !/[\0-\x1f\x7f]|\p{Cs}/u.test(name);
};

// ---- numbers ----

const small = new Intl.NumberFormat('en', { maximumFractionDigits: 1 });
const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const exact = (value) => BigInt(value).toLocaleString('en');

// As short as can be; compact numbers have no letter behind T.
const compact = new Intl.NumberFormat('en', { notation: 'compact', maximumSignificantDigits: 4 });
const powers = new Intl.NumberFormat('en', { notation: 'scientific', maximumSignificantDigits: 4 });
const shortly = (v) => (Math.abs(v) < 1e15 ? compact : powers).format(v);

const rateText = (rate) => {
	const size = Math.abs(rate);
	return size < 1e9 ? (size < 100 ? small : whole).format(rate) : shortly(rate);
};

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
