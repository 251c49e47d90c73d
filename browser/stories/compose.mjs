// A sender writes: a draft with a file in two windows, chips and contacts, a message to 21 people looked at twice, a
// sending undone; once without script, once by keyboard alone.
import { demo, users, assert, words, launch, looking, person, sound, signIn, mail, mails, link, scratch, howMany, told } from '../lib.mjs';
import { writeFileSync } from 'node:fs';

const browser = await launch();
const file = `${scratch}/plan.txt`;
writeFileSync(file, 'The plan. '.repeat(500));

const enter = async (options) => {
  const p = await looking(browser, options);
  await signIn(p.page, users[0], options);
  await p.page.waitForURL((u) => !u.pathname.startsWith('/signin'));
  return p;
};
const button = (p, name) => p.page.getByRole('button', { name, exact: true });

for (const [lang, width, dark] of told([['en', 1280, false], ['fr', 390, true]])) {
  const t = words(lang);
  const p = await enter({ lang, width, dark });
  const { page } = p;
  // Preferences: a signature, which a new message ends with.
  await page.goto(`${demo.url}/settings?lang=${lang}`);
  await page.getByLabel(t('set.signature'), { exact: true }).fill('Claire Roux\nExample Health');
  await page.getByLabel(t('set.days'), { exact: true }).fill('31');
  await button(p, t('seed.save')).click();
  await page.getByText(t('exp.max', { n: 30 })).first().waitFor();
  await page.getByLabel(t('set.days'), { exact: true }).fill('7');
  await button(p, t('seed.save')).click();
  await page.getByText(t('c.saved')).waitFor();

  // Chips: typed, pasted with a name, wrong, taken out.
  await page.goto(`${demo.url}/compose?lang=${lang}`);
  const to = page.getByLabel(t('new.to'), { exact: true });
  assert.match(await page.getByLabel(t('new.body'), { exact: true }).inputValue(), /Claire Roux\nExample Health$/);
  await to.fill(`Lou Petit <lou-${lang}@example.net>, max@example.net,`);
  assert.equal(await howMany(page.locator('.tokens li')), 2);
  await to.pressSequentially('wrong');
  await to.press('Enter');
  assert.equal(await howMany(page.locator('.tokens li.bad')), 1);
  await button(p, `${t('c.remove')} wrong`).click();
  assert.equal(await howMany(page.locator('.tokens li')), 2);
  await page.getByText(t('new.howcode', { email: 'max@example.net' })).waitFor();
  await page.getByLabel(t('new.subject'), { exact: true }).fill(`Draft ${lang}`);
  await page.locator('input[type=file]').setInputFiles(file);
  await page.getByText(t('desk.options'), { exact: true }).click();
  await page.getByText(t('new.noforward')).waitFor();
  await page.getByLabel(t('new.level'), { exact: true }).selectOption('high');
  await page.getByText(t('new.howsecond', { email: 'max@example.net' })).waitFor();
  await page.getByLabel(t('new.level'), { exact: true }).selectOption('medium');
  await sound(page, `compose-${lang}-form`, { lang });
  await button(p, t('new.draft')).click();
  await page.getByText(t('dr.savedat', { time: '' }).replace(/\.$/, '').trim()).first().waitFor();
  await page.waitForURL(/draft=/);
  await page.getByLabel(/plan\.txt/).waitFor();
  const draft = page.url();

  // The same draft in another window: whoever saves second is told, and loses nothing.
  const second = await p.context.newPage();
  await second.goto(draft);
  await second.getByLabel(t('new.subject'), { exact: true }).fill(`Draft ${lang}, elsewhere`);
  await second.getByRole('button', { name: t('new.draft'), exact: true }).click();
  await second.getByText(t('dr.savedat', { time: '' }).replace(/\.$/, '').trim()).first().waitFor();
  await second.close();
  await page.getByLabel(t('new.subject'), { exact: true }).fill(`Draft ${lang}, here`);
  await button(p, t('new.draft')).click();
  await page.getByText(t('err.stale')).waitFor();
  assert.equal(await page.getByLabel(t('new.subject'), { exact: true }).inputValue(), `Draft ${lang}, here`);
  await button(p, t('new.draft')).click();
  await page.getByText(t('dr.savedat', { time: '' }).replace(/\.$/, '').trim()).first().waitFor();

  await page.goto(`${demo.url}/drafts?lang=${lang}`);
  await page.getByText(t('dr.kept', { n: 30 })).waitFor();
  await sound(page, `compose-${lang}-drafts`, { lang });
  await page.getByRole('link', { name: `${t('c.delete')} – Draft ${lang}, here` }).click();
  await sound(page, `compose-${lang}-discard`, { lang });
  await page.getByRole('link', { name: t('dr.keep') }).click();
  await page.getByRole('link', { name: `${t('dr.continue')} – Draft ${lang}, here` }).click();
  await page.getByLabel(/plan\.txt/).waitFor();
  await sound(page, `compose-${lang}-draft`, { lang });

  // Sent, and taken back: nothing leaves, and the draft is as it was.
  await button(p, t('new.send')).click();
  await page.waitForURL(/\/sent\/.*new=1/);
  await sound(page, `compose-${lang}-undo`, { lang });
  await button(p, t('undo.do')).click();
  await page.getByText(t('sentok.undone')).waitFor();
  assert.equal(await page.getByLabel(t('new.subject'), { exact: true }).inputValue(), `Draft ${lang}, here`);
  await page.getByLabel(/plan\.txt/).waitFor();
  // Sent again, and left alone: it arrives after the time, once, with its file; the contact has a name.
  await button(p, t('new.send')).click();
  await page.waitForURL(/\/sent\/.*new=1/);
  const lost = page.url().split('?')[0];
  if (lang === 'en') { // the wait is the same in both
    await page.getByText(t('undo.gone')).waitFor();
    await mail(`lou-${lang}@example.net`);
    assert.equal((await mails(`lou-${lang}@example.net`)).length, 1);
    const late = await page.request.post(`${lost}/undo`, { headers: { Origin: demo.url } });
    assert.match(await late.text(), new RegExp(t('undo.late').slice(0, 12)));
  }
  await page.goto(`${demo.url}/settings?lang=${lang}`);
  await page.getByRole('row', { name: new RegExp(`lou-${lang}@example.net`) }).getByText('Lou Petit').waitFor();
  await sound(page, `compose-${lang}-settings`, { lang });

  // Suggested when it is typed; 21 people are shown before the mails leave, and going back loses nothing.
  await page.goto(`${demo.url}/compose?lang=${lang}`);
  await to.pressSequentially('petit');
  await page.getByRole('option', { name: /lou-/ }).first().waitFor();
  await to.press('ArrowDown');
  await to.press('Enter');
  assert.match(await page.locator('.tokens li').first().textContent(), /lou-/);
  await to.fill(Array.from({ length: 20 }, (_, i) => `p${i}-${lang}@${i % 3 ? 'example.net' : 'clinic.example'}`).join('\n'));
  await page.getByLabel(t('new.subject'), { exact: true }).fill(`Many ${lang}`);
  await page.locator('input[type=file]').setInputFiles(file);
  await button(p, t('new.send')).click();
  await page.waitForURL(/\/compose\/review/);
  await page.getByText(t('new.many', { n: 21 })).waitFor();
  await sound(page, `compose-${lang}-review`, { lang });
  await page.getByRole('link', { name: t('new.change') }).click();
  await page.getByLabel(/plan\.txt/).waitFor();
  assert.equal(await howMany(page.locator('.tokens li')), 21);
  await button(p, t('new.send')).click();
  await button(p, t('new.sendmany', { n: 21 })).click();
  await page.waitForURL(/\/sent\//);
  await button(p, t('undo.do')).click();
  await page.getByText(t('sentok.undone')).waitFor();
  await p.close();
}

{ // Kept by itself half a minute after a change, and not left without a question before.
  const t = words('en');
  const p = await person(browser);
  const { page } = p;
  await signIn(page, users[0]);
  await page.waitForURL((u) => !u.pathname.startsWith('/signin'));
  await page.clock.install();
  await page.goto(`${demo.url}/compose`);
  await page.getByLabel(t('new.subject'), { exact: true }).pressSequentially('By itself');
  let asked = 0;
  page.on('dialog', (d) => { asked++; d.dismiss().catch(() => {}); });
  await page.close({ runBeforeUnload: true });
  for (let i = 0; i < 50 && !asked; i++) await new Promise((r) => setTimeout(r, 100));
  assert.equal(asked, 1, 'the page is left without a question');
  await page.clock.fastForward(31000);
  await page.getByText(/^Draft saved at/).waitFor();
  await page.clock.resume();
  await page.goto(page.url()); // no question now
  assert.equal(asked, 1);
  assert.equal(await page.getByLabel(t('new.subject'), { exact: true }).inputValue(), 'By itself');
  await p.close();
}

{ // Without script: the same draft, its file and the second look.
  const t = words('en');
  const p = await person(browser, { js: false });
  const { page } = p;
  await signIn(page, users[0]);
  await page.goto(`${demo.url}/compose`);
  await page.getByLabel(t('new.to'), { exact: true }).fill('ann@');
  await page.locator('input[type=file]').setInputFiles(file);
  await button(p, t('new.send')).click();
  await page.getByText(t('new.badrecipient', { email: 'ann@' })).first().waitFor();
  await page.getByLabel(/plan\.txt/).waitFor(); // a browser would not give it again
  await page.getByLabel(t('new.to'), { exact: true }).fill('ann@example.net');
  await button(p, t('new.draft')).click();
  await page.getByText(t('dr.saved')).waitFor();
  await page.getByText(t('new.howcode', { email: 'ann@example.net' })).waitFor();
  await page.getByLabel(/plan\.txt/).uncheck();
  await page.getByLabel(t('new.body'), { exact: true }).fill('No file after all.');
  await button(p, t('new.draft')).click();
  await page.getByText(t('dr.saved')).waitFor();
  assert.equal(await howMany(page.getByLabel(/plan\.txt/)), 0);
  await page.goto(`${demo.url}/drafts`);
  await page.getByRole('link', { name: new RegExp(`^${t('c.delete')} – `) }).first().click();
  await button(p, t('dr.discardit')).click();
  await page.getByText(/deleted\./).waitFor();
  await p.close();
}

{ // By keyboard alone.
  const t = words('en');
  const p = await person(browser);
  const { page } = p;
  await signIn(page, users[0]);
  await page.waitForURL((u) => !u.pathname.startsWith('/signin'));
  await page.goto(`${demo.url}/compose`);
  const reach = async (name) => {
    for (let i = 0; i < 60; i++) {
      await page.keyboard.press('Tab');
      const here = await page.evaluate(() => { const e = document.activeElement; return e.labels?.[0]?.textContent || e.textContent; });
      if (here.replace(/\s*\*$/, '').trim() === name) return;
    }
    assert.fail(`${name} cannot be reached`);
  };
  await reach(t('new.to'));
  await page.keyboard.type('kay@example.net, no@example.net,');
  await page.keyboard.press('Backspace'); // the last one comes back to be corrected
  for (let i = 0; i < 'no@example.net'.length; i++) await page.keyboard.press('Backspace');
  await reach(t('new.subject'));
  await page.keyboard.type('By keyboard');
  await reach(t('new.body'));
  await page.keyboard.type('Typed. ');
  await reach(t('new.send'));
  await page.keyboard.press('Enter');
  await page.waitForURL(/\/sent\//);
  const m = await mail('kay@example.net');
  assert.ok(link(m));
  assert.equal((await mails('no@example.net')).length, 0);
  await p.close();
}
await browser.close();
