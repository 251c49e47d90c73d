// Without JavaScript: all but opening. By keyboard alone: signing in, adding a member, opening.
import { demo, admin, users, assert, words, launch, person, typist, is, signIn, send, mail, link, code, newest, told } from '../lib.mjs';

const browser = await launch();
const t = words('en');

// No script: the seed's flow, composing, the sent list, the door of an envelope.
{
  const p = await person(browser, { js: false, width: 390 });
  await p.page.goto(demo.admin_url);
  await p.page.getByLabel(t('si.email')).fill(admin.email);
  await p.page.getByLabel(t('si.pw'), { exact: true }).fill(admin.password);
  await p.page.getByRole('main').getByRole('button', { name: t('c.signin'), exact: true }).click();
  await p.page.getByRole('link', { name: demo.account, exact: true }).click();
  await p.page.getByRole('link', { name: t('seed.groups'), exact: true }).click();
  await p.page.getByLabel(t('seed.group_name'), { exact: true }).fill('Ward 7');
  await p.page.getByRole('button', { name: t('seed.add_group'), exact: true }).click();
  await p.page.getByText(t('seed.showing_groups', { n: 2 }), { exact: true }).waitFor();
  await p.page.getByRole('row').filter({ hasText: 'Ward 7' }).locator('.actions a').first().click();
  await p.page.getByLabel(t('seed.user_id')).fill(`${users[0].email}, ${users[1].email}`);
  await p.page.getByRole('button', { name: t('seed.add_to_group'), exact: true }).click();
  await p.page.getByText(t('m.count', { n: 2 })).first().waitFor();
  await send(p.page, { to: ['noah@example.net'], subject: 'No script', body: 'Plain form.' });
  await p.page.goto(`${demo.url}/sent`);
  await p.page.getByRole('button', { name: t('sent.lock') }).first().click();
  await p.page.getByRole('button', { name: t('sent.unlock') }).first().waitFor();
  await p.page.getByRole('button', { name: t('sent.unlock') }).first().click();
  await p.page.goto(link(await mail('noah@example.net')));
  assert.ok((await p.page.locator('noscript').first().innerText()).includes(t('open.nojs'))); // text selectors pass over noscript
  await p.close();
}

// Keyboard.
for (const [lang, sender, to, width] of told([['en', users[0], 'kim@example.net', 1280], ['fr', users[1], 'noor@example.net', 390]])) {
  const t = words(lang);
  const p = await person(browser, { lang, width });
  const { page } = p;
  const reach = typist(page);
  await page.goto(`${demo.url}/signin`);
  await reach('the address', is(t('si.email')));
  await page.keyboard.type(sender.email);
  await reach('the password', is(t('si.pw')));
  await page.keyboard.type(sender.password);
  await page.keyboard.press('Enter');
  await page.waitForURL((u) => !u.pathname.startsWith('/signin'));
  await page.goto(`${demo.url}/compose?lang=${lang}`);
  await reach('To', (n) => n.startsWith(t('new.to')));
  await page.keyboard.type(to);
  await reach('Subject', (n) => n.startsWith(t('new.subject')));
  await page.keyboard.type('By keyboard');
  await reach('Message', (n) => n.startsWith(t('new.body')));
  await page.keyboard.type('Typed.');
  await reach('Send', is(t('new.send')));
  await page.keyboard.press('Enter');
  await page.waitForURL(/\/sent\/./);
  const m = await mail(to);
  const q = await person(browser, { lang, width });
  const go = typist(q.page);
  await q.page.goto(link(m).replace('#', `?lang=${lang}#`));
  await q.page.waitForURL(/\/e\//);
  const since = await newest(to);
  await go('the code', is(t('open.code')));
  await q.page.keyboard.press('Enter');
  await q.page.waitForURL(/\/code/);
  const digits = await code(to, since);
  assert.equal(await q.page.evaluate(() => document.activeElement.autocomplete), 'one-time-code', 'the code field does not have the focus');
  await q.page.keyboard.type(digits);
  await q.page.keyboard.press('Enter');
  await q.page.getByRole('heading', { level: 1, name: 'By keyboard' }).waitFor();
  // Answering: a form that is not complete says so where the focus is, and its link leads to the field.
  await go('Reply', is(t('read.reply')));
  await q.page.keyboard.press('Enter');
  await q.page.waitForURL(/\/reply$/);
  await go('Send reply', is(t('reply.send')));
  await q.page.keyboard.press('Enter');
  await q.page.waitForFunction(() => document.activeElement.id === 'reply-problems');
  await go('the problem', is(t('new.empty')));
  await q.page.keyboard.press('Enter');
  await q.page.waitForFunction(() => document.activeElement.id === 'f-body');
  await q.page.keyboard.type('Answered.');
  await go('Send reply', is(t('reply.send')));
  await q.page.keyboard.press('Enter');
  await q.page.getByText(t('reply.sent'), { exact: true }).waitFor();
  await mail(sender.email, (x) => x.attachments.length > 0); // it is there
  await q.close();
  await p.close();
}
await browser.close();
