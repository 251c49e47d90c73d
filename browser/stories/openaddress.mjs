// Nothing on the device opens the envelope: its mail is forwarded to the open address, in the ways that mail programs
// forward, by whoever has it. The answer goes to the envelope's own recipient, with a link that opens it (AT-75).
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { demo, users, assert, words, launch, looking, sound, signIn, send, mail, mails, attachment, through, newest, scratch } from '../lib.mjs';

const browser = await launch();
const address = 'open@example.org';
// A stranger's mail server, whose user forged who they are: nobody of that name may get a word of it.
const swaks = (args) => execFileSync('swaks', ['--server', demo.gateway, '--from', 'mallory@evil.example', '--to', address,
  '--header', 'Reply-To: victim@evil.example', '--suppress-data', ...args], { encoding: 'utf8' });
const original = async (m) => Buffer.from(await (await fetch(`${demo.mailbox_url}/mails/${m.id}/raw`)).arrayBuffer());

// In the ways that mail programs forward.
const forwards = {
  // With the file as they got it.
  attached: async (m) => {
    writeFileSync(`${scratch}/e.html`, await attachment(m));
    return ['--attach-type', 'text/html', '--attach-name', m.attachments[0].name, '--attach', `@${scratch}/e.html`];
  },
  // The whole mail as an attachment.
  message: async (m) => {
    const eml = `${scratch}/forward.eml`;
    writeFileSync(eml, Buffer.concat([Buffer.from('From: mallory@evil.example\r\nReply-To: victim@evil.example\r\nSubject: Fwd: envelope\r\nMIME-Version: 1.0\r\n' +
      'Content-Type: multipart/mixed; boundary="out"\r\n\r\n--out\r\nContent-Type: text/plain\r\n\r\nPlease open this.\r\n--out\r\nContent-Type: message/rfc822\r\nContent-Disposition: attachment\r\n\r\n'),
    await original(m), Buffer.from('\r\n--out--\r\n')]));
    return ['--data', `@${eml}`];
  },
  // A filter gave the file another name and type.
  renamed: async (m) => {
    writeFileSync(`${scratch}/e.bin`, await attachment(m));
    return ['--attach-type', 'application/octet-stream', '--attach-name', 'envelope.html.txt', '--attach', `@${scratch}/e.bin`];
  },
};

const sender = await looking(browser);
await signIn(sender.page, users[0]);
await sender.page.waitForURL((u) => !u.pathname.startsWith('/signin'));
for (const [lang, way] of [['en', 'attached'], ['fr', 'message'], ['en', 'renamed']]) {
  const t = words(lang), to = `${way}@example.net`, subject = `Open anywhere ${way}`, body = `Said to ${way} alone.`;
  await send(sender.page, { to: [to], subject, body });
  const m = await mail(to);
  const before = await newest();
  assert.match(swaks(await forwards[way](m)), /<-  250 2\.0\.0 ok/);
  const answer = await mail(to, (x) => Number(x.id) > before);
  const link = answer.links.find((l) => /\/s\/[0-9a-f]{32}#e=/.test(l));
  assert.ok(link, `no link in ${JSON.stringify(answer.links)}`);
  // A scanner looks at the link first, and takes nothing away (AT-49).
  for (let i = 0; i < 3; i++) for (const method of ['GET', 'HEAD']) await fetch(link.split('#')[0], { method });

  const phone = await looking(browser, { lang, width: 390, dark: lang === 'fr' });
  await phone.page.goto(link);
  await phone.page.waitForURL(/\/e\//);
  await sound(phone.page, `openaddress-${way}-card`, { lang });
  await through(phone.page, { lang, to });
  await phone.page.getByText(body).first().waitFor();
  await sound(phone.page, `openaddress-${way}-message`, { lang });
  await phone.page.goto(`${demo.url}/help/check?lang=${lang}`);
  await phone.page.getByText(t('forwarded.help', { address })).waitFor();
  await phone.close();

  // Once more, within ten minutes: taken, and nothing comes of it.
  const after = await newest(to);
  assert.match(swaks(await forwards[way](m)), /<-  250 2\.0\.0 ok/);
  await sender.page.waitForTimeout(300);
  assert.equal(await newest(to), after);

  await sender.page.goto(`${demo.url}/sent`);
  await sender.page.getByRole('link', { name: subject, exact: true }).click();
  await sender.page.getByText(words('en')('forwarded.ev', { target: to })).first().waitFor();
}
assert.deepEqual(await mails('evil.example'), []);
await sound(sender.page, 'openaddress-sender', { lang: 'en' });
await sender.close();
await browser.close();
