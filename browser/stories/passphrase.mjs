// An envelope that takes a passphrase as well: written with script, never sent to the service, opened by every
// way (link, file by button, file dropped, form), a wrong one refused. Both languages, by keyboard where it opens.
import { writeFileSync, readFileSync } from 'node:fs';
import { demo, users, assert, words, launch, looking, person, sound, signIn, mail, attachment, link, scratch, through, told } from '../lib.mjs';

const browser = await launch();

for (const lang of told(['en', 'fr'])) {
  const t = words(lang);
  const to = `nadia.${lang}@example.net`;
  const subject = `Dossier ${lang}`;
  const secret = 'Été à Zürich 2026'; // beyond ASCII: the same however it was typed
  const hint = lang === 'en' ? 'Where we met' : 'Où nous nous sommes rencontrés';

  const sender = await looking(browser, { lang, dark: true });
  const posted = [];
  sender.context.on('request', (r) => { if (r.method() === 'POST') posted.push(r.postData() ?? ''); });
  await signIn(sender.page, users[0], { lang });
  await sender.page.waitForURL((u) => !u.pathname.startsWith('/signin'));
  await sender.page.goto(`${demo.url}/compose?lang=${lang}`);
  await sender.page.getByLabel(t('new.to'), { exact: true }).fill(to);
  await sender.page.getByLabel(t('new.subject'), { exact: true }).fill(subject);
  await sender.page.getByLabel(t('new.body'), { exact: true }).fill('Only for you.');
  await sender.page.evaluate(() => document.querySelectorAll('form[data-compose] details').forEach((d) => { d.open = true; }));
  await sender.page.getByLabel(t('pp.option'), { exact: true }).fill('short');
  await sender.page.getByLabel(t('pp.hintlabel'), { exact: true }).fill(hint);
  await sender.page.getByRole('button', { name: t('new.send'), exact: true }).click();
  await sender.page.getByText(t('pp.tooshort')).waitFor();
  await sound(sender.page, `${lang}-compose`, { lang });
  await sender.page.getByLabel(t('pp.option'), { exact: true }).fill(secret.normalize('NFD'));
  await sender.page.getByRole('button', { name: t('new.send'), exact: true }).click();
  await sender.page.waitForURL(/\/sent\/[0-9a-f]+/);
  assert.ok(posted.some((p) => p.includes('pp_key')), 'what was derived was not posted');
  for (const p of posted) assert.ok(!p.includes(secret) && !p.includes(secret.normalize('NFD')), 'the passphrase was posted');
  await sender.close();

  // The mail and the file say that it takes one; the key in them is masked.
  const m = await mail(to);
  assert.ok(m.text.replace(/\s+/g, ' ').includes(t('mail.envelope.passphrase').replace(/\s+/g, ' ')), m.text);
  const address = link(m);
  assert.match(new URL(address).hash, /^#p1\.[\w-]{22}\.[\w-]{43}\.[\w-]+$/);
  const file = await attachment(m);
  assert.match(file.toString(), /id="part">p1\./);
  const path = `${scratch}/${m.attachments[0].name}`;
  writeFileSync(path, file);

  // Opened by the link, by keyboard, on a small screen.
  const reader = await looking(browser, { lang, width: 390 });
  const { page } = reader;
  const asked = [];
  reader.context.on('request', (r) => asked.push(r.url() + ' ' + (r.postData() ?? '')));
  await page.goto(address);
  await page.getByRole('heading', { level: 1, name: t('pp.h1') }).waitFor();
  assert.equal(new URL(page.url()).hash, '');
  await page.getByText(hint).waitFor();
  await page.getByText(t('pp.lost')).waitFor();
  await sound(page, `${lang}-ask`, { lang });
  await page.keyboard.press('Enter'); // nothing typed: the field has the focus
  await page.getByText(t('pp.empty')).waitFor();
  await page.keyboard.type('Ete a Zurich 2026');
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter'); // Show
  assert.equal(await page.getByLabel(t('pp.label'), { exact: true }).getAttribute('type'), 'text');
  await page.keyboard.press('Shift+Tab');
  await page.keyboard.press('Enter');
  await page.getByText(t('pp.wrong')).waitFor();
  await sound(page, `${lang}-wrong`, { lang });
  await page.keyboard.type(secret); // the wrong one is selected
  await page.keyboard.press('Enter');
  await through(page, { lang, to });
  await page.getByRole('heading', { level: 1, name: subject }).waitFor();
  await page.getByText('Only for you.').waitFor();
  assert.ok(asked.length > 3 && !asked.some((a) => a.includes('rich 2026') || a.includes(encodeURIComponent(secret))), 'the passphrase left the browser');
  await reader.close();

  // By the file: its button, its form without script, and dropped on the page.
  for (const way of ['button', 'form', 'drop']) {
    const p = await person(browser, { lang });
    let at = p.page;
    if (way === 'drop') {
      await at.goto(`${demo.url}/up?lang=${lang}`);
      await at.locator('input[type=file]').setInputFiles(path);
    } else {
      await p.page.goto(`file://${path}`);
      const [other] = await Promise.all([p.context.waitForEvent('page'), way === 'button' ? p.page.locator('#open').click()
        : p.page.evaluate(() => { document.getElementById('ways').open = true; document.querySelector('#form button').click(); })]);
      at = other;
    }
    const field = at.locator('#pp');
    await field.waitFor();
    await field.fill(secret);
    await field.press('Enter');
    await at.waitForURL(/\/e\/[0-9A-Z]{6}/);
    await p.close();
  }

  // The link in the file, which needs neither script nor form there.
  const l = await person(browser, { lang });
  await l.page.goto(`file://${path}`);
  await l.page.goto(await l.page.locator('#link').evaluate((a) => a.href));
  await l.page.locator('#pp').fill(secret);
  await l.page.locator('#pp').press('Enter');
  await l.page.waitForURL(/\/e\/[0-9A-Z]{6}/);
  await l.close();
}

// Without script the form says that a passphrase needs it.
const plain = await person(browser, { js: false });
await signIn(plain.page, users[0], {});
await plain.page.goto(`${demo.url}/compose`);
assert.ok((await plain.page.content()).includes(words('en')('pp.needsscript')));
await plain.close();

// The passphrase is nowhere at the service.
assert.ok(!readFileSync(process.env.PLI_DEMO_LOG, 'utf8').includes('rich 2026'));
await browser.close();
