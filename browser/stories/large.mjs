// A file too large for a mail: sealed in the sender's browser, its transfer cut and taken up again after a reload,
// sent with a message, opened, fetched with a cut in the middle, passed on to somebody who fetches it too, and gone for
// a reader when it is locked.
import { execFileSync } from 'node:child_process';
import { writeFileSync, readFileSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { demo, dir, users, assert, words, launch, looking, sound, signIn, mail, link, scratch, through, open, told } from '../lib.mjs';

const browser = await launch();
const sha = (b) => createHash('sha256').update(b).digest('hex');
execFileSync(process.env.PLI_BIN, ['--config', `${dir}/pli.toml`, 'admin', 'account', 'settings', '100042', 'forward=true']);
const SIZE = 27_000_017; // a little over the limit: seven parts

for (const lang of told(['en', 'fr'])) {
  const t = words(lang);
  const file = Buffer.alloc(SIZE);
  for (let i = 0, x = lang.length; i < SIZE; i += 4) file.writeUInt32LE((x = (x * 48271 + 11) % 2147483647), Math.min(i, SIZE - 4));
  const name = 'scanner été.dcm';
  writeFileSync(`${scratch}/${name}`, file);
  const sender = await looking(browser, { lang, width: lang === 'fr' ? 390 : 1280, dark: lang === 'fr' });
  const { page } = sender;
  await signIn(page, users[0], { lang });
  await page.waitForURL((u) => !u.pathname.startsWith('/signin'));
  await page.goto(`${demo.url}/compose?lang=${lang}`);
  await page.getByText(t('large.hint', { n: 5 })).waitFor();
  await sound(page, `${lang}-large-compose`, { lang });

  // The line breaks at the third part and stays broken; what has come stays.
  let parts = 0;
  let held = null;
  const seen = [];
  page.on('requestfinished', (r) => { if (r.method() === 'PATCH') seen.push(Number(r.headers()['upload-offset'])); });
  await page.route('**/api/v1/large/*', async (route) => {
    const r = route.request();
    if (r.method() === 'PATCH' && ++parts < 3) {
      assert.equal((r.postDataBuffer() ?? Buffer.alloc(0)).indexOf(file.subarray(1000, 1032)), -1, 'plain text was sent');
      return route.continue();
    }
    held();
    return route.abort('connectionreset');
  });
  const broken = new Promise((resolve) => { held = resolve; });
  await page.locator('#f-files').setInputFiles(`${scratch}/${name}`);
  await broken;
  await page.getByRole('button', { name: t('new.send'), exact: true }).click();
  await page.getByText(t('large.busy')).first().waitFor();
  await sound(page, `${lang}-large-underway`, { lang });

  // A reload, and the same file again: it goes on where it stopped.
  await page.goto('about:blank'); // before the line is mended: this page tries again by itself, and what it sends while it goes is not seen here
  await page.unrouteAll();
  await page.goto(`${demo.url}/compose?lang=${lang}`);
  await page.locator('#f-files').setInputFiles(`${scratch}/${name}`);
  await page.getByText(t('large.arrived', { file: name })).waitFor({ timeout: 120000 });
  assert.deepEqual(seen, Array.from({ length: 7 }, (_, n) => n * (4 << 20)), 'a part was sent twice, or left out');
  await sound(page, `${lang}-large-arrived`, { lang });
  const to = `rosa.${lang}@example.com`;
  const subject = `Images ${lang}`;
  await page.getByLabel(t('new.to'), { exact: true }).fill(to);
  await page.getByLabel(t('new.subject'), { exact: true }).fill(subject);
  await page.getByLabel(t('new.body'), { exact: true }).fill('Voici les images.');
  await page.getByRole('button', { name: t('new.send'), exact: true }).click();
  await page.waitForURL(/\/sent\/[0-9a-f]{32}/);

  const m = await mail(to, (x) => x.links?.some((u) => /\/m\//.test(u)), 60);
  assert.ok(m.attachments.every((a) => (a.size ?? 0) < 1e6), 'the mail carries the file');
  const reader = await looking(browser, { lang, width: lang === 'en' ? 390 : 1280 });
  // What the browser would ask a person is asked of the test: where to save. English: nowhere to ask, it takes a file of its own.
  await reader.context.addInitScript((ask) => {
    if (!ask) { delete window.showSaveFilePicker; return; }
    window.showSaveFilePicker = async ({ suggestedName }) => {
      window.suggested = suggestedName;
      return (await navigator.storage.getDirectory()).getFileHandle('picked', { create: true });
    };
  }, lang === 'fr');
  const rp = reader.page;
  let pieces = 0;
  await rp.route('**/api/v1/open/large/**', async (route) => {
    if (++pieces !== 2) return route.continue();
    if (lang === 'en') await reader.context.setOffline(true); // for a while, which the browser says; else the line breaks once
    return route.abort('connectionreset');
  });
  await rp.goto(link(m));
  await through(rp, { lang, to });
  await rp.getByRole('heading', { level: 1, name: subject }).waitFor();
  const row = rp.locator('.file').filter({ hasText: name }).filter({ hasText: /27\s(MB|Mo)/ });
  await row.waitFor();
  await sound(rp, `${lang}-large-message`, { lang });
  const button = row.getByRole('button', { name: new RegExp(t('read.dl')) });
  if (lang === 'en') {
    const coming = rp.waitForEvent('download', { timeout: 120000 });
    await button.click();
    await row.getByText(t('large.waits')).waitFor();
    assert.ok(await row.getByRole('button', { name: new RegExp(t('large.again')) }).isVisible());
    await sound(rp, `${lang}-large-waits`, { lang });
    await reader.context.setOffline(false);
    const got = await coming;
    assert.equal(got.suggestedFilename(), name);
    assert.equal(sha(readFileSync(await got.path())), sha(file));
  } else {
    await button.click();
    await row.getByText(t('large.saved')).waitFor({ timeout: 120000 });
    const saved = await rp.evaluate(async () => {
      const f = await (await (await navigator.storage.getDirectory()).getFileHandle('picked')).getFile();
      const sum = new Uint8Array(await crypto.subtle.digest('SHA-256', await f.arrayBuffer()));
      return { name: window.suggested, sum: [...sum].map((b) => b.toString(16).padStart(2, '0')).join('') };
    });
    assert.deepEqual(saved, { name, sum: sha(file) });
  }
  await row.getByText(t('large.saved')).waitFor();
  await sound(rp, `${lang}-large-saved`, { lang });
  assert.ok(pieces >= 3);

  // Passed on: who gets it fetches the file from their own envelope.
  const dan = `dan.${lang}@example.net`;
  const at = rp.url();
  await rp.goto(`${at.replace(/\/message.*/, '')}/forward`);
  await rp.getByText(t('answer.attached', { file: name, size: 'X' }).split(' (X')[0]).waitFor();
  await sound(rp, `${lang}-large-forward`, { lang });
  await rp.getByLabel(t('new.to'), { exact: true }).fill(dan);
  await rp.locator('button.pri').click();
  await rp.getByText(t('answer.forwarded')).waitFor();
  const third = await looking(browser, { lang });
  await third.context.addInitScript(() => { delete window.showSaveFilePicker; });
  await open(third.page, await mail(dan, (x) => x.links?.some((u) => /\/m\//.test(u))), { lang, to: dan });
  const theirs = third.page.locator('.file').filter({ hasText: name }).filter({ hasText: /27\s(MB|Mo)/ });
  await theirs.waitFor();
  await sound(third.page, `${lang}-large-passedon`, { lang });
  const [copy] = await Promise.all([third.page.waitForEvent('download', { timeout: 120000 }), theirs.getByRole('button', { name: new RegExp(t('read.dl')) }).click()]);
  assert.equal(sha(readFileSync(await copy.path())), sha(file));
  await rp.goto(at);
  await row.waitFor();

  // Locked: the next piece is refused, also for the page that has the message open.
  await page.goto(`${demo.url}/sent`);
  await page.getByRole('row').filter({ hasText: subject }).getByRole('link').first().click();
  await page.getByRole('button', { name: t('sent.lock') }).first().click();
  await page.waitForLoadState();
  const confirm = page.getByRole('main').getByRole('button', { name: t('sent.lock') });
  if (/lock/.test(new URL(page.url()).pathname)) await confirm.first().click();
  await button.click();
  await row.getByText(t('open.locked', { sender: 'X' }).split('X')[0].trim().slice(0, 30)).waitFor();
  if (lang === 'en') { // what was passed on is an envelope of its own
    const [still] = await Promise.all([third.page.waitForEvent('download', { timeout: 120000 }), theirs.getByRole('button', { name: new RegExp(t('read.dl')) }).click()]);
    assert.equal(sha(readFileSync(await still.path())), sha(file));
  }
  await third.close();
  await reader.close();
  await sender.close();
}
await browser.close();
