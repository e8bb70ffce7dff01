// SPDX-License-Identifier: MIT
// page.mjs CASE=URL...: the cases of gateway_page.bats, all at once, started by py/gateway_page.py, which is told what came of
// each. A counter "busy" and some others are counted there all the time; "audited:x" has a log; "big" is 2^53 + 1.
import process from 'node:process';
import { check, connection, equal, launch, row, scrollsSideways, shoot, tell, until, valueOf, withPage } from './browser.mjs';

const detail = (page, id) => page.locator(`#${id}`);
const text = async (page, id) => (await detail(page, id).textContent()).trim();
const find = async (page, name) => {
	await page.fill('#find-name', name);
	await page.press('#find-name', 'Enter');
	await until(async () => (await text(page, 'detail-name')) === name, `${name} is shown`);
};
const focused = (page) => page.evaluate(() => document.activeElement.dataset.key ?? document.activeElement.id);
// That are drawn, in all of it or in so many columns on the left.
const pixels = (page, selector, columns) =>
	page.evaluate(([s, most]) => {
		const { width: whole, height } = document.querySelector(s);
		const width = most ?? whole;
		const copy = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true });
		copy.drawImage(document.querySelector(s), 0, 0);
		const { data } = copy.getImageData(0, 0, width, height);
		let drawn = 0;
		for (let i = 3; i < data.length; i += 4) drawn += data[i] > 0;
		return drawn;
	}, [selector, columns]);

