// How strongly a recipient proves who they are: a remembered device, a second factor each time, a further
// address, and the sign-in of their organisation.
import { createServer } from 'node:net';
import { spawn } from 'node:child_process';
import { cpSync, readFileSync, statSync, writeFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { demo, dir, scratch, users, assert, words, launch, looking, sound, signIn, send, mail, newest, code, link, totp, told } from '../lib.mjs';
import { provider } from '../idp.mjs';

const browser = await launch();

// sendOne sends a message and returns its mail.
async function sendOne(page, { to, body, ...more }) {
  const since = await newest(to);
  await send(page, { to: [to], body, ...more });
  return mail(to, (m) => Number(m.id) > since && m.links.some((u) => u.includes('/m/')));
}

const main = (page) => page.getByRole('main');
const card = (page) => page.waitForURL(/\/e\/[0-9A-Z]{6}$/);

// The site of an organisation: a copy of the demo that knows a provider.
const idp = await provider();
const free = await new Promise((r) => { const s = createServer().listen(0, '127.0.0.1', () => { const { port } = s.address(); s.close(() => r(port)); }); });
const copy = join(scratch, 'site'), site = `http://localhost:${free}`;
const stamp = () => ['pli.db', 'pli.db-wal'].map((f) => statSync(join(dir, f), { bigint: true, throwIfNoEntry: false })?.mtimeNs).join();
for (let was; was !== stamp();) { // a copy of a database that was written to meanwhile would not be one
  was = stamp();
  cpSync(dir, copy, { recursive: true, force: true });
}
rmSync(join(copy, 'mails'), { recursive: true, force: true });
const conf = readFileSync(join(dir, 'pli.toml'), 'utf8').replace(/^public_url = .*$/m, `public_url = "${site}"`).replace(/^listen = "127.*$/m, `listen = "127.0.0.1:${free}"`)
  .replace(/\n\[gateway\][\s\S]*?(?=\n\[|$)/, '\n').replace(/^open_address = .*$/m, '');
writeFileSync(join(copy, 'secret'), 'a secret\n');
writeFileSync(join(copy, 'pli.toml'), conf + `\n[[oidc]]\nname = "work"\nlabel = "Example Health"\nissuer = "${idp.issuer}"\nclient_id = "pli"\nclient_secret_file = "secret"\ndomains = ["example.org", "example.net"]\n`);
const server = spawn(process.env.PLI_BIN, ['serve', '--config', join(copy, 'pli.toml')], { stdio: ['ignore', 'inherit', 'inherit'] });
process.on('exit', () => server.kill()); // it would hold this story's output open
for (let i = 0; ; i++) {
  if (await fetch(`${site}/signin`).then((r) => r.ok, () => false)) break;
  assert.ok(i < 100 && server.exitCode === null, 'the copy does not start');
  await new Promise((r) => setTimeout(r, 100));
}

try {
  for (const [i, lang] of told([...['en', 'fr'].entries()])) await tell(i, lang);
} finally {
  server.kill('SIGTERM');
  idp.close();
}
await browser.close();

async function tell(i, lang) {
  const t = words(lang);
  const look = { lang, width: i ? 390 : 1280, dark: i === 1 };
  const sender = await looking(browser, { lang });
  await signIn(sender.page, users[i], { lang });
  await sender.page.waitForURL((u) => !u.pathname.startsWith('/signin'));

  // Low: the code once, and the device is remembered; the next envelope opens without one.
  const rita = `rita-${lang}@example.net`, masked = 'r•••@example.net';
  let m = await sendOne(sender.page, { to: rita, body: 'The first, with a code.', level: 'low', lang });
  let p = await looking(browser, look);
  let { page } = p;
  await page.goto(link(m));
  await card(page);
  await page.getByText(t('level.forwarded'), { exact: true }).click();
  await page.getByText(t('level.forwardedp', { masked }), { exact: true }).waitFor();
  await sound(page, `levels-${lang}-card`, { lang });
  const since = await newest(rita);
  await main(page).getByRole('button', { name: t('open.code') }).click();
  const box = page.getByLabel(t('level.remember'));
  assert.equal(await box.isChecked(), false);
  await sound(page, `levels-${lang}-code`, { lang });
  await page.locator('input[autocomplete=one-time-code]').fill(await code(rita, since));
  await box.check();
  await main(page).getByRole('button', { name: t('code.open') }).click();
  await page.getByText('The first, with a code.').waitFor();
  const device = (await p.context.cookies()).find((c) => c.name === 'pli-device');
  assert.ok(device?.httpOnly && device.sameSite === 'Strict');
  await p.context.clearCookies({ name: 'pli' }); // the browser is closed, and opened another day
  m = await sendOne(sender.page, { to: rita, body: 'The second, without.', level: 'low', lang });
  const mails = await newest(rita);
  await page.goto(link(m));
  await card(page);
  await page.getByText(t('level.known', { masked })).waitFor();
  await sound(page, `levels-${lang}-known`, { lang });
  await main(page).getByRole('link', { name: t('code.open') }).click();
  await page.getByText('The second, without.').waitFor();
  assert.equal(await newest(rita), mails, 'a code was mailed');
  await page.goBack();
  await main(page).getByRole('button', { name: t('level.forget') }).click();
  await page.getByText(t('level.forgotten')).waitFor();
  await main(page).getByRole('button', { name: t('open.code') }).waitFor();
  await p.close();

  // High: the code is not enough; an account and a second factor are made, and used up by each opening.
  const hugo = `hugo-${lang}@example.net`;
  m = await sendOne(sender.page, { to: hugo, body: 'Only with two proofs.', level: 'high', lang });
  p = await looking(browser, look);
  page = p.page;
  await page.goto(link(m));
  await card(page);
  await page.getByText(t('level.high', { masked: 'h•••@example.net' })).waitFor();
  await sound(page, `levels-${lang}-high`, { lang });
  const asked = await newest(hugo);
  await main(page).getByRole('button', { name: t('open.code') }).click();
  await page.locator('input[autocomplete=one-time-code]').fill(await code(hugo, asked));
  await main(page).getByRole('button', { name: t('code.open') }).click();
  await page.getByText(t('level.accountwhy')).waitFor();
  await sound(page, `levels-${lang}-account`, { lang });
  const refused = await page.evaluate(async (slot) => {
    const r = await fetch('/api/v1/open/release', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ slot }) });
    return [r.status, (await r.json()).key];
  }, await page.evaluate(() => new Promise((r) => { const q = indexedDB.open('pli'); q.onsuccess = () => { const a = q.result.transaction('records').objectStore('records').getAll(); a.onsuccess = () => { q.result.close(); r(a.result[0].slot); }; }; })));
  assert.deepEqual(refused, [403, 'release.level.account']);
  await main(page).getByRole('link', { name: t('level.create') }).click();
  await page.getByLabel(t('seed.first_name'), { exact: true }).fill('Hugo');
  await page.getByLabel(t('seed.last_name'), { exact: true }).fill('Blanc');
  await page.getByLabel(t('seed.password'), { exact: true }).fill('four blue owls sing at nine');
  await page.getByLabel(t('seed.confirm_password'), { exact: true }).fill('four blue owls sing at nine');
  await main(page).getByRole('button', { name: t('enrol.go') }).click();
  await page.waitForURL(/\/welcome/);
  await main(page).getByRole('button', { name: t('seed.save'), exact: true }).click();
  await page.getByText(t('level.setupwhy')).waitFor();
  await sound(page, `levels-${lang}-setup`, { lang });
  const [tab] = await Promise.all([p.context.waitForEvent('page'), main(page).getByRole('link', { name: t('level.setup') }).click()]);
  await main(tab).getByRole('button', { name: t('totp.setup') }).click();
  const seed = await tab.locator('code.seed').textContent();
  await tab.getByLabel(t('me.codelabel')).fill(totp(seed));
  await main(tab).getByRole('button', { name: t('totp.confirm') }).click();
  await tab.locator('ol.codes').waitFor();
  const spare = await tab.locator('ol.codes code').first().textContent();
  await tab.close();
  await main(page).getByRole('link', { name: t('c.continue'), exact: true }).click();
  await main(page).getByRole('link', { name: t('code.open') }).click();
  await page.getByText('Only with two proofs.').waitFor();
  await page.reload(); // that proof is used up
  await page.getByText(t('level.secondwhy')).waitFor();
  await sound(page, `levels-${lang}-second`, { lang });
  await main(page).getByRole('link', { name: t('level.second') }).click();
  await page.getByLabel(t('si.mfa')).fill(totp(seed, 1));
  await page.keyboard.press('Enter');
  await page.getByText('Only with two proofs.').waitFor();

  // Hugo has another address too, whose mail he reads here.
  const old = `blanc-${lang}@example.net`;
  m = await sendOne(sender.page, { to: old, body: 'To the old address.', lang });
  await page.goto(link(m));
  await card(page);
  await sound(page, `levels-${lang}-forwarded`, { lang });
  await main(page).getByRole('link', { name: t('level.addalias') }).first().click();
  await page.waitForURL(/\/profile\/addresses/);
  const before = await newest(old);
  await page.getByLabel(t('alias.new'), { exact: true }).fill(old);
  await page.keyboard.press('Enter');
  await page.getByRole('link', { name: t('second.userecovery') }).click(); // opening has used the last proof up
  await page.getByLabel(t('second.recovery'), { exact: true }).fill(spare);
  await page.keyboard.press('Enter');
  await page.getByLabel(t('alias.new'), { exact: true }).fill(old);
  await page.keyboard.press('Enter');
  await page.getByText(t('alias.sent', { address: old })).waitFor();
  await sound(page, `levels-${lang}-alias-code`, { lang });
  await page.getByLabel(t('me.codelabel')).fill(await code(old, before));
  await page.keyboard.press('Enter');
  await page.getByText(t('alias.added', { address: old })).waitFor();
  await sound(page, `levels-${lang}-alias`, { lang });
  await page.goto(link(m));
  await card(page);
  await main(page).getByRole('link', { name: t('code.open') }).click();
  await page.getByText('To the old address.').waitFor();
  await p.close();
  await sender.close();

  // The sign-in of an organisation: a user by it, then a recipient without an account. What waits in the browser still opens (AT-25).
  const hosts = [site, idp.issuer];
  const away = async (page, address) => {
    await main(page).getByRole('button', { name: t('sso.with', { label: 'Example Health' }) }).click();
    await page.waitForURL((u) => u.origin === idp.issuer);
    await page.getByLabel('Address').fill(address);
    await page.keyboard.press('Enter');
  };
  const boss = await looking(browser, { ...look, hosts });
  await boss.page.goto(`${site}/signin?lang=${lang}`);
  await sound(boss.page, `levels-${lang}-signin`, { lang });
  let held, sent = 0; // the offer of a passkey, which begins a session too
  await boss.page.route('**/passkey/challenge', (r) => { held = r; });
  boss.page.on('request', (r) => { if (new URL(r.url()).pathname === '/signin/with/work') sent++; });
  await main(boss.page).getByRole('button', { name: t('sso.with', { label: 'Example Health' }) }).hover();
  for (let n = 0; !held; n++) { assert.ok(n < 100, 'no passkey is offered'); await boss.page.waitForTimeout(50); }
  setTimeout(() => { assert.equal(sent, 0, 'two sessions were begun'); held.continue(); }, 500);
  await away(boss.page, users[i].email);
  await boss.page.waitForURL((u) => u.origin === site && u.pathname === '/sent');
  const olga = `olga-${lang}@example.net`;
  m = await sendOne(boss.page, { site, to: olga, body: 'The organisation knows her.', lang });
  await boss.close();
  p = await looking(browser, { ...look, hosts });
  page = p.page;
  await page.goto(link(m));
  await card(page);
  await sound(page, `levels-${lang}-sso`, { lang });
  await away(page, `somebody-${lang}@example.com`); // not an address that it may vouch for
  await page.getByText(t('sso.domain', { label: 'Example Health' })).waitFor();
  await sound(page, `levels-${lang}-sso-refused`, { lang });
  await away(page, olga);
  await page.getByText(t('sso.proved', { address: olga, label: 'Example Health' })).waitFor();
  assert.ok(!/code=|state=/.test(page.url()));
  await main(page).getByRole('link', { name: t('code.open') }).click();
  await page.getByText('The organisation knows her.').waitFor();
  await sound(page, `levels-${lang}-sso-opened`, { lang });
  await p.close();
}
