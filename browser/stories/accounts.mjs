// An operator signs in, is asked for a second factor, and runs the accounts.
import { createHmac } from 'node:crypto';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { demo, dir, assert, words, launch, looking, sound, signIn } from '../lib.mjs';

const pli = (args, input) => execFileSync(process.env.PLI_BIN, ['admin', ...args, '--config', join(dir, 'pli.toml')], { input, encoding: 'utf8' });

// The code of an authenticator app (RFC 6238) for the seed, `ahead` steps from now: each is taken once.
function totp(seed, ahead = 0) {
  const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
  let bits = '';
  for (const c of seed.replace(/\s/g, '')) bits += letters.indexOf(c).toString(2).padStart(5, '0');
  const key = Buffer.from(bits.match(/.{8}/g).map((b) => parseInt(b, 2)));
  const step = Buffer.alloc(8);
  step.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30000) + ahead));
  const h = createHmac('sha1', key).update(step).digest();
  return String((h.readUInt32BE(h[19] & 15) & 0x7fffffff) % 1e6).padStart(6, '0');
}

const browser = await launch();
const site = new URL(demo.admin_url).origin;

for (const [lang, width, dark] of [['en', 1280, false], ['fr', 390, true]]) {
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
  await page.getByRole('link', { name: t('as2.suspend') }).click();
  await sound(page, `${lang}-suspend`, { lang });
  await button(t('as2.suspend')).click();
  await page.getByText(t('as2.suspended', { number })).first().waitFor();
  await sound(page, `${lang}-suspended`, { lang });
  await page.getByRole('link', { name: t('as2.resume') }).click();
  await button(t('as2.resume')).click();
  await page.getByText(t('as2.resumed', { number })).waitFor();
  await page.goto(`${site}/admin/accounts?q=clinic-${lang}.example`);
  assert.equal(await page.locator('tbody tr').count(), 1);

  await page.goto(`${site}/admin/audit`);
  await page.getByText(t('au.s.account.create', { actor: t('au.operator', { name: email }), target: number })).waitFor();
  await sound(page, `${lang}-site-audit`, { lang });
  await page.goto(`${site}/admin/system`);
  await page.getByRole('rowheader', { name: 'database' }).waitFor();
  await sound(page, `${lang}-system`, { lang });
  pli(['operator', 'remove', email]);
  await page.goto(`${site}/admin/system`);
  await page.waitForURL(/\/admin\/request/);
  await close();
}
await browser.close();
