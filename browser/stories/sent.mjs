// The life of an envelope after it was sent: found, locked with a reason that its recipient reads, given another
// end date, ended for one, sent again, withdrawn in an open session, several at once. Both languages; 390 and 1280 px; dark.
import { demo, users, assert, words, launch, looking, sound, signIn, send, mail, open, newest, link, howMany, told } from '../lib.mjs';

const browser = await launch();
const day = (n) => new Date(Date.now() + n * 864e5).toISOString().slice(0, 10);

for (const lang of told(['en', 'fr'])) {
  const t = words(lang);
  const to = [`nadia.${lang}@example.net`, `omar.${lang}@example.com`];
  const subject = `Contrat ${lang}`;
  const sender = await looking(browser, { lang, dark: lang === 'fr' });
  const { page } = sender;
  await signIn(page, users[0], { lang });
  await page.waitForURL((u) => !u.pathname.startsWith('/signin'));
  await send(page, { to, subject, body: 'Bonjour', lang });
  const at = page.url().split('?')[0];

  const reader = await looking(browser, { lang, width: 390 });
  await open(reader.page, await mail(to[0]), { lang, to: to[0] });
  await reader.page.getByRole('heading', { level: 1, name: subject }).waitFor();

  // Found by the recipient's whole address, by reference, by subject, by days.
  await page.goto(`${demo.url}/sent?lang=${lang}`);
  const search = page.getByLabel(t('sent.search'));
  for (const what of [to[1], subject.toUpperCase(), (await mail(to[1])).text.match(/[0-9A-Z]{3}-[0-9A-Z]{3}/)[0]]) {
    await search.fill(what);
    await page.waitForURL((u) => u.searchParams.get('q') === what);
    await page.getByRole('link', { name: subject, exact: true }).waitFor();
    assert.equal(await howMany(page.locator('tbody tr')), 1, what);
  }
  await page.goto(`${demo.url}/sent?from=${day(2)}`);
  await page.getByText(t('c.nomatch')).waitFor();
  await page.goto(`${demo.url}/sent?from=${day(-1)}&until=${day(1)}&q=contrat`);
  await page.getByRole('link', { name: subject, exact: true }).waitFor();
  await sound(page, `${lang}-sent`, { lang });

  // Locked with a reason: whoever holds the mail reads it, in the open session too.
  await page.goto(at);
  await sound(page, `${lang}-sent-detail`, { lang });
  await page.getByRole('main').getByRole('link', { name: t('sent.lock'), exact: true }).first().click();
  await page.getByLabel(t('sent.reason')).fill('Wrong figures on page 3.');
  await sound(page, `${lang}-sent-lock`, { lang });
  await page.getByRole('button', { name: t('sent.lock'), exact: true }).click();
  await page.getByText(t('desk.lockedopened', { subject, n: 1 })).waitFor();
  await reader.page.goto(reader.page.url().replace(/\/message.*/, ''));
  await reader.page.getByText('Wrong figures on page 3.').waitFor();
  await sound(reader.page, `${lang}-sent-locked-390`, { lang });
  await page.getByRole('button', { name: t('sent.unlock'), exact: true }).first().click();
  await page.getByText(t('desk.unlocked', { subject })).waitFor();

  // Another end date: the past is refused and the form comes back with it; then a preset.
  await page.getByRole('link', { name: t('sent.expire'), exact: true }).first().click();
  await page.getByLabel(t('exp.date')).fill(day(-3));
  await page.getByRole('button', { name: t('seed.save') }).click();
  await page.getByText(t('exp.past')).first().waitFor();
  assert.equal(await page.getByLabel(t('exp.date')).inputValue(), day(-3));
  await sound(page, `${lang}-sent-expiry`, { lang });
  await page.getByLabel(t('exp.choose')).selectOption('7');
  await page.getByRole('button', { name: t('seed.save') }).click();
  await page.getByText(t('sent.didend', { subject })).waitFor();

  // The notice again: a reminder that opens nothing. By keyboard.
  const more = page.getByRole('row').filter({ hasText: to[1] }).locator('summary');
  await more.focus();
  await page.keyboard.press('Enter');
  await sound(page, `${lang}-sent-more`, { lang });
  const since = await newest(to[1]);
  await page.getByRole('row').filter({ hasText: to[1] }).getByRole('link', { name: t('sent.resend') }).focus();
  await page.keyboard.press('Enter');
  await page.waitForURL(/\/resend/);
  await page.getByRole('button', { name: t('sent.resend') }).focus();
  await page.keyboard.press('Enter');
  await page.getByText(t('sent.didremind', { email: to[1] })).waitFor();
  const again = await mail(to[1], (m) => Number(m.id) > since);
  assert.ok(/[0-9A-Z]{3}-[0-9A-Z]{3}/.test(again.text) && !again.links.some((l) => l.includes('/m/')), 'the reminder opens something');

  // Ended for one: the other still opens it.
  await page.getByRole('row').filter({ hasText: to[1] }).locator('summary').click();
  await page.getByRole('row').filter({ hasText: to[1] }).getByRole('link', { name: t('sent.expirenow') }).click();
  await sound(page, `${lang}-sent-expire`, { lang });
  await page.getByRole('button', { name: t('sent.expirenow') }).click();
  await page.getByText(t('sent.didexpireone', { email: to[1] })).waitFor();
  const late = await looking(browser, { lang, width: 390 });
  await late.page.goto(link(await mail(to[1], (m) => m.attachments.length > 0)));
  await late.page.getByText(t('portal.destroyed', { sender: 'X' }).split('X')[0].slice(0, 30)).waitFor();
  await late.close();
  await reader.page.goto(`${reader.page.url()}/message`);
  await reader.page.getByRole('heading', { level: 1, name: subject }).waitFor();

  // Withdrawn: the reader's session asks once more and is told.
  await page.getByRole('main').getByRole('link', { name: t('sent.recall'), exact: true }).first().click();
  await page.getByRole('button', { name: t('sent.recall') }).click();
  await page.getByText(t('st.recalled')).first().waitFor();
  await sound(page, `${lang}-sent-recalled`, { lang });
  await reader.page.reload();
  await reader.page.getByText(t('open.recalled')).first().waitFor();
  await reader.close();

  // A mail that bounced goes to the corrected address, and opens there.
  await send(page, { to: [`pia.${lang}@bounce.example`], subject: `Devis ${lang}`, body: 'Voici', lang });
  const correct = page.getByRole('link', { name: t('sent.correct') });
  for (let i = 0; i < 50 && !(await correct.count()); i++) await page.waitForTimeout(100).then(() => page.reload());
  await sound(page, `${lang}-sent-bounced`, { lang });
  await correct.click();
  const box = page.getByLabel(t('sent.newaddress'));
  await box.fill('pia');
  await page.getByRole('button', { name: t('sent.sendagain') }).click();
  await page.getByText(t('new.badrecipient', { email: 'pia' })).first().waitFor();
  await sound(page, `${lang}-sent-correct`, { lang });
  await box.fill(`pia.${lang}@example.net`);
  await page.getByRole('button', { name: t('sent.sendagain') }).click();
  await page.getByText(t('sent.didresend', { email: `pia.${lang}@example.net` })).waitFor();
  const pia = await looking(browser, { lang });
  await open(pia.page, await mail(`pia.${lang}@example.net`), { lang, to: `pia.${lang}@example.net` });
  await pia.page.getByRole('heading', { level: 1, name: `Devis ${lang}` }).waitFor();
  await pia.close();

  // Several at once, on a phone: two selected are locked; all that match are ended, after a question.
  for (const n of [1, 2, 3]) await send(page, { to: [`lot${n}.${lang}@example.org`], subject: `Lot-${lang} ${n}`, body: 'x', lang });
  await page.setViewportSize({ width: 390, height: 900 });
  await page.goto(`${demo.url}/sent?q=lot-${lang}`);
  for (const n of [1, 3]) await page.getByLabel(t('sent.select', { subject: `Lot-${lang} ${n}` })).check();
  await sound(page, `${lang}-sent-390`, { lang });
  await page.locator('#bulk').getByRole('button', { name: t('sent.lock'), exact: true }).click();
  await page.getByText(t('sent.changed', { n: 2 })).waitFor();
  await sound(page, `${lang}-sent-result`, { lang });
  await page.goto(`${demo.url}/sent?q=lot-${lang}&status=locked`);
  assert.equal(await howMany(page.locator('tbody tr')), 2);
  await page.goto(`${demo.url}/sent?q=lot-${lang}`);
  await page.getByLabel(t('sent.matching')).check();
  await page.locator('#bulk').getByRole('button', { name: t('sent.expirenow') }).click();
  await page.getByRole('heading', { name: t('sent.askexpirematching') }).waitFor();
  await sound(page, `${lang}-sent-many`, { lang });
  await page.getByRole('button', { name: t('sent.expirenow') }).click();
  await page.getByText(t('sent.changed', { n: 3 })).waitFor();
  await page.goto(`${demo.url}/sent?q=lot-${lang}`);
  assert.equal(await howMany(page.locator('tbody').getByText(t('st.expired'), { exact: true })), 3);
  await page.goto(at);
  await sound(page, `${lang}-sent-detail-390`, { lang });
  await sender.close();
}
await browser.close();
