// Debian's Firefox opens an envelope by the mail's link, from the file on disk, and a large one in a thread of its own.
import { writeFileSync, mkdirSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { users, assert, words, launch, person, signIn, send, mail, attachment, link, code, newest, scratch, shots } from '../lib.mjs';
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
    const seen = await fox.run('return document.querySelector("[data-text]").innerText');
    assert.ok(seen.includes(text), seen);
    assert.equal(await fox.run('return document.querySelectorAll("[data-say]:not([hidden])").length'), 0);
  };
  const picture = async (name) => { if (shots) { mkdirSync(shots, { recursive: true }); await fox.picture(`${shots}/${name}.png`); } };

  await fox.go(link(small));
  await prove();
  await read('Small one', 'Hello Firefox');
  assert.equal(await fox.run('return location.hash'), '');
  assert.equal(await fox.run('return document.querySelector("[data-text] a").rel'), 'noopener noreferrer nofollow');
  await picture('firefox-link');

  // From disk: the file's button opens a tab, and what it hands over is opened there. The address is proved for this session.
  for (const [m, subject, text] of [[small, 'Small one', 'Hello Firefox'], [big, 'Big one', 'Big inside.']]) {
    const path = `${scratch}/${subject}.html`;
    writeFileSync(path, await attachment(m));
    await fox.call('SwitchToWindow', { handle: (await fox.call('NewWindow', { type: 'tab' })).handle }); // as a file manager opens it
    await fox.go(pathToFileURL(path).href);
    const tabs = (await fox.call('GetWindowHandles')).length;
    await fox.click('#open');
    await fox.tab(tabs + 1);
    await fox.element('h1', t('open.h1'));
    if (await fox.run('return [...document.querySelectorAll("button")].some((b) => b.textContent.includes(arguments[0]))', t('open.code'))) await prove();
    else await fox.click('a.btn', t('code.open'));
    await read(subject, text);
    await picture(`firefox-${subject.split(' ')[0]}`);
    await fox.run('location.reload()'); // from what the browser keeps, a large one as a Blob
    await read(subject, text);
  }
} finally {
  await fox.close();
}
