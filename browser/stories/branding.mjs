// An administrator gives the account a look: a colour that cannot be read is
// mended, a preview looked at, a logo set. A recipient sees it in the mail and on
// the pages, but not before the pages know whose envelope it is.
import { demo, admin, assert, words, launch, looking, sound, shot, shots, send, mail, link } from '../lib.mjs';
import { deflateSync, crc32 } from 'node:zlib';

// A blue square with a white bar, as a PNG.
function picture() {
  const size = 96, rows = [];
  for (let y = 0; y < size; y++) {
    rows.push(0);
    for (let x = 0; x < size; x++) rows.push(...(y > 40 && y < 56 && x > 16 && x < 80 ? [255, 255, 255] : [0x0b, 0x5d, 0x5b]));
  }
  const chunk = (kind, body) => {
    const out = Buffer.alloc(body.length + 12);
    out.writeUInt32BE(body.length);
    out.write(kind, 4);
    body.copy(out, 8);
    out.writeUInt32BE(crc32(out.subarray(4, -4)), body.length + 8);
    return out;
  };
  const head = Buffer.from([0, 0, 0, size, 0, 0, 0, size, 8, 2, 0, 0, 0]);
  return Buffer.concat([Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), chunk('IHDR', head), chunk('IDAT', deflateSync(Buffer.from(rows))), chunk('IEND', Buffer.alloc(0))]);
}

const browser = await launch();
const { page, close } = await looking(browser, { lang: 'en', width: 1280 });
const t = words('en');
await page.goto(`${demo.admin_url}?lang=en`);
await page.getByLabel(t('si.email')).fill(admin.email);
await page.getByLabel(t('si.pw'), { exact: true }).fill(admin.password);
await page.getByRole('main').getByRole('button', { name: t('c.signin'), exact: true }).click();
await page.waitForURL(/\/admin/);
await page.getByRole('link', { name: `${demo.account}` }).first().click();
await page.getByRole('link', { name: t('b.h1'), exact: true }).click();
await sound(page, 'branding', { lang: 'en' });

// While one types: what cannot be read, and what can.
const color = page.getByLabel(t('b.color'));
await color.pressSequentially('#808080');
await page.getByText(/hard to read .*Closest that works: #/).waitFor();
const closest = (await page.locator('[data-contrast]').innerText()).match(/#[0-9a-f]{6}$/)[0];
await page.getByLabel(t('b.name'), { exact: true }).fill('evil.example');
await page.getByRole('button', { name: t('seed.save'), exact: true }).press('Enter');
await page.locator('#problem').getByText(t('b.bad.domain', { domain: 'evil.example' })).waitFor();
await sound(page, 'branding-wrong', { lang: 'en' });
assert.equal(await color.inputValue(), '#808080');
await color.fill('');
await color.pressSequentially('#0b5d5b');
await page.getByText(/can be read/).waitFor();
assert.notEqual(closest, '#808080');
await page.getByLabel(t('b.name'), { exact: true }).fill('Clinic of the Lake');
await page.getByLabel(t('b.intro_en')).fill('Your clinic sends results and invoices this way.');
await page.getByLabel(t('b.intro_fr')).fill('Votre clinique envoie ainsi résultats et factures.');
await page.getByLabel(t('b.contact')).fill('+41 22 000 00 00');
await page.getByLabel(t('b.footer')).fill('Clinic of the Lake SA, Geneva');

// A preview changes nothing: in French, dark.
await page.getByLabel(t('b.previewlang')).selectOption('fr');
await page.getByLabel(t('b.previewtheme')).selectOption('dark');
await page.getByRole('button', { name: t('b.preview'), exact: true }).click();
const fr = words('fr');
await page.frameLocator('iframe').first().getByText('Votre clinique envoie').waitFor();
await page.frameLocator('iframe').last().getByText('Votre clinique envoie').waitFor();
assert.equal(await page.frameLocator('iframe').first().locator('.btn.pri').evaluate((b) => getComputedStyle(b).backgroundColor), 'rgb(11, 93, 91)');
await page.frameLocator('iframe').first().getByText(fr('b.help', { contact: '+41 22 000 00 00' })).waitFor();
await sound(page, 'branding-preview', { lang: 'en' });
if (shots) await page.locator('section').filter({ has: page.locator('iframe') }).screenshot({ path: `${shots}/branding-frames.png` });
await page.getByRole('button', { name: t('seed.save'), exact: true }).click();
await page.getByText(t('b.saved')).waitFor();

// A logo: a script is none, a picture is.
const file = page.getByLabel(t('b.logo.file'));
await file.setInputFiles({ name: 'logo.svg', mimeType: 'image/svg+xml', buffer: Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"><script>1</script></svg>') });
await page.getByRole('button', { name: t('b.logo.set'), exact: true }).click();
await page.locator('#problem').getByText(t('b.logo.svg', { what: '<script>' })).waitFor();
assert.equal(await page.getByLabel(t('b.name'), { exact: true }).inputValue(), 'Clinic of the Lake');
await file.setInputFiles({ name: 'logo.png', mimeType: 'image/png', buffer: picture() });
await page.getByRole('button', { name: t('b.logo.set'), exact: true }).click();
await page.getByText(t('b.logo.saved')).waitFor();
assert.ok(await page.locator('img.logo').evaluate((i) => i.naturalWidth > 0));
await sound(page, 'branding-set', { lang: 'en' });

// The recipient.
await send(page, { to: ['lea@example.net'], subject: 'Results', body: 'All is well.' });
const m = await mail('lea@example.net');
assert.ok(m.text.includes('Clinic of the Lake') && m.text.includes('results and invoices') && m.text.includes('+41 22 000 00 00'), m.text);
assert.ok(/src="cid:logo\./.test(m.html) && !/src="http/.test(m.html) && m.html.includes('#0b5d5b'), m.html);
await close();
const reader = await looking(browser, { lang: 'fr', width: 390, dark: true });
const ref = link(m).match(/\/m\/([^#?]+)/)[1];
await reader.page.goto(new URL(`/e/${ref}?lang=fr`, demo.admin_url).href);
assert.ok(!(await reader.page.content()).includes('Clinic of the Lake'), 'the page knows too early whose envelope it is');
await reader.page.goto(link(m));
await reader.page.getByText('Votre clinique envoie').waitFor();
await sound(reader.page, 'branding-open', { lang: 'fr' });
assert.equal(await reader.page.locator('.btn.pri').first().evaluate((b) => getComputedStyle(b).backgroundColor), 'rgb(11, 93, 91)');
assert.ok(await reader.page.locator('.brand img').evaluate((i) => i.naturalWidth > 0));
await reader.page.locator('.tag.ok').waitFor();
await reader.page.goto(`${demo.mailbox_url}`);
await reader.page.goto(new URL(`/mails/${m.id}/html`, demo.mailbox_url).href);
await shot(reader.page, 'branding-mail');
await reader.close();
await browser.close();
