// An administrator finds what was sent, locks it and lets it go again, and reads none of it.
import { demo, admin, users, assert, words, launch, looking, person, sound, signIn, send, told } from '../lib.mjs';

const browser = await launch();
const subject = 'Results of 3 March, confidential';
const sender = await person(browser, { lang: 'en' });
await signIn(sender.page, users[0], { lang: 'en' });
await send(sender.page, { to: ['jean@example.net'], subject, body: 'Nothing for an administrator.', lang: 'en' });
await sender.close();

for (const [lang, width, dark] of told([['en', 1280, false], ['fr', 390, true]])) {
  const { page, close } = await looking(browser, { lang, width, dark });
  const t = words(lang);
  await page.goto(`${demo.admin_url}?lang=${lang}`);
  await page.getByLabel(t('si.email')).fill(admin.email);
  await page.getByLabel(t('si.pw'), { exact: true }).fill(admin.password);
  await page.getByRole('main').getByRole('button', { name: t('c.signin'), exact: true }).click();
  await page.waitForURL(/\/admin/);
  await page.goto(`${demo.admin_url}/accounts/${demo.account}/messages`);
  await sound(page, `${lang}-messages`, { lang });
  assert.ok(!(await page.content()).includes(subject));

  await page.getByLabel(t('msg.recipient'), { exact: true }).fill('jean@example.net');
  await page.getByLabel(t('sent.from'), { exact: true }).fill(new Date(Date.now() - 86400000).toISOString().slice(0, 10));
  await page.getByRole('button', { name: t('c.search'), exact: true }).click();
  await page.waitForURL(/recipient=jean/);
  const row = page.locator('tbody tr').first();
  await row.getByText(users[0].email).waitFor();
  await row.getByRole('link').click();
  await page.getByRole('heading', { level: 1 }).waitFor();
  await sound(page, `${lang}-message`, { lang });
  assert.ok(!(await page.content()).includes(subject));

  await page.getByLabel(t('sent.reason'), { exact: true }).fill('Wrong figures');
  await page.getByRole('button', { name: t('sent.lock'), exact: true }).first().click();
  await page.getByText(t('msg.locked')).waitFor();
  await page.getByRole('button', { name: t('sent.unlock'), exact: true }).first().click();
  await page.getByText(t('msg.unlocked')).waitFor();
  await page.getByRole('button', { name: t('sent.expirenow'), exact: true }).first().click();
  await page.getByText(t('sent.expirewhat')).waitFor();
  await sound(page, `${lang}-message-sure`, { lang });
  await page.getByRole('link', { name: t('c.cancel') }).click();

  // All that match, at once, and back.
  for (const act of ['sent.lock', 'sent.unlock']) {
    await page.goto(`${demo.admin_url}/accounts/${demo.account}/messages?recipient=jean@example.net`);
    await page.getByLabel(t('sent.matching')).check();
    await page.locator('#bulk').getByRole('button', { name: t(act), exact: true }).click();
    await page.getByText(t('msg.onlyto', { email: 'jean@example.net' })).waitFor(); // and no other recipient's
    if (act === 'sent.lock') await sound(page, `${lang}-messages-sure`, { lang });
    await page.getByRole('button', { name: t(act), exact: true }).click();
    await page.waitForURL(/recipient=jean/); // a page that can be loaded again
    await page.locator('#flash').waitFor();
  }
  await sound(page, `${lang}-messages-result`, { lang });
  const [file] = await Promise.all([page.waitForEvent('download'), (async () => {
    await page.goto(`${demo.admin_url}/accounts/${demo.account}/messages`);
    await page.getByRole('button', { name: t('msg.export') }).click();
  })()]);
  assert.match(file.suggestedFilename(), /^messages-\d+\.csv$/);
  await close();
}
await browser.close();
