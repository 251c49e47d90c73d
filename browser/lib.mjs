// What every story needs: a browser, the demo's mailbox, and the checks that each page must pass.
import { chromium } from 'playwright-core';
import { readFileSync, mkdirSync } from 'node:fs';
import { createHmac } from 'node:crypto';
import { createRequire } from 'node:module';
import { basename } from 'node:path';
import assert from 'node:assert/strict';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const here = new URL('.', import.meta.url).pathname;

export const demo = JSON.parse(process.env.PLI_DEMO); // the line that `pli demo --json` printed
export const dir = process.env.PLI_DEMO_DIR;           // its --dir
export const shots = process.env.PLI_SHOTS;            // where pictures go; empty: none are kept
export const scratch = process.env.PLI_SCRATCH;        // a directory of this story's own
const story = basename(process.argv[1], '.mjs');
export const long = process.env.PLI_LONG === '1';
export const admin = demo.users.find((u) => u.role === 'administrator');
export const users = demo.users.filter((u) => u.role === 'user');
export { assert };

const catalogue = (lang) => {
  const all = {};
  for (const f of JSON.parse(process.env.PLI_LOCALES)) {
    if (f.endsWith(`.${lang}.json`)) Object.assign(all, JSON.parse(readFileSync(f, 'utf8')));
  }
  return all;
};

// words(lang)('seed.user_added', {email}) is the text that the page must show.
export const words = (lang) => {
  const all = catalogue(lang);
  return (key, args = {}) => {
    let v = all[key];
    assert.ok(v !== undefined, `no text ${key} in ${lang}`);
    if (typeof v === 'object') v = (lang === 'fr' ? args.n < 2 : args.n === 1) ? v.one : v.other;
    return v.replace(/\{([a-z_]+)\}/g, (m, n) => (n in args ? args[n] : m));
  };
};

export async function launch(more = []) {
  // Without the background-networking switches Chromium calls out at start; a story has no network but its own.
  return chromium.launch({
    executablePath: process.env.PLI_CHROMIUM || '/usr/bin/chromium-headless-shell', // Chromium without its own windows
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync', ...more],
  });
}

// within ends a wait that has no limit of its own. A browser has been seen not to close in the middle of
// a navigation; what was to be looked at has been looked at then.
async function within(seconds, work) {
  let timer;
  const late = new Promise((_, no) => { timer = setTimeout(() => no(new Error(`not done in ${seconds} s`)), seconds * 1000); });
  await Promise.race([work, late]).finally(() => clearTimeout(timer));
}

// person opens a context of its own: cookies, language, size, theme. Every request of it is
// checked: nothing but this demo, and the hosts, may be asked for anything, and no answer may be a 5xx.
export async function person(browser, { lang = 'en', width = 1280, dark = false, js = true, hosts = [], ...more } = {}) {
  const context = await browser.newContext({
    locale: lang === 'fr' ? 'fr-FR' : 'en-GB', viewport: { width, height: 900 }, colorScheme: dark ? 'dark' : 'light',
    javaScriptEnabled: js, acceptDownloads: true, ...more,
  });
  context.setDefaultTimeout(30000);
  const problems = [];
  const ours = [demo.url, demo.mailbox_url, ...hosts].map((u) => new URL(u).host);
  context.on('request', (r) => {
    const u = new URL(r.url());
    if (/^https?:$/.test(u.protocol) && !ours.includes(u.host)) problems.push(`asked ${r.url()}`);
  });
  context.on('response', (r) => { if (r.status() >= 500) problems.push(`${r.status()} from ${r.url()}`); });
  context.on('weberror', (e) => problems.push(`script error: ${e.error()}`));
  context.on('console', (m) => { if (m.type() === 'error' && /Content Security Policy|TrustedHTML/.test(m.text())) problems.push(m.text()); });
  const page = await context.newPage();
  return { context, page, problems, close: async () => { await within(10, context.close()).catch(() => {}); assert.deepEqual(problems, []); } };
}

const standards = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];

