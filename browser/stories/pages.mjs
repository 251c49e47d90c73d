// Every page, in both languages, at 390 and 1280 px, in light and dark: accessible, not scrolling sideways,
// with a picture. Then the French ones again at 320 px, or with large text.
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { demo, dir, admin, users, assert, words, launch, looking, sound, everyway, signIn, totp, send, mail, link, through, told } from '../lib.mjs';

const browser = await launch();
const a = `/admin/accounts/${demo.account}`;
const open = ['/', '/signin', '/signin/code', '/recover', '/enrol', '/help/check', '/help/accessibility', '/up', '/open', '/no-such-page', '/e/222222', '/e/222222/report'];
const own = ['/compose', '/drafts', '/settings', '/sent', '/inbox', '/requests', '/requests/new', '/profile', '/profile/security', '/profile/addresses', '/profile/data', '/password', '/welcome'];
const console_ = ['/admin/accounts', a, ...['groups', 'users', 'users/new', 'users/invite', 'users/import', 'messages', 'domains', 'policies', 'rules', 'rules/edit', 'rules/add', 'rules/versions/0',
  'branding', 'integrations', 'integrations/webhooks/new', 'reports', 'requests', 'audit', 'settings', 'delete', 'export'].map((p) => `${a}/${p}`)];
const site = ['/admin/accounts/new', '/admin/audit', '/admin/audit/chains', '/admin/system', '/admin/system/settings', '/admin/system/mail', '/admin/system/signin', '/admin/system/legal', '/admin/jobs', '/admin/support', `${a}/limits`, `${a}/suspend`];