const cases = {
	// ---- what is shown ----

	async moves(browser, url) {
		await withPage(browser, url, {}, async (page) => {
			await connection(page, 'live');
			await row(page, 'busy').waitFor();
			const before = await valueOf(page, 'busy');
			await until(async () => (await valueOf(page, 'busy')) > before, 'the value moves');
			await until(async () => (await pixels(page, '#counters canvas')) > 20, 'a sparkline is drawn');
			await until(async () => /\d/.test(await row(page, 'busy').locator('td').nth(2).textContent()), 'a rate');
			for (const title of ['Answers in', 'Requests', 'Durable epoch', 'Commits'])
				await page.locator('#health dt', { hasText: title }).first().waitFor();
			check(await page.evaluate(() => typeof uPlot === 'function'), 'uPlot is built in');

			await row(page, 'busy').click();
			equal(await text(page, 'detail-name'), 'busy');
			equal(await row(page, 'busy').getAttribute('aria-selected'), 'true');
			const first = await until(async () => (await text(page, 'detail-value')).replaceAll(',', ''), 'a value');
			await until(async () => BigInt((await text(page, 'detail-value')).replaceAll(',', '')) > BigInt(first), 'it moves');
			await until(async () => (await pixels(page, '#chart canvas')) > 500, 'a chart is drawn');
			await page.locator('#shards li').first().waitFor();
			await page.locator('#log-note', { hasText: 'audit' }).waitFor();
			equal(await page.locator('#hits dd').count(), 3);
			// What the shards come to is what stands above them, at any time.
			const sums = await page.evaluate(async () => {
				const number = (e) => BigInt(e.textContent.replaceAll(',', ''));
				const seen = [];
				while (seen.length < 3) {
					await new Promise((go) => new MutationObserver(go).observe(document.querySelector('#shards'), { childList: true }));
					const parts = [...document.querySelectorAll('#shards li span:last-child')].filter((e) => /\d/.test(e.textContent)).map(number);
					seen.push([String(number(document.querySelector('#detail-value'))), String(parts.reduce((a, b) => a + b, 0n))]);
				}
				return seen;
			});
			for (const [value, sum] of sums) equal(sum, value, 'the shards of it');
			await page.click('[data-chart=rate]');
			equal(await page.getAttribute('[data-chart=rate]', 'aria-pressed'), 'true');
			await until(async () => (await page.evaluate(() => document.querySelectorAll('#counters tbody tr').length)) > 8, 'more rows');
			await shoot(page, 'wide');
			await page.emulateMedia({ colorScheme: 'dark' });
			await until(async () => (await pixels(page, '#chart canvas')) > 500, 'the chart is drawn anew');
			await page.waitForFunction(() => !document.getAnimations().length);
			await shoot(page, 'dark');
		});
	},

	async counts(browser, url) {
		await withPage(browser, url, { path: '/#audited%3Ax' }, async (page) => {
			await connection(page, 'live');
			equal(await text(page, 'detail-name'), 'audited:x', 'the address says what is shown');
			await until(async () => /^\d/.test(await text(page, 'detail-value')), 'a value');
			await page.fill('#amount', '41');
			await page.click('#add');
			await page.locator('#change-note', { hasText: '+41' }).waitFor();
			await page.fill('#amount', '1');
			await page.click('#subtract');
			await until(async () => (await text(page, 'detail-value')) === '40', 'the sum');
			equal(await tell('value', 'audited:x'), 40);
			await page.locator('#log tbody tr', { hasText: 'decrement' }).first().waitFor();
			equal(await page.locator('#log tbody tr').count(), 2);
			await page.press('#amount', 'Enter');
			await until(async () => (await text(page, 'detail-value')) === '41', 'Enter adds');
			await page.fill('#amount', '9223372036854775808');
			await page.click('#add');
			await page.locator('#change-note.bad').waitFor();
			equal(await tell('value', 'audited:x'), 41);
			await page.fill('#amount', 'x');
			equal(await text(page, 'change-note'), '', 'what was said of another amount is gone');
			await page.click('#add');
			await page.locator('#change-note.bad', { hasText: 'whole number' }).waitFor();
			// Beyond 2^53, where a number of JavaScript's would be another one.
			await find(page, 'big');
			await until(async () => (await text(page, 'detail-value')) === '9,007,199,254,740,993', 'it is exact');
			await page.fill('#amount', '9007199254740993');
			await page.click('#add');
			await until(async () => (await text(page, 'detail-value')) === '18,014,398,509,481,986', 'so is what is added');
			equal(await tell('value', 'big'), '18014398509481986');
			await until(async () => (await page.locator('#shards li span').last().textContent()) === '18,014,398,509,481,986', 'and its parts');
			await page.fill('#amount', '4000000000000000000');
			await page.click('#add');
			await until(async () => (await text(page, 'detail-value')).startsWith('4,018,'), 'much is added');
			for (const kind of ['value', 'rate']) {
				await page.click(`[data-chart=${kind}]`);
				// Texts of the axis end beside the chart, and begin somewhere.
				check(await until(() => pixels(page, '#chart canvas'), 'it is drawn'), kind);
				equal(await pixels(page, '#chart canvas', 3), 0, `the numbers of the axis have room: ${kind}`);
			}
			await shoot(page, 'huge');
			await page.locator('#counters td.name', { hasText: 'base64:5A==' }).click();
			await page.locator('#unnamed', { hasText: 'not UTF-8' }).waitFor();
			check(!(await detail(page, 'detail').isVisible()), 'nothing is asked of it');
			// Names are text, and nothing else.
			await find(page, '<img src=x onerror=alert(1)>&"\'#?%20/');
			await until(async () => (await text(page, 'detail-value')) === '7', 'its value');
		});
	},

	// ---- what comes back ----

	async reconnects(browser, url) {
		const expected = { '/health': 'away', '/events': 'away', '/counter/logs': ['away', '503'], '/hits': ['away', '503'], '/sharded': ['away', '503'] };
		await withPage(browser, url, { expected }, async (page) => {
			await row(page, 'busy').click();
			await connection(page, 'live');
			await tell('stop gateway');
			await connection(page, 'lost');
			check(/next try in|token/.test(await text(page, 'connection-text')), await text(page, 'connection-text'));
			check(await row(page, 'busy').isVisible(), 'what was known stays');
			await shoot(page, 'lost');
			await tell('start gateway');
			await connection(page, 'live');
			let before = await valueOf(page, 'busy');
			await until(async () => (await valueOf(page, 'busy')) > before, 'values move again');

			await tell('kill gateway');
			await connection(page, 'lost');
			await tell('start gateway');
			await connection(page, 'live');

			await tell('kill daemon');
			await connection(page, 'away');
			await page.locator('.backend[data-state=away]').waitFor();
			await shoot(page, 'away');
			await tell('start daemon');
			await connection(page, 'live');
			before = await valueOf(page, 'busy');
			await until(async () => (await valueOf(page, 'busy')) > before, 'values move again');
			equal(await text(page, 'detail-name'), 'busy', 'what is shown stays so');
		});
	},

	// ---- how it is used ----

	async back(browser, url) {
		const shown = (page, name) => until(async () => (await detail(page, 'detail').isVisible()) && (await text(page, 'detail-name')) === name, `${name} is shown`);
		await withPage(browser, url, {}, async (page) => {
			await connection(page, 'live');
			await find(page, 'big');
			await find(page, 'busiest');
			await row(page, 'busy').click();
			await shown(page, 'busy');
			await page.goBack();
			await shown(page, 'busiest');
			await page.goBack();
			await shown(page, 'big');
			await page.goBack();
			await until(async () => !(await detail(page, 'detail').isVisible()), 'none is shown, as in the beginning');
			await page.goForward();
			await shown(page, 'big');
			await page.keyboard.press('Escape');
			await until(async () => !(await detail(page, 'detail').isVisible()), 'it is closed');
			await page.goBack();
			await shown(page, 'big');
		});
	},

	async names(browser, url) {
		await withPage(browser, url, { viewport: { width: 320, height: 640 }, deviceScaleFactor: 2, hasTouch: true, isMobile: true }, async (page) => {
			await row(page, 'busy').waitFor();
			const lines = (selector) => page.evaluate((s) => {
				const e = document.querySelector(s);
				return Math.round(e.getBoundingClientRect().height / parseFloat(getComputedStyle(e).lineHeight));
			}, selector);
			await until(async () => (await page.locator('#counters td.name', { hasText: 'wwww' }).count()) > 0, 'a long one is among them');
			check((await page.locator('#counters td.name', { hasText: 'wwww' }).boundingBox()).height < 70, 'it has two lines');
			await shoot(page, 'names-list', { fullPage: true });
			await page.locator('#counters td.name', { hasText: 'wwww' }).tap();
			await until(async () => (await text(page, 'detail-name')).length === 255, 'it is shown');
			equal(await lines('#detail-name bdi'), 3);
			equal(await page.getAttribute('#detail-name bdi', 'title'), 'w'.repeat(255));
			await shoot(page, 'names-long');
			await page.tap('#whole');
			check((await lines('#detail-name bdi')) > 5, 'all of it, on demand');
			check(!(await scrollsSideways(page)), 'it fits');
			await page.tap('#whole');
			equal(await lines('#detail-name bdi'), 3);
			// Nothing turns around what is beside it, nothing is unseen.
			await page.fill('#find-name', 'a\u202egnp.exe\u00a0\u200b');
			await page.press('#find-name', 'Enter');
			await until(async () => (await text(page, 'detail-name')) === 'aU+202Egnp.exeU+00A0U+200B', 'it is spelled out');
			equal(await page.locator('#detail-name .code').count(), 3);
			check(!(await detail(page, 'whole').isVisible()), 'there is no more of it');
			await shoot(page, 'names-turned');
			await find(page, '\u{1f469}\u200d\u{1f4bb} \u05d0\u05d1 1');
			equal(await page.evaluate(() => getComputedStyle(document.querySelector('#detail-name bdi')).unicodeBidi), 'isolate');
			await page.fill('#find-name', '\u00e4'.repeat(128));
			await page.press('#find-name', 'Enter');
			await page.locator('#unnamed', { hasText: '255 bytes' }).waitFor();
		});
	},


	async keyboard(browser, url) {
		await withPage(browser, url, {}, async (page) => {
			await row(page, 'busy').waitFor();
			await until(async () => (await page.locator('#counters tbody tr').count()) > 8, 'rows');
			// Tab leads to the first row, also when another has become that.
			const top = await until(async () => {
				await tell('add', 'late', 1000000);
				return page.evaluate(() => {
					const { dataset, tabIndex } = document.querySelector('#counters tbody tr');
					return dataset.key === 'nlate' && { tabIndex };
				});
			}, 'it is the first');
			equal(top, { tabIndex: 0 });
			await page.keyboard.press('ArrowDown');
			const first = await focused(page);
			equal(await page.evaluate(() => document.querySelector('#counters tbody tr').dataset.key), first, 'the first row has the focus');
			check(await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle !== 'none'), 'that is to be seen');
			await page.keyboard.press('ArrowDown');
			const second = await focused(page);
			check(second !== first, 'the next one:', first, second);
			await page.keyboard.press('ArrowUp');
			equal(await focused(page), first);
			await page.keyboard.press('End');
			const last = await focused(page);
			check(last !== first && last !== second, 'the last one:', last);
			await page.keyboard.press('Home');
			// Rows do not run away from under it, whatever moves.
			const time = await valueOf(page, 'busy');
			await until(async () => (await valueOf(page, 'busy')) > time, 'events have come');
			equal(await focused(page), first);
			while (!(await focused(page)).startsWith('nbusy')) await page.keyboard.press('ArrowDown');
			await page.keyboard.press('Enter');
			equal(await text(page, 'detail-name'), 'busy');
			await page.keyboard.press('Escape');
			check(!(await detail(page, 'detail').isVisible()), 'it is closed');
			equal(await focused(page), 'nbusy');
			await page.keyboard.press('/');
			equal(await focused(page), 'find-name');
			await page.keyboard.type('audited:/x');
			equal(await page.inputValue('#find-name'), 'audited:/x');
			await page.keyboard.press('Escape');
			equal(await page.inputValue('#find-name'), '');
			equal(await focused(page), 'nbusy', 'back where it was');
			// Everything is reached by Tab, and to be seen then.
			const reached = new Set();
			await page.keyboard.press('Enter');
			for (let i = 0; i < 16; i++) {
				await page.keyboard.press('Tab');
				reached.add(await focused(page));
			}
			for (const id of ['find-name', 'close', 'amount', 'nbusy']) check(reached.has(id), id, 'is not reached:', [...reached]);
		});
	},

	async phone(browser, url) {
		const options = { viewport: { width: 360, height: 740 }, deviceScaleFactor: 2, hasTouch: true, isMobile: true };
		await withPage(browser, url, { ...options, colorScheme: 'dark', reducedMotion: 'reduce' }, async (page) => {
			const light = (c) => c.match(/\d+/g).slice(0, 3).reduce((a, b) => a + Number(b), 0);
			await until(async () => (await page.locator('#counters tbody tr').count()) > 8, 'rows');
			const look = await page.evaluate(() => {
				const s = getComputedStyle(document.body);
				return [s.backgroundColor, s.color];
			});
			check(light(look[0]) < 150 && light(look[1]) > 600, 'it is dark:', look);
			equal(await page.evaluate(() => document.getAnimations().length), 0, 'nothing moves');
			check(!(await scrollsSideways(page)), 'it fits');
			await shoot(page, 'phone-list', { fullPage: true });
			await row(page, 'busy').tap();
			await until(async () => (await pixels(page, '#chart canvas')) > 500, 'a chart is drawn');
			await page.locator('#log-note', { hasText: 'audit' }).waitFor();
			check(!(await scrollsSideways(page)), 'it fits');
			const top = await page.evaluate(() => document.querySelector('#detail-name').getBoundingClientRect().top);
			check(top >= 0 && top < 200, 'the detail is in view:', top);
			await shoot(page, 'phone');
			for (const e of await page.locator('button:visible, input:visible').all())
				check((await e.boundingBox()).height >= 32, 'too small for a finger:', await e.evaluate((x) => x.outerHTML));
			await find(page, 'x'.repeat(255));
			await until(async () => (await text(page, 'detail-value')) === '-9,223,372,036,854,775,808', 'its value');
			check(!(await scrollsSideways(page)), 'the longest name and value fit');
			await shoot(page, 'phone-long');
		});
	},

	// ---- what may be in the way ----

	// This gateway wants tokens. What it would refuse is not asked for.
	async token(browser, url) {
		const asked = [];
		const before = (page) => page.on('request', (r) => asked.push([new URL(r.url()).pathname, r.headers().authorization]));
		await withPage(browser, url, { before, path: '/#busy', expected: { '/events': '401' } }, async (page) => {
			await page.locator('#token[open]').waitFor();
			equal(await focused(page), 'token-text');
			await shoot(page, 'token');
			await page.keyboard.press('Escape');
			check(await page.locator('#token[open]').isVisible(), 'there is no way around it');
			equal(asked.filter(([path]) => /^.(events|counter|hits|sharded)/.test(path)), [], 'nothing is asked without one');
			await page.fill('#token-text', 'wrong');
			await page.keyboard.press('Enter');
			await page.locator('#token-why', { hasText: 'no such token' }).waitFor();
			check(asked.some(([, token]) => token === 'Bearer wrong'), 'it was tried');
			await page.fill('#token-text', 'w3iter');
			await page.keyboard.press('Enter');
			await connection(page, 'live');
			await page.locator('#shards li').first().waitFor();
			equal(await text(page, 'detail-name'), 'busy', 'what the address says');
			await page.reload();
			await connection(page, 'live');
			equal(await page.evaluate(() => [localStorage.length, document.cookie, location.href.includes('w3iter')]), [0, '', false], 'it is kept nowhere else');
			await page.click('#sign-out');
			await page.locator('#token[open]').waitFor();
			equal(await page.evaluate(() => sessionStorage.length), 0);
		});
	},

	// Nothing at all is in the console, of a counter with a log and of one without.
	async quiet(browser, url) {
		await withPage(browser, url, { path: '/#busy' }, async (page) => {
			await page.locator('#token[open]').waitFor();
			await page.fill('#token-text', 's3cret');
			await page.keyboard.press('Enter');
			await page.locator('#shards li').first().waitFor();
			await page.locator('#log-note', { hasText: 'audit' }).waitFor();
			await find(page, 'audited:y');
			await page.locator('#log tbody tr').first().waitFor();
			await page.reload();
			await page.locator('#log tbody tr').first().waitFor();
			await page.locator('#shards li').first().waitFor();
		});
	},

	// A build that could not have it.
	async plain(browser, url) {
		const before = (page) => page.route('**/uplot.js', (route) => route.fulfill({ contentType: 'text/javascript', body: '/* Built without uPlot. */' }));
		await withPage(browser, url, { before }, async (page) => {
			await row(page, 'busy').click();
			await until(() => page.evaluate(() => !!document.querySelector('#chart canvas.plain')), 'a chart');
			await until(async () => (await pixels(page, '#chart canvas')) > 100, 'a line is drawn');
			await page.click('[data-chart=rate]');
			await page.keyboard.press('Escape');
		});
	},
};

const AT_ONCE = 3; // they wait for the next second most of the time; more only keep each other from drawing
const words = process.argv.slice(2);
const browser = await launch();

const run = async (word) => {
	const [name, url] = word.split('=');
	const begin = Date.now();
	try {
		await cases[name](browser, url);
		process.stderr.write(`${name}: ${Date.now() - begin} ms\n`);
		await tell('ended', name, '');
	} catch (e) {
		await tell('ended', name, e.stack);
	}
};

await Promise.all(Array.from({ length: AT_ONCE }, async () => {
	while (words.length) await run(words.shift());
}));
await browser.close();
process.exit(0);
