// A ward's lead manages the ward and nothing else; the pages say why, and until when.
import { demo, admin, users, assert, words, launch, looking, sound, signIn } from '../lib.mjs';

const browser = await launch();
const at = `/admin/accounts/${demo.account}`;
const site = new URL(demo.admin_url).origin;
const [nurse, lead] = users;

for (const [round, [lang, look]] of [['en', { width: 1280 }], ['fr', { width: 390, dark: true }]].entries()) {
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
  assert.equal(await theirs.page.getByRole('main').getByRole('link', { name: t('au.h1'), exact: true }).count(), 0);
  await sound(theirs.page, `${lang}-lead-overview`, { lang });
  await theirs.page.goto(`${site}${at}/groups`);
  assert.equal(await theirs.page.getByRole('rowheader').count(), 1 + round); // the first round's ward, too
  assert.equal(await theirs.page.getByLabel(t('seed.group_name')).count(), 0); // groups are not theirs to make
  await sound(theirs.page, `${lang}-lead-groups`, { lang });
  await theirs.page.goto(`${site}${members}`);
  await theirs.page.getByLabel(t('seed.user_id')).fill(admin.email);
  await theirs.page.getByRole('main').getByRole('button', { name: t('seed.add_to_group'), exact: true }).click();
  await theirs.page.getByText(t('seed.nonexistent')).first().waitFor(); // AT-58
  await sound(theirs.page, `${lang}-lead-members`, { lang });
  for (const [path, status] of [[new URL(person).pathname, 404], [`${at}/audit`, 403], [`${at}/requests`, 403]]) {
    assert.equal((await theirs.page.goto(site + path)).status(), status, path);
  }

  // They ask for more, and get it with the group that gives it.
  await theirs.page.goto(`${site}/admin/request`);
  await theirs.page.getByLabel(t('rt.wanted')).selectOption('users');
  await theirs.page.getByRole('main').getByRole('button', { name: t('adm.ask'), exact: true }).click();
  await theirs.page.getByText(t('adm.asked')).waitFor();
  await sound(theirs.page, `${lang}-asked`, { lang });
  await page.goto(`${site}${at}/requests`);
  await page.getByRole('row').filter({ hasText: lead.email }).getByText(t('rt.cannotgrant')).waitFor(); // no group has it over all
  await sound(page, `${lang}-requests`, { lang });
  await page.getByRole('row').filter({ hasText: lead.email }).getByRole('button', { name: t('adm.refuse') }).click();
  await page.getByText(t('adm.reqempty')).waitFor();

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
  assert.equal(await theirs.page.getByRole('rowheader').count(), 0);
  await theirs.close();
  await page.goto(person);
  await close();
}
await browser.close();
