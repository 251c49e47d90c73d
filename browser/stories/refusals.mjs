// What a scanner, a stranger and a thief meet (AT-20, AT-22, AT-24, AT-49, AT-84).
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { demo, dir, users, assert, words, launch, person, looking, sound, signIn, send, mail, mails, link, through, newest, code } from '../lib.mjs';

const browser = await launch();
const t = words('en');
const to = 'vera@example.net', subject = 'Zebra quartz judge', body = 'The plain text phrase nobody may keep: xylophone-ostrich-42.';

const sender = await person(browser);
await signIn(sender.page, users[0]);
await sender.page.waitForURL((u) => !u.pathname.startsWith('/signin'));
await send(sender.page, { to: [to], subject, body });
const m = await mail(to);
const half = link(m).split('#')[1];
assert.match(half, /^[A-Za-z0-9_-]{43}$/);

// A scanner: GET and HEAD every link, three times; then submit every form it can see, without script.
for (let i = 0; i < 3; i++) {
  for (const l of m.links) {
    await fetch(l.split('#')[0]);
    await fetch(l.split('#')[0], { method: 'HEAD' });
  }
}
{
  const p = await person(browser, { js: false });
  await p.page.goto(link(m));
  for (let i = 0; i < 4; i++) {
    const b = p.page.locator('main form button');
    if (!(await b.count())) break;
    await b.first().click();
    await p.page.waitForLoadState();
  }
  await p.close();
}
await sender.page.goto(`${demo.url}/sent`);
assert.ok(!(await sender.page.getByRole('row').filter({ hasText: subject }).innerText()).includes(t('st.opened')));

// A typed reference shows nothing private.
{
  const p = await looking(browser, { width: 390 });
  await p.page.goto(demo.url);
  await sound(p.page, 'home', { lang: 'en' });
  const ref = link(m).match(/\/m\/([0-9A-Z]{6})/)[1];
  await p.page.getByLabel(t('home.ref')).fill(`${ref.slice(0, 3)}-${ref.slice(3).toLowerCase()}`);
  await p.page.getByRole('main').getByRole('button', { name: t('c.continue') }).click();
  await p.page.waitForURL(/\/e\//);
  const seen = await p.page.locator('body').innerText();
  for (const secret of [to, users[0].email, subject, 'Example Health']) assert.ok(!seen.includes(secret), `shows ${secret}`);
  await sound(p.page, 'reference-only', { lang: 'en' });
  // Someone else's address: the same answer as the right one, and no mail to anybody.
  const before = (await mails()).length;
  await p.page.getByLabel(t('si.email')).fill('mallory@example.net');
  await p.page.locator('main form button').first().click();
  await p.page.waitForLoadState();
  await p.page.waitForTimeout(1500);
  assert.equal((await mails()).length, before);
  await p.close();
}

// Too many wrong codes: refused with its page, and a new code is needed.
{
  const p = await looking(browser);
  await p.page.goto(link(m));
  await p.page.waitForURL(/\/e\//);
  const since = await newest(to);
  await p.page.getByRole('button', { name: t('open.code') }).click();
  await p.page.waitForURL(/\/code/);
  const right = await code(to, since);
  for (let i = 0; i < 5; i++) {
    await p.page.locator('input[autocomplete=one-time-code]').fill(right === '123456' ? '654321' : '123456');
    await p.page.getByRole('button', { name: t('code.open') }).click();
    await p.page.waitForLoadState();
  }
  const text = t('code.toomany', { n: 'N' }).split('N')[0].trim();
  await p.page.getByText(text).first().waitFor();
  await sound(p.page, 'code-too-many', { lang: 'en' });
  const box = p.page.locator('input[autocomplete=one-time-code]');
  if (await box.count()) {
    await box.fill(right);
    await p.page.getByRole('button', { name: t('code.open') }).click();
    await p.page.waitForLoadState();
  }
  assert.ok(!/\/message/.test(p.page.url()), 'a dead code opened the envelope');
  await p.close();
}

// Somebody signed in under another address is told for whom it is.
{
  const p = await looking(browser);
  await signIn(p.page, users[1]);
  await p.page.waitForURL((u) => !u.pathname.startsWith('/signin'));
  await p.page.goto(link(m));
  await p.page.waitForURL(/\/e\//);
  await p.page.getByText('v•••@example.net').first().waitFor();
  await sound(p.page, 'other-address', { lang: 'en' });
  await p.close();
}

// Opened by its reader; then nothing on the server says what it said.
const reader = await person(browser);
await reader.page.goto(link(m));
await reader.page.waitForURL(/\/e\//);
await new Promise((r) => setTimeout(r, 31_000)); // one code per half minute and session
await through(reader.page, { to });
await reader.page.getByText('xylophone-ostrich-42').waitFor();
assert.ok(!/#/.test(reader.page.url()));
await reader.close();
await sender.close();

const raw = Buffer.from(half, 'base64url');
const traces = { 'plain text': Buffer.from('xylophone-ostrich-42'), subject: Buffer.from(subject), 'E as text': Buffer.from(half), 'E as bytes': raw, 'E in hex': Buffer.from(raw.toString('hex')), 'E in base64': Buffer.from(raw.toString('base64').slice(0, 42)) };
const walk = (d) => readdirSync(d, { withFileTypes: true }).flatMap((e) => (e.isDirectory() ? walk(join(d, e.name)) : [join(d, e.name)]));
const kept = [process.env.PLI_DEMO_LOG, ...walk(dir)].filter((f) => !f.startsWith(join(dir, 'mails'))); // the mailbox is the recipient's, not the service's
assert.ok(kept.some((f) => /\.db/.test(f)), `no database among ${kept}`);
for (const f of kept) {
  const bytes = readFileSync(f);
  for (const [what, needle] of Object.entries(traces)) assert.ok(!bytes.includes(needle), `${what} is in ${f}`);
}
console.log(`${kept.length} files of the service, its log among them, hold neither the text nor the recipient's half`);
await browser.close();
