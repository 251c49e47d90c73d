// An administrator imports people from a file: looks at what will happen, takes the rejected rows, lets it run; and exports the list.
import { demo, admin, assert, words, launch, looking, sound, scratch, howMany, told } from '../lib.mjs';
import { readFileSync, writeFileSync } from 'node:fs';

const browser = await launch();
for (const [lang, width, dark] of told([['en', 1280, false], ['fr', 390, true]])) {
  const { page, close } = await looking(browser, { lang, width, dark });
  const t = words(lang);
  const users = `${demo.admin_url}/accounts/${demo.account}/users`;
  await page.goto(`${demo.admin_url}?lang=${lang}`);
  await page.getByLabel(t('si.email')).fill(admin.email);
  await page.getByLabel(t('si.pw'), { exact: true }).fill(admin.password);
  await page.getByRole('main').getByRole('button', { name: t('c.signin'), exact: true }).click();
  await page.waitForURL(/\/admin/);
  await page.goto(users);
  await sound(page, `${lang}-users`, { lang });
  await page.getByRole('link', { name: t('im.import'), exact: true }).click();
  await sound(page, `${lang}-import`, { lang });

  // Nothing chosen: the form comes back, with what was chosen.
  await page.getByLabel(t('im.update')).check();
  await page.getByRole('button', { name: t('im.check'), exact: true }).click();
  await page.getByText(t('im.nofile')).first().waitFor();
  assert.ok(await page.getByLabel(t('im.update')).isChecked());
  await sound(page, `${lang}-import-nofile`, { lang });

  // A file as a French spreadsheet writes it, with a formula and two errors.
  const file = `${scratch}/people-${lang}.csv`;
  writeFileSync(file, Buffer.from(`Adresse e-mail;Prénom;Nom\r\nzoe-${lang}@example.org;Zoé;Martin\r\nleo-${lang}@example.org;Léo;Petit\r\nnot an address;=1+1;Roy\r\nZOE-${lang}@example.org;Z;M\r\n`, 'latin1'));
  await page.getByLabel(t('im.file')).setInputFiles(file);
  await page.getByLabel(t('im.new')).selectOption('plain');
  await page.getByRole('button', { name: t('im.check'), exact: true }).click();
  await page.getByRole('heading', { level: 1, name: t('ic.h1') }).waitFor();
  await page.getByText('Windows-1252').waitFor();
  await page.getByText(t('ic.dup', { n: 2 })).waitFor();
  assert.equal(await howMany(page.locator('tbody tr')), 2, 'errors come first');
  await sound(page, `${lang}-import-check`, { lang });
  const [rejected] = await Promise.all([page.waitForEvent('download'), page.locator('a[href$="/rejected"]').click()]);
  const csv = readFileSync(await rejected.path(), 'utf8');
  assert.ok(csv.startsWith('\ufeffAdresse e-mail,Prénom,Nom,') && csv.includes("not an address,'=1+1,Roy,"), csv);
  await page.getByRole('link', { name: t('ic.chip.create', { n: 2 }) }).click();
  await page.getByText(t('ic.create')).first().waitFor();
  await page.locator('form[action$="/start"] button').click();

  // The page looks again by itself until it is done.
  await page.locator('.msg.ok').first().waitFor({ timeout: 15000 });
  await sound(page, `${lang}-import-done`, { lang });
  await page.getByRole('link', { name: t('im.list') }).click();
  await sound(page, `${lang}-imports`, { lang });
  await page.goto(`${users}?q=zo`);
  await page.getByRole('rowheader', { name: 'Zoé Martin' }).first().waitFor();
  const [list] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: t('us.export') }).click()]);
  const all = readFileSync(await list.path(), 'utf8');
  assert.ok(all.includes(`zoe-${lang}@example.org,Zoé,Martin`) && !all.includes(`leo-${lang}@`), all);

  // A person is renamed, signed out, and found without the accent.
  await page.getByRole('rowheader', { name: 'Zoé Martin' }).getByRole('link').first().click();
  await sound(page, `${lang}-user`, { lang });
  await page.getByLabel(t('seed.last_name'), { exact: true }).fill('Étienne');
  await page.getByRole('button', { name: t('seed.save'), exact: true }).click();
  await page.getByText(t('us.edited', { name: 'Zoé Étienne' })).waitFor();
  await page.getByRole('button', { name: t('us.signout'), exact: true }).click();
  await page.locator('#flash').waitFor();
  await page.goto(`${users}?q=etienne`);
  await page.getByRole('rowheader', { name: 'Zoé Étienne' }).first().waitFor();
  await close();
}
await browser.close();
