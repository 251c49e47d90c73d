// Keeping a message on a device: kept, opened with the network gone, forgotten, wiped by signing out, and deleted
// when it was locked meanwhile; both languages, the pages under their own policy and as axe sees them.
import { execFileSync } from 'node:child_process';
import { demo, dir, users, assert, words, launch, looking, person, sound, signIn, send, mail, mails, link, open, howMany, told } from '../lib.mjs';

const browser = await launch();
const settings = (...more) => execFileSync(process.env.PLI_BIN, ['--config', `${dir}/pli.toml`, 'admin', 'account', 'settings', String(demo.account_number ?? 100042), ...more]);
settings('lease_days=3');

for (const [lang, width, dark, seen] of [...told([['en', 1280, false, true], ['fr', 390, true, true]]), ['en', 1280, false, false]]) {
  const t = words(lang);
  const to = `keeper.${lang}.${seen}@example.net`;
  const sender = await person(browser, { lang });
  await signIn(sender.page, users[0], { lang });
  await sender.page.waitForURL((u) => !u.pathname.startsWith('/signin'));
  const name = (n) => `Keep ${n} ${lang} ${seen}`;
  for (const n of [1, 2]) await send(sender.page, { to: [to], subject: name(n), body: `The secret of ${n} is blue.\n`, lang });

  const reader = await (seen ? looking : person)(browser, { lang, width, dark });
  const { page, context } = reader;
  const look = (what) => (seen ? sound(page, `lease-${lang}-${what}`, { lang }) : null);
  // What is inside is found by opening each mail: a subject is not in it.
  const keepOne = async (n, m, first) => {
    if (first) await open(page, m, { lang, to });
    else {
      await page.goto(link(m));
      await page.waitForURL(/\/e\/[0-9A-Z]{6}/);
      await page.getByRole('link', { name: t('code.open') }).click();
    }
    await page.locator('[data-take]').waitFor();
    if (first) await look('offer');
    await page.locator('[data-take]').focus();
    await page.keyboard.press('Enter');
    await page.getByText(t('lease.done')).waitFor();
    return page.locator('[data-subject]').innerText();
  };
  await mail(to);
  const ofBoth = (await mails(to)).filter((m) => m.links.some((u) => /\/m\//.test(u)));
  assert.equal(ofBoth.length, 2);
  const subject = await keepOne(1, ofBoth[0], true);
  await look('kept');
  const other = await keepOne(2, ofBoth[1], false);
  assert.notEqual(subject, other);

  // The key cannot be read out, and nothing of the message is in plain in what is kept.
  const kept = await page.evaluate(async () => {
    const db = await new Promise((ok) => { const r = indexedDB.open('pli-leases'); r.onsuccess = () => ok(r.result); });
    const all = await new Promise((ok) => { const r = db.transaction('kept').objectStore('kept').getAll(); r.onsuccess = () => ok(r.result); });
    db.close();
    return Promise.all(all.map(async (r) => ({ extractable: r.key.extractable, text: JSON.stringify(r) + (await r.sealed.text()) })));
  });
  assert.equal(kept.length, 2);
  for (const k of kept) {
    assert.equal(k.extractable, false);
    assert.ok(!/blue|Keep 1|Keep 2/.test(k.text));
  }

  // The sender sees it.
  await sender.page.goto(`${demo.url}/sent`);
  await sender.page.getByRole('link', { name: subject }).first().click();
  await sender.page.getByText(t('desk.ev.lease', { target: to, date: 'DATE' }).split('DATE')[0]).first().waitFor();

  // Without the network: the list, then the message.
  await page.locator('[data-have] a').click();
  await page.getByRole('heading', { level: 1, name: other }).waitFor();
  await page.getByText(t('lease.online', { date: 'DATE' }).split('DATE')[1]).waitFor();
  await look('online');
  await context.setOffline(true);
  assert.equal(await page.evaluate(() => fetch('/api/v1/session').then(() => 'reached', () => 'cut')), 'cut');
  await page.goto(`${demo.url}/device?lang=${lang}`);
  await page.getByRole('heading', { level: 1, name: t('lease.title') }).waitFor();
  await page.getByText(t('lease.offlinelist')).waitFor();
  assert.equal(await howMany(page.locator('[data-rows] .file')), 2);
  await look('list');
  await page.locator('[data-rows] a').last().focus();
  await page.keyboard.press('Enter');
  await page.locator('[data-card]').waitFor();
  const shownNow = await page.locator('[data-subject]').innerText();
  assert.ok([subject, other].includes(shownNow));
  assert.match(await page.locator('[data-text]').innerText(), /The secret of \d is blue/);
  await page.getByText(t('lease.alone', { date: 'DATE' }).split('DATE')[1]).waitFor();
  await look('offline');

  // Forgotten, still offline.
  await page.getByRole('button', { name: t('lease.forget') }).click();
  await page.getByRole('heading', { level: 1, name: t('lease.title') }).waitFor();
  await page.locator('[data-list]').waitFor();
  assert.equal(await howMany(page.locator('[data-rows] .file')), 1);
  const ref = (await page.locator('[data-rows] a').getAttribute('href')).slice(1);

  // Locked meanwhile: the device learns of it when it is online, and deletes it.
  const left = shownNow === subject ? other : subject;
  if (lang === 'en' && seen) {
    await sender.page.goto(`${demo.url}/sent`);
    await sender.page.getByRole('link', { name: left }).first().click();
    await sender.page.getByRole('main').getByRole('link', { name: t('sent.lock'), exact: true }).first().click();
    await sender.page.getByRole('button', { name: t('sent.lock'), exact: true }).click();
    await sender.page.getByText(t('desk.lockedopened', { subject: left, n: 1 })).waitFor();
    await context.setOffline(false);
    await page.goto(`${demo.url}/device?lang=${lang}#${ref}`);
    await page.getByText(t('lease.withdrawn')).waitFor();
    await look('withdrawn');
    await page.goto(`${demo.url}/device?lang=${lang}`);
    await page.getByText(t('lease.none')).waitFor();
    await look('none');
  } else if (!seen) {
    // Signing out wipes it, key and page.
    await context.setOffline(false);
    await page.goto(`${demo.url}/device?lang=${lang}`);
    await page.locator('[data-rows] .file').waitFor();
    await page.evaluate(() => fetch('/signout', { method: 'POST' }));
    await page.goto(`${demo.url}/device?lang=${lang}`);
    await page.getByText(t('lease.none')).waitFor();
    assert.deepEqual(await page.evaluate(async () => [(await indexedDB.databases()).filter((d) => d.name === 'pli-leases').length > 1, (await navigator.serviceWorker.getRegistrations()).length]), [false, 0]);
  } else {
    // Its time is over: the page refuses by this device's clock, also offline.
    await page.clock.setFixedTime(Date.now() + 4 * 86400e3);
    await page.goto(`${demo.url}/device?lang=${lang}#${ref}`);
    await page.getByText(t('lease.ended')).waitFor();
    await look('ended');
    await context.setOffline(false);
  }
  await reader.close();
  await sender.close();
}
await browser.close();
