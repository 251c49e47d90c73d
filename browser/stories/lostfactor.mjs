// Somebody has lost their second factor: they ask, an administrator approves, and the mailed link stops it.
import { demo, admin, users, assert, words, launch, looking, sound, signIn, mail, newest, code, howMany, totp, told } from '../lib.mjs';

const browser = await launch();

for (const [i, lang] of told([...['en', 'fr'].entries()])) {
  const t = words(lang);
  const who = users[i];
  const look = { lang, width: i ? 390 : 1280, dark: i === 1 };

  // An app, set up in a browser that is gone afterwards.
  const first = await looking(browser, look);
  await signIn(first.page, who, { lang });
  await first.page.waitForURL((u) => !u.pathname.startsWith('/signin'));
  await first.page.goto(`${demo.url}/profile/security?lang=${lang}`);
  await first.page.getByRole('button', { name: t('totp.setup'), exact: true }).click();
  const seed = await first.page.locator('code.seed').textContent();
  await first.page.getByLabel(t('me.codelabel')).fill(totp(seed));
  await first.page.keyboard.press('Enter');
  await first.page.getByRole('heading', { level: 1, name: t('recovery.h1') }).waitFor();
  await first.close();

  // The password, and no phone; by keyboard.
  const p = await looking(browser, look);
  const { page } = p;
  await signIn(page, who, { lang });
  await page.waitForURL(/\/second/);
  await page.getByRole('link', { name: t('lift.link') }).focus();
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { level: 1, name: t('lift.h1') }).waitFor();
  await sound(page, `lostfactor-${lang}-begin`, { lang });
  const since = await newest(who.email);
  await page.locator('main button[value=send]').focus();
  await page.keyboard.press('Enter');
  await page.getByLabel(t('me.codelabel')).fill('000000');
  await page.keyboard.press('Enter');
  await page.locator('.err').first().waitFor();
  await page.getByLabel(t('me.codelabel')).fill(await code(who.email, since));
  await sound(page, `lostfactor-${lang}-code`, { lang });
  await page.keyboard.press('Enter');
  await page.locator('main p[role=status]').waitFor();
  await sound(page, `lostfactor-${lang}-asked`, { lang });
  await mail(who.email, (m) => m.subject === words('en')('mail.factor.lift_asked'));

  // An administrator sees who waits, and approves.
  const boss = await looking(browser, look);
  await signIn(boss.page, admin, { lang, at: '/admin/signin' });
  await boss.page.waitForURL((u) => !u.pathname.startsWith('/admin/signin'));
  await boss.page.goto(`${demo.url}/admin/accounts/${demo.account}/users?lang=${lang}`);
  await boss.page.getByRole('heading', { name: t('lift.adm.list') }).waitFor();
  await sound(boss.page, `lostfactor-${lang}-list`, { lang });
  await boss.page.locator('section[aria-labelledby=lifts] a').click();
  await sound(boss.page, `lostfactor-${lang}-user`, { lang });
  assert.doesNotMatch(await boss.page.locator('main').innerText(), /[<{]/);
  await boss.page.getByRole('button', { name: t('lift.adm.approve'), exact: true }).click();
  await boss.page.locator('main').getByRole('button', { name: t('lift.adm.refuse'), exact: true }).waitFor();
  assert.equal(await howMany(boss.page.getByRole('button', { name: t('lift.adm.approve'), exact: true })), 0);
  await sound(boss.page, `lostfactor-${lang}-approved`, { lang });
  await boss.close();
  await page.reload();
  await sound(page, `lostfactor-${lang}-waiting`, { lang });

  // The link of the mail asks, and stops it; a second time there is nothing.
  const told = await mail(who.email, (m) => m.subject === words('en')('mail.factor.lift_approved'));
  const stop = told.links.find((u) => /\/lost\//.test(u));
  const owner = await looking(browser, look);
  await owner.page.goto(`${stop}?lang=${lang}`);
  await sound(owner.page, `lostfactor-${lang}-stop`, { lang });
  await owner.page.getByRole('button', { name: t('lift.stop.do'), exact: true }).click();
  await owner.page.getByText(t('lift.stopped')).waitFor();
  await owner.page.getByText(t('lift.gone')).waitFor();
  await sound(owner.page, `lostfactor-${lang}-stopped`, { lang });
  await mail(who.email, (m) => m.subject === words('en')('mail.factor.lift_cancelled'));
  await owner.close();
  await page.goto(`${demo.url}/second/lost?lang=${lang}`);
  await page.locator('main button[value=send]').waitFor();
  await p.close();
}
await browser.close();
