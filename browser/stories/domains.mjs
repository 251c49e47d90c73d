// An administrator says that a domain is the account's, sees what DNS must have, and takes it back.
import { demo, admin, assert, words, launch, looking, sound, told } from '../lib.mjs';

const browser = await launch();
for (const [lang, width, dark] of told([['en', 1280, false], ['fr', 390, true]])) {
  const { page, close } = await looking(browser, { lang, width, dark });
  const t = words(lang);
  await page.goto(`${demo.admin_url}?lang=${lang}`);
  await page.getByLabel(t('si.email')).fill(admin.email);
  await page.getByLabel(t('si.pw'), { exact: true }).fill(admin.password);
  await page.getByRole('main').getByRole('button', { name: t('c.signin'), exact: true }).click();
  await page.waitForURL(/\/admin/);
  await page.goto(`${demo.admin_url}/accounts/${demo.account}/domains`);
  await sound(page, `${lang}-domains`, { lang });
  const add = page.getByRole('button', { name: t('d.add'), exact: true });

  const field = page.getByRole('textbox', { name: t('dom.name') });
  await field.fill('not a domain');
  await add.click();
  await page.getByText(t('people.domain', { domain: 'not a domain' })).first().waitFor();
  assert.equal(await field.inputValue(), 'not a domain');

  const name = `clinic-${lang}.example.net`;
  await field.fill(name);
  await add.click();
  await page.getByRole('heading', { level: 1, name }).waitFor();
  await page.getByText(`_pli.${name}`, { exact: true }).waitFor();
  assert.match(await page.locator('#proof-v').innerText(), /^pli-domain=[a-z2-7]{20}$/);
  await sound(page, `${lang}-domain-waiting`, { lang });
  await page.getByRole('link', { name: t('dom.remove') }).click();
  await page.getByRole('button', { name: t('dom.remove'), exact: true }).click();
  await page.getByText(t('dom.removed', { domain: name })).waitFor();

  // One that is the account's: a key, and who may send under it.
  await page.locator('tbody th a').first().click();
  await page.getByRole('button', { name: t('dom.keys.make'), exact: true }).click();
  await page.getByText('v=DKIM1; k=rsa; p=').first().waitFor();
  await sound(page, `${lang}-domain`, { lang });
  await page.getByRole('button', { name: t('seed.save'), exact: true }).click();
  await page.getByText(t('dom.saved')).waitFor();
  await page.getByRole('cell').getByRole('link').first().click();
  await sound(page, `${lang}-key-remove`, { lang });
  await page.getByRole('button', { name: t('dom.keyremove'), exact: true }).click();
  await page.getByText(t('dom.keys.make')).waitFor();
  await close();
}
await browser.close();
