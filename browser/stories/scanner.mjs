// A program of the recipient's mail service looks at everything that came: it fetches every link of the notice and of its
// file, follows every redirect, and submits every form it finds, without script and in a browser. Nothing is opened by it,
// nothing used up, and the person who comes after it from the same network opens the envelope as if it had not been (AT-49).
import { writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { demo, users, assert, words, launch, person, signIn, send, mail, mails, attachment, link, newest, code, scratch } from '../lib.mjs';

const t = words('en');
const browser = await launch();
const to = 'sam@example.net', subject = 'Quietly waiting', body = 'For a person, and for no program.';
const sender = await person(browser);
await signIn(sender.page, users[0]);
await sender.page.waitForURL((u) => !u.pathname.startsWith('/signin'));
await send(sender.page, { to: [to], subject, body });
const m = await mail(to);
const file = `${scratch}/envelope.html`;
writeFileSync(file, await attachment(m));
const html = (await attachment(m)).toString();
const half = link(m).split('#')[1];

// ---- without script

const unescape = (s) => s.replaceAll('&#34;', '"').replaceAll('&#39;', "'").replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&#43;', '+').replaceAll('&amp;', '&');
const attribute = (tag, name) => { const a = tag.match(new RegExp(`\\s${name}(?:="([^"]*)")?(?=[\\s/>])`)); return a ? unescape(a[1] ?? '') : undefined; };
const ours = (u) => u.origin === demo.url;

// crawl is one visit with a memory for cookies; it counts what it did.
async function crawl(start, page) {
  const jar = new Map();
  const done = { fetched: 0, submitted: 0, pages: new Set() };
  const ask = async (url, options = {}) => {
    for (let hops = 0; hops < 10; hops++) {
      const r = await fetch(url, { ...options, redirect: 'manual', headers: { ...options.headers, cookie: [...jar].map(([k, v]) => `${k}=${v}`).join('; ') } });
      for (const c of r.headers.getSetCookie()) { const [, k, v] = c.match(/^([^=]+)=([^;]*)/); if (v) jar.set(k, v); else jar.delete(k); }
      done.fetched++;
      assert.ok(r.status < 500, `${r.status} from ${url}`);
      const next = r.headers.get('location');
      if (!next) return { url, text: /html/.test(r.headers.get('content-type') ?? '') ? await r.text() : '' };
      url = new URL(next, url);
      options = {};
    }
    throw new Error(`goes round at ${url}`);
  };
  const seen = new Set();
  const todo = start.map((l) => ({ url: new URL(l), depth: 0 }));
  const look = async (at, text, depth) => {
    done.pages.add(at.pathname);
    for (const [, tag] of text.matchAll(/(<a\s[^>]*>)/g)) {
      const href = attribute(tag, 'href');
      if (href && URL.canParse(href, at)) todo.push({ url: new URL(href, at), depth: depth + 1 });
    }
    for (const [, tag, inside] of text.matchAll(/(<form[^>]*>)([\s\S]*?)<\/form>/g)) {
      const fields = [...inside.matchAll(/<(input|textarea|select|button)[^>]*>/g)].map(([whole, kind]) => ({ kind, name: attribute(whole, 'name'), type: attribute(whole, 'type') ?? '', value: attribute(whole, 'value') ?? '' }));
      const buttons = fields.filter((f) => f.kind === 'button' && f.name);
      for (const button of buttons.length ? buttons : [null]) {
        const action = new URL(attribute(tag, 'action') ?? '', at);
        action.hash = '';
        const key = `${action} ${fields.map((f) => f.name + f.type)} ${button?.value}`;
        if (!ours(action) || /signout/.test(action.pathname) || seen.has(key) || done.submitted >= 60) continue;
        seen.add(key);
        const data = new FormData();
        for (const f of fields) {
          if (!f.name || f.kind === 'button') continue;
          if (f.type === 'file' || f.kind === 'textarea') data.append(f.name, f.name === 'envelope' ? new Blob([html], { type: 'text/html' }) : 'x');
          else data.append(f.name, f.value || (f.type === 'email' || f.name === 'email' ? to : f.name === 'code' ? '000000' : 'scanner'));
        }
        if (button) data.append(button.name, button.value);
        done.submitted++;
        const method = (attribute(tag, 'method') ?? 'get').toUpperCase();
        const multipart = attribute(tag, 'enctype') === 'multipart/form-data';
        const text = new URLSearchParams([...data].filter(([, v]) => typeof v === 'string'));
        const answer = await (method === 'GET' ? ask(new URL(`${action.pathname}?${text}`, action)) : ask(action, { method, body: multipart ? data : text }));
        if (depth < 4) await look(answer.url, answer.text, depth + 1);
      }
    }
  };
  if (page) await look(new URL(demo.url), page, 0);
  while (todo.length) {
    const { url, depth } = todo.shift();
    url.hash = '';
    if (!ours(url) || depth > 3 || seen.has(url.href)) continue;
    seen.add(url.href);
    await ask(url, { method: 'HEAD' });
    const answer = await ask(url);
    await look(answer.url, answer.text, depth);
  }
  return done;
}

const links = [...m.links, ...[...html.matchAll(/href="(http[^"]+)"/g)].map((x) => unescape(x[1]))];
assert.ok(links.length > 3, `${links}`);
for (let i = 0; i < 3; i++) {
  const done = await crawl(links, html);
  assert.ok(done.fetched > 20 && done.submitted >= 5 && done.pages.size > 8, `the scanner did little: ${done.fetched} ${done.submitted} ${[...done.pages]}`);
  if (i === 0) console.log(`without script: ${done.fetched} requests, ${done.submitted} forms, ${done.pages.size} pages`);
}
// Who types the recipient's address beside a reference has a code mailed to it, and not often (AT-53).
assert.ok((await mails(to)).length - 1 <= 3, `${(await mails(to)).length - 1} mails`);

// ---- in a browser: each address with its fragment, each button of what comes, with a guess where a code is asked for

let clicks = 0;
async function visit(at) {
  for (let n = 0; n < 6; n++) {
    const context = await browser.newContext({ acceptDownloads: true });
    const page = await context.newPage();
    page.setDefaultTimeout(10000); // a busy machine takes its time
    await page.goto(at).catch(() => {});
    await page.locator('button:visible').first().waitFor({ timeout: 5000 }).catch(() => {}); // the script makes it
    let front = page;
    context.on('page', (p) => { front = p; });
    for (let step = 0; step < 4; step++) {
      const buttons = front.locator('main button:visible, main input[type=submit]:visible, body > button:visible, form button:visible');
      const count = await buttons.count().catch(() => 0);
      const which = step === 0 ? n : 0;
      if (which >= count) break;
      for (const box of await front.locator('main input:visible').all()) await box.fill('000000').catch(() => box.check().catch(() => {}));
      await buttons.nth(which).click().catch(() => {});
      clicks++;
      await front.waitForTimeout(300);
    }
    const more = await page.locator('main button:visible').count().catch(() => 0);
    await context.close().catch(() => {});
    if (n >= more && n > 0) break;
  }
}
for (let i = 0; i < 2; i++) {
  await visit(link(m));
  await visit(pathToFileURL(file).href);
}
for (const l of links.filter((l) => l.includes('#e=') || l.includes('/l#'))) await visit(l);
assert.ok(clicks > 5, `${clicks} clicks`);
console.log(`in a browser: ${clicks} clicks, ${(await mails(to)).length - 1} mails to the recipient`);

// ---- nothing of it is an opening, and the person is not slowed

await sender.page.goto(`${demo.url}/sent`);
const row = sender.page.getByRole('row').filter({ hasText: subject });
assert.ok(!(await row.innerText()).includes(t('st.opened')), await row.innerText());
await row.getByRole('link', { name: subject, exact: true }).click();
const said = await sender.page.locator('main').innerText();
assert.ok(!said.includes(t('desk.ev.release', { target: to })), said);
const reader = await person(browser);
await reader.page.goto(link(m));
await reader.page.waitForURL(/\/e\//);
assert.ok(!reader.page.url().includes(half));
const since = await newest(to);
await reader.page.getByRole('button', { name: t('open.code') }).click();
await reader.page.waitForURL(/\/code/);
await reader.page.locator('input[autocomplete=one-time-code]').fill(await code(to, since));
await reader.page.getByRole('button', { name: t('code.open') }).click();
await reader.page.getByText(body).waitFor();
await reader.close();
await sender.page.reload();
await sender.page.getByText(t('st.opened'), { exact: true }).first().waitFor();
await sender.close();
await browser.close();
