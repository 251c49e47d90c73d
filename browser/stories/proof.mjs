// An administrator sets a password anew: whoever uses it proves the mailbox before anything is shown.
import { demo, admin, users, assert, words, launch, looking, sound, signIn, mail, newest, code, told } from '../lib.mjs';

const browser = await launch();
for (const [i, lang] of told([...['en', 'fr'].entries()])) {
  const t = words(lang);
  const who = users[i];
  const look = { lang, width: i ? 390 : 1280, dark: i === 1 };

  const first = await looking(browser, look);
  await signIn(first.page, who, { lang });
  await first.page.waitForURL((u) => !u.pathname.startsWith('/signin'));
  await first.context.close();

  const boss = await looking(browser, look);
  await signIn(boss.page, admin, { lang, at: '/admin/signin' });
  await boss.page.waitForURL((u) => !u.pathname.startsWith('/admin/signin'));
  await boss.page.goto(`${demo.url}/admin/accounts/${demo.account}/users?q=${encodeURIComponent(who.email)}&lang=${lang}`);
  await boss.page.locator('main tr').filter({ hasText: who.email }).locator('a[href$="/reset"]').click();
  await boss.page.locator('main button[value=temporary]').click();
  const given = await boss.page.locator('#temporary').textContent();
  await mail(who.email, (m) => m.subject === words('en')('mail.pwchanged.subject'));
  await boss.context.close();

  const p = await looking(browser, look);
  const { page } = p;
  await signIn(page, { ...who, password: given }, { lang });
  await page.waitForURL((u) => u.pathname === '/mailbox');
  await sound(page, `proof-${lang}-asked`, { lang });
  for (const path of ['/drafts', '/sent', '/profile', '/password']) {
    await page.goto(demo.url + path);
    assert.equal(new URL(page.url()).pathname, '/mailbox', path);
  }
  const since = await newest(who.email);
  await page.locator('main button[value=send]').focus();
  await page.keyboard.press('Enter');
  await page.getByLabel(t('me.codelabel')).fill(await code(who.email, since));
  await sound(page, `proof-${lang}-code`, { lang });
  await page.keyboard.press('Enter');
  await page.waitForURL((u) => u.pathname === '/password');
  await mail(who.email, (m) => m.subject === words('en')('mail.factor.given_used'));
  await p.context.close();
}
await browser.close();
