// Reports: figures and charts of a period, both languages, small and dark, without script; CSV.
import { readFile } from 'node:fs/promises';
import { demo, users, admin, assert, words, launch, looking, send, sound, signIn, howMany, told } from '../lib.mjs';

const browser = await launch();
const at = `${demo.url}/admin/accounts/100042/reports`;

{
  const { page, close } = await looking(browser, { lang: 'en' });
  await signIn(page, users[0], { lang: 'en' });
  await page.waitForURL((u) => !u.pathname.startsWith('/signin'));
  await send(page, { to: ['lea@example.net', 'sam@example.com'], subject: 'Report', body: 'Hello' });
  await close();
}
for (const lang of told(['en', 'fr'])) {
  const t = words(lang);
  const { page, close } = await looking(browser, { lang, dark: lang === 'fr' });
  await signIn(page, admin, { lang });
  await page.waitForURL((u) => !u.pathname.startsWith('/signin'));
  for (let i = 0; i < 30; i++) {
    await page.goto(at);
    if (await page.locator('#senders').count()) break;
    await new Promise((r) => setTimeout(r, 1000));
  }
  assert.equal(await howMany(page.locator('h2#senders')), 1, 'what was sent is counted');
  assert.ok(await howMany(page.locator('svg.bars rect')) >= 1);
  await sound(page, `${lang}-reports`, { lang });
  await page.locator('nav .chips a').first().focus();
  await page.keyboard.press('Enter');
  await page.waitForURL((u) => u.search === '?days=7');
  await page.locator('details summary').filter({ hasText: t('rp.table') }).first().click();
  const [file] = await Promise.all([page.waitForEvent('download'), page.getByRole('link', { name: t('rp.csv') }).first().click()]);
  const csv = await readFile(await file.path(), 'utf8');
  assert.ok(csv.startsWith('\uFEFFday,messages,recipients,') && csv.trim().split('\r\n').length === 8, csv);
  await close();
  const small = await looking(browser, { lang, width: 390, dark: lang === 'en' });
  await signIn(small.page, admin, { lang });
  await small.page.waitForURL((u) => !u.pathname.startsWith('/signin'));
  await small.page.goto(`${at}?days=90`);
  await sound(small.page, `${lang}-reports-390`, { lang });
  await small.close();
}
await browser.close();
