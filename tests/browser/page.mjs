// Looks at the status page whose address is the first argument, and writes pictures of it beside this file.
import { rm } from 'node:fs/promises';
import { launch } from './chromium.mjs';

const base = process.argv[2];
const PHONE = { width: 360, height: 1080 };
const SCREEN = { width: 1280, height: 1080 };
const PICTURES = ['status-page.png', 'status-page-dark.png', 'status-page-phone.png'];

let passed = 0;
let failed = 0;

function check(what, found, holds) {
  if (holds) {
    passed += 1;
    console.log(`ok      ${what}`);
  } else {
    failed += 1;
    console.log(`FAILED  ${what}: ${JSON.stringify(found)}`);
  }
}

function equal(what, found, expected) {
  const same = JSON.stringify(found) === JSON.stringify(expected);
  check(what, same ? found : { found, expected }, same);
}

const api = async (query = '') => (await fetch(new URL(`api/v1/instances${query}`, base))).json();

// Runs in the page: the texts that stand out too little from what is behind them, by the formula of WCAG 2.
function faintTexts() {
  const channels = (text) => text.match(/[\d.]+/g).map(Number);
  const luminance = ([red, green, blue]) => {
    const linear = [red, green, blue].map((value) => {
      const part = value / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = channels(getComputedStyle(at).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const faint = new Set();
  for (const element of document.body.querySelectorAll('*')) {
    const hasText = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!hasText || element.closest('svg')) continue;
    const [light, dark] = [luminance(channels(getComputedStyle(element).color)), luminance(behind(element))].sort((a, b) => b - a);
    const ratio = (light + 0.05) / (dark + 0.05);
    if (ratio < 4.5) faint.add(`${element.className || element.tagName} ${ratio.toFixed(2)}`);
  }
  return [...faint];
}

async function main() {
  await Promise.all(PICTURES.map((name) => rm(name, { force: true })));
  const browser = await launch();
  const requests = [];
  const complaints = [];
  async function open(options) {
    const context = await browser.newContext({ javaScriptEnabled: false, viewport: SCREEN, colorScheme: 'light', ...options });
    const page = await context.newPage();
    page.setDefaultTimeout(15_000);
    page.on('request', (request) => requests.push(request.url()));
    page.on('console', (message) => complaints.push(message.text()));
    page.on('pageerror', (error) => complaints.push(String(error)));
    page.on('requestfailed', (request) => complaints.push(request.url()));
    return page;
  }
  const ids = (page) => page.locator('.i .id').allTextContents();

  const page = await open({});
  const response = await page.goto(base);
  const headers = response.headers();
  const policy = headers['content-security-policy'] ?? '';
  check('the policy allows no script', policy, /default-src 'none'/.test(policy) && !/script|unsafe/.test(policy));
  equal('the page may not be framed', headers['x-frame-options'], 'DENY');
  equal('the page sends no referrer', headers['referrer-policy'], 'no-referrer');

  const facts = await api('?sort=state');
  const rows = await ids(page);
  equal('every instance has a row', [...rows].sort(), facts.instances.map((instance) => instance.instance_id).sort());
  const summary = await page.locator('.sum').innerText();
  for (const [words, count] of [
    ['instances', facts.summary.instances],
    ['protected', facts.summary.protected],
    ['objectives broken', facts.summary.broken],
    ['listings failing', facts.summary.failing],
    ['unprotected', facts.summary.unprotected],
    ['gone', facts.summary.gone],
    ['ok', facts.summary.ok],
  ]) {
    const shown = summary.replace(/\s+/g, ' ');
    check(`the summary counts: ${words}`, shown, shown.includes(`${count} ${words}`));
  }
  const reasons = (await page.locator('.why li').allTextContents()).length;
  const expected = facts.instances.reduce((sum, instance) => sum + instance.reasons.length, 0);
  equal('every reason is said', reasons, expected);
  equal('the style is in force', await page.evaluate(() => getComputedStyle(document.body).margin), '0px');

  equal('there is one title', await page.locator('h1').count(), 1);
  equal('there is one main part', await page.locator('main').count(), 1);
  equal('each picture says what it shows', await page.locator('svg[role=img]').count(), await page.locator('svg[role=img][aria-label*=":"]').count());
  equal('no field is without a label', await page.locator('form :is(input, select)').count(), await page.locator('label :is(input, select)').count());
  equal('each column has a heading', await page.locator('thead th:not([scope=col])').count(), 0);

  await page.fill('input[name=q]', 'BILLING eu-west-1');
  await page.press('input[name=q]', 'Enter');
  equal('the form filters by words', await ids(page), ['rm-gw8billing000001']);
  equal('the form remembers the words', await page.inputValue('input[name=q]'), 'BILLING eu-west-1');
  await page.fill('input[name=q]', '');
  await page.selectOption('select[name=state]', 'broken');
  await page.selectOption('select[name=sort]', 'name');
  await page.click('button');
  const broken = facts.instances.filter((instance) => instance.states.includes('broken'));
  const byName = broken.map((instance) => instance.instance_id).sort();
  equal('the form filters by state', [...(await ids(page))].sort(), byName);
  const names = (await page.locator('.i h3').allTextContents()).map((name) => name.toLowerCase());
  equal('the form orders by name', names, [...names].sort());
  await page.click('.sum a:has-text("gone")');
  equal('a number of the summary leads to its instances', (await ids(page)).length, facts.summary.gone);
  await page.click('text=Show all');
  equal('there is a way back', (await ids(page)).length, facts.summary.instances);
  await page.goto(new URL('?state=red&sort=name', base).href);
  check('what was asked wrongly is noted', await page.locator('.note').allTextContents(), (await page.locator('.note').count()) === 1);
  equal('and the rest is shown', (await ids(page)).length, facts.summary.instances);
  equal('the answer for programs refuses it', (await fetch(new URL('api/v1/instances?state=red', base))).status, 400);
  await page.goto(base);
  await page.click('.i h3 a:has-text("search")');
  equal('a name leads to its instance alone', await ids(page), ['rm-gw8search0000001']);
  const captions = await page.locator('caption').allTextContents();
  for (const caption of ['Objectives', 'Backups in the look-back', 'To when one could restore', 'Where log files are missing', 'Listings']) {
    check(`the details have: ${caption}`, captions, captions.includes(caption));
  }
  const detail = page.url();

  for (const scheme of ['light', 'dark']) {
    for (const [size, viewport] of [['screen', SCREEN], ['phone', PHONE]]) {
      const shown = await open({ viewport, colorScheme: scheme, deviceScaleFactor: 1 });
      for (const url of [base, detail]) {
        await shown.goto(url);
        const kind = url === base ? 'list' : 'details';
        const width = await shown.evaluate(() => document.documentElement.scrollWidth);
        check(`${kind}, ${size}, ${scheme}: no scrolling to the side`, width, width <= viewport.width);
        equal(`${kind}, ${size}, ${scheme}: every text can be read`, await shown.evaluate(faintTexts), []);
      }
      await shown.goto(base);
      const picture = { 'light screen': PICTURES[0], 'dark screen': PICTURES[1], 'light phone': PICTURES[2] }[`${scheme} ${size}`];
      if (picture) await shown.screenshot({ path: picture });
      await shown.context().close();
    }
  }
  const backgrounds = [];
  for (const colorScheme of ['light', 'dark']) {
    const shown = await open({ colorScheme });
    await shown.goto(base);
    backgrounds.push(await shown.evaluate(() => getComputedStyle(document.body).backgroundColor));
    await shown.context().close();
  }
  check('light and dark differ', backgrounds, backgrounds[0] !== backgrounds[1]);

  const printed = await open({});
  await printed.goto(base);
  await printed.emulateMedia({ media: 'print' });
  equal('the form is not printed', await printed.locator('form').isVisible(), false);
  check('the page can be printed', null, (await printed.pdf({ format: 'A4' })).length > 10_000);

  const foreign = requests.filter((url) => !url.startsWith(base) && !url.startsWith('data:'));
  equal('nothing is asked of anybody else', foreign, []);
  const strange = requests.filter((url) => url.startsWith(base) && new URL(url).pathname !== '/');
  equal('nothing is loaded beside the page', strange, []);
  equal('the browser complains of nothing', complaints, []);
  await browser.close();
  console.log(`${passed} passed, ${failed} failed`);
  process.exitCode = failed === 0 ? 0 : 1;
}

main().catch((error) => {
  console.log(`FAILED  ${error.stack}`);
  console.log(`${passed} passed, ${failed + 1} failed`);
  process.exit(1);
});