{ // something to look at
  const p = await looking(browser);
  await signIn(p.page, users[0]);
  await p.page.waitForURL((u) => !u.pathname.startsWith('/signin'));
  await send(p.page, { to: ['lou@example.net', 'max@example.net'], subject: 'A rather long subject that has to wrap somewhere on a small screen', body: 'Hello.' });
  await p.close();
}
const operator = { email: 'opal.pages@example.org', password: 'a vessel of green quartz' };
let state; // of the operator's browser
{
  const pli = (args, input) => execFileSync(process.env.PLI_BIN, ['admin', ...args, '--config', join(dir, 'pli.toml')], { input });
  pli(['user', 'add', demo.account, operator.email, '--first-name', 'Opal', '--last-name', 'Reed', '--password-stdin'], `${operator.password}\n`);
  const { page, context, close } = await looking(browser);
  await signIn(page, operator);
  await page.waitForURL((u) => u.pathname === '/password');
  for (const name of ['password', 'confirm']) await page.locator(`input[name=${name}]`).fill(`${operator.password} now`);
  await page.locator('main form button').last().click();
  await page.waitForURL((u) => u.pathname !== '/password');
  await page.goto(`${demo.url}/profile/security?lang=en`);
  const t = words('en');
  await page.getByRole('main').getByRole('button', { name: t('totp.setup'), exact: true }).click();
  await page.getByLabel(t('me.codelabel')).fill(totp(await page.locator('code.seed').textContent()));
  await page.getByRole('main').getByRole('button', { name: t('totp.confirm'), exact: true }).click();
  await page.getByRole('heading', { level: 1, name: t('recovery.h1') }).waitFor();
  pli(['operator', 'add', operator.email]);
  state = await context.storageState();
  await close();
}
let seen = 0;
await Promise.all(['en', 'fr'].map(async (lang) => { // the last story may be alone
  const look = async (page, name) => { await everyway(page, name, { lang }); seen++; };
  const visit = async (who, paths, more = {}) => {
    const p = await looking(browser, { lang, ...more });
    if (who) {
      await signIn(p.page, who, { lang });
      await p.page.waitForURL((u) => !u.pathname.startsWith('/signin'));
    }
    for (const path of paths) {
      await p.page.goto(`${demo.url}${path}?lang=${lang}`);
      await look(p.page, path.replaceAll('/', '_'));
    }
    return p;
  };
  await (await visit(null, open)).close();
  const sender = await visit(users[0], own);
  await sender.page.goto(`${demo.url}/sent?lang=${lang}`);
  await sender.page.locator('tbody th a').first().click();
  await sender.page.waitForURL(/\/sent\/./);
  await look(sender.page, '_sent_detail');
  const detail = new URL(sender.page.url()).pathname;
  for (const act of ['lock', 'expiry', 'expire', 'recall']) {
    await sender.page.goto(`${demo.url}${detail}/${act}`);
    await look(sender.page, `_sent_${act}`);
  }
  await sender.close();
  const adm = await visit(admin, console_);
  for (const sub of ['groups', 'users']) { // the first row's own pages
    await adm.page.goto(`${demo.url}${a}/${sub}?lang=${lang}`);
    const hrefs = await adm.page.locator('tbody a').evaluateAll((l) => [...new Set(l.map((x) => x.getAttribute('href')))]);
    for (const [i, href] of hrefs.slice(0, 4).entries()) {
      await adm.page.goto(`${demo.url}${href}`);
      await look(adm.page, `_${sub}_row_${i}`);
    }
  }
  await adm.page.goto(`${demo.url}${a}/groups?lang=${lang}`);
  await adm.page.goto(`${demo.url}${(await adm.page.locator('tbody th a').first().getAttribute('href')).replace(/\/members$/, '')}/policies`);
  await look(adm.page, '_group_policies');
  await adm.close();
  await (await visit(null, site, { storageState: state })).close();
  const reader = await looking(browser, { lang });
  const to = { en: 'lou@example.net', fr: 'max@example.net' }[lang]; // each has a code of their own
  const m = await mail(to, (x) => x.links.some((l) => l.includes('/m/')));
  await reader.page.goto(link(m).replace('#', `?lang=${lang}#`));
  await reader.page.waitForURL(/\/e\//);
  await look(reader.page, '_card');
  await through(reader.page, { lang, to });
  await reader.page.getByRole('link', { name: words(lang)('read.reply'), exact: true }).waitFor();
  await look(reader.page, '_message');
  for (const page of ['reply', 'report']) {
    await reader.page.locator(`main a[href$="/${page}"]:visible`).click();
    await reader.page.waitForURL(new RegExp(`/${page}$`));
    await reader.page.locator('main textarea:visible').first().waitFor();
    await look(reader.page, `_${page}`);
    await reader.page.goBack();
    await reader.page.locator('main .btn.pri:visible').first().waitFor();
  }
  await reader.close();
}));
// Text at 200 %, or 320 px, in the longer language.
for (const [width, zoom] of told([[320, 1], [640, 2]])) {
  const p = await looking(browser, { lang: 'fr', width });
  await signIn(p.page, admin, { lang: 'fr' });
  await p.page.waitForURL((u) => !u.pathname.startsWith('/signin'));
  for (const path of [...own, ...console_]) {
    await p.page.goto(`${demo.url}${path}?lang=fr`);
    await p.page.addStyleTag({ content: `html{font-size:${100 * zoom}%}` });
    const over = await p.page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    assert.ok(over <= 0, `${path} scrolls ${over} px sideways at ${width} px, text ${zoom * 100} %`);
    seen++;
  }
  await p.close();
}
// Demo pages of the mailbox.
for (const lang of ['en', 'fr']) {
  const p = await looking(browser, { lang, width: 390 });
  await p.page.goto(`${demo.mailbox_url}/?lang=${lang}`);
  await sound(p.page, `${lang}-mailbox`);
  await p.page.locator('a[href*="mail"]').first().click();
  await p.page.waitForLoadState();
  await sound(p.page, `${lang}-mailbox-mail`);
  await p.close();
  seen += 2;
}
console.log(`${seen} pages looked at`);
await browser.close();
