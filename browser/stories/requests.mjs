// A user asks for documents by a link; somebody without an account sends them, sealed in their browser, after a
// code or without one; they arrive as an envelope. Links that are closed, answered or wrong say so. Both languages.
import { writeFileSync, readFileSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { demo, users, assert, words, launch, looking, person, sound, signIn, mail, mails, code, newest, link, scratch, through, howMany, told } from '../lib.mjs';

const browser = await launch();
const sha = (b) => createHash('sha256').update(b).digest('hex');
const asker = users[0];

for (const lang of told(['en', 'fr'])) {
  const t = words(lang);
  const file = Buffer.alloc(2_300_000, 'Ünïcödé\0\r\n.\r\n');
  const name = 'relevé 2026-11 – été.pdf';
  writeFileSync(`${scratch}/${name}`, file);
  writeFileSync(`${scratch}/run.exe`, 'MZ');

  const owner = await looking(browser, { lang });
  const { page } = owner;
  await signIn(page, asker, { lang });
  await page.waitForURL((u) => !u.pathname.startsWith('/signin'));
  await page.goto(`${demo.url}/requests?lang=${lang}`);
  if (lang === 'en') {
    await page.getByText(t('req.empty')).waitFor();
    await sound(page, 'en-requests-empty', { lang });
  }
  await page.getByRole('link', { name: t('req.new') }).click();
  await page.getByRole('button', { name: t('intake.create') }).click(); // nothing typed
  await page.getByText(t('intake.notitle')).first().waitFor();
  await sound(page, `${lang}-request-wrong`, { lang });
  const title = `${lang === 'fr' ? 'Votre pièce d’identité' : 'Your identity card'} ✓`;
  await page.getByLabel(t('req.what')).fill(title);
  await page.getByLabel(t('intake.text')).fill('Recto\nverso');
  await page.getByLabel(t('intake.types')).fill('PDF, .jpg');
  await sound(page, `${lang}-request-new`, { lang });
  await page.getByRole('button', { name: t('intake.create') }).click();
  await page.getByText(t('intake.made')).waitFor();
  const at = await page.getByLabel(t('intake.link')).last().inputValue();
  assert.match(at, /\/q\/[A-Za-z0-9_-]{43}$/);
  await sound(page, `${lang}-request`, { lang });

  // The outsider, on a phone, in the dark, by keyboard.
  const outsider = await looking(browser, { lang, width: 390, dark: true });
  const out = outsider.page;
  await out.goto(at);
  await out.getByRole('heading', { level: 1, name: t('intake.ask', { person: asker.name ?? 'Claire Roux' }) }).waitFor();
  await out.getByText('Recto').waitFor();
  await sound(out, `${lang}-ask`, { lang });
  await out.getByRole('button', { name: t('intake.send') }).click();
  await out.getByText(t('intake.nothing')).waitFor();
  await out.locator('#f-files').setInputFiles(`${scratch}/run.exe`);
  await out.getByLabel(t('intake.yourname')).fill('Zoë Müller');
  const address = `zoe.${lang}@example.net`;
  await out.getByLabel(t('si.email')).fill(address);
  await out.getByLabel(t('new.body')).fill('Voilà.\n.point\n<b>x</b>');
  await out.getByRole('button', { name: t('intake.send') }).click();
  await out.getByText(t('intake.badtype', { file: 'run.exe', types: 'pdf, jpg' })).waitFor();
  await sound(out, `${lang}-ask-wrong`, { lang });
  await out.getByRole('button', { name: `${t('c.remove')} run.exe` }).click();
  await out.locator('#f-files').setInputFiles(`${scratch}/${name}`);
  let since = await newest(address);
  await out.getByLabel(t('new.body')).focus();
  await out.keyboard.press('Tab');
  await out.getByRole('button', { name: t('intake.send') }).focus();
  await out.keyboard.press('Enter');
  await out.getByLabel(t('portal.code'), { exact: true }).waitFor();
  const right = await code(address, since);
  await sound(out, `${lang}-ask-code`, { lang });
  await out.keyboard.type(right === '000000' ? '111111' : '000000');
  await out.keyboard.press('Enter');
  await out.getByText(t('code.wrong', { n: 4 })).waitFor();
  await out.getByLabel(t('portal.code'), { exact: true }).fill(right);
  since = await newest(asker.email);
  const [sent] = await Promise.all([
    out.waitForRequest((r) => r.url().endsWith('/answer')),
    out.keyboard.press('Enter'),
  ]);
  const posted = sent.postDataBuffer() ?? Buffer.alloc(0);
  assert.ok(!posted.includes('Voil') && !posted.includes('relev') && !posted.includes(file.subarray(0, 12)), 'plain text was sent');
  await out.getByRole('heading', { name: t('intake.doneh') }).waitFor();
  const ref = await out.locator('[data-ref]').innerText();
  assert.match(ref, /^[0-9A-Z]{3}-[0-9A-Z]{3}$/);
  await sound(out, `${lang}-ask-done`, { lang });

  // One answer was asked for: the link takes no more.
  await out.goto(at);
  await out.getByText(t('intake.isfull')).waitFor();
  await sound(out, `${lang}-ask-full`, { lang });
  await outsider.close();

  // It has come as an envelope, which opens like any other.
  const m = await mail(asker.email, (x) => Number(x.id) > since && x.text.includes(ref));
  assert.ok(m.subject.includes('Zoë Müller'), m.subject);
  assert.ok(!m.text.includes(title) && !m.text.includes('Voil'), 'the mail says too much');
  const reader = await looking(browser, { lang });
  await reader.page.goto(link(m));
  await reader.page.waitForURL(/\/e\/[0-9A-Z]{6}/);
  await reader.page.getByText(t('intake.proved')).waitFor();
  await sound(reader.page, `${lang}-card`, { lang });
  await through(reader.page, { lang, to: asker.email });
  await reader.page.getByRole('heading', { level: 1, name: title }).waitFor();
  await reader.page.getByText('.point').waitFor();
  const [got] = await Promise.all([reader.page.waitForEvent('download'), reader.page.locator('.file button, .file a').first().click()]);
  assert.equal(got.suggestedFilename(), name);
  assert.equal(sha(readFileSync(await got.path())), sha(file));
  await sound(reader.page, `${lang}-answer-opened`, { lang });
  await reader.close();

  await page.reload();
  await page.getByRole('row').filter({ hasText: ref }).getByText(t('intake.proved')).waitFor();
  await page.getByRole('row').filter({ hasText: ref }).getByText(t('st.opened')).waitFor();
  await sound(page, `${lang}-request-answered`, { lang });

  // Several answers, and no code: the address is marked as not confirmed. Then closed, for a page that is open too.
  await page.goto(`${demo.url}/requests/new`);
  await page.getByLabel(t('req.what')).fill('Photos');
  await page.getByLabel(t('intake.prove.label')).uncheck();
  await page.getByLabel(t('intake.count')).selectOption('many');
  await page.getByRole('button', { name: t('intake.create') }).click();
  const many = await page.getByLabel(t('intake.link')).last().inputValue();
  const plain = await person(browser, { lang });
  for (const n of [1, 2]) {
    await plain.page.goto(many);
    await plain.page.getByLabel(t('intake.yourname')).fill(`Paul ${n}`);
    await plain.page.getByLabel(t('si.email')).fill(`paul${n}@example.net`);
    await plain.page.getByLabel(t('new.body')).fill('Bonjour');
    await plain.page.getByRole('button', { name: t('intake.send') }).click();
    await plain.page.getByRole('heading', { name: t('intake.doneh') }).waitFor();
  }
  await plain.page.goto(many);
  await plain.page.getByLabel(t('intake.yourname')).fill('Paul 3');
  await plain.page.getByLabel(t('si.email')).fill('paul3@example.net');
  await plain.page.getByLabel(t('new.body')).fill('Bonjour');
  await page.reload();
  await page.getByRole('button', { name: t('intake.close') }).click();
  await page.getByText(t('intake.closed')).waitFor();
  assert.equal(await howMany(page.getByText(t('intake.unproved'))), 2);
  await plain.page.getByRole('button', { name: t('intake.send') }).click();
  await plain.page.getByText(t('intake.isclosed')).waitFor();
  assert.equal(await plain.page.getByLabel(t('intake.yourname')).inputValue(), 'Paul 3');
  await plain.close();

  await page.goto(`${demo.url}/requests`);
  await sound(page, `${lang}-requests`, { lang });
  await page.getByRole('link', { name: 'Photos' }).click();
  await page.getByRole('link', { name: t('c.delete') }).click();
  await sound(page, `${lang}-request-delete`, { lang });
  await page.getByRole('button', { name: t('intake.delete') }).click();
  await page.getByText(t('intake.deleted')).waitFor();
  const narrow = await looking(browser, { lang, width: 390 });
  await narrow.page.goto(many);
  await narrow.page.getByText(t('intake.unknown')).waitFor();
  await narrow.close();
  const bare = await person(browser, { lang, js: false });
  await bare.page.goto(at);
  await bare.page.getByText(t('intake.isfull')).waitFor();
  await bare.close();
  await owner.close();
}
await browser.close();
