// An administrator makes a webhook, copies its secret once, tests it, sees what
// arrived and what failed, sends again, replaces the secret and deletes it.
import { createServer } from 'node:http';
import { createHmac } from 'node:crypto';
import { demo, admin, assert, words, launch, looking, sound } from '../lib.mjs';

const got = [];
let status = 204, refused = 0;
const receiver = createServer((req, res) => {
  let body = '';
  req.on('data', (d) => { body += d; });
  req.on('end', () => { if (status === 204) got.push({ headers: req.headers, body }); else refused++; res.writeHead(status).end(); });
});
await new Promise((r) => receiver.listen(0, '127.0.0.1', r));
const url = `http://127.0.0.1:${receiver.address().port}/pli`;

async function enter(page, t, lang) {
  await page.goto(`${demo.admin_url}?lang=${lang}`);
  await page.getByLabel(t('si.email')).fill(admin.email);
  await page.getByLabel(t('si.pw'), { exact: true }).fill(admin.password);
  await page.getByRole('main').getByRole('button', { name: t('c.signin'), exact: true }).click();
  await page.waitForURL(/\/admin/);
}
const until = async (what, page) => {
  for (let i = 0; i < 60; i++) {
    if (await what()) return;
    await new Promise((r) => setTimeout(r, 250));
    await page.reload();
  }
  assert.fail('it did not happen');
};

const browser = await launch();
let hook;
{
  const { page, close } = await looking(browser, { lang: 'en', width: 1280, dark: false });
  const t = words('en');
  await enter(page, t, 'en');
  await page.goto(`${demo.admin_url}/accounts/${demo.account}/integrations`);
  await page.getByRole('link', { name: t('it.webhook'), exact: true }).click();
  await sound(page, 'webhook-new', { lang: 'en' });
  const make = page.getByRole('button', { name: t('it.webhook'), exact: true });
  await page.getByLabel(t('wh.url')).fill('http://user@192.168.0.1/');
  await make.click();
  await page.getByText(t('wh.noevents')).first().waitFor();
  await sound(page, 'webhook-wrong', { lang: 'en' });
  await page.getByLabel(t('wh.url')).fill(url);
  await page.getByLabel(t('wh.description')).fill('Ticket system');
  await page.getByLabel(t('wh.noun.group'), { exact: true }).check();
  await make.focus();
  await page.keyboard.press('Enter');
  await page.getByText(t('it.once')).waitFor();
  await sound(page, 'webhook-made', { lang: 'en' });
  const secret = await page.locator('#secret').innerText();
  assert.match(secret, /^whsec_[A-Za-z0-9+/]{43}=$/);
  await page.goto(`${demo.admin_url}/accounts/${demo.account}/integrations`);
  await sound(page, 'integrations', { lang: 'en' });
  await page.getByRole('link', { name: 'Ticket system' }).click();
  hook = page.url();
  assert.ok(!(await page.content()).includes(secret));

  await page.getByRole('button', { name: t('wh.test') }).click();
  await page.getByText(t('wh.tested')).waitFor();
  await until(async () => (await page.getByRole('row', { name: /webhook\.test/ }).getByText(t('wh.st.delivered')).count()) > 0, page);
  assert.equal(got.length, 1);
  const { headers, body } = got[0];
  const mac = createHmac('sha256', Buffer.from(secret.slice(6), 'base64')).update(`${headers['webhook-id']}.${headers['webhook-timestamp']}.${body}`).digest('base64');
  assert.equal(headers['webhook-signature'], `v1,${mac}`);
  assert.equal(JSON.parse(body).type, 'webhook.test');

  status = 422;
  await page.getByRole('button', { name: t('wh.test') }).click();
  await until(async () => (await page.getByText(t('wh.f.status', { n: 422 })).count()) > 0, page);
  await page.locator('#settings').click();
  await sound(page, 'webhook-failing', { lang: 'en' });
  await close();
}
{
  const { page, close } = await looking(browser, { lang: 'fr', width: 390, dark: true });
  const t = words('fr');
  await enter(page, t, 'fr');
  await page.goto(hook);
  await until(() => refused === 2, page); // its own second try was seconds later; the third is minutes away
  await page.waitForTimeout(1000); // the answer is written down
  status = 204;
  await page.getByRole('row', { name: new RegExp(t('wh.st.retry')) }).getByRole('button', { name: new RegExp(t('wh.again')) }).click();
  await page.getByText(t('wh.didagain')).waitFor();
  await until(async () => (await page.getByText(t('wh.st.delivered')).count()) > 1, page);
  assert.equal(got.length, 2);
  await sound(page, 'webhook-fr', { lang: 'fr' });
  await page.getByRole('link', { name: t('wh.rotate') }).click();
  await sound(page, 'webhook-rotate', { lang: 'fr' });
  await page.getByRole('button', { name: t('wh.rotate'), exact: true }).click();
  await page.getByText(t('it.once')).waitFor();
  await page.goto(hook);
  await page.getByRole('link', { name: t('wh.delete') }).click();
  await page.getByRole('button', { name: t('wh.delete'), exact: true }).click();
  await page.waitForURL(/integrations$/);
  await close();
}
await browser.close();
receiver.close();