// sound asserts that the page in front is accessible (axe), does not scroll sideways, has one
// h1, a title and a language, and controls whose border can be seen. It keeps a picture.
// rules: what axe looks for, all of the standards unless told; none of them, and it does not look.
export async function sound(page, name, { lang, rules = standards } = {}) {
  await page.evaluate(() => document.fonts.ready);
  const seen = await page.evaluate(() => ({
    h1: [...document.querySelectorAll('h1')].filter((h) => h.checkVisibility()).length, title: document.title, lang: document.documentElement.lang,
    overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    broken: [...document.querySelectorAll('main, #flash')].flatMap((top) => { // references that break at their hyphen
      const found = [], texts = document.createTreeWalker(top, NodeFilter.SHOW_TEXT);
      for (let n; (n = texts.nextNode());) {
        for (const m of n.data.matchAll(/\b[2-9A-Z]{3}-[2-9A-Z]{3}\b/g)) {
          const r = document.createRange();
          r.setStart(n, m.index);
          r.setEnd(n, m.index + m[0].length);
          if (new Set([...r.getClientRects()].map((b) => b.top)).size > 1) found.push(m[0]);
        }
      }
      return found;
    }),
    keys: (document.body.innerText.match(/\b(?:[a-z]+\d?)\.[a-z_]{2,}(?:\.[a-z_]+)?\b(?!@)/g) || []),
  }));
  assert.equal(seen.h1, 1, `${name}: ${seen.h1} h1 at ${page.url()}`);
  assert.ok(seen.title, `${name}: no title`);
  assert.ok(seen.overflow <= 0, `${name}: scrolls ${seen.overflow} px sideways at ${page.url()}`);
  if (new URL(page.url()).origin !== new URL(demo.mailbox_url).origin) assert.deepEqual(seen.broken, [], `${name}: a reference breaks at ${page.url()}`); // a mail program wraps as it likes
  if (lang) assert.equal(seen.lang, lang, `${name}: language ${seen.lang}`);
  if (!rules.length) return shot(page, name);
  if (!(await page.evaluate(() => !!window.axe))) await page.evaluate(axe);
  const result = await page.evaluate((runOnly) => window.axe.run(document, { runOnly, resultTypes: ['violations'] }), rules);
  const found = result.violations.map((v) => `${v.id}: ${v.help} — ${v.nodes.map((n) => n.target.join(' ')).slice(0, 4).join('; ')}`);
  assert.deepEqual(found, [], `${name} at ${page.url()}`);
  await shot(page, name);
}

// howMany and fillEach wait for the whole page first: a text near its top can be seen before the rest has come.
export async function howMany(locator) {
  await locator.page().waitForLoadState();
  return locator.count();
}
export async function fillEach(locator, value) {
  for (let n = await howMany(locator); n > 0; n--) await locator.nth(n - 1).fill(value);
}

// told are the rounds of a story that are told: with `./test --long` all, else one, of another language by story.
// Rounds differ in words, width and colours; each page is seen in both languages by the story "pages".
export const told = (rounds) => (long ? rounds : [rounds[story.length % rounds.length]]);

// everyway is sound at 390 px, light, and at 1280 px, dark, of the page that is in front; axe looks at the wide one in
// English, at the small one in French. `./test --long` has it look at both, and at their colours in the other two pairs.
export async function everyway(page, name, { lang }) {
  const views = long ? [[390, false], [390, true, colours], [1280, true], [1280, false, colours]] : [[390, false, lang === 'en' ? [] : standards], [1280, true, lang === 'en' ? standards : []]];
  for (const [width, dark, rules] of views) {
    await page.setViewportSize({ width, height: 900 });
    await page.emulateMedia({ colorScheme: dark ? 'dark' : 'light', reducedMotion: 'reduce' }); // the colours are there at once
    await sound(page, `${lang}-${width}${dark ? '-dark' : ''}${name}`, { lang, rules });
  }
}
const colours = ['color-contrast', 'link-in-text-block'];

export async function shot(page, name) {
  if (!shots) return;
  mkdirSync(shots, { recursive: true });
  await page.screenshot({ path: `${shots}/${name}.png`, fullPage: true });
}

// A page under Trusted Types refuses a script as a string; axe is injected past that by a
// context that bypasses CSP. looking() gives such a person, for `sound` alone.
export const looking = (browser, options) => person(browser, { ...options, bypassCSP: true });

export async function mails(to) {
  const all = await (await fetch(`${demo.mailbox_url}/api/mails`)).json();
  return all.filter((m) => !to || m.to.some((a) => a.toLowerCase().includes(to.toLowerCase())));
}

// mail waits for one that is for `to` and satisfies `wanted`, and returns the newest.
export async function mail(to, wanted = () => true, seconds = 20) {
  for (let i = 0; i < seconds * 5; i++) {
    const found = (await mails(to)).filter(wanted);
    if (found.length) return found.sort((a, b) => Number(a.id) - Number(b.id)).at(-1);
    await new Promise((r) => setTimeout(r, 200));
  }
  throw new Error(`no such mail for ${to}; there are: ${JSON.stringify((await mails()).map((m) => [m.to, m.subject]))}`);
}

export async function attachment(m, n = 0) {
  const r = await fetch(`${demo.mailbox_url}/api/mails/${m.id}/attachments/${n}`);
  assert.equal(r.status, 200);
  return Buffer.from(await r.arrayBuffer());
}

