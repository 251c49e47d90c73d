// A mail program's message: swaks hands it to Postfix, Postfix to the gateway, and the recipient
// opens it from the link and from the attachment. Its sender sees why it was sealed.
import { execFileSync } from 'node:child_process';
import { writeFileSync, readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { demo, users, assert, words, launch, person, looking, sound, shot, signIn, mail, attachment, scratch, open, through, told } from '../lib.mjs';

const browser = await launch();
const from = users[0].email;
// Postfix takes the message, and tries again by itself while the gateway says "not now".
const swaks = (to, subject, body, more = []) => execFileSync('swaks', ['--server', process.env.PLI_POSTFIX, '--from', from, '--to', to,
  '--header', `Subject: ${subject}`, '--body', body, '--suppress-data', ...more], { encoding: 'utf8' });

// Without a wish, the default rules let it pass as it is.
swaks('plain@example.net', 'Minutes', 'Nothing secret.');
const clear = await mail('plain@example.net');
assert.equal(clear.subject, 'Minutes');
assert.equal(clear.attachments.length, 0);

for (const [lang, keyword] of told([['en', '[secure]'], ['fr', '[chiffrer]']])) {
  const t = words(lang), to = `lea.${lang}@example.net`, body = `Hemoglobin 13.9 (${lang})`;
  writeFileSync(`${scratch}/scan.txt`, `A scan for ${lang}.\n`);
  const said = swaks(to, `${keyword} Results ${lang}`, body, ['--attach-name', `scan-${lang}.txt`, '--attach-type', 'text/plain', '--attach', `@${scratch}/scan.txt`]);
  assert.match(said, /250 2\.0\.0 Ok: queued/);

  const m = await mail(to);
  assert.ok(!m.subject.includes('Results'), `the subject tells: ${m.subject}`);
  assert.equal(m.attachments.length, 1);
  const file = `${scratch}/${lang}.html`;
  writeFileSync(file, await attachment(m));
  assert.ok(!readFileSync(file, 'latin1').includes('Hemoglobin'));

  // From the link, on a phone.
  const phone = await looking(browser, { lang, width: 390 });
  await open(phone.page, m, { lang, to });
  await phone.page.getByRole('heading', { level: 1, name: `Results ${lang}`, exact: true }).waitFor();
  await phone.page.getByText(body).first().waitFor();
  await phone.page.getByText(`scan-${lang}.txt`).first().waitFor();
  await sound(phone.page, `${lang}-gateway-message`, { lang });
  await phone.close();

  // From the attachment, on a desk.
  const desk = await person(browser, { lang });
  await desk.page.goto(pathToFileURL(file).href);
  await shot(desk.page, `${lang}-gateway-file`);
  const [tab] = await Promise.all([desk.context.waitForEvent('page'), desk.page.getByRole('button').first().click()]);
  await through(tab, { lang, to });
  await tab.getByRole('heading', { level: 1, name: `Results ${lang}`, exact: true }).waitFor();
  await desk.close();

  // The sender, who has an account, sees it among what they sent, and why it was sealed.
  for (const width of [1280, 390]) {
    const sender = await looking(browser, { lang, width, dark: width === 390 });
    await signIn(sender.page, users[0], { lang });
    await sender.page.waitForURL((u) => !u.pathname.startsWith('/signin'));
    await sender.page.goto(`${demo.url}/sent`);
    await sender.page.getByRole('link', { name: `Results ${lang}`, exact: true }).first().click();
    await sender.page.getByRole('heading', { level: 2, name: t('desk.why'), exact: true }).waitFor();
    await sender.page.getByText(keyword).first().waitFor();
    await sound(sender.page, `${lang}-gateway-why-${width}`, { lang });
    await sender.close();
  }
}
await browser.close();
