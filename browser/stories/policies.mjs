// Settings in layers: an operator bounds an account, its administrator is refused what is beyond, checks and
// saves what is within; a sender finds what is off gone, and a group is stricter than its account.
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { demo, dir, admin, users, assert, words, launch, looking, sound, signIn, howMany } from '../lib.mjs';

const browser = await launch();
const lang = 'en', t = words(lang);
const a = `${demo.url}/admin/accounts/${demo.account}`;
const main = (page) => page.getByRole('main');
const save = (page, say = t) => main(page).getByRole('button', { name: say('seed.save'), exact: true }).click();
const fill = async (page, name, value) => {
  const field = page.locator(`#f-${name}`);
  if (await field.evaluate((x) => x.tagName) === 'SELECT') await field.selectOption(value);
  else await field.fill(value);
};

// The operator, at a terminal; the pages of the same are in the story accounts.
const pli = (...args) => execFileSync(process.env.PLI_BIN, ['admin', ...args, '--config', join(dir, 'pli.toml')], { encoding: 'utf8' });
pli('site', 'settings', 'expiry_max=60');
pli('account', 'limits', String(demo.account), 'quota_users=7');

const { page, close } = await looking(browser, { lang, width: 1280 });
await signIn(page, admin, { lang, at: '/admin/signin' });
await page.waitForURL(/\/admin/);
await page.goto(`${a}/policies`);
await page.getByText(t('po.inherited')).first().waitFor();
await fill(page, 'expiry_max', '61');
await fill(page, 'lease_days', '3');
await save(page);
await page.getByText(t('po.conflict.days.site', { n: 60 })).first().waitFor();
assert.equal(await page.locator('#f-lease_days').inputValue(), '3');
await sound(page, 'conflict', { lang });
await fill(page, 'expiry_max', '45');
await fill(page, 'requests', 'false');
await page.getByRole('button', { name: t('po.check'), exact: true }).focus();
await page.keyboard.press('Enter');
await page.getByText(t('po.effect.notyet')).waitFor();
await sound(page, 'check', { lang });
assert.equal(await page.locator('#f-expiry_max').inputValue(), '45');
await page.getByRole('button', { name: t('seed.save'), exact: true }).focus();
await page.keyboard.press('Enter');
await page.getByText(t('po.saved')).waitFor();
assert.equal(await howMany(page.getByRole('link', { name: t('intake.nav'), exact: true })), 0);
await page.getByRole('link', { name: t('po.history') }).click();
await page.getByText(t('au.s.account.settings', { actor: '', name: 'lease_days', value: '3', was: 'inherited' }).trim()).first().waitFor();

// A group, stricter; and at a small dark French screen.
const small = await looking(browser, { lang: 'fr', width: 390, dark: true });
await signIn(small.page, admin, { lang: 'fr', at: '/admin/signin' });
await small.page.waitForURL(/\/admin/);
const f = words('fr');
await small.page.goto(`${a}/policies?lang=fr`);
await sound(small.page, 'policies', { lang: 'fr' });
await small.page.goto(`${a}/groups`);
const group = (await small.page.locator('tbody a').first().getAttribute('href')).match(/.*groups\/[^/]+/)[0];
await small.page.goto(`${demo.url}${group}`);
await small.page.getByRole('link', { name: f('po.group.link') }).click();
await fill(small.page, 'level', 'high');
await save(small.page, f);
await small.page.getByText(f('po.saved')).waitFor();
await sound(small.page, 'group', { lang: 'fr' });
await small.close();

// What was changed is told, and taken back.
await page.goto(`${a}/policies`);
await sound(page, 'changes', { lang });
const kept = page.locator('tr').filter({ hasText: t('po.s.lease_days') }).getByRole('button', { name: t('po.undo') });
await kept.focus();
await page.keyboard.press('Enter');
await page.getByText(t('po.saved')).waitFor();
assert.equal(await page.locator('#f-lease_days').inputValue(), '');
await close();

// What is off is gone for a sender.
const sender = await looking(browser, { lang });
await signIn(sender.page, users[0], { lang });
await sender.page.waitForURL((u) => !u.pathname.startsWith('/signin'));
await sender.page.goto(`${demo.url}/sent`);
assert.equal(await howMany(sender.page.getByRole('link', { name: t('intake.nav'), exact: true })), 0);
await sender.close();
await browser.close();
