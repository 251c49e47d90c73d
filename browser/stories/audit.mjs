// The log of an account: filters in the address, by keyboard too, an event by its own address, exports as files, and
// what the notary's check says. Both languages, small and dark too, without script.
import { readFile } from 'node:fs/promises';
import { demo, users, admin, assert, words, launch, looking, person, sound, signIn, howMany, told } from '../lib.mjs';

const browser = await launch();

for (const lang of told(['en', 'fr'])) {
  const t = words(lang);
  const at = `${demo.url}/admin/accounts/100042`;
  const { page, close } = await looking(browser, { lang, dark: lang === 'fr' });
  await signIn(page, admin, { lang });
  await page.waitForURL((u) => !u.pathname.startsWith('/signin'));
  await page.goto(`${at}/groups`);
  await page.getByLabel(t('seed.group_name')).fill(`=Audit ${lang}`);
  await page.getByRole('button', { name: t('seed.add_group') }).click();
  await page.getByText(`=Audit ${lang}`).first().waitFor();

  // The notary has come within a second, and the check within another.
  for (let i = 0; i < 20; i++) {
    await page.goto(`${at}/audit`);
    if (await page.getByText(t('au.chain', { date: 'X' }).split('X')[0].trim()).count()) break;
    await new Promise((r) => setTimeout(r, 500));
  }
  await page.getByText(t('au.chain', { date: 'X' }).split('X')[0].trim()).waitFor();
  await page.getByText(`=Audit ${lang}`).first().waitFor();
  await sound(page, `${lang}-audit`, { lang });

  // Filtered by keyboard: the address says it.
  await page.getByLabel(t('au.f.actor')).focus();
  await page.keyboard.type(admin.email);
  await page.getByLabel(t('au.f.action')).selectOption('group.add');
  await page.getByLabel(t('au.f.action')).focus();
  await page.keyboard.press('Tab');
  await page.keyboard.type(`=Audit ${lang}`);
  await page.keyboard.press('Enter');
  await page.waitForURL((u) => u.searchParams.get('action') === 'group.add' && u.searchParams.get('actor') === admin.email);
  assert.equal(await howMany(page.locator('tbody tr')), 1);
  await sound(page, `${lang}-audit-filtered`, { lang });

  // Exported: what the filter selects.
  const [file] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: t('au.export') }).click()]);
  const csv = await readFile(await file.path(), 'utf8');
  assert.ok(csv.startsWith('\uFEFFat,sentence,') && csv.includes(`,'=Audit ${lang},`), csv);
  await page.getByLabel(t('au.format')).selectOption('jsonl');
  const [lines] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: t('au.export') }).click()]);
  assert.equal(JSON.parse((await readFile(await lines.path(), 'utf8')).trim()).target, `=Audit ${lang}`);

  // One event, by its own address.
  await page.locator('tbody th a').first().click();
  await page.getByText(t('au.raw')).click();
  await page.getByText('"action": "group.add"').waitFor();
  await sound(page, `${lang}-event`, { lang });
  const event = page.url();
  await page.goto(`${at}/audit?target=nobody`);
  await page.getByText(t('c.nomatch')).waitFor();
  await sound(page, `${lang}-audit-none`, { lang });
  await page.goto(`${at}/audit?action=audit.export`);
  assert.equal(await howMany(page.locator('tbody tr')) >= 2, true, 'an export is an event');
  await close();

  // Small, the other way round in light and dark.
  const small = await looking(browser, { lang, width: 390, dark: lang === 'en' });
  await signIn(small.page, admin, { lang });
  await small.page.waitForURL((u) => !u.pathname.startsWith('/signin'));
  for (const [name, path] of [['audit', `${at}/audit`], ['event', event]]) {
    await small.page.goto(path);
    await sound(small.page, `${lang}-${name}-390`, { lang });
  }

  // Without script the form is sent, and the address is the same.
  const bare = await person(browser, { lang, js: false, storageState: await small.context.storageState() });
  await bare.page.goto(`${at}/audit`);
  await bare.page.getByLabel(t('au.f.result')).selectOption('refused');
  await bare.page.getByRole('button', { name: t('c.search') }).click();
  await bare.page.waitForURL((u) => u.searchParams.get('result') === 'refused');
  await bare.close();
  await small.close();

  // Who is no administrator is refused, and that is an event.
  const user = await looking(browser, { lang });
  await signIn(user.page, users[0], { lang });
  await user.page.waitForURL((u) => !u.pathname.startsWith('/signin'));
  await user.page.goto(event);
  assert.ok(!(await user.page.locator('main').innerText()).includes('group.add'));
  await user.close();
}
await browser.close();
