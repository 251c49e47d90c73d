// Answers in the envelope: a recipient without an account replies by keyboard alone, with a file and the
// message quoted; its sender opens the reply and answers it to all; a message is passed on whole; and what
// the account does not allow is not there. Both languages.
import { execFileSync } from 'node:child_process';
import { writeFileSync, readFileSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { demo, dir, users, assert, words, launch, looking, sound, signIn, send, mail, mails, open, link, through, scratch, howMany, told } from '../lib.mjs';

const browser = await launch();
const sha = (b) => createHash('sha256').update(b).digest('hex');
const settings = (...list) => execFileSync(process.env.PLI_BIN, ['--config', `${dir}/pli.toml`, 'admin', 'account', 'settings', String(demo.account_number ?? 100042), ...list]);

for (const lang of told(['en', 'fr'])) {
  const t = words(lang);
  const [jean, rosa, dan] = [`jean.${lang}@example.net`, `rosa.${lang}@example.com`, `dan.${lang}@example.net`];
  const subject = `Vos résultats ${lang}`;
  const file = Buffer.alloc(400_000, 'Ünïcödé\0\r\n.\r\n');
  writeFileSync(`${scratch}/photo ${lang}.bin`, file);
  settings('forward=false');

  const sender = await looking(browser, { lang });
  await signIn(sender.page, users[0], { lang });
  await sender.page.waitForURL((u) => !u.pathname.startsWith('/signin'));
  await send(sender.page, { to: [jean, rosa], subject, body: 'Première ligne\n> deuxième', lang });
  const sent = sender.page.url();

  // By keyboard alone, from the message: Reply, quote, type, a file, send.
  const reader = await looking(browser, { lang, width: 390, dark: lang === 'fr' });
  const { page } = reader;
  await open(page, await mail(jean), { lang, to: jean });
  await page.getByRole('heading', { level: 1, name: subject }).waitFor();
  await page.getByRole('link', { name: t('read.replyall'), exact: true }).waitFor();
  assert.equal(await howMany(page.getByRole('link', { name: t('answer.forward'), exact: true })), 0, 'Forward is offered');
  await sound(page, `${lang}-message`, { lang });
  const reach = async (role, name) => {
    const what = page.getByRole(role, { name, exact: true }).first();
    for (let i = 0; i < 60; i++) {
      await page.keyboard.press('Tab');
      if (await what.evaluate((e) => e === document.activeElement)) return;
    }
    assert.fail(`${name} cannot be reached by keyboard`);
  };
  await reach('link', t('read.reply'));
  await page.keyboard.press('Enter');
  await page.waitForURL(/\/reply$/);
  await page.getByText(t('reply.only', { sender: 'X' }).split('X').at(-1).trim()).waitFor();
  await sound(page, `${lang}-reply`, { lang });
  await page.locator('input[type=file]').setInputFiles(`${scratch}/photo ${lang}.bin`);
  await reach('button', t('answer.quote'));
  await page.keyboard.press('Enter');
  await page.getByText(t('answer.quoted')).waitFor();
  assert.equal(await page.evaluate(() => document.activeElement.id), 'f-body', 'after quoting the text has the focus');
  await page.keyboard.type('Merci !');
  const typed = await page.locator('#f-body').inputValue();
  assert.ok(typed.startsWith('Merci !') && typed.includes('> Première ligne\n>> deuxième'), typed);
  await sound(page, `${lang}-quoted`, { lang });
  await reach('button', t('reply.send'));
  await page.keyboard.press('Enter');
  await page.waitForURL(/\/e\/[0-9A-Z]{6}$/);
  await page.getByText(t('reply.sent')).waitFor();
  await sound(page, `${lang}-replied`, { lang });

  // The sender gets it as an envelope that names no organisation for Jean, and sees it with the original.
  const about = (key) => (m) => m.subject === t(key, { sender: jean }) || m.subject === words('en')(key, { sender: jean });
  const reply = await mail(users[0].email, about('mail.answered'));
  assert.ok(!(reply.text + reply.html).includes('résultats'), 'the mail tells what was sealed');
  assert.equal((await mails(rosa)).filter((m) => about('mail.answeredtoo')(m)).length, 0, 'a reply went to all');
  await sender.page.goto(sent);
  await sender.page.getByText(t('answer.ev.reply', { target: jean })).waitFor();
  await sound(sender.page, `${lang}-sent`, { lang });
  await sender.page.goto(link(reply));
  await sender.page.waitForURL(/\/e\/[0-9A-Z]{6}/);
  await sender.page.getByText(t('intake.proved')).waitFor();
  await sound(sender.page, `${lang}-card`, { lang });
  if (await sender.page.getByRole('link', { name: t('code.open') }).count()) await sender.page.getByRole('link', { name: t('code.open') }).click();
  else await through(sender.page, { lang, to: users[0].email });
  await sender.page.getByRole('heading', { level: 1, name: `Re: ${subject}` }).waitFor();
  await sender.page.getByText('Merci !').first().waitFor();
  const [got] = await Promise.all([sender.page.waitForEvent('download'), sender.page.locator('.file button').first().click()]);
  assert.equal(sha(readFileSync(await got.path())), sha(file));

  // To all, from the page.
  await page.goto(`${page.url()}/reply?to=all`);
  await page.getByText(rosa).waitFor();
  await sound(page, `${lang}-replyall`, { lang });
  await page.getByRole('button', { name: t('reply.send') }).click();
  await page.getByText(t('new.empty')).first().waitFor(); // nothing was typed
  await page.locator('#f-body').fill('Bonjour à tous');
  await page.getByRole('button', { name: t('reply.send') }).click();
  await page.getByText(t('reply.sent')).waitFor();
  await mail(rosa, about('mail.answeredtoo'));

  // Passed on, once the account allows it: the browser attaches the message itself.
  await page.goto(`${page.url()}/forward`);
  await page.getByText(t('answer.denied')).first().waitFor();
  settings('forward=true');
  await page.goto(page.url());
  await page.getByText(t('answer.attached', { file: `${subject}.eml`, size: 'X' }).split(' (X')[0]).waitFor();
  await sound(page, `${lang}-forward`, { lang });
  await page.getByLabel(t('answer.attach')).uncheck();
  assert.equal(await page.locator('[data-original]').evaluate((i) => i.files.length), 0);
  await page.getByLabel(t('answer.attach')).check();
  await page.getByText(t('answer.attached', { file: `${subject}.eml`, size: 'X' }).split(' (X')[0]).waitFor();
  await page.getByLabel(t('new.to'), { exact: true }).fill(dan);
  await page.locator('button.pri').click();
  await page.getByText(t('answer.forwarded')).waitFor();
  await sender.page.goto(sent);
  await sender.page.getByText(t('answer.ev.forward', { target: jean, to: dan })).waitFor();
  const third = await looking(browser, { lang });
  await open(third.page, await mail(dan, about('mail.passedon')), { lang, to: dan });
  await third.page.locator('.file').getByText(`${subject}.eml`).first().waitFor();
  const [eml] = await Promise.all([third.page.waitForEvent('download'), third.page.locator('.file button').first().click()]);
  const text = readFileSync(await eml.path(), 'utf8');
  assert.ok(/^To: .*jean/m.test(text) && text.includes('Premi'), text.slice(0, 400));
  await third.close();

  // Locked while it is being written: not sent, and what was typed is still there.
  await page.goto(`${page.url()}/reply`);
  await page.locator('#f-body').fill('Trop tard');
  await sender.page.goto(`${demo.url}/sent`);
  await sender.page.getByRole('row').filter({ hasText: subject }).getByRole('button', { name: t('sent.lock') }).first().click();
  await sender.page.getByText(t('sent.locked', { subject })).waitFor();
  await page.getByRole('button', { name: t('reply.send') }).click();
  await page.getByText(t('open.locked', { sender: 'X' }).split('X')[0].trim().slice(0, 40)).first().waitFor();
  assert.equal(await page.locator('#f-body').inputValue(), 'Trop tard');
  await sound(page, `${lang}-toolate`, { lang });
  await reader.close();
  await sender.close();
}

// Without script the form posts itself: what is wrong comes back with what was typed.
{
  const t = words('en');
  const sender = await looking(browser, {});
  await signIn(sender.page, users[0]);
  await sender.page.waitForURL((u) => !u.pathname.startsWith('/signin'));
  await send(sender.page, { to: ['kim@example.net'], subject: 'No script', body: 'Plain.' });
  const opener = await looking(browser, { width: 390 });
  await open(opener.page, await mail('kim@example.net'), { to: 'kim@example.net' });
  await opener.page.getByRole('heading', { level: 1, name: 'No script' }).waitFor();
  const at = opener.page.url().replace(/message$/, 'reply');
  const plain = await looking(browser, { js: false, width: 390, storageState: await opener.context.storageState() });
  await plain.page.goto(at);
  await plain.page.getByRole('button', { name: t('reply.send') }).click();
  await plain.page.getByText(t('new.empty')).first().waitFor();
  await plain.page.getByLabel(t('reply.body')).fill('Typed without script.');
  await plain.page.locator('input[type=file]').setInputFiles({ name: 'a.txt', mimeType: 'text/plain', buffer: Buffer.from('x') });
  await plain.page.getByRole('button', { name: t('reply.send') }).click();
  await plain.page.getByText(t('reply.sent')).waitFor();
  await mail(users[0].email, (m) => m.subject === t('mail.answered', { sender: 'kim@example.net' }));
  await plain.close();
  await opener.close();
  await sender.close();
}
await browser.close();
