// An operator signs in, is asked for a second factor, and runs the accounts.
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { demo, dir, assert, words, launch, looking, sound, signIn, totp, howMany, told } from '../lib.mjs';

const pli = (args, input) => execFileSync(process.env.PLI_BIN, ['admin', ...args, '--config', join(dir, 'pli.toml')], { input, encoding: 'utf8' });

// What there is beside the checks: a backup, a test mail, texts in the footer, jobs, and whether the logs verify.
async function operate(page, t, button) {
  execFileSync(process.env.PLI_BIN, ['backup', 'create', '--to', join(dir, 'backups'), '--config', join(dir, 'pli.toml')], { stdio: 'ignore' });
  await page.reload();
  await page.getByText(join(dir, 'backups')).first().waitFor();
  await sound(page, 'en-system-backup', { lang: 'en' });
  await page.getByRole('link', { name: t('sm.h1') }).click();
  await button(t('sm.test')).click();
  await page.getByText(/^Accepted by /).waitFor();
  await sound(page, 'en-system-mail', { lang: 'en' });
  await page.getByRole('link', { name: t('ss.h1') }).click();
  await page.getByText(t('ss.none')).waitFor();
  await page.getByRole('link', { name: t('sl.h1') }).click();
  await page.getByLabel(t('sl.privacy.en')).fill('We keep nothing.\n\nNothing at all.');
  await page.getByLabel(t('sl.url')).fill('http://a');
  await button(t('seed.save')).click();
  await page.getByText(t('sl.badurl')).first().waitFor();
  await page.getByLabel(t('sl.url')).fill('https://example.org/accessible');
  await button(t('seed.save')).click();
  await page.getByText(t('sl.saved')).waitFor();
  await page.getByRole('contentinfo').getByRole('link', { name: t('sl.privacy') }).click();
  await page.getByText('Nothing at all.').waitFor();
  await sound(page, 'en-privacy', { lang: 'en' });
  await page.goto(`${site}/admin/jobs`);
  await page.getByText(t('job.none')).waitFor();
  await page.goto(`${site}/admin/audit/chains`);
  await page.getByRole('rowheader').first().waitFor();
  await sound(page, 'en-chains', { lang: 'en' });
  await page.goto(`${site}/admin/system`);
}

const browser = await launch();
const site = new URL(demo.admin_url).origin;

for (const [lang, width, dark] of told([['en', 1280, false], ['fr', 390, true]])) {
  const t = words(lang), email = `opal.${lang}@example.org`, password = 'a vessel of green quartz';
  pli(['user', 'add', String(demo.account), email, '--first-name', 'Opal', '--last-name', 'Reed', '--language', lang, '--password-stdin'], `${password}\n`);
  const { page, close } = await looking(browser, { lang, width, dark });
  const button = (name) => page.getByRole('main').getByRole('button', { name, exact: true });
  await signIn(page, { email, password }, { lang });
  await page.waitForURL((u) => u.pathname === '/password');
  await page.locator('input[name=password]').fill(`${password} ${lang}`);
  await page.locator('input[name=confirm]').fill(`${password} ${lang}`);
  await page.locator('main form button').last().click();
  await page.waitForURL((u) => u.pathname !== '/password');
  await page.goto(`${site}/profile/security?lang=${lang}`);
  await button(t('totp.setup')).click();
  const seed = await page.locator('code.seed').textContent();
  await page.getByLabel(t('me.codelabel')).fill(totp(seed, -1));
  await button(t('totp.confirm')).click();
  await page.getByRole('heading', { level: 1, name: t('recovery.h1') }).waitFor();
  assert.throws(() => pli(['operator', 'remove', email]));
  pli(['operator', 'add', email]);

  await page.goto(`${site}/admin/accounts?lang=${lang}`);
  if (new URL(page.url()).pathname === '/second') {
    await page.getByLabel(t('si.mfa')).fill(totp(seed));
    await page.keyboard.press('Enter');
    await page.waitForURL(/\/admin\/accounts/);
  }
  await page.getByRole('link', { name: String(demo.account) }).waitFor();
  await sound(page, `${lang}-accounts`, { lang });
  for (const path of ['system/settings', `accounts/${demo.account}/limits`]) {
    await page.goto(`${site}/admin/${path}`);
    await sound(page, `${lang}-${path.replaceAll('/', '-')}`, { lang });
  }
  await page.getByLabel(t('po.s.quota_users')).fill(lang === 'en' ? '50' : '60');
  await button(t('seed.save')).click();
  await page.getByText(t('po.saved')).waitFor();
  await page.goto(`${site}/admin/accounts`);

  await page.getByRole('link', { name: t('acc.new') }).click();
  await page.getByLabel(t('adm.name')).fill(`Clinic ${lang}`);
  await button(t('accn.create')).click();
  await page.getByText(t('err.required', { field: t('accn.first') })).first().waitFor();
  await page.getByLabel(t('accn.first')).fill(`head@clinic-${lang}.example`);
  await page.getByLabel(t('accn.domain')).fill(`clinic-${lang}.example`);
  await sound(page, `${lang}-account-new`, { lang });
  await button(t('accn.create')).click();
  await page.waitForURL(/\/admin\/accounts\/\d+$/);
  const number = page.url().match(/\d+$/)[0];
  await page.getByText(t('accn.done', { number })).waitFor();
  await page.getByRole('link', { name: t('life.settings'), exact: true }).click();
  await page.getByRole('link', { name: t('as2.suspend') }).click();
  await sound(page, `${lang}-suspend`, { lang });
  await button(t('as2.suspend')).click();
  await page.getByText(t('as2.suspended', { number })).first().waitFor();
  await sound(page, `${lang}-suspended`, { lang });
  await page.getByRole('link', { name: t('as2.resume') }).click();
  await button(t('as2.resume')).click();
  await page.getByText(t('as2.resumed', { number })).waitFor();
  await page.goto(`${site}/admin/accounts?q=clinic-${lang}.example`);
  assert.equal(await howMany(page.locator('tbody tr')), 1);

  await page.goto(`${site}/admin/audit`);
  await page.getByText(t('au.s.account.create', { actor: t('au.operator', { name: email }), target: number })).waitFor();
  await sound(page, `${lang}-site-audit`, { lang });
  await page.goto(`${site}/admin/system`);
  await page.getByRole('rowheader', { name: 'database' }).waitFor();
  await sound(page, `${lang}-system`, { lang });
  if (lang === 'en') await operate(page, t, button);
  else {
    await page.goto(`${site}/admin/system/legal`);
    await sound(page, 'fr-system-legal', { lang });
  }
  await page.goto(`${site}/admin/support`);
  await button(t('sp.look')).click();
  await page.getByText(t('err.required', { field: t('sp.reason') })).first().waitFor();
  await page.getByLabel(t('sp.what')).fill(email);
  await page.getByLabel(t('sp.reason')).fill(`Ticket 4711 ${lang}`);
  await button(t('sp.look')).click();
  await page.getByRole('heading', { level: 2, name: email }).waitFor();
  await sound(page, `${lang}-support`, { lang });
  await page.goto(`${site}/admin/accounts/${demo.account}/audit`);
  await page.getByText(`Ticket 4711 ${lang}`).waitFor();
  pli(['operator', 'remove', email]);
  await page.goto(`${site}/admin/system`);
  await page.waitForURL(/\/admin\/request/);
  await close();
}
await browser.close();
