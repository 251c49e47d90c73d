// An administrator writes the gateway's rules: by the form, as text, tried on what came through before they are
// put in force, compared, and put back. A rule's name that is HTML stays a name.
import { connect } from 'node:net';
import { demo, admin, users, assert, words, launch, looking, sound, signIn, howMany } from '../lib.mjs';

// Two messages through the gateway, one of them sealed by its subject.
const [host, port] = demo.gateway.split(':');
const lines = ['EHLO test', ...['[secure] Results', 'Minutes'].flatMap((s) => [`MAIL FROM:<${users[0].email}>`, 'RCPT TO:<lou@insurer.example>', 'DATA',
  `From: ${users[0].email}\r\nTo: lou@insurer.example\r\nSubject: ${s}\r\n\r\nHello.\r\n.`]), 'QUIT'];
await new Promise((done, failed) => {
  const s = connect(Number(port), host);
  s.on('data', (d) => {
    for (const l of String(d).split('\r\n')) {
      if (/^[45]/.test(l)) failed(new Error(l));
      if (/^[23]\d\d /.test(l) && lines.length) s.write(`${lines.shift()}\r\n`);
    }
  });
  s.on('close', done).on('error', failed);
});

const browser = await launch();
const at = `${demo.url}/admin/accounts/${demo.account}/rules`;
{
  const { page, close } = await looking(browser, { width: 1280 });
  const t = words('en');
  const button = (key) => page.getByRole('main').getByRole('button', { name: t(key), exact: true });
  await signIn(page, admin);
  await page.waitForURL((u) => !u.pathname.startsWith('/signin'));
  await page.goto(at);
  await page.getByText(t('rules.never')).waitFor();

  // The form; what is wrong comes back with everything typed.
  await page.getByRole('link', { name: t('rules.add') }).click();
  const name = '<script>alert(1)</script> & reports';
  await page.getByLabel(t('rules.f.name')).fill(name);
  await page.getByLabel(t('rules.f.to')).fill('insurer.example, not an @ address');
  await page.getByLabel(t('rules.f.file'), { exact: true }).selectOption('pdf');
  await button('rules.add').click();
  await page.locator('#problem').waitFor();
  assert.equal(await page.getByLabel(t('rules.f.name')).inputValue(), name);
  await page.getByLabel(t('rules.f.to')).fill('insurer.example');
  await page.getByLabel(t('rules.f.file'), { exact: true }).selectOption('none');

  // As text, tried before it is in force: one message would change, one would stay.
  await button('rules.f.astext').click();
  await button('rules.try').click();
  await page.getByRole('heading', { name: t('rules.sim.list') }).waitFor();
  assert.deepEqual(await page.locator('#tried dd').allInnerTexts(), ['1', '1', '0']);
  await page.getByRole('row').filter({ hasText: users[0].email }).getByText('lou@insurer.example').waitFor();
  await page.getByLabel(t('rules.one.from')).fill(users[0].email);
  await page.getByLabel(t('rules.one.to')).fill('bob@insurer.example, eve@example.net');
  await page.getByLabel(t('rules.one.paste')).fill('Subject: hi\n\nHello.');
  await sound(page, 'rules-tried', { lang: 'en' });
  await button('rules.one.try').click();
  await page.getByRole('heading', { name: t('rules.one.result') }).waitFor();
  assert.deepEqual(await page.locator('td .tag').allInnerTexts(), [t('rules.act.seal'), t('rules.act.plain')]);

  // All problems at once, with their lines; the text stays.
  const text = page.getByLabel(t('rules.f.text'));
  const good = await text.inputValue();
  await text.fill(`${good}\n[[rule]]\nthen = "perhaps"\n`);
  await button('rules.save').click();
  assert.equal(await howMany(page.locator('#problem p')), 2);
  assert.match(await text.inputValue(), /perhaps/);
  await text.fill(good);
  await button('rules.save').click();
  await page.getByText(t('rules.saved', { version: '1' })).waitFor();
  await page.getByText(name).first().waitFor();

  // Another one changes them meanwhile: both texts, and what differs.
  const other = await page.context().newPage();
  await other.goto(`${at}/edit`);
  await other.getByLabel(t('rules.f.text')).fill(`${good}\n[[rule]]\nname = "Second"\nthen = "tls"\n`);
  await page.goto(`${at}/edit`);
  await text.fill(`# Mine.\n${good}`);
  await button('rules.save').click();
  await page.getByText(t('rules.saved', { version: '2' })).waitFor();
  await other.getByRole('button', { name: t('rules.save'), exact: true }).click();
  await other.getByRole('heading', { name: t('rules.moved.h') }).waitFor();
  assert.match(await other.getByLabel(t('rules.f.text')).inputValue(), /Second/);
  await sound(other, 'rules-moved', { lang: 'en' });
  await other.getByRole('button', { name: t('rules.save'), exact: true }).click();
  await other.getByText(t('rules.saved', { version: '3' })).waitFor();
  await other.close();

  // Order, comparison, undo, by keyboard.
  await page.goto(at);
  const up = page.getByRole('button', { name: `${t('rules.up')} – Second` });
  await up.focus();
  await page.keyboard.press('Enter');
  await page.getByText(t('rules.saved', { version: '4' })).waitFor();
  assert.match(await page.locator('tbody th').first().innerText(), /^1\. Second/);
  await sound(page, 'rules', { lang: 'en' });
  await page.getByRole('button', { name: t('rules.compare'), exact: true }).click();
  await page.getByText('name = "Second"').first().waitFor();
  await sound(page, 'rules-compare', { lang: 'en' });
  await page.goto(`${at}/versions/1`);
  await sound(page, 'rules-version', { lang: 'en' });
  await button('rules.undo').click();
  await page.getByText(t('rules.undone', { old: '1', version: '5' })).waitFor();
  await close();
}
const { page, close } = await looking(browser, { lang: 'fr', width: 390, dark: true });
const t = words('fr');
await signIn(page, admin, { lang: 'fr' });
await page.waitForURL((u) => !u.pathname.startsWith('/signin'));
await page.goto(at);
await page.getByRole('link', { name: t('rules.edit') }).click();
await page.getByRole('button', { name: t('rules.try'), exact: true }).click();
await page.locator('#tried').waitFor();
await sound(page, 'fr-rules-tried', { lang: 'fr' });
await page.goto(`${at}/compare?from=1&to=4`);
await sound(page, 'fr-rules-compare', { lang: 'fr' });
await close();
await browser.close();
