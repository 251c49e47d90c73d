// The pages through which an envelope comes, as a hostile page, a broken line and a careful reader meet them
// (AT-12, AT-14, AT-18 to AT-21, AT-34, AT-83).
import { createServer } from 'node:http';
import { openSync, ftruncateSync, closeSync, writeFileSync, readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { demo, users, assert, words, launch, looking, person, sound, signIn, send, mail, attachment, through, open, scratch } from '../lib.mjs';

const t = words('en');
const browser = await launch();
const to = 'nadia@example.net', subject = 'Entries', body = 'Only here.';
const sender = await person(browser);
await signIn(sender.page, users[0]);
await sender.page.waitForURL((u) => !u.pathname.startsWith('/signin'));
await send(sender.page, { to: [to], subject, body });
const m = await mail(to);
const html = (await attachment(m)).toString();
const file = `${scratch}/envelope.html`;
writeFileSync(file, html);
const armor = html.match(/-----BEGIN PLI ENVELOPE-----[\s\S]*-----END PLI ENVELOPE-----/)[0];
const half = html.match(/id="part">\s*([\w.-]+)/)[1];

// Too large to be one: said at once, and not read (AT-14).
{
  const huge = `${scratch}/huge.html`;
  const f = openSync(huge, 'w');
  ftruncateSync(f, 513 * 2 ** 20);
  closeSync(f);
  const p = await looking(browser);
  await p.page.goto(`${demo.url}/up`);
  await p.page.locator('input[type=file]').setInputFiles(huge);
  await p.page.getByText(t('portal.say.toolarge')).waitFor({ timeout: 6000 });
  await sound(p.page, 'entries-toolarge', { lang: 'en' });
  await p.close();
}

// A hostile page of another site: it posts what is no envelope, frames every page, and fills the storage (AT-18, AT-19).
const kept = (page) => page.evaluate(() => new Promise((yes) => {
  const asked = indexedDB.open('pli');
  asked.onsuccess = () => {
    if (!asked.result.objectStoreNames.contains('records')) { asked.result.close(); return yes(0); }
    const count = asked.result.transaction('records').objectStore('records').count();
    count.onsuccess = () => { asked.result.close(); yes(count.result); };
  };
}));
const evil = createServer((q, r) => r.writeHead(200, { 'content-type': 'text/html' }).end('<!doctype html><title>evil</title><body>')).listen(0, '127.0.0.1');
await new Promise((r) => evil.on('listening', r));
const site = `http://127.0.0.1:${evil.address().port}`;
{
  const p = await person(browser, { hosts: [site] });
  await p.page.goto(site);
  // hand opens /r and posts messages when it listens; it leaves the tab to us.
  const hand = async (messages) => {
    const [tab] = await Promise.all([p.context.waitForEvent('page'), p.page.evaluate(([origin, messages]) => {
      const w = window.open(`${origin}/r`);
      addEventListener('message', (ev) => {
        if (ev.source !== w || ev.data?.pli !== 'ready') return;
        for (const m of messages) w.postMessage(m.huge ? { pli: 'envelope', text: 'A'.repeat(m.huge), e: m.e } : m, origin);
      });
    }, [demo.url, messages])]);
    await tab.waitForLoadState();
    return tab;
  };
  const good = { pli: 'envelope', text: armor, e: half };
  const junk = await hand([null, 'text', 5, [], {}, { pli: 'envelope' }, { ...good, text: 7 }, { ...good, e: 'x' }, { ...good, pli: 'other' }, { ...good, text: { toString: 1 } }]);
  await junk.waitForTimeout(500);
  assert.match(junk.url(), /\/r$/, 'what is no envelope leads on');
  assert.equal(await kept(junk), 0);
  const other = await hand([{ ...good, text: 'no armor' }, good]); // the first one counts
  await other.getByText(t('portal.say.damaged')).waitFor();
  const huge = await hand([{ huge: 160 * 2 ** 20, e: half }]);
  await huge.getByText(t('portal.say.toolarge')).waitFor();
  assert.equal(await kept(huge), 0);
  await Promise.all([junk.close(), other.close(), huge.close()]);
  for (let i = 0; i < 5; i++) {
    const tab = await hand([good, good]);
    await tab.waitForURL(/\/e\//);
    assert.ok(await kept(tab) <= 3, 'more than three are kept');
    await tab.close();
  }
  // A frame is no opener, and nothing of ours is shown in one.
  for (const path of ['/r', '/l', '/up', '/open', '/u', '/s/00000000000000000000000000000000', `/e/${m.links.find((l) => /\/m\//.test(l)).match(/\/m\/(\w+)/)[1]}`, '/signin']) {
    await p.page.evaluate((src) => new Promise((yes) => {
      document.body.replaceChildren(Object.assign(document.createElement('iframe'), { src, onload: yes }));
    }), demo.url + path);
    const frame = p.page.frames().find((f) => f !== p.page.mainFrame());
    assert.match(frame.url(), /^(chrome-error:.*|about:blank)?$/, `${path} is shown in a frame: ${frame.url()}`);
  }
  p.problems.length = 0; // the policy says what it kept out of the frames
  await p.close();
}
// An envelope of another service: the page says whose it is, and nothing is asked of either (AT-12).
{
  const p = await looking(browser);
  const theirs = demo.url.replace('localhost', '127.0.0.1');
  const bytes = Buffer.from(armor.replace(/-----[^-]+-----/g, ''), 'base64');
  const other = Buffer.from(bytes.toString('latin1').replace(demo.url, theirs), 'latin1').toString('base64').replace(/.{76}(?=.)/g, '$&\n');
  const f = `${scratch}/theirs.html`;
  writeFileSync(f, html.replace(armor, `-----BEGIN PLI ENVELOPE-----\n${other}\n-----END PLI ENVELOPE-----`));
  await p.page.goto(`${demo.url}/up`);
  const asked = [];
  p.page.on('request', (r) => { if (/\/api\//.test(r.url())) asked.push(r.url()); });
  await p.page.locator('input[type=file]').setInputFiles(f);
  await p.page.getByText(t('portal.say.origin')).waitFor();
  const said = await p.page.locator('main').innerText();
  assert.ok(said.includes(new URL(theirs).host) && said.includes(new URL(demo.url).host), said);
  assert.deepEqual(asked, []);
  await sound(p.page, 'entries-theirs', { lang: 'en' });
  await p.close();
}

// A viewer whose windows keep its sandbox: the page says what to do (AT-20).
{
  const p = await person(browser, { hosts: [site] });
  await p.page.goto(site);
  await p.page.evaluate((srcdoc) => {
    const f = Object.assign(document.createElement('iframe'), { srcdoc, width: 600, height: 600 });
    f.setAttribute('sandbox', 'allow-scripts allow-popups');
    document.body.replaceChildren(f);
  }, html);
  const [tab] = await Promise.all([p.context.waitForEvent('page'), p.page.frameLocator('iframe').locator('#open').click()]);
  await tab.getByText(t('portal.say.sandbox', { site: demo.url }).slice(0, 60)).waitFor();
  p.problems.length = 0;
  await p.close();
}
evil.close();

// The browser lets no window open: the other ways are there at once (AT-21).
{
  const p = await looking(browser, { width: 390 });
  await p.page.addInitScript(() => { window.open = () => null; });
  await p.page.goto(pathToFileURL(file).href);
  await p.page.locator('#open').click();
  await p.page.locator('#stuck').waitFor({ timeout: 2500 });
  assert.ok(await p.page.locator('#form').isVisible());
  await sound(p.page, 'entries-stuck');
  await p.close();
}

// The answer with the key is lost on its way: nobody is told that nothing happened (AT-34).
{
  const p = await looking(browser, { width: 390, dark: true });
  let cut = true;
  await p.page.route('**/api/v1/open/release', async (route) => {
    if (!cut) return route.continue();
    await route.fetch();
    return route.fulfill({ status: 200, contentType: 'application/json', body: '{"s":"' });
  });
  await open(p.page, m, { to });
  await p.page.getByText(t('cases.lost')).waitFor();
  await sound(p.page, 'entries-lost', { lang: 'en' });
  await sender.page.goto(`${demo.url}/sent`);
  await sender.page.getByRole('row').filter({ hasText: subject }).getByText(t('st.opened')).waitFor();
  cut = false;
  await p.page.reload();
  await p.page.getByText(body).waitFor();
  await p.close();
}

// What is printed, copied and saved of a message has neither half (AT-83).
{
  const p = await person(browser);
  let s = '';
  p.page.on('response', async (r) => { if (r.url().endsWith('/open/release')) s = (await r.json()).s; });
  await open(p.page, m, { to });
  await p.page.getByText(body).waitFor();
  const [saved] = await Promise.all([p.page.waitForEvent('download'), p.page.locator('[data-eml]').click()]);
  await p.page.emulateMedia({ media: 'print' });
  const shown = { page: await p.page.content(), text: await p.page.locator('html').innerText(), address: p.page.url(), eml: readFileSync(await saved.path(), 'utf8'),
    storage: await p.page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, history.state, document.title, document.referrer])) };
  assert.match(s, /^[\w-]{43}$/);
  for (const [what, text] of Object.entries(shown)) for (const secret of [s, half]) assert.ok(!text.includes(secret), `half of the key is in the ${what}`);
  await p.close();
}
await sender.close();
await browser.close();
