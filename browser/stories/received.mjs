// What a person has received: the list, an envelope without its mail, with the copy that this browser keeps, a
// report to the administrators, and how to check a message. Both languages, small and dark too.
import { demo, users, admin, assert, words, launch, looking, sound, signIn, send, mail, mails, link, open, code, newest, told } from '../lib.mjs';

const browser = await launch();

for (const lang of told(['en', 'fr'])) {
  const t = words(lang);
  const to = `lea.${lang}@example.net`;
  const sender = await looking(browser, { lang });
  await signIn(sender.page, users[0], { lang });
  await sender.page.waitForURL((u) => !u.pathname.startsWith('/signin'));
  for (const subject of [`Résultats ${lang}`, `Rendez-vous ${lang}`]) await send(sender.page, { to: [to], subject, body: 'Tout va bien.', lang });
  await sender.close();
  const all = async () => (await mails(to)).filter((m) => m.links.some((u) => /\/m\/[0-9A-Z]{6}/.test(u)));
  for (let i = 0; i < 50 && (await all()).length < 2; i++) await new Promise((r) => setTimeout(r, 200));
  const [first, second] = await all();

  // Opens one, makes an account, and finds both in the list, of which neither subject is known.
  const reader = await looking(browser, { lang, width: 390, dark: lang === 'fr' });
  const { page } = reader;
  await open(page, first, { lang, to });
  await page.getByText('Tout va bien.').waitFor();
  await page.goto(`${demo.url}/enrol?lang=${lang}`);
  const ref = new URL(link(first)).pathname.split('/').pop();
  const other = new URL(link(second)).pathname.split('/').pop();
  await page.goto(`${demo.url}/e/${ref}/report`);
  await sound(page, `${lang}-report`, { lang });
  await page.getByRole('button', { name: t('rep.send') }).click();
  await page.getByText(t('rep.choose')).first().waitFor();
  await sound(page, `${lang}-report-wrong`, { lang });
  await page.getByLabel(t('rep.phish')).check();
  await page.getByLabel(t('rep.text')).fill(lang === 'en' ? 'I was told that she left.' : "On m'a dit qu'elle était partie.");
  await page.getByRole('button', { name: t('rep.send') }).click();
  await page.getByText(t('rep.done', { org: 'Example Health' })).waitFor();
  await sound(page, `${lang}-reported`, { lang });
  const told = await mail(admin.email, (m) => m.subject.includes(`${ref.slice(0, 3)}-${ref.slice(3)}`));
  assert.ok(told.text.includes('she left') || told.text.includes('partie'), told.text);

  // The other one: the address is proved and the mail is not here.
  await page.goto(`${demo.url}/e/${other}`);
  await page.getByText(t('in.needmail', { date: 'X', address: 'Y' }).split('X')[0].trim()).waitFor();
  await sound(page, `${lang}-needmail`, { lang });
  await page.context().clearCookies();
  await page.goto(`${demo.url}/e/${other}/report`); // nobody is told anything about it now
  await sound(page, `${lang}-report-stranger`, { lang });
  await page.getByLabel(t('rep.notme')).check();
  await page.getByLabel(t('si.email')).fill('somebody@example.com');
  await page.getByRole('button', { name: t('rep.send') }).click();
  await page.getByText(t('rep.taken')).waitFor();
  await reader.close();

  // How to check a message: as it is printed too.
  const help = await looking(browser, { lang, width: lang === 'en' ? 1280 : 390 });
  await help.page.goto(`${demo.url}/help/check?lang=${lang}`);
  await help.page.getByText(t('help.lre')).waitFor();
  await sound(help.page, `${lang}-check`, { lang });
  await help.page.emulateMedia({ media: 'print' });
  assert.ok(!(await help.page.locator('header.bar').isVisible()));
  await help.close();

  // A user whom an administrator made sees what was sealed to them after a code alone.
  const u = await looking(browser, { lang });
  const claire = await looking(browser, { lang });
  await signIn(claire.page, admin, { lang });
  await claire.page.waitForURL((x) => !x.pathname.startsWith('/signin'));
  await send(claire.page, { to: [users[0].email], subject: `Interne ${lang}`, body: 'x', lang });
  await claire.close();
  const own = await mail(users[0].email, (m) => m.links.some((x) => /\/m\//.test(x)) && Number(m.id) > 0);
  await signIn(u.page, users[0], { lang });
  await u.page.waitForURL((x) => !x.pathname.startsWith('/signin'));
  await u.page.getByRole('link', { name: t('web.received'), exact: true }).click();
  await u.page.getByText(t('in.unproved', { address: users[0].email })).waitFor();
  await sound(u.page, `${lang}-inbox-unproved`, { lang });
  const ownRef = new URL(link(own)).pathname.split('/').pop();
  await open(u.page, own, { lang, to: users[0].email });
  await u.page.getByRole('heading', { level: 1, name: `Interne ${lang}` }).waitFor();
  await u.page.goto(`${demo.url}/inbox`);
  await u.page.getByRole('row').filter({ hasText: `${ownRef.slice(0, 3)}-${ownRef.slice(3)}` }).getByText(t('st.opened')).waitFor();
  assert.ok(!(await u.page.locator('main').innerText()).includes('Interne'), 'the list says the subject');
  await sound(u.page, `${lang}-inbox`, { lang });
  await u.page.getByRole('searchbox').fill('nobody at all');
  await u.page.getByText(t('c.nomatch')).waitFor();
  await u.page.goto(`${demo.url}/inbox?q=${ownRef.slice(0, 3)}-${ownRef.slice(3)}`);
  await u.page.getByRole('row').filter({ hasText: ownRef.slice(0, 3) }).getByRole('link').click();
  await u.page.getByRole('heading', { level: 1, name: t('portal.opened') }).waitFor();
  await sound(u.page, `${lang}-card`, { lang });
  await u.close();
}
await browser.close();
