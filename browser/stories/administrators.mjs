// The seed's flow, word for word, in both languages; its error and both its remedies; refusals.
import { demo, admin, users, assert, words, launch, person, looking, sound, signIn, send, mail, open, root, fillEach } from '../lib.mjs';

const browser = await launch();
const account = demo.account;

// In 'User ID' → 'Add to Group', from the console's door, by the names on the screen alone.
async function toMembers(page, t) {
  await page.goto(`${demo.admin_url}`);
  await page.getByRole('heading', { level: 1, name: t('seed.accounts'), exact: true }).waitFor();
  await page.getByRole('link', { name: account, exact: true }).click();
  await page.getByRole('link', { name: t('seed.groups'), exact: true }).click();
  await page.getByText(t('seed.showing_groups', { n: 1 }), { exact: true }).waitFor();
  await page.getByLabel(t('seed.group_name'), { exact: true }).waitFor();
  await page.getByRole('button', { name: t('seed.add_group'), exact: true }).waitFor();
  await page.getByRole('columnheader', { name: t('seed.name'), exact: true }).waitFor();
  await page.getByRole('columnheader', { name: t('seed.actions'), exact: true }).waitFor();
  await page.getByRole('link', { name: t('seed.back_accounts'), exact: true }).waitFor();
  const row = page.getByRole('row').filter({ hasText: t('seed.admins') });
  await row.locator('.actions a, .actions button').first().click();
  await page.getByLabel(t('seed.user_id')).waitFor();
}

async function add(page, t, address) {
  await page.getByLabel(t('seed.user_id')).fill(address);
  const answer = page.waitForResponse((r) => r.request().method() === 'POST');
  await page.getByRole('button', { name: t('seed.add_to_group'), exact: true }).click();
  return (await answer).status();
}

async function signedInAdmin(lang, more = {}) {
  const p = await looking(browser, { lang, ...more });
  await p.page.goto(`${demo.admin_url}?lang=${lang}`);
  const t = words(lang);
  await p.page.getByLabel(t('si.email')).fill(admin.email);
  await p.page.getByLabel(t('si.pw'), { exact: true }).fill(admin.password);
  await p.page.getByRole('main').getByRole('button', { name: t('c.signin'), exact: true }).click();
  await p.page.waitForURL(/\/admin/);
  return { ...p, t };
}

