// AT-76: mail in HTML that tries, in every known way, to reach out when it is shown. None may.
import { createServer } from 'node:http';
import { execFileSync } from 'node:child_process';
import { writeFileSync, readFileSync, mkdirSync } from 'node:fs';
import { demo, admin, assert, words, launch, looking, scratch, through } from '../lib.mjs';
import { mk } from '../cases/html-exfiltration.mjs';

const asked = [];
const trap = createServer((q, r) => { asked.push(q.url); r.writeHead(200, { 'access-control-allow-origin': '*' }); r.end('ok'); }).listen(0, '127.0.0.1');
await new Promise((r) => trap.on('listening', r));
const vectors = mk('run', `http://127.0.0.1:${trap.address().port}`, 'leak.invalid');
const names = Object.keys(vectors);
assert.ok(names.length > 60, `${names.length} cases`);

// The terminal seals a message whose only part is the hostile HTML; the browser opens the file.
const home = `${scratch}/home`;
mkdirSync(home);
const pli = (args, input) => execFileSync(process.env.PLI_BIN, args, { input, env: { ...process.env, HOME: home, XDG_CONFIG_HOME: home }, maxBuffer: 1 << 28 });
pli(['signin', '--server', demo.url, admin.email, '--password-stdin'], admin.password + '\n');
// The log of Chromium's network stack also holds look-ups and connections that no page event tells of.
const netlog = `${scratch}/net.json`;
const browser = await launch([`--log-net-log=${netlog}`]);
const p = await looking(browser);
await p.page.goto(`${demo.url}/signin`);
await p.page.getByLabel('E-mail address').fill(admin.email);
await p.page.getByLabel('Password', { exact: true }).fill(admin.password);
await p.page.getByRole('main').getByRole('button', { name: 'Sign in', exact: true }).click();
await p.page.waitForURL((u) => !u.pathname.startsWith('/signin'));

const show = async (label, html) => {
  const eml = `From: mallory@example.net\r\nTo: ${admin.email}\r\nSubject: Case ${label}\r\nMIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\n\r\n${html}\r\n<p>shown ${label}</p>\r\n`;
  writeFileSync(`${scratch}/case.eml`, eml);
  const sealed = pli(['seal', '--server', demo.url, '-r', admin.email, `${scratch}/case.eml`]);
  writeFileSync(`${scratch}/case.html`, sealed);
  await p.page.goto(`${demo.url}/up`);
  await p.page.locator('input[type=file]').setInputFiles(`${scratch}/case.html`);
  await p.page.waitForURL(/\/e\//);
  // Signed in is not enough for somebody whose password an administrator chose: the first one asks for a code.
  if (await p.page.getByRole('button', { name: words('en')('open.code') }).isVisible()) await through(p.page, { to: admin.email });
  else await p.page.locator('a[href$="/message"], form[action$="/message"] button').first().click().catch(() => {}); // or it went on by itself
  await p.page.waitForURL(/\/message/);
  await p.page.locator('iframe').waitFor();
  await p.page.waitForTimeout(400);
};
// In groups: one envelope holds a dozen cases, so that the walk takes a minute and not ten.
const groups = [];
for (let i = 0; i < names.length; i += 12) groups.push(names.slice(i, i + 12));
for (const [i, g] of groups.entries()) await show(`group ${i}`, g.map((n) => `<div>${vectors[n]}</div>`).join('\n'));
for (const n of ['dangling', 'mxss-1', 'mxss-2', 'frame', 'noscript']) if (vectors[n]) await show(n, vectors[n]); // these swallow what follows
await p.page.waitForTimeout(1000);
assert.deepEqual(asked, []);
assert.deepEqual(p.problems.filter((x) => x.startsWith('asked')), []);
p.problems.length = 0; // the page's policy names what it blocked; that is what it is for
console.log(`${names.length} cases shown, 0 requests`);
await p.close();
trap.close();
await browser.close();
const net = readFileSync(netlog, 'utf8');
assert.ok(net.includes('/up'), 'the network log is empty');
assert.ok(!net.includes('leak.invalid'), 'a name was looked up');
