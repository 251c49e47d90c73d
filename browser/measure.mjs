// Measures opening in Chromium, beside WebCrypto's AES-GCM on the same number of octets in the same page: ./bench opening.
//
// Sizes are those of the sealed message. The envelope's file is chosen on the site's page (file), the address is proved,
// and then: from the click that opens to the text being there (click). Medians.
import { writeFileSync, readFileSync, openSync, writeSync, closeSync } from 'node:fs';
import { execFileSync } from 'node:child_process';
import { cpus, loadavg } from 'node:os';
import { demo, users, words, launch, mail, newest, code, shipped, scratch } from './lib.mjs';

const t = words('en');
const MB = 1e6;
const sizes = process.argv.slice(2).length ? process.argv.slice(2).map(Number) : [20480, 1 * MB, 5 * MB, 25 * MB, 100 * MB];
const to = 'reader@example.net';
const env = { ...process.env, XDG_CONFIG_HOME: `${scratch}/config` };
const pli = (args, input = '') => execFileSync(process.env.PLI_BIN, args, { env, input, stdio: ['pipe', 'pipe', 'pipe'] });
const ratio = (a, b) => (b < 1 ? '' : (a / b).toFixed(2)); // the clock has tenths
const median = (list) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)];

// compose writes a message of about that many octets: a short text, and a file for the rest.
function compose(path, size) {
  const f = openSync(path, 'w');
  writeSync(f, `From: ${users[0].email}\r\nTo: ${to}\r\nSubject: ${size}\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n` +
    '--b\r\nContent-Type: text/plain\r\n\r\nThe text.\r\n--b\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n');
  const line = 'QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJzdHV2d3h5ejAxMjM0\r\n';
  const block = line.repeat(1000);
  let left = size - 400;
  for (; left > block.length; left -= block.length) writeSync(f, block);
  writeSync(f, line.repeat(Math.max(0, Math.floor(left / line.length))) + '--b--\r\n');
  closeSync(f);
}

pli(['signin', '--server', demo.url, users[0].email, '--password-stdin'], users[0].password + '\n');
const browser = await launch();
const cdp = await browser.newBrowserCDPSession();
// peak is the most memory that any process with pages ever had, in MB.
async function peak() {
  const { processInfo } = await cdp.send('SystemInfo.getProcessInfo');
  const of = (id) => { try { return Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${id}/status`, 'utf8'))[1]) / 1000; } catch { return 0; } };
  return Math.max(...processInfo.filter((p) => p.type === 'renderer').map((p) => of(p.id)));
}

const rows = [];
for (const size of sizes) {
  const eml = `${scratch}/${size}.eml`, html = `${scratch}/${size}.html`;
  compose(eml, size);
  pli(['seal', '-r', to, '--server', demo.url, '-o', html, eml]);
  const context = await browser.newContext({ locale: 'en-GB' });
  context.setDefaultTimeout(120000);
  await context.addInitScript(() => {
    addEventListener('click', () => sessionStorage.setItem('clicked', performance.timeOrigin + performance.now()), true);
    window.blocked = [];
    new PerformanceObserver((l) => window.blocked.push(...l.getEntries().map((e) => e.duration))).observe({ type: 'longtask', buffered: true });
  });
  const page = await context.newPage();
  const script = shipped(context);
  await page.goto(`${demo.url}/up?lang=en`);
  const chosen = Date.now();
  await page.locator('input[type=file]').setInputFiles(html);
  await page.waitForURL(/\/e\/[0-9A-Z]{6}/);
  const file = Date.now() - chosen;
  const card = page.url();
  const since = await newest(to);
  await page.getByRole('button', { name: t('open.code') }).click();
  await page.locator('input[autocomplete=one-time-code]').fill(await code(to, since));
  await page.getByRole('button', { name: t('code.open') }).click();
  const shown = () => page.waitForFunction(() => performance.getEntriesByName('pli-shown').length > 0);
  await shown();
  const scripts = await script(); // from the file to the text
  const runs = [];
  for (let i = 0; i < 5; i++) {
    await page.goto(card);
    await page.getByRole('link', { name: t('code.open') }).click();
    await page.waitForURL(/\/message/);
    await shown();
    runs.push(await page.evaluate(() => {
      const at = (name) => performance.timeOrigin + performance.getEntriesByName(name)[0].startTime;
      return {
        click: at('pli-shown') - Number(sessionStorage.getItem('clicked')),
        bytes: at('pli-bytes') - Number(sessionStorage.getItem('clicked')), open: at('pli-opened') - at('pli-key'),
        stall: Math.max(0, ...window.blocked),
      };
    }));
  }
  const memory = await peak();
  const raw = await page.evaluate(async (n) => {
    const key = await crypto.subtle.generateKey({ name: 'AES-GCM', length: 256 }, false, ['encrypt', 'decrypt']);
    const algorithm = { name: 'AES-GCM', iv: new Uint8Array(12) };
    const sealed = await crypto.subtle.encrypt(algorithm, key, new Uint8Array(n));
    const gcm = [], sha = [];
    for (let i = 0; i < 5; i++) {
      let from = performance.now();
      await crypto.subtle.decrypt(algorithm, key, sealed);
      gcm.push(performance.now() - from);
      from = performance.now();
      await crypto.subtle.digest('SHA-256', sealed);
      sha.push(performance.now() - from);
    }
    return { gcm, sha };
  }, size);
  const of = (name) => median(runs.map((r) => r[name]));
  rows.push({
    octets: size, 'file ms': file, 'click ms': of('click'), 'to bytes': of('bytes'), 'opening': of('open'), 'raw GCM': median(raw.gcm), 'raw SHA': median(raw.sha),
    'opening/raw': ratio(of('open'), median(raw.gcm)), 'click/raw': ratio(of('click'), median(raw.gcm)),
    'script kB': (scripts / 1000).toFixed(1), 'longest task': of('stall'), 'peak MB': Math.round(memory),
  });
  await context.close();
}
for (const r of rows) for (const k of Object.keys(r)) if (typeof r[k] === 'number' && !Number.isInteger(r[k])) r[k] = Number(r[k].toFixed(r[k] < 10 ? 1 : 0));
console.log(`${(await browser.version())}, ${cpus().length} × ${cpus()[0].model}, load ${loadavg()[0].toFixed(1)}; medians of 5`);
console.table(rows);
await browser.close();
