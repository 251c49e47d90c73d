// A person adds a passkey, an authenticator app and recovery codes, and signs in with each of them.
import { demo, admin, users, assert, words, launch, looking, sound, signIn, mail, newest, code, totp, told } from '../lib.mjs';

const browser = await launch();

async function authenticator(p) {
  const cdp = await p.context.newCDPSession(p.page);
  await cdp.send('WebAuthn.enable');
  const { authenticatorId } = await cdp.send('WebAuthn.addVirtualAuthenticator', { options: {
    protocol: 'ctap2', transport: 'internal', hasResidentKey: true, hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true } });
  const set = (method, more) => cdp.send(`WebAuthn.${method}`, { authenticatorId, ...more });
  return { verified: (isUserVerified) => set('setUserVerified', { isUserVerified }), present: (enabled) => set('setAutomaticPresenceSimulation', { enabled }) };
}

const at = (page, path) => page.waitForURL((u) => u.pathname === path);
const settled = (page) => page.waitForURL((u) => !/^\/(signin|second|welcome)/.test(u.pathname));

for (const [i, lang] of told([...['en', 'fr'].entries()])) {
  const t = words(lang);
  const who = users[i];
  const look = { lang, width: i ? 390 : 1280, dark: i === 1 };
  const p = await looking(browser, look);
  const { page } = p;
  const device = await authenticator(p);
  const button = (name) => page.getByRole('main').getByRole('button', { name, exact: true });

  await signIn(page, who, { lang });
  await settled(page);
  await page.goto(`${demo.url}/profile?lang=${lang}`);
  await sound(page, `factors-${lang}-profile`, { lang });
  await page.getByRole('main').getByRole('link', { name: t('sec.h1'), exact: true }).click();
  await sound(page, `factors-${lang}-security-none`, { lang });

  // A passkey, and with it the recovery codes; by keyboard.
  const since = await newest(who.email);
  await page.getByLabel(t('passkey.newname'), { exact: true }).fill('Phone');
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { level: 1, name: t('recovery.h1') }).waitFor();
  const codes = await page.locator('ol.codes code').allTextContents();
  assert.equal(new Set(codes).size, 10);
  await sound(page, `factors-${lang}-codes`, { lang });
  await page.getByRole('link', { name: t('recovery.kept') }).click();
  await page.getByRole('link', { name: 'Phone', exact: true }).waitFor();
  // Mails are in the language of the profile.
  await mail(who.email, (m) => Number(m.id) > since && m.subject === words('en')('mail.factor.passkey_added'));

  // An authenticator app.
  await button(t('totp.setup')).click();
  await page.getByRole('heading', { level: 1, name: t('totp.h1') }).waitFor();
  const seed = await page.locator('code.seed').textContent();
  await sound(page, `factors-${lang}-setup`, { lang });
  await page.getByLabel(t('me.codelabel')).fill('000000');
  await button(t('totp.confirm')).click();
  await page.getByText(t('second.wrong')).first().waitFor();
  assert.equal(await page.locator('code.seed').textContent(), seed);
  await page.getByLabel(t('me.codelabel')).fill(totp(seed));
  await button(t('totp.confirm')).click();
  await page.getByText(t('totp.added')).waitFor();
  await sound(page, `factors-${lang}-security`, { lang });

  // Another browser: the password, then a recovery code; the first browser signs it out.
  const other = await looking(browser, look);
  await signIn(other.page, who, { lang });
  await other.page.waitForURL(/\/second/);
  await sound(other.page, `factors-${lang}-second`, { lang });
  await other.page.goto(`${demo.url}/compose`); // nothing else opens
  await other.page.waitForURL(/\/second\?next=%2Fcompose/);
  await other.page.getByRole('link', { name: t('second.userecovery') }).click();
  await other.page.getByLabel(t('second.recovery'), { exact: true }).fill('aaaa-bbbb-cccc-dddd');
  await other.page.keyboard.press('Enter');
  await other.page.getByText(t('recovery.wrong')).first().waitFor();
  await sound(other.page, `factors-${lang}-recovery`, { lang });
  await other.page.getByLabel(t('second.recovery'), { exact: true }).fill(codes[0].toUpperCase());
  await other.page.keyboard.press('Enter');
  await other.page.waitForURL(/\/compose/);
  await page.reload();
  await page.getByText(t('recovery.left', { n: 9 })).waitFor();
  await page.locator('button[name=device]').click();
  await page.getByText(t('sec.signedout')).waitFor();
  await other.page.goto(`${demo.url}/profile`);
  await other.page.waitForURL(/\/signin/);

  // The mailbox alone is not enough (AT-50): code, then the app's code of the next step.
  await other.page.goto(`${demo.url}/signin/code`);
  const before = await newest(who.email);
  await other.page.getByLabel(t('si.email')).fill(who.email);
  await other.page.keyboard.press('Enter');
  await other.page.getByLabel(t('me.codelabel')).fill(await code(who.email, before));
  await other.page.keyboard.press('Enter');
  await other.page.waitForURL(/\/second/);
  await other.page.getByLabel(t('si.mfa')).fill(totp(seed, 1));
  await other.page.keyboard.press('Enter');
  await settled(other.page);
  await other.close();

  // Out, and in again with the passkey alone; not where nobody shows who they are.
  await page.locator('details.menu summary').click();
  await page.getByRole('banner').getByRole('button', { name: t('c.signout') }).click();
  await device.present(false);
  await page.goto(`${demo.url}/signin?next=/profile/security`);
  await button(t('passkey.signin')).waitFor();
  await sound(page, `factors-${lang}-signin`, { lang });
  await device.verified(false);
  await device.present(true);
  await button(t('passkey.signin')).click();
  await page.getByText(t('passkey.cancelled')).waitFor();
  assert.match(page.url(), /\/signin/);
  await device.verified(true);
  await button(t('passkey.signin')).click();
  await at(page, '/profile/security');

  // Again the same person, for something that asks for it.
  await page.goto(`${demo.url}/second?next=/profile/security`);
  await button(t('passkey.use')).click();
  await at(page, '/profile/security');

  // A name, and away with it.
  await page.getByRole('link', { name: 'Phone', exact: true }).click();
  await sound(page, `factors-${lang}-passkey`, { lang });
  await page.getByLabel(t('passkey.namelabel'), { exact: true }).fill('Old phone');
  await button(t('seed.save')).click();
  await page.getByRole('link', { name: 'Old phone', exact: true }).click();
  await button(t('passkey.remove')).click();
  await page.getByText(t('passkey.removed', { name: 'Old phone' })).waitFor();
  await button(t('totp.remove')).click();
  await page.getByText(t('totp.removed')).waitFor();
  await p.close();

  // An administrator without a second factor is told so.
  const ana = await looking(browser, look);
  await signIn(ana.page, admin, { lang, at: '/admin/signin' });
  await ana.page.getByText(t('as.needmfa')).waitFor();
  await sound(ana.page, `factors-${lang}-console`, { lang });
  await ana.page.getByRole('link', { name: t('factors.setup') }).click();
  await at(ana.page, '/profile/security');
  await ana.close();
}
await browser.close();
