// AT-76, AT-77: mail in HTML that tries, in every known way, to reach out, to run and to break the page when it is shown. None may.
import { createServer } from 'node:http';
import { execFileSync } from 'node:child_process';
import { writeFileSync, readFileSync, mkdirSync } from 'node:fs';
import { demo, admin, assert, words, launch, person, scratch, through } from '../lib.mjs';
import { mk } from '../cases/html-exfiltration.mjs';
import { hostile } from '../cases/html-hostile.mjs';

const asked = [];
const trap = createServer((q, r) => { asked.push(q.url); r.writeHead(200, { 'access-control-allow-origin': '*' }); r.end('ok'); }).listen(0, '127.0.0.1');
await new Promise((r) => trap.on('listening', r));
const vectors = mk('run', `http://127.0.0.1:${trap.address().port}`, 'leak.invalid');
const names = Object.keys(vectors);
assert.ok(names.length > 60, `${names.length} cases`);
const all = { ...vectors, ...hostile(`http://127.0.0.1:${trap.address().port}`, 'leak.invalid') };
const alone = ['dangling', 'mxss-1', 'mxss-2', 'frame', 'noscript', 'frames', 'unclosed', 'unclosed-attribute', 'plaintext', 'mxss-math-style', 'mxss-svg-style', 'mxss-noscript', 'mxss-form', 'mxss-table', 'mxss-deep', 'charset-tricks'];

// The cases are alive: shown as they are, without any fence, they reach the listener.
{
  const bare = await launch();
  const context = await bare.newContext();
  await context.addInitScript('window.alert = () => {}');
  for (const n of Object.keys(hostile('', ''))) {
    const page = await context.newPage();
    await page.setContent(`<!doctype html><body>${all[n]}`, { waitUntil: 'commit', timeout: 2000 }).catch(() => {});
  }
  await bare.close();
  assert.ok(asked.length > 100, `${asked.length} requests without any fence`);
  asked.length = 0;
}

// The terminal seals a message whose only part is the hostile HTML; the browser opens the file.
const home = `${scratch}/home`;
mkdirSync(home);
const pli = (args, input) => execFileSync(process.env.PLI_BIN, args, { input, env: { ...process.env, HOME: home, XDG_CONFIG_HOME: home }, maxBuffer: 1 << 28 });
pli(['signin', '--server', demo.url, admin.email, '--password-stdin'], admin.password + '\n');
// The log of Chromium's network stack also holds look-ups and connections that no page event tells of.
const netlog = `${scratch}/net.json`;
const browser = await launch([`--log-net-log=${netlog}`]);
const p = await person(browser);
p.page.on('dialog', (d) => { p.problems.push(`asked by ${d.message()}`); d.dismiss().catch(() => {}); });
p.context.on('page', (other) => p.problems.push(`asked for a window: ${other.url()}`));
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
  await p.page.waitForTimeout(300);
  await check(p.page, label);
};
// kept is what of a message's page is left in the frame, which must be the marks of text and nothing else.
const TAGS = new Set(('a abbr address article aside b bdi bdo big blockquote br caption center cite code col colgroup dd del dfn div dl dt em figcaption figure font footer h1 h2 h3 h4 h5 ' +
  'h6 header hr i img ins kbd li main mark ol p pre q s samp section small span strike strong sub sup table tbody td tfoot th thead time tr tt u ul var wbr').split(' '));
const ATTRIBUTES = new Set('align alt bgcolor border cellpadding cellspacing color colspan dir face headers height href lang rel rowspan scope size span src start target title type valign width'.split(' '));
const kept = async (page) => {
  const frame = await (await page.locator('[data-html] iframe').elementHandle()).contentFrame();
  return frame.evaluate(() => [...document.body.querySelectorAll('*')].map((e) => [e.localName, e.namespaceURI, [...e.attributes].map((a) => [a.name, a.value])]));
};
const check = async (page, label) => {
  for (const [tag, space, attributes] of await kept(page)) {
    assert.ok(TAGS.has(tag) && space === 'http://www.w3.org/1999/xhtml', `${label}: <${tag}> of ${space} is left`);
    for (const [name, value] of attributes) {
      assert.ok(ATTRIBUTES.has(name) || (name === 'is' && value === ''), `${label}: ${tag} ${name}=${value} is left`);
      if (name === 'href') assert.match(value, /^(https?:|mailto:|tel:)/i, `${label}: ${value}`);
      if (name === 'src') assert.fail(`${label}: the picture ${value}`);
    }
  }
  assert.equal(await page.evaluate(() => window.ran), undefined, `${label}: a script ran`);
  assert.match(page.url(), /\/message$/, `${label}: led elsewhere`);
  // What the page is made of works as before (AT-77).
  await page.getByRole('heading', { level: 1, name: `Case ${label}`, exact: true }).waitFor();
  const [eml] = await Promise.all([page.waitForEvent('download'), page.locator('[data-eml]').click()]);
  assert.equal(eml.suggestedFilename(), 'message.eml');
};

// In groups: one envelope holds a dozen cases, so that the walk takes a minute and not ten. Those that swallow what follows come alone.
const together = Object.keys(all).filter((n) => !alone.includes(n));
for (let i = 0; i < together.length; i += 12) await show(`group ${i / 12}`, together.slice(i, i + 12).map((n) => `<div>${all[n]}</div>`).join('\n'));
for (const n of alone) await show(n, all[n]);
await p.page.waitForTimeout(1000);
assert.deepEqual(asked, []);
assert.deepEqual(p.problems.filter((x) => x.startsWith('asked')), []);
p.problems.length = 0; // the page's policy names what it blocked; that is what it is for
console.log(`${Object.keys(all).length} cases shown, 0 requests`);
await p.close();
trap.close();
await browser.close();
const net = readFileSync(netlog, 'utf8');
assert.ok(net.includes('/up'), 'the network log is empty');
assert.ok(!net.includes('leak.invalid'), 'a name was looked up');
