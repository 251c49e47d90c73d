// An account's administrator changes what it is called, takes all of it out, asks for its deletion, and cancels that.
import { readFileSync } from 'node:fs';
import { demo, admin, users, assert, words, launch, looking, sound, signIn, mail } from '../lib.mjs';

const browser = await launch();
const root = `/admin/accounts/${demo.account}`;
const t = words('en');
const { page, close } = await looking(browser);
const button = (name) => page.getByRole('main').getByRole('button', { name });
await signIn(page, admin);
await page.waitForURL((u) => !u.pathname.startsWith('/signin'));

await page.goto(`${demo.url}${root}`);
await page.getByRole('link', { name: t('life.settings'), exact: true }).click();
await page.getByLabel(t('life.contact.security')).fill('not an address');
await button(t('seed.save')).click();
await page.getByText(t('err.email')).first().waitFor();
await page.getByLabel(t('life.contact.security')).fill('soc@example.net');
await button(t('seed.save')).click();
await page.getByText(t('life.saved')).waitFor();
await sound(page, 'settings');

await page.getByRole('link', { name: t('life.exportgo'), exact: true }).click();
await button(t('life.exportstart')).click();
await page.getByText(t('life.started')).waitFor();
await button(t('life.fetch')).waitFor({ timeout: 20000 });
await sound(page, 'export');
const file = page.waitForEvent('download');
await button(t('life.fetch')).click();
const archive = readFileSync(await (await file).path());
assert.equal(archive.subarray(0, 2).toString(), 'PK');

await page.goto(`${demo.url}${root}/delete`);
await sound(page, 'delete');
await page.getByLabel(t('acc.number')).fill('1');
await button(t('life.delete')).click();
await page.getByText(t('as2.mismatch')).first().waitFor();
await page.getByLabel(t('acc.number')).fill(String(demo.account));
await button(t('life.delete')).click();
await button(t('as2.canceldelete')).waitFor();
await sound(page, 'deleting');
await mail('soc@example.net', (m) => m.subject.includes(String(demo.account)));

const fr = words('fr');
const other = await looking(browser, { lang: 'fr', width: 390, dark: true });
await signIn(other.page, users[0], { lang: 'fr' });
await other.page.getByText(fr('si.deleting', { org: 'Example Health' })).first().waitFor();
await sound(other.page, 'fr-signin', { lang: 'fr' });
await other.close();

await button(t('as2.canceldelete')).click();
await page.getByText(t('life.kept', { number: demo.account })).waitFor();
const small = await looking(browser, { lang: 'fr', width: 390, dark: true });
await signIn(small.page, admin, { lang: 'fr' });
await small.page.waitForURL((u) => !u.pathname.startsWith('/signin'));
for (const at of ['', '/settings', '/delete', '/export']) {
  await small.page.goto(`${demo.url}${root}${at}?lang=fr`);
  await sound(small.page, `fr${at.replace('/', '-')}`, { lang: 'fr' });
}
await small.page.goto(`${demo.url}/admin/accounts?lang=fr`);
await sound(small.page, 'fr-accounts', { lang: 'fr' });
await small.close();
await close();
await browser.close();
