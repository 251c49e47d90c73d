// Mail as it is in the world: what its one reading shows is what a good mail program shows (AT-65, AT-67, AT-78 to AT-80, AT-82).
import { execFileSync } from 'node:child_process';
import { writeFileSync, mkdirSync } from 'node:fs';
import { demo, admin, assert, words, launch, looking, long, scratch, shot, through, root } from '../lib.mjs';
import { cases } from '../cases/mime.mjs';

const home = `${scratch}/home`;
mkdirSync(home);
const pli = (args, input) => execFileSync(process.env.PLI_BIN, args, { input, env: { ...process.env, HOME: home, XDG_CONFIG_HOME: home }, maxBuffer: 1 << 28 });
pli(['signin', '--server', demo.url, admin.email, '--password-stdin'], admin.password + '\n');
// Go's tests of message read all of them; here a third is seen, and with `./test --long` all.
const all = cases(`${root}../internal/message/testdata/mime`).filter((c, i) => long || i % 3 === 0);
const t = words('en');
const browser = await launch();
const { page: first, context, close } = await looking(browser);
await first.goto(`${demo.url}/signin`);
await first.getByLabel(t('si.email')).fill(admin.email);
await first.getByLabel(t('si.pw'), { exact: true }).fill(admin.password);
await first.getByRole('main').getByRole('button', { name: t('c.signin'), exact: true }).click();
await first.waitForURL((u) => !u.pathname.startsWith('/signin'));

// seen is what a person sees of the message in front.
const seen = async (page) => {
  const shown = await page.evaluate(() => {
    const at = (name) => document.querySelector(`[data-${name}]`);
    const visible = (e) => e.checkVisibility();
    return {
      subject: at('subject').textContent, text: at('text').innerText, plain: visible(at('text')), unusual: visible(at('unusual')),
      from: visible(at('head-from')) ? at('head-from').textContent : '', nothing: visible(at('notext')), switch: visible(at('switch')),
      files: [...document.querySelectorAll('[data-files] [data-name]')].map((e) => e.textContent),
      risky: [...document.querySelectorAll('[data-files] [data-risk]')].filter(visible).length,
    };
  });
  if (shown.switch) await page.locator('[data-switch]').click();
  if (shown.switch || (!shown.plain && !shown.nothing)) {
    const inside = await (await page.locator('[data-html] iframe').elementHandle()).contentFrame();
    await inside.waitForLoadState();
    shown.formatted = (await inside.locator('body').innerText()).trim();
    shown.pictures = await inside.evaluate(() => [...document.images].filter((i) => i.naturalWidth > 0).length).catch(() => -1);
  }
  return shown;
};
const tidy = (s) => s.replace(/[ \t]+$/gm, '').replace(/\n{2,}/g, '\n').trim();

const wrong = [];
async function look(page, c) {
  const at = `${scratch}/${all.indexOf(c)}`;
  writeFileSync(`${at}.eml`, c.raw);
  writeFileSync(`${at}.html`, pli(['seal', '--server', demo.url, '-r', admin.email, `${at}.eml`]));
  await page.goto(`${demo.url}/up`);
  await page.locator('input[type=file]').setInputFiles(`${at}.html`);
  await page.waitForURL(/\/e\//);
  if (c === all[0]) await through(page, { to: admin.email });
  else await page.locator('a[href$="/message"], form[action$="/message"] button').first().click();
  await page.waitForURL(/\/message/);
  await page.locator('[data-card], [data-say]:not([hidden])').first().waitFor({ state: 'attached' });
  await page.locator('[data-subject]').waitFor();
  const got = await seen(page);
  const body = tidy(got.plain ? got.text : got.formatted ?? '');
  const differ = (what, have, want) => { if (JSON.stringify(have) !== JSON.stringify(want)) wrong.push(`${c.name}: ${what} is ${JSON.stringify(have)}, not ${JSON.stringify(want)}`); };
  if (c.has !== undefined) differ(`${JSON.stringify(body)} has it`, body.includes(c.has), true);
  else differ('the text', body, tidy(c.text ?? ''));
  differ('the list of files', got.files, c.files);
  differ('unusual', got.unusual, c.unusual);
  differ('what ran', await page.evaluate(() => window.ran ?? 0), 0);
  if (c.subject !== undefined) differ('the subject', got.subject.replace(/ +/g, ' '), c.subject || t('portal.nosubject'));
  if (c.from !== undefined) differ('from', got.from, c.from);
  if (c.formatted !== undefined) differ('the formatted text', tidy(got.formatted ?? ''), tidy(c.formatted));
  if (c.pictures !== undefined) differ('pictures', got.pictures, c.pictures);
  if (c.risky !== undefined) differ('files with a warning', got.risky, c.risky);
  if (c.name.startsWith('names that') || c.name.startsWith('related')) await shot(page, c.name.replaceAll(' ', '-'));
}
await look(first, all[0]);
// Two tabs at once; the browser keeps three envelopes at most.
const left = all.slice(1);
await Promise.all([first, await context.newPage()].map(async (page) => { for (let c; (c = left.shift()); ) await look(page, c); }));
assert.deepEqual(wrong, []);
console.log(`${all.length} messages shown as a mail program shows them`);
await close();
await browser.close();
