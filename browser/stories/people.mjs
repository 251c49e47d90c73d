// An administrator helps people: a link to set a password, a second factor that is required, two users who are
// one person, and acts on many at once, without JavaScript too. What a person does by keyboard alone is in French.
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { demo, dir, admin, assert, words, launch, person, looking, everyway, typist, is, signIn, totp, mail, newest, code, howMany, told } from '../lib.mjs';

const browser = await launch();
const a = `${demo.url}/admin/accounts/${demo.account}`;
const pli = (...args) => execFileSync(process.env.PLI_BIN, ['admin', ...args, '--config', join(dir, 'pli.toml')], { input: 'a vessel of green quartz\n', stdio: 'pipe' });
const group = 'Ward 7';
pli('group', 'add', demo.account, group);
const main = (page) => page.getByRole('main');
const press = (page, name) => main(page).getByRole('button', { name, exact: true }).first().click();
async function asAdmin(p, lang) {
  await signIn(p.page, admin, { lang, at: '/admin/signin' });
  await p.page.waitForURL((u) => !u.pathname.startsWith('/admin/signin'));
  return p.page;
}

for (const lang of told(['en', 'fr'])) {
  const t = words(lang);
  const look = async (page, name) => everyway(page, `_people_${name}`, { lang });
  const who = { email: `nora.${lang}@example.org`, password: 'nine quiet herons by a lake' };
  const gone = `nora.private.${lang}@example.org`;
  const query = `crew${lang}`;
  const crew = [1, 2].map((i) => `crew${lang}.${i}@example.org`);
  for (const [email, first, last] of [[who.email, 'Nora', 'Lind'], [gone, 'Nora', 'Lind'], [crew[0], 'Ada', 'Crew'], [crew[1], 'Bo', 'Crew']]) {
    pli('user', 'add', demo.account, email, '--first-name', first, '--last-name', last, '--language', lang, '--password-stdin');
  }
  pli('group', 'add-member', demo.account, group, gone);
  const boss = await looking(browser, { lang });
  const console_ = await asAdmin(boss, lang);
  const find = async (email) => {
    await console_.goto(`${a}/users?q=${encodeURIComponent(email)}&lang=${lang}`);
    await console_.locator('tbody tr').filter({ hasText: email }).getByRole('rowheader').getByRole('link').click();
    await console_.waitForURL(/\/users\/[0-9a-f]{32}/);
    return console_.url();
  };

  // A link by which they choose their password themselves, once.
  const nora = await find(who.email);
  await main(console_).getByRole('link', { name: t('u.reset') }).click();
  await console_.getByRole('heading', { name: t('reset.link.h2') }).waitFor();
  await look(console_, 'reset');
  await press(console_, t('reset.link.do'));
  await console_.getByText(t('reset.link.done', { name: 'Nora Lind' })).waitFor();
  const told = await mail(who.email, (m) => m.subject === t('mail.link.subject'));
  const link = told.links.find((u) => u.includes('/reset/'));
  const theirs = await looking(browser, { lang });
  await theirs.page.goto(link);
  await look(theirs.page, 'link');
  if (lang === 'fr') { // by keyboard alone; the first field has the focus
    await theirs.page.goto(link);
    const reach = typist(theirs.page);
    assert.equal(await theirs.page.evaluate(() => document.activeElement.name), 'password');
    await theirs.page.keyboard.type(who.password);
    await reach('the password again', is(t('me.newpw2')));
    await theirs.page.keyboard.type('another');
    await reach('the button', is(t('me.set')));
    await theirs.page.keyboard.press('Enter');
    await theirs.page.waitForFunction(() => document.activeElement.id === 'problems' || document.activeElement.closest('.msg'));
    await theirs.page.locator('#f-confirm-e').waitFor();
    await reach('the password', is(t('me.newpw')));
    await theirs.page.keyboard.type(who.password);
    await reach('the password again', is(t('me.newpw2')));
    await theirs.page.keyboard.type(who.password);
    await theirs.page.keyboard.press('Enter');
  } else {
    for (const name of ['password', 'confirm']) await theirs.page.locator(`input[name=${name}]`).fill(who.password);
    await press(theirs.page, t('me.set'));
  }
  await theirs.page.waitForURL((u) => !u.pathname.startsWith('/reset/'));
  await theirs.page.goto(`${demo.url}/profile?lang=${lang}`);
  await theirs.page.getByText(who.email).first().waitFor(); // signed in
  const again = await looking(browser, { lang });
  await again.page.goto(link);
  await again.page.getByText(t('link.gone')).first().waitFor();
  await look(again.page, 'link_gone');
  await again.close();

  // A second factor, from the next sign-in; their session ends now.
  await console_.goto(nora);
  await press(console_, t('fa.require'));
  await console_.getByText(t('fa.needs')).waitFor();
  await press(console_, t('us.signout'));
  await console_.locator('#flash.ok').waitFor();
  await look(console_, 'required');
  await theirs.page.goto(`${demo.url}/sent`);
  await theirs.page.waitForURL(/\/signin/);
  await signIn(theirs.page, who, { lang });
  await theirs.page.waitForURL(/\/second\/setup/);
  for (const path of ['/sent', '/compose', '/profile/security']) {
    await theirs.page.goto(`${demo.url}${path}`);
    await theirs.page.waitForURL(/\/second\/setup/);
  }
  await look(theirs.page, 'setup');
  await press(theirs.page, t('totp.setup'));
  const seed = await theirs.page.locator('code.seed').textContent();
  await theirs.page.getByLabel(t('me.codelabel')).fill('000000');
  await press(theirs.page, t('totp.confirm'));
  await theirs.page.locator('#f-code-e').waitFor();
  await look(theirs.page, 'setup_wrong');
  await theirs.page.getByLabel(t('me.codelabel')).fill(totp(seed));
  await press(theirs.page, t('totp.confirm'));
  await theirs.page.getByRole('heading', { level: 1, name: t('recovery.h1') }).waitFor();
  await theirs.page.goto(`${demo.url}/sent`);
  await theirs.page.waitForURL(/\/sent$/);
  await console_.goto(nora);
  await console_.getByText(t('fa.has')).waitFor();

  // Two users who are one person, who says so with a code from each mailbox.
  await console_.getByLabel(t('merge.address')).fill(`nobody.${lang}@example.org`);
  await press(console_, t('merge.do'));
  await console_.locator('#f-address-e').waitFor();
  await console_.getByLabel(t('merge.address')).fill(gone);
  await press(console_, t('merge.do'));
  await console_.getByText(t('merge.asked', { name: 'Nora Lind', email: gone })).waitFor();
  await look(console_, 'merge');
  await theirs.page.goto(`${demo.url}/profile/addresses?lang=${lang}`);
  await theirs.page.getByRole('heading', { name: t('merge.own.h2') }).waitFor();
  await look(theirs.page, 'merge_own');
  const since = await newest(gone), before = await newest(who.email);
  await press(theirs.page, t('merge.send'));
  const codes = { keep: await code(who.email, before), gone: await code(gone, since) };
  const first = theirs.page.getByLabel(t('merge.code1', { email: who.email })), second = theirs.page.getByLabel(t('merge.code1', { email: gone }));
  await first.fill(codes.keep);
  await second.fill(codes.gone === '000000' ? '000001' : '000000');
  await press(theirs.page, t('merge.confirm'));
  await theirs.page.locator('#f-code2-e').waitFor();
  assert.equal(await howMany(theirs.page.locator('#f-code-e')), 0);
  await look(theirs.page, 'merge_wrong');
  await first.fill(codes.keep);
  await second.fill(codes.gone);
  await press(theirs.page, t('merge.confirm'));
  await theirs.page.getByText(t('merge.done', { email: gone })).waitFor();
  await theirs.page.getByRole('rowheader', { name: gone }).waitFor();
  await look(theirs.page, 'merge_done');
  await console_.goto(`${a}/users?q=${encodeURIComponent(gone)}&lang=${lang}`);
  await console_.getByText(t('c.nomatch')).waitFor();
  await console_.goto(nora); // what the one who went had is theirs
  await console_.locator('dl.kv').getByRole('link', { name: group }).waitFor();
  await theirs.close();
  const nobody = await looking(browser, { lang });
  await signIn(nobody.page, { email: gone, password: 'a vessel of green quartz' }, { lang });
  await nobody.page.locator('.msg.bad').waitFor();
  await nobody.close();

  // The chosen ones, and back.
  const choose = async (page, emails, act, matching = '') => {
    await page.goto(`${a}/users?q=${encodeURIComponent(matching)}&lang=${lang}`);
    if (emails) for (const email of emails) await page.locator('tbody tr').filter({ hasText: email }).getByRole('checkbox').check();
    else await page.getByLabel(t('bulk.all')).check();
    await page.getByLabel(t('bulk.act'), { exact: true }).selectOption(act);
    if (act === 'group') await page.getByLabel(t('bulk.group'), { exact: true }).selectOption({ label: group });
    await press(page, t('bulk.go'));
  };
  const blocked = async (page, n) => {
    await page.goto(`${a}/users?q=${query}&lang=${lang}`);
    await page.getByText(t('u.count', { n: 2 })).first().waitFor();
    assert.equal(await howMany(page.locator('tbody tr').getByText(t('st.blocked'), { exact: true })), n);
  };
  await choose(console_, [], 'block');
  await console_.getByText(t('bulk.nothing')).waitFor();
  await choose(console_, crew, 'block', query);
  await console_.getByText(t('bulk.done', { act: t('bulk.act.block'), n: 2 })).waitFor();
  await look(console_, 'undo');
  await blocked(console_, 2);
  await choose(console_, crew, 'unblock', query);
  await choose(console_, crew, 'block', query);
  await console_.locator('#flash').getByRole('button', { name: t('c.undo') }).click();
  await console_.getByText(t('bulk.done', { act: t('bulk.act.unblock'), n: 2 })).waitFor();
  await blocked(console_, 0);
  await choose(console_, [crew[0], admin.email], 'block'); // nobody blocks themselves: Undo is about the other one
  await console_.getByText(t('bulk.result', { act: t('bulk.act.block'), ok: 1, bad: 1 })).waitFor();
  await look(console_, 'undo_some');
  await press(console_, t('c.undo'));
  await console_.getByText(t('bulk.done', { act: t('bulk.act.unblock'), n: 1 })).waitFor();
  await blocked(console_, 0);

  // All that match: a question, a job, and what became of each. An administrator does not block themself.
  await choose(console_, null, 'block');
  await console_.getByRole('heading', { level: 1, name: t('bulk.sure', { act: t('bulk.act.block') }) }).waitFor();
  await look(console_, 'sure');
  await press(console_, t('bulk.start'));
  await console_.locator('section.msg').waitFor(); // the page looks again by itself
  const row = console_.locator('tbody tr').filter({ hasText: admin.email });
  await row.getByText(t('bulk.self')).waitFor();
  await console_.locator('tbody tr').filter({ hasText: crew[0] }).getByText(t('bulk.okrow'), { exact: true }).waitFor();
  await look(console_, 'job');
  await console_.getByRole('link', { name: t('bulk.failed'), exact: true }).click();
  await console_.waitForURL(/show=failed/);
  assert.equal(await howMany(console_.locator('tbody tr')), await howMany(row));

  // The same without JavaScript.
  const plain = await person(browser, { lang, js: false, width: 390 });
  const page = await asAdmin(plain, lang);
  for (const [act, matching] of [['unblock', ''], ['group', query]]) {
    await choose(page, null, act, matching);
    await press(page, t('bulk.start'));
    while (await howMany(main(page).getByRole('link', { name: t('job.refresh') }))) await main(page).getByRole('link', { name: t('job.refresh') }).click();
    await page.locator('tbody tr').filter({ hasText: crew[1] }).getByText(t('bulk.okrow'), { exact: true }).waitFor();
  }
  await blocked(page, 0);
  await page.locator('tbody tr').filter({ hasText: crew[0] }).getByText(group).waitFor();
  await choose(page, crew, 'block', query);
  await page.locator('#flash').getByRole('button', { name: t('c.undo') }).click();
  await blocked(page, 0);
  await plain.close();
  await boss.close();
}
await browser.close();
