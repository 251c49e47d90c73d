// The README's pictures, made by `./test --pictures`, so that they show what the program is.
import { demo, admin, users, words, launch, person, signIn, send, mail, link } from './lib.mjs';
import { mkdirSync } from 'node:fs';

const out = new URL('../docs/images/', import.meta.url).pathname;
mkdirSync(out, { recursive: true });
const browser = await launch();
const t = words('en');
const sender = await person(browser);
await signIn(sender.page, admin);
await sender.page.waitForURL((u) => !u.pathname.startsWith('/signin'));
await send(sender.page, { to: ['jean@example.net'], subject: 'Your results', body: 'Hello Jean.', note: 'Hello Jean, here are the results we spoke about on the phone.' });
await sender.close();
const m = await mail('jean@example.net');
for (const [dark, suffix] of [[false, ''], [true, '-dark']]) {
  const reader = await person(browser, { dark, width: 760 });
  await reader.page.goto(link(m));
  await reader.page.waitForURL(/\/e\//);
  await reader.page.getByRole('button', { name: t('open.code') }).waitFor();
  await reader.page.locator('main').screenshot({ path: `${out}open${suffix}.png` });
  await reader.close();
  const a = await person(browser, { dark, width: 1100 });
  await signIn(a.page, admin);
  await a.page.waitForURL((u) => !u.pathname.startsWith('/signin'));
  await a.page.goto(`${demo.admin_url}/accounts/${demo.account}/groups`);
  await a.page.getByRole('row').filter({ hasText: t('seed.admins') }).locator('.actions a').first().click();
  await a.page.getByLabel(t('seed.user_id')).fill('lea.martin@example.org');
  await a.page.getByRole('button', { name: t('seed.add_to_group'), exact: true }).click();
  await a.page.getByText(t('seed.nonexistent')).first().waitFor();
  await a.page.locator('main').screenshot({ path: `${out}console${suffix}.png` });
  await a.close();
}
await browser.close();