export const link = (m) => {
  const l = m.links.find((u) => /\/m\/[0-9A-Z]{6}/.test(u));
  assert.ok(l, `no Read Message link in ${JSON.stringify(m.links)}`);
  return l;
};

// code returns the digits of the newest code mail for `to` that came after `since` mails.
export async function code(to, since = 0) {
  const m = await mail(to, (x) => /\b\d{6}\b/.test(x.subject) && Number(x.id) > since);
  return m.subject.match(/\b(\d{6})\b/)[1];
}
export const newest = async (to) => Math.max(0, ...(await mails(to)).map((m) => Number(m.id)));

export async function signIn(page, who, { lang = 'en', at = '/signin' } = {}) {
  const t = words(lang);
  await page.goto(`${demo.url}${at}?lang=${lang}`);
  await page.getByLabel(t('si.email')).fill(who.email);
  await page.getByLabel(t('si.pw'), { exact: true }).fill(who.password);
  await page.getByRole('main').getByRole('button', { name: t('c.signin'), exact: true }).click();
}

// The code of an authenticator app (RFC 6238) for the seed, `ahead` steps from now: each is taken once.
export function totp(seed, ahead = 0) {
  const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
  let bits = '';
  for (const c of seed.replace(/\s/g, '')) bits += letters.indexOf(c).toString(2).padStart(5, '0');
  const key = Buffer.from(bits.match(/.{8}/g).map((b) => parseInt(b, 2)));
  const step = Buffer.alloc(8);
  step.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30000) + ahead));
  const h = createHmac('sha1', key).update(step).digest();
  return String((h.readUInt32BE(h[19] & 15) & 0x7fffffff) % 1e6).padStart(6, '0');
}

// send composes a message to the addresses and returns when the service has taken it.
export async function send(page, { site = demo.url, to, subject = '', body, note = '', files = [], level, lang = 'en' }) {
  const t = words(lang);
  await page.goto(`${site}/compose?lang=${lang}`);
  await page.getByLabel(t('new.to'), { exact: true }).fill(to.join(', '));
  await page.getByLabel(t('new.subject'), { exact: true }).fill(subject);
  if (note) await page.getByLabel(t('new.note')).fill(note);
  await page.getByLabel(t('new.body'), { exact: true }).fill(body);
  if (level) {
    await page.getByText(t('desk.options'), { exact: true }).click();
    await page.getByLabel(t('new.level')).selectOption(level);
  }
  if (files.length) await page.locator('input[type=file]').setInputFiles(files);
  await page.getByRole('button', { name: t('new.send'), exact: true }).click();
  await page.getByText(t('sentok.msg', { ref: 'REF', n: to.length }).split('REF')[1].trim()).waitFor();
}

// open goes from the mail's button to the message, with the mailed code, and leaves the page on it.
export async function open(page, m, { lang = 'en', to }) {
  await page.goto(link(m));
  await through(page, { lang, to });
}

// through goes from the envelope's card to the message.
export async function through(page, { lang = 'en', to }) {
  const t = words(lang);
  await page.waitForURL(/\/e\/[0-9A-Z]{6}/);
  const since = await newest(to);
  await page.getByRole('button', { name: t('open.code') }).click();
  await page.waitForURL(/\/code/);
  await page.locator('input[autocomplete=one-time-code]').fill(await code(to, since));
  await page.getByRole('button', { name: t('code.open') }).click();
  await page.waitForURL(/\/message/);
}

// typist(page)(what, test) presses Tab until what `test` takes by its name has the focus, which must be seen.
export const typist = (page) => async (what, test) => {
  for (let i = 0; i < 60; i++) {
    await page.keyboard.press('Tab');
    const at = await page.evaluate(() => {
      const e = document.activeElement;
      if (!e || e === document.body) return null;
      const s = getComputedStyle(e), b = e.getBoundingClientRect();
      return { name: (e.getAttribute('aria-label') || e.labels?.[0]?.innerText || e.innerText || '').trim(), visible: s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2 && b.width > 0 };
    });
    if (!at) continue;
    assert.ok(at.visible, `the focus cannot be seen on "${at.name}"`);
    if (test(at.name)) return;
  }
  assert.fail(`${what} cannot be reached by keyboard at ${page.url()}`);
};
export const is = (text) => (n) => n.replace(/\s*\*$/, '') === text;

// shipped counts the compressed octets of script that a context fetches, each file once.
export function shipped(context) {
  const seen = new Map();
  context.on('response', (r) => {
    const at = new URL(r.url()).pathname;
    if (r.status() === 200 && at.endsWith('.js') && !seen.has(at)) seen.set(at, r.request().sizes().then((s) => s.responseBodySize));
  });
  return async () => (await Promise.all(seen.values())).reduce((a, b) => a + b, 0);
}

export const root = here;