for (const [i, lang] of ['en', 'fr'].entries()) {
  const member = users[i];
  const { page, t, close } = await signedInAdmin(lang);

  // Someone who is not an administrator is told who can help, and asks.
  const other = await looking(browser, { lang });
  await signIn(other.page, member, { lang });
  await other.page.waitForURL((u) => !u.pathname.startsWith('/signin'));
  const refused = await other.page.goto(`${demo.admin_url}?lang=${lang}`);
  assert.equal(refused.status(), 403);
  await other.page.getByText(admin.email).first().waitFor();
  await sound(other.page, `${lang}-not-an-administrator`, { lang });
  await other.page.locator('main form').last().locator('textarea, input[type=text]').first().fill('I run the ward.');
  await other.page.locator('main form').last().locator('button').last().click();
  await other.page.waitForLoadState();

  // The seed's six steps.
  await toMembers(page, t);
  await sound(page, `${lang}-members`, { lang });
  await add(page, t, member.email);
  await page.getByText(t('m.added', { email: member.email, group: t('seed.admins') })).waitFor();
  // An administrator at once: their very next page load.
  await other.page.goto(demo.admin_url);
  await other.page.getByRole('heading', { level: 1, name: t('seed.accounts'), exact: true }).waitFor();
  await other.close();

  // The seed's error, with what was typed kept and three ways on.
  const stranger = `lea.${lang}@example.net`;
  assert.equal(await add(page, t, stranger), 422);
  await page.getByText(t('seed.nonexistent'), { exact: true }).first().waitFor();
  assert.equal(await page.getByLabel(t('seed.user_id')).inputValue(), stranger);
  assert.ok((await page.title()).startsWith(t('err.prefix')));
  for (const b of ['m.invite', 'm.create']) await page.getByRole('button', { name: t(b), exact: true }).waitFor();
  await page.getByRole('link', { name: t('m.correct') }).waitFor();
  await sound(page, `${lang}-nonexistent`, { lang });

  // Remedy A: write to them; they open, enrol, choose preferences; adding them now works.
  await send(page, { to: [stranger], subject: `Welcome ${lang}`, body: 'Please enrol.', lang });
  const m = await mail(stranger);
  const them = await looking(browser, { lang });
  await open(them.page, m, { lang, to: stranger });
  await them.page.getByRole('heading', { level: 1, name: `Welcome ${lang}` }).waitFor();
  await them.page.getByRole('link', { name: t('read.offer').split('.')[0] }).or(them.page.locator('a[href="/enrol"]')).first().click();
  await them.page.waitForURL(/\/enrol/);
  await sound(them.page, `${lang}-enrol`, { lang });
  await them.page.getByLabel(t('seed.first_name')).fill('Léa');
  await them.page.getByLabel(t('seed.last_name'), { exact: true }).fill('Martin');
  const secret = `quatre lapins bleus ${lang} dansent`;
  const pw = them.page.locator('input[type=password]');
  await fillEach(pw, 'password12345678');
  await them.page.getByRole('button', { name: t('enrol.go') }).click();
  await them.page.getByText(t('err.title')).waitFor(); // a listed password is refused
  assert.equal(await them.page.getByLabel(t('seed.first_name')).inputValue(), 'Léa');
  await fillEach(pw, secret);
  await them.page.getByRole('button', { name: t('enrol.go') }).click();
  await them.page.waitForURL(/\/welcome/);
  await sound(them.page, `${lang}-welcome`, { lang });
  await them.page.getByRole('button', { name: t('seed.save'), exact: true }).click();
  await them.page.waitForURL((u) => !u.pathname.startsWith('/welcome'));

  await toMembers(page, t);
  await add(page, t, stranger);
  await page.getByText(t('m.added', { email: stranger, group: t('seed.admins') })).waitFor();
  await them.page.goto(demo.admin_url);
  await them.page.getByRole('heading', { level: 1, name: t('seed.accounts'), exact: true }).waitFor();
  await them.close();

  // Remedy B: Users → Add User, a temporary password, then a permanent one.
  const made = `paul.${lang}@example.org`;
  await page.getByRole('navigation').getByRole('link', { name: t('seed.users'), exact: true }).click();
  await page.getByRole('link', { name: t('seed.add_user'), exact: true }).click();
  for (const [label, value] of [['seed.username', made], ['seed.first_name', 'Paul'], ['seed.last_name', 'Petit'], ['seed.password', 'Temporaire-2026'], ['seed.confirm_password', 'Temporaire-2026']]) {
    await page.getByLabel(t(label), { exact: true }).fill(value);
  }
  assert.ok(await page.getByLabel(t('seed.enforce_expiry')).isChecked());
  await sound(page, `${lang}-add-user`, { lang });
  await page.getByRole('button', { name: t('seed.save'), exact: true }).click();
  await page.getByText(t('seed.user_added', { email: made }), { exact: true }).waitFor();

  const paul = await looking(browser, { lang });
  await signIn(paul.page, { email: made, password: 'Temporaire-2026' }, { lang });
  await paul.page.waitForURL(/\/password/);
  await sound(paul.page, `${lang}-set-password`, { lang });
  await paul.page.goto(`${demo.url}/compose`); // AT-42: nothing else opens
  await paul.page.waitForURL(/\/password/);
  const fresh = paul.page.locator('main input[autocomplete=new-password]');
  const choose = async (v) => { await fillEach(fresh, v); await paul.page.locator('main form button.pri').click(); };
  await choose('Temporaire-2026'); // not the temporary one again
  await paul.page.getByText(t('err.title')).waitFor();
  await choose(secret);
  await paul.page.waitForURL(/\/welcome/);
  await paul.page.getByRole('button', { name: t('seed.save'), exact: true }).click();
  await paul.page.waitForURL((u) => !u.pathname.startsWith('/welcome'));
  await paul.close();
  const again = await person(browser, { lang });
  await signIn(again.page, { email: made, password: 'Temporaire-2026' }, { lang });
  await again.page.getByText(t('si.bad')).first().waitFor(); // the temporary one is dead
  await again.close();

  await toMembers(page, t);
  await add(page, t, made);
  await page.getByText(t('m.added', { email: made, group: t('seed.admins') })).waitFor();

  // The other remedies on the error itself: an invitation, and a user made in place.
  const invited = `ines.${lang}@example.org`;
  assert.equal(await add(page, t, invited), 422);
  await page.getByRole('button', { name: t('m.invite'), exact: true }).click();
  await page.getByText(t('m.invited', { email: invited })).waitFor();
  const invitation = await mail(invited);
  const ines = await looking(browser, { lang });
  await ines.page.goto(invitation.links.find((l) => l.includes('/invite/')));
  await sound(ines.page, `${lang}-invitation`);
  await ines.close();
  await close();
}
await browser.close();
