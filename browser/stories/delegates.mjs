// A ward's lead manages the ward and nothing else; the pages say why, and until when.
import { demo, admin, users, assert, words, launch, looking, person as someone, sound, everyway, signIn, howMany, newest, mail, told } from '../lib.mjs';

const browser = await launch();
const at = `/admin/accounts/${demo.account}`;
const site = new URL(demo.admin_url).origin;
const [nurse, lead] = users;

// letter keeps a mail as a mail program shows it, on a phone in the dark and on a desk.
async function letter(page, name) {
  for (const [width, dark] of [[390, true], [1280, false]]) {
    await page.setViewportSize({ width, height: 900 });
    await page.emulateMedia({ colorScheme: dark ? 'dark' : 'light' });
    await sound(page, `${name}-${width}`, { rules: [] });
  }
}

for (const [round, [lang, look]] of told([['en', { width: 1280 }], ['fr', { width: 390, dark: true }]]).entries()) {
  const t = words(lang), ward = `Ward ${lang}`, leads = `Leads ${lang}`;
  const { page, close } = await looking(browser, { lang, ...look });
  await signIn(page, admin, { lang, at: '/admin/signin' });
  await page.waitForURL(/\/admin/);
  const save = (name) => page.getByRole('main').getByRole('button', { name, exact: true }).click();

  // Two groups; the second may manage the people of the first.
  for (const name of [ward, leads]) {
    await page.goto(`${site}${at}/groups?lang=${lang}`);
    await page.getByLabel(t('seed.group_name')).fill(name);
    await save(t('seed.add_group'));
    await page.getByText(t('g.added', { name })).waitFor();
  }
  await page.getByRole('link', { name: `${t('c.rename')} – ${leads}` }).click();
  await page.getByRole('checkbox', { name: t('rt.users') }).focus();
  await page.keyboard.press('Space');
  await page.getByLabel(`${t('rt.over')} – ${t('rt.users')}`).selectOption({ label: t('rt.members', { group: ward }) });
  await sound(page, `${lang}-group`, { lang });
  await save(t('rt.save'));
  await page.getByText(t('rt.saved')).waitFor();
  assert.ok(await page.getByRole('checkbox', { name: t('rt.users') }).first().isChecked());

  // The lead for good, from the lead's side; the nurse for a time, from the group's.
  await page.goto(`${site}${at}/users`);
  await page.getByRole('row').filter({ hasText: lead.email }).getByRole('rowheader').getByRole('link').click();
  await page.getByRole('combobox', { name: t('adm.group'), exact: true }).fill(leads);
  await save(t('u.addtogroup'));
  await page.getByText(t('m.added', { email: lead.email, group: leads })).waitFor();
  await page.getByText(t('rt.because', { group: leads })).waitFor();
  await sound(page, `${lang}-user`, { lang });
  const person = page.url();
  await page.goto(`${site}${at}/groups`);
  await page.getByRole('link', { name: ward, exact: true }).click();
  await page.getByLabel(t('seed.user_id')).fill(nurse.email);
  await page.getByText(t('rt.forawhile')).click();
  await page.getByLabel(t('rt.lastday')).fill('2001-01-01');
  await save(t('seed.add_to_group'));
  await page.getByText(t('rt.past')).first().waitFor();
  assert.equal(await page.getByLabel(t('seed.user_id')).inputValue(), nurse.email);
  await page.getByLabel(t('rt.lastday')).fill('2099-12-31');
  await save(t('seed.add_to_group'));
  await page.getByText(t('m.added', { email: nurse.email, group: ward })).waitFor();
  await sound(page, `${lang}-members`, { lang });
  await page.getByRole('link', { name: t('rt.end') }).first().click();
  await sound(page, `${lang}-end`, { lang });
  await page.getByLabel(t('rt.lastday')).fill('2098-12-31');
  await save(t('seed.save'));
  await page.getByText('2098').first().waitFor();
  const members = new URL(page.url()).pathname;

  // The lead sees the ward, and of everything else that it is not there.
  const theirs = await looking(browser, { lang, ...look });
  await signIn(theirs.page, lead, { lang });
  await theirs.page.waitForURL((u) => !u.pathname.startsWith('/signin'));
  await theirs.page.goto(`${site}${at}?lang=${lang}`);
  await theirs.page.getByText(t('rt.members', { group: ward })).waitFor();
  assert.equal(await howMany(theirs.page.getByRole('main').getByRole('link', { name: t('au.h1'), exact: true })), 0);
  await sound(theirs.page, `${lang}-lead-overview`, { lang });
  await theirs.page.goto(`${site}${at}/groups`);
  assert.equal(await howMany(theirs.page.getByRole('rowheader')), 1 + round); // the first round's ward, too
  assert.equal(await howMany(theirs.page.getByLabel(t('seed.group_name'))), 0); // groups are not theirs to make
  await sound(theirs.page, `${lang}-lead-groups`, { lang });
  await theirs.page.goto(`${site}${members}`);
  await theirs.page.getByLabel(t('seed.user_id')).fill(admin.email);
  await theirs.page.getByRole('main').getByRole('button', { name: t('seed.add_to_group'), exact: true }).click();
  await theirs.page.getByText(t('seed.nonexistent')).first().waitFor(); // AT-58
  await sound(theirs.page, `${lang}-lead-members`, { lang });
  for (const [path, status] of [[new URL(person).pathname, 404], [`${at}/audit`, 403], [`${at}/requests`, 403]]) {
    assert.equal((await theirs.page.goto(site + path)).status(), status, path);
  }

  // They ask for more, the nurse for the log, which one group gives; each is answered with a word of its own.
  await page.goto(`${site}${at}/groups`);
  const readers = `Readers ${lang}`;
  await page.getByLabel(t('seed.group_name')).fill(readers);
  await save(t('seed.add_group'));
  await page.getByRole('link', { name: `${t('c.rename')} – ${readers}` }).click();
  await page.getByRole('checkbox', { name: t('rt.audit') }).check();
  await save(t('rt.save'));
  await page.getByText(t('rt.saved')).waitFor();
  await theirs.page.goto(`${site}/admin/request`);
  await theirs.page.getByLabel(t('rt.wanted')).selectOption('users');
  await theirs.page.getByRole('main').getByRole('button', { name: t('adm.ask'), exact: true }).click();
  await theirs.page.getByText(t('adm.asked')).waitFor();
  await sound(theirs.page, `${lang}-asked`, { lang });
  await page.goto(`${site}${at}/requests`);
  await page.getByRole('row').filter({ hasText: lead.email }).getByText(t('rt.cannotgrant')).waitFor(); // no group has it over all
  const other = await someone(browser, { lang, js: false }); // without a script
  await signIn(other.page, nurse, { lang });
  await other.page.goto(`${site}/admin/request`);
  await other.page.getByLabel(t('rt.wanted')).selectOption('audit');
  await other.page.getByRole('main').getByRole('button', { name: t('adm.ask'), exact: true }).click();
  await other.page.getByText(t('adm.asked')).waitFor();
  await page.reload();
  await everyway(page, 'requests', { lang });
  const row = (email) => page.getByRole('row').filter({ hasText: email }), own = (email) => row(email).getByLabel(t('adm.word'));
  await own(lead.email).fill('x'.repeat(301));
  await row(lead.email).getByRole('button', { name: t('adm.refuse') }).click();
  await page.getByText(t('people.reasonlong', { n: 300 })).first().waitFor();
  assert.equal(await own(lead.email).inputValue(), 'x'.repeat(301));
  assert.equal(await own(nurse.email).inputValue(), '');
  await everyway(page, 'requests-wrong', { lang });
  const no = 'Not before <b>March</b>.\nUntil then: see the ward’s own page.';
  await own(lead.email).fill(no);
  let since = await newest(lead.email);
  await row(lead.email).getByRole('button', { name: t('adm.refuse') }).click();
  await row(lead.email).waitFor({ state: 'detached' });
  const told = await mail(lead.email, (m) => Number(m.id) > since);
  assert.ok(told.text.includes('  Not before <b>March</b>.'), told.text);
  await theirs.page.reload();
  await theirs.page.getByText(t('adm.answer.word')).waitFor();
  assert.equal(await theirs.page.getByRole('blockquote').innerText(), no);
  await everyway(theirs.page, 'refused', { lang });
  await theirs.page.goto(new URL(`/mails/${told.id}/html`, demo.mailbox_url).href);
  assert.equal(await theirs.page.getByText('<b>March</b>').count(), 1);
  await letter(theirs.page, `${lang}-refused-mail`);

  await own(nurse.email).fill('Until the inspection is over.');
  const chosen = row(nurse.email).getByRole('combobox');
  if (await howMany(chosen)) await chosen.selectOption({ label: readers });
  await row(nurse.email).getByRole('button').first().focus();
  since = await newest(nurse.email);
  await page.keyboard.press('Enter');
  await page.getByText(t('adm.reqempty')).waitFor();
  const welcome = await mail(nurse.email, (m) => Number(m.id) > since);
  assert.ok(welcome.text.includes('\n  Until the inspection is over.\n'), welcome.text);
  await other.page.goto(`${site}/admin/request`);
  await other.page.getByText('Until the inspection is over.').waitFor();
  await other.close();
  const granted = await looking(browser, { lang });
  await signIn(granted.page, nurse, { lang });
  await granted.page.goto(`${site}/admin/request`);
  await everyway(granted.page, 'granted', { lang });
  await granted.page.goto(new URL(`/mails/${welcome.id}/html`, demo.mailbox_url).href);
  await letter(granted.page, `${lang}-granted-mail`);
  await granted.close();

  // Out of the ward, with a question before; the lead's list is empty at once.
  await page.goto(`${site}${members}`);
  await page.getByLabel(t('seed.user_id')).fill(lead.email);
  await save(t('seed.add_to_group'));
  for (const b of await page.getByRole('checkbox').all()) await b.check();
  await save(t('rt.removechosen'));
  await page.getByRole('heading', { level: 1, name: t('rt.manyq', { n: 2, group: ward }) }).waitFor();
  await sound(page, `${lang}-remove`, { lang });
  await save(t('m.remove'));
  await page.getByText(t('rt.removed', { n: 2, group: ward })).waitFor();
  await theirs.page.goto(`${site}${at}/users`);
  assert.equal(await howMany(theirs.page.getByRole('rowheader')), 0);
  await theirs.close();
  await page.goto(person);
  await close();
}
await browser.close();
