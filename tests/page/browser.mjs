// SPDX-License-Identifier: MIT
// browser.mjs - what the cases of page.mjs share: Debian's Chromium by playwright-core (npm's, in build/npm), pages that
// must not misbehave, and the way to whoever has the gateway and the daemon (py/gateway_page.py).
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import process from 'node:process';

const require = createRequire(new URL('../../build/npm/', import.meta.url));
const { chromium } = require('playwright-core');

export const TIMEOUT_MS = 60000; // a bound; machines are busy

export const check = (is, ...what) => {
	if (!is) throw new Error(what.map((w) => (typeof w === 'string' ? w : JSON.stringify(w))).join(' '));
};

export const equal = (got, want, what = '') =>
	check(JSON.stringify(got) === JSON.stringify(want), what, 'got', got, 'want', want);

// ---- who has the gateway and the daemon ---- lines: we say what to do, it answers in JSON

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

let last = Promise.resolve();

// One after the other.
export const tell = (...words) => {
	last = last.then(async () => {
		process.stdout.write(`${JSON.stringify(words)}\n`);
		const { value, done } = await lines.next();
		check(!done, 'nobody answers');
		return JSON.parse(value);
	});
	return last;
};

// ---- the browser ----

// One process for all pages, for the start of one is half of what a page costs; but each kind of device has one of its own.
export const launch = () =>
	chromium.launch({ executablePath: process.env.CHROMIUM || 'chromium', args: ['--no-sandbox', '--disable-gpu', '--process-per-site'] });

const devices = {};
const deviceOf = (browser, options) =>
	(devices[JSON.stringify(options)] ??= browser.newContext({ viewport: { width: 1280, height: 900 }, ...options }));

// What a page may not do. `expected`: of failed requests, which the browser tells the console of: path -> status or 'away'.
const watch = (page, origin, expected) => {
	const faults = [];
	page.on('console', (m) => {
		const { pathname } = new URL(m.location().url || origin);
		const failed = /^Failed to load resource: (?:.*status of (\d+)|net::ERR_\w+)/.exec(m.text());
		const is = failed && (failed[1] || 'away');
		if (!is || ![].concat(expected[pathname] ?? []).includes(is)) faults.push(`console: ${m.text()} (${pathname})`);
	});
	page.on('pageerror', (e) => faults.push(`error: ${e.stack}`));
	page.on('request', (r) => {
		if (!r.url().startsWith(`${origin}/`)) faults.push(`a request to ${r.url()}`);
	});
	return faults;
};

let failures = 0;

// Runs work(page) on a page of its own, which has to be without fault.
export const withPage = async (browser, url, options, work) => {
	const { expected = {}, before, path = '/', ...device } = options;
	const origin = new URL(url).origin;
	const page = await (await deviceOf(browser, device)).newPage();
	const faults = watch(page, origin, expected);
	page.setDefaultTimeout(TIMEOUT_MS);
	await page.addInitScript(() => {
		globalThis.violations = [];
		addEventListener('securitypolicyviolation', (e) => globalThis.violations.push(`${e.violatedDirective}: ${e.blockedURI} ${e.sample}`));
	});
	try {
		if (before) await before(page);
		await page.goto(origin + path);
		await work(page);
		equal(await page.evaluate(() => globalThis.violations), [], 'violations of the policy');
		equal(faults, [], 'faults');
	} catch (e) {
		if (faults.length) e.message += `\nfaults: ${faults.join('\n')}`;
		await shoot(page, `failed-${failures++}`).catch(() => {});
		throw e;
	} finally {
		await page.close();
	}
};

export const shoot = (page, name, options) => page.screenshot({ path: `${process.env.SCREENSHOTS}/${name}.png`, ...options });

// ---- what is on the page ----

export const connection = (page, state) => page.waitForSelector(`#connection[data-state=${state}]`);
export const row = (page, name) => page.locator('#counters tbody tr', { has: page.getByText(name, { exact: true }) });
export const valueOf = async (page, name) =>
	BigInt((await row(page, name).locator('td').nth(1).textContent()).replaceAll(',', ''));

// Polls, with a bound.
export const until = async (condition, what) => {
	const end = Date.now() + TIMEOUT_MS;
	for (;;) {
		const value = await condition();
		if (value) return value;
		check(Date.now() < end, 'not within', TIMEOUT_MS, 'ms:', what);
		await new Promise((go) => setTimeout(go, 50)); // between two looks
	}
};

export const scrollsSideways = (page) =>
	page.evaluate(() => document.documentElement.scrollWidth > document.documentElement.clientWidth);
