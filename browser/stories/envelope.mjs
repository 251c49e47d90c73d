// A message from the web to two people without an account: one mail each, opened by the button with a
// mailed code, attachments intact, seen to arrive, locked and unlocked. Both languages.
import { writeFileSync, readFileSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { demo, users, assert, words, launch, looking, sound, signIn, send, mail, mails, attachment, open, code, newest, link, scratch, through, told } from '../lib.mjs';

const browser = await launch();
const sha = (b) => createHash('sha256').update(b).digest('hex');

for (const lang of told(['en', 'fr'])) {
  const t = words(lang);
  const to = [`jean.${lang}@example.net`, `rosa.${lang}@example.com`];
  const subject = `Vos résultats ${lang} ✓`;
  const file = Buffer.alloc(300_000, 'Ünïcödé\0\r\n.\r\n');
  const name = 'résultats 2026-11.pdf';
  writeFileSync(`${scratch}/${name}`, file);

  const sender = await looking(browser, { lang });
  await signIn(sender.page, users[0], { lang });
  await sender.page.waitForURL((u) => !u.pathname.startsWith('/signin'));
  await sender.page.goto(`${demo.url}/compose?lang=${lang}`);
  await sound(sender.page, `${lang}-compose`, { lang });
  const body = `Bonjour,\n\n.un point\nFrom moi\n<script>alert(1)</script>`;
  await send(sender.page, { to, subject, body, note: 'Nous en avons parlé au téléphone.', files: [`${scratch}/${name}`], lang });
  await sound(sender.page, `${lang}-sent-confirmation`, { lang });

  // One mail each; it names the sender, the note, the reference and the button, and never the subject or the other recipient.
  for (const [i, who] of to.entries()) {
    const m = await mail(who);
    assert.equal((await mails(who)).filter((x) => link(x)).length, 1);
    for (const part of ['text', 'html']) {
      assert.ok(m[part].includes('Nous en avons parlé au téléphone.'), `${part} has no note`);
      assert.ok(m[part].includes(t('mail.envelope.button')), `${part} has no button`);
      assert.match(m[part], /[0-9A-Z]{3}-[0-9A-Z]{3}/);
      assert.ok(!m[part].includes(to[1 - i]) && !m[part].includes('résultats'), `${part} says too much`);
    }
    assert.equal(m.attachments.length, 1);
    assert.match(m.attachments[0].name, /^securedoc_\d{8}T\d{6}\.html$/);
    const html = (await attachment(m)).toString('latin1');
    assert.ok(/^[\x00-\x7f]*$/.test(html), 'the envelope is not ASCII');
    assert.ok(!html.includes(to[1 - i]));
  }

  const m = await mail(to[0]);
  const reader = await looking(browser, { lang, width: 390 });
  const { page } = reader;
  await page.goto(link(m));
  await page.waitForURL(/\/e\/[0-9A-Z]{6}/);
  assert.equal(new URL(page.url()).hash, '', 'the half key stays in the address bar'); // AT-24
  await page.getByText('Nous en avons parlé au téléphone.').waitFor();
  await sound(page, `${lang}-card`, { lang });

  // Wrong code, five times; then a new one.
  let since = await newest(to[0]);
  await page.getByRole('button', { name: t('open.code') }).click();
  await page.waitForURL(/\/code/);
  await sound(page, `${lang}-code`, { lang });
  const right = await code(to[0], since);
  const wrong = right === '000000' ? '111111' : '000000';
  const box = page.locator('input[autocomplete=one-time-code]');
  await box.fill(wrong);
  await page.getByRole('button', { name: t('code.open') }).click();
  await page.getByText(t('code.wrong', { n: 4 })).first().waitFor();
  await sound(page, `${lang}-code-wrong`, { lang });
  await box.fill(`${right.slice(0, 3)} ${right.slice(3)}`); // spaces are tolerated
  await page.getByRole('button', { name: t('code.open') }).click();
  await page.waitForURL(/\/message/);
  await page.getByRole('heading', { level: 1, name: subject }).waitFor();
  await page.getByText('.un point').waitFor();
  assert.ok((await page.locator('main').innerText()).includes('<script>alert(1)</script>'));
  const [got] = await Promise.all([page.waitForEvent('download'), page.locator('.file button, .file a').first().click()]);
  assert.equal(got.suggestedFilename(), name);
  assert.equal(sha(readFileSync(await got.path())), sha(file)); // the very bytes
  await sound(page, `${lang}-message`, { lang });

  // The sender sees it arrive, for the one and not for the other.
  await sender.page.goto(`${demo.url}/sent`);
  await sound(sender.page, `${lang}-sent`, { lang });
  await sender.page.getByRole('link', { name: subject }).first().click();
  await sender.page.getByRole('row').filter({ hasText: to[0] }).getByText(t('st.opened')).waitFor();
  await sender.page.getByRole('row').filter({ hasText: to[1] }).getByText(/./).first().waitFor();
  assert.ok(!(await sender.page.getByRole('row').filter({ hasText: to[1] }).innerText()).includes(t('st.opened')));
  await sound(sender.page, `${lang}-sent-detail`, { lang });

  // Locked: refused with its page, in the open session too. Unlocked: opens again.
  await sender.page.goto(`${demo.url}/sent`);
  const row = sender.page.getByRole('row').filter({ hasText: subject });
  await row.getByRole('button', { name: t('sent.lock') }).first().click();
  await sender.page.getByText(t('sent.locked', { subject })).waitFor();
  await page.reload();
  await page.getByText(t('open.locked', { sender: 'X' }).split('X')[0].trim().slice(0, 40)).first().waitFor();
  await sound(page, `${lang}-locked`, { lang });
  const second = await looking(browser, { lang });
  await second.page.goto(link(await mail(to[1])));
  await second.page.waitForURL(/\/e\//);
  await second.page.getByText(t('open.locked', { sender: 'X' }).split('X')[0].trim().slice(0, 40)).first().waitFor();
  await sender.page.goto(`${demo.url}/sent`);
  await sender.page.getByRole('row').filter({ hasText: subject }).getByRole('button', { name: t('sent.unlock') }).first().click();
  await sender.page.waitForLoadState();
  await second.page.goto(link(await mail(to[1])));
  await through(second.page, { lang, to: to[1] });
  await second.page.getByRole('heading', { level: 1, name: subject }).waitFor();
  await second.close();
  await reader.close();
  await sender.close();
}
await browser.close();
