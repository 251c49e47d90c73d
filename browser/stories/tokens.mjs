// An administrator makes an API token, copies it once, a program uses it, and they revoke it.
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
  await page.goto(`${demo.admin_url}/accounts/${demo.account}/integrations`);
  await sound(page, `${lang}-integrations`, { lang });

  const make = page.getByRole('button', { name: t('it.newtoken'), exact: true });
  await make.click();
  await page.getByText(t('tok.noscope')).first().waitFor();
  await sound(page, `${lang}-token-wrong`, { lang });
  const name = `Payroll ${lang}`;
  await page.getByRole('textbox', { name: t('tok.name') }).fill(name);
  await page.getByLabel(t('rt.users'), { exact: true }).check();
  await make.focus();
  await page.keyboard.press('Enter');
  await page.getByText(t('it.once')).waitFor();
  await sound(page, `${lang}-token-made`, { lang });
  const secret = await page.locator('#secret').innerText();
  assert.match(secret, /^pli_[A-Za-z0-9_-]{43}$/);

  const call = (path) => fetch(new URL(path, demo.admin_url), { headers: { Authorization: `Bearer ${secret}` } });
  assert.equal((await call(`/api/v1/accounts/${demo.account}/users`)).status, 200);
  assert.equal((await call(`/api/v1/accounts/${demo.account}/tokens`)).status, 403);

  await page.goto(`${demo.admin_url}/accounts/${demo.account}/integrations`);
  assert.ok(!(await page.content()).includes(secret));
  await sound(page, `${lang}-tokens`, { lang });
  await page.getByRole('row', { name: new RegExp(name) }).getByRole('link', { name: new RegExp(t('tok.revoke')) }).click();
  await sound(page, `${lang}-token-revoke`, { lang });
  await page.getByRole('button', { name: t('tok.revoke'), exact: true }).click();
  await page.getByText(t('tok.revoked', { name })).waitFor();
  assert.equal((await call(`/api/v1/accounts/${demo.account}/users`)).status, 401);
  await close();
}
await browser.close();
