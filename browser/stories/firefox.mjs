// Debian's Firefox opens an envelope by the mail's link, from the file on disk, and a large one in a thread of its own;
// it sends a file too large for a mail, and fetches it.
import { writeFileSync, mkdirSync, readdirSync, readFileSync, existsSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { demo, users, assert, words, launch, person, signIn, send, mail, attachment, link, code, newest, scratch, shots } from '../lib.mjs';
import { firefox } from '../marionette.mjs';

const lang = 'en', t = words(lang);
const to = 'fox@example.net';

const browser = await launch();
const sender = await person(browser);
await signIn(sender.page, users[0]);
await sender.page.waitForURL((u) => !u.pathname.startsWith('/signin'));
await send(sender.page, { to: [to], subject: 'Small one', body: 'Hello Firefox, https://example.org/' });
writeFileSync(`${scratch}/big.bin`, Buffer.alloc(4_000_000, 7));
await send(sender.page, { to: [to], subject: 'Big one', body: 'Big inside.', files: [`${scratch}/big.bin`] });
await sender.close();
await browser.close();
const small = await mail(to, (m) => m.attachments[0]?.size < 1_000_000);
const big = await mail(to, (m) => m.attachments[0]?.size >= 1_000_000);

const fox = await firefox(lang);
try {
  const prove = async () => {
    const since = await newest(to);
    await fox.click('button', t('open.code'));
    await fox.type('input[autocomplete=one-time-code]', await code(to, since));
    await fox.click('button', t('code.open'));
  };
  const read = async (subject, text) => {
    await fox.element('h1', subject);
    await fox.until('return document.querySelector("[data-text]").innerText.includes(arguments[0])', text);
    assert.equal(await fox.run('return document.querySelectorAll("[data-say]:not([hidden])").length'), 0);
  };
  const picture = async (name) => { if (shots) { mkdirSync(shots, { recursive: true }); await fox.picture(`${shots}/${name}.png`); } };

  await fox.go(link(small));
  await prove();
  await read('Small one', 'Hello Firefox');
  assert.equal(await fox.run('return location.hash'), '');
  assert.equal(await fox.run('return document.querySelector("[data-text] a").rel'), 'noopener noreferrer nofollow');
  await picture('firefox-link');

  // From disk, in the tab that showed a message of ours: the file's button opens a tab, and what it hands over is opened
  // there. The address is proved for this session.
  for (const [m, subject, text, card] of [[small, 'Small one', 'Hello Firefox', t('portal.opened')], [big, 'Big one', 'Big inside.', t('open.h1')]]) {
    const path = `${scratch}/${subject}.html`;
    writeFileSync(path, await attachment(m));
    await fox.go(pathToFileURL(path).href);
    const tabs = (await fox.call('GetWindowHandles')).length;
    await fox.click('#open');
    await fox.tab(tabs + 1);
    await fox.element('h1', card);
    if (await fox.run('return [...document.querySelectorAll("button")].some((b) => b.textContent.includes(arguments[0]))', t('open.code'))) await prove();
    else await fox.click('a.btn', t('code.open'));
    await read(subject, text);
    await picture(`firefox-${subject.split(' ')[0]}`);
    await fox.run('document.body.dataset.old = ""; location.reload()'); // from what the browser keeps, a large one as a Blob
    await fox.until('return !("old" in document.body.dataset)');
    await read(subject, text);
  }

  // A file too large for a mail: sealed and sent here, and fetched. Firefox cannot ask where to save, so it goes over the
  // browser's own folder on disk.
  const name = 'scan.dcm', file = Buffer.alloc(27_000_017);
  for (let i = 0, x = 5; i < file.length; i += 4) file.writeUInt32LE((x = (x * 48271 + 11) % 2147483647), Math.min(i, file.length - 4));
  writeFileSync(`${scratch}/${name}`, file);
  await fox.go(`${demo.url}/signin?lang=${lang}`);
  await fox.type('input[name=email]', users[0].email);
  await fox.type('input[type=password]', users[0].password);
  await fox.click('main button', t('c.signin'));
  await fox.until('return !location.pathname.startsWith("/signin")');
  await fox.go(`${demo.url}/compose?lang=${lang}`);
  await fox.type('#f-files', `${scratch}/${name}`);
  await fox.element('[data-progress]', t('large.arrived', { file: name }));
  await fox.type('#f-to', 'fennec@example.net');
  await fox.type('#f-subject', 'Largest one');
  await fox.click('button', t('new.send'));
  await fox.until('return location.pathname.startsWith("/sent/")');
  const largest = await mail('fennec@example.net', (m) => m.links?.some((u) => u.includes('/m/')));
  await fox.go(link(largest));
  const since = await newest('fennec@example.net');
  await fox.click('button', t('open.code'));
  await fox.type('input[autocomplete=one-time-code]', await code('fennec@example.net', since));
  await fox.click('button', t('code.open'));
  await fox.element('h1', 'Largest one');
  await fox.click('.file button', t('read.dl'));
  await fox.element('.file', t('large.saved'));
  await picture('firefox-large');
  const saved = `${scratch}/${readdirSync(scratch).find((f) => f.startsWith('firefox-'))}/Downloads/${name}`;
  for (let i = 0; i < 100 && !(existsSync(saved) && readFileSync(saved).length === file.length); i++) await new Promise((r) => setTimeout(r, 100));
  assert.ok(readFileSync(saved).equals(file), 'it saves another file');
} finally {
  await fox.close();
}
