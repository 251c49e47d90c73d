// Reading: plain text with quotes and links, formatted text alone, files one by one and all at once, the original;
// progress of a large message; and the server's help for a browser without script. Both languages.
import { writeFileSync, readFileSync } from 'node:fs';
import { execFileSync } from 'node:child_process';
import { demo, users, assert, words, launch, looking, person, sound, shot, signIn, send, mail, open, link, code, newest, attachment, shipped, scratch, told } from '../lib.mjs';

const browser = await launch();

for (const lang of told(['en', 'fr'])) {
  const t = words(lang);
  const to = `reader.${lang}@example.net`, subject = `À lire ${lang}`;
  const files = [['rapport.pdf', 1000], ['Rapport.pdf', 2000], ['outil.exe', 10]].map(([name, n], i) => {
    const path = `${scratch}/${lang}${i}`;
    writeFileSync(path, Buffer.alloc(n, i + 65));
    return { name, mimeType: 'application/pdf', buffer: readFileSync(path) };
  });
  const sender = await person(browser, { lang });
  await signIn(sender.page, users[0], { lang });
  await sender.page.waitForURL((u) => !u.pathname.startsWith('/signin'));
  const body = 'Bonjour,\n\n> > first\n> second, https://example.org/a_(b)).\n\nSee https://bank.example@evil.example/login and mailto:ann@example.org!\njavascript:alert(1)\n';
  await send(sender.page, { to: [to], subject, body, files, lang });

  const m = await mail(to);
  const reader = await looking(browser, { lang, width: lang === 'en' ? 1280 : 390, dark: lang === 'fr' });
  const { page } = reader;
  const script = shipped(reader.context);
  await open(page, m, { lang, to });
  await page.getByRole('heading', { level: 1, name: subject }).waitFor();
  assert.ok(await script() < 40_000, `${await script()} octets of script before the text`);
  const text = page.locator('[data-text]');
  assert.equal(await text.locator('blockquote blockquote').innerText(), 'first');
  const links = await text.locator('a').evaluateAll((all) => all.map((a) => [a.getAttribute('href'), a.textContent, a.rel, a.target]));
  assert.deepEqual(links.map((l) => l.slice(0, 2)), [
    ['https://example.org/a_(b)', 'https://example.org/a_(b)'],
    ['https://bank.example@evil.example/login', 'https://bank.example@evil.example/login [evil.example]'], // its true host
    ['mailto:ann@example.org', 'mailto:ann@example.org'],
  ]);
  for (const l of links) assert.deepEqual(l.slice(2), ['noopener noreferrer nofollow', '_blank']);
  await page.getByText(to).first().waitFor(); // To, as the message has it
  assert.deepEqual(await page.locator('[data-risk]').evaluateAll((all) => all.map((x) => x.hidden)), [true, true, false]);
  await sound(page, `reading-${lang}`, { lang });

  // All files in one, as any other program unpacks it; two names that a system may take for one are two.
  const [zip] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: t('read.dlall') }).click()]);
  const listed = execFileSync('python3', ['-c', `
import sys, zipfile
z = zipfile.ZipFile(sys.argv[1])
assert z.testzip() is None
print([(i.filename, i.file_size) for i in z.infolist()])`, await zip.path(), ], { encoding: 'utf8' });
  assert.equal(listed.trim(), "[('rapport.pdf', 1000), ('Rapport (2).pdf', 2000), ('outil.exe', 10)]");
  const [eml] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: t('portal.eml') }).click()]);
  assert.match(readFileSync(await eml.path(), 'utf8'), /^(From|Date|MIME-Version|Subject|To|Message-ID): /m);
  await page.emulateMedia({ media: 'print' });
  await shot(page, `reading-${lang}-print`);
  assert.equal(await page.getByRole('button', { name: t('read.print') }).isVisible(), false);
  await page.emulateMedia({ media: 'screen' });
  await reader.close();

  // Without script: the link of the mail says so, the reference leads to the code, and the server opens it.
  const bare = await looking(browser, { lang, width: lang === 'en' ? 390 : 1280, dark: lang === 'en', js: false });
  const p = bare.page;
  await p.goto(link(m));
  await p.getByRole('link', { name: t('portal.byref') }).click();
  await p.getByLabel(t('si.email')).fill(to);
  const since = await newest(to);
  await p.getByRole('button', { name: t('open.code') }).click();
  await p.waitForURL(/\/code/);
  await p.locator('input[autocomplete=one-time-code]').fill(await code(to, since));
  await p.getByRole('button', { name: t('code.open') }).click();
  await p.waitForURL(/\/message/);
  await p.getByRole('heading', { name: t('online.h2') }).waitFor();
  await shot(p, `online-${lang}-form`);
  await p.getByLabel(t('online.link')).fill(link(m).split('#')[0]);
  await p.getByRole('button', { name: t('online.go') }).click();
  await p.getByText(t('online.badlink')).first().waitFor();
  await shot(p, `online-${lang}-wrong`);
  if (lang === 'en') await p.getByLabel(t('online.link')).fill(link(m));
  else await p.getByLabel(t('online.file')).setInputFiles({ name: 'securedoc.html', mimeType: 'text/html', buffer: await attachment(m) });
  await p.getByRole('button', { name: t('online.go') }).click();
  await p.getByRole('heading', { level: 1, name: subject }).waitFor();
  assert.ok((await p.locator('main').innerText()).includes('javascript:alert(1)'));
  await shot(p, `online-${lang}`);
  const [file] = await Promise.all([p.waitForEvent('download'), p.getByRole('button', { name: `${t('read.dl')} Rapport.pdf`, exact: true }).click()]);
  assert.equal(file.suggestedFilename(), 'Rapport.pdf');
  assert.deepEqual(readFileSync(await file.path()), files[1].buffer);
  await bare.close();

  // The sender sees by whom and how.
  await sender.page.goto(`${demo.url}/sent`);
  await sender.page.getByRole('link', { name: subject }).first().click();
  await sender.page.getByText(t('desk.ev.assisted', { target: to })).first().waitFor();
  await sender.close();
}
await browser.close();
