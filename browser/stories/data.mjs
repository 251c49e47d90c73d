// Keyboard shortcuts and switching them off; a person takes out their data, and deletes their account. Both
// languages, small and dark too.
import { readFileSync } from 'node:fs';
import { demo, users, assert, words, launch, looking, sound, signIn, told } from '../lib.mjs';

const browser = await launch();

for (const [lang, who] of told([['en', users[0]], ['fr', users[1]]])) {
  const t = words(lang);
  const leaver = await looking(browser, { lang, width: lang === 'en' ? 390 : 1280, dark: lang === 'en' });
  await signIn(leaver.page, who, { lang });
  await leaver.page.waitForURL((x) => !x.pathname.startsWith('/signin'));
  await leaver.page.goto(`${demo.url}/inbox?lang=${lang}`);
  await leaver.page.keyboard.press('?');
  await leaver.page.getByRole('heading', { name: t('keys.h2') }).waitFor();
  await sound(leaver.page, `${lang}-keys`, { lang });
  await leaver.page.keyboard.press('Enter');
  await leaver.page.locator('#keys').waitFor({ state: 'hidden' });
  await leaver.page.keyboard.press('/');
  assert.equal(await leaver.page.evaluate(() => document.activeElement.type), 'search');
  await leaver.page.keyboard.type('/?');
  assert.equal(await leaver.page.getByRole('searchbox').inputValue(), '/?');
  await leaver.page.goto(`${demo.url}/profile`);
  await leaver.page.getByLabel(t('keys.on')).uncheck();
  await leaver.page.goto(`${demo.url}/inbox`);
  await leaver.page.keyboard.press('?');
  assert.ok(!(await leaver.page.locator('#keys').isVisible()), 'switched off, and yet it answers');
  await leaver.page.goto(`${demo.url}/profile/data`);
  await sound(leaver.page, `${lang}-data`, { lang });
  const [file] = await Promise.all([leaver.page.waitForEvent('download'), leaver.page.getByRole('button', { name: t('data.exportgo') }).click()]);
  const out = JSON.parse(readFileSync(await file.path(), 'utf8'));
  assert.equal(out.profile.address, who.email);
  assert.ok(out.records.length > 0 && Array.isArray(out.sent) && Array.isArray(out.received));
  await leaver.page.getByLabel(t('data.type')).fill('somebody@example.org');
  await leaver.page.getByRole('button', { name: t('data.deletego') }).click();
  await leaver.page.getByText(t('data.typed')).first().waitFor();
  await sound(leaver.page, `${lang}-data-wrong`, { lang });
  await leaver.page.getByLabel(t('data.type')).fill(who.email);
  await leaver.page.getByRole('button', { name: t('data.deletego') }).click();
  await leaver.page.getByText(t('data.deleted')).waitFor();
  await signIn(leaver.page, who, { lang });
  await leaver.page.getByText(t('si.bad')).first().waitFor();
  await leaver.close();
}
await browser.close();
