// What the pages that show a message have in common: its text, formatted text and
// files, put into the page that read.js or device.js runs on.
import { decodePart, decodeText } from './envelope.js';
import { safeName, isRisky, isPicture, kind, bytes } from './files.js';
import { show as showText } from './text.js';

export const page = document.querySelector('[data-ref]');
export const d = page?.dataset;
export const $ = (name) => page.querySelector(`[data-${name}]`);
const MOST_TEXT = 1e6; // characters that a browser lays out without stopping

export function say(name, why) {
  $('wait').hidden = true;
  for (const box of page.querySelectorAll('[data-say]')) box.hidden = box.dataset.say !== name;
  const box = page.querySelector(`[data-say="${name}"]`);
  if (why) box.querySelector('[data-fill="why"]').textContent = why;
  if ($('drop')) $('drop').hidden = name !== 'needkey' && name !== 'needfile';
  box.focus();
}

// What takes a moment says what it is, and how far it has come.
const bar = page?.querySelector('progress');
export function progress(phase) {
  return (done, total) => {
    if (total < 2 ** 20) return;
    if (bar.hidden || bar.getAttribute('aria-label') !== phase) {
      $('phase').textContent = phase;
      bar.setAttribute('aria-label', phase);
      bar.hidden = false;
    }
    bar.max = total;
    bar.value = done;
  };
}

// render shows an opened message, and the page's card around it.
export async function render(manifest, message) {
  const parts = (role) => manifest.parts.filter((p) => p.role === role);
  $('subject').textContent = manifest.subject || d.nosubject;
  $('wait').hidden = true;
  $('unusual').hidden = !(manifest.unusual?.length > 0);
  head(manifest);

  const texts = parts('text');
  const pages = parts('html');
  const body = $('text');
  let left = MOST_TEXT;
  for (const p of texts) {
    const block = document.createElement('div');
    const text = decodeText(await decodePart(message, p), p.charset);
    showText(block, text.slice(0, left));
    if (text.length > left) $('long').hidden = false;
    left -= Math.min(left, text.length);
    body.append(block);
  }
  $('notext').hidden = texts.length + pages.length > 0;

  let source = '';
  for (const p of pages) source += decodeText(await decodePart(message, p), p.charset);
  if (source.length > MOST_TEXT) {
    $('long').hidden = false;
    source = '';
  }
  // Pictures that the formatted text shows are not attachments as well; those that it turns out not to show are.
  const within = manifest.parts.filter((p) => p.role === 'inline' && isPicture(p, source));
  const list = fileList(message, manifest.date);
  list(manifest.parts.filter((p) => p.role === 'attachment' || (p.role === 'inline' && !within.includes(p))));
  if (source !== '') await offerFormatted(manifest, message, source, texts.length > 0, (shown) => list(within.filter((p) => !shown.has(p.id))));
  body.hidden = texts.length === 0;

  tidyLarges();

  $('eml')?.addEventListener('click', () => save(message, 'message.eml'));
  $('print').addEventListener('click', () => print());
  $('opened').hidden = false;
  $('offer')?.removeAttribute('hidden');
  $('card').hidden = false;
  $('subject').focus();
}

// head says who wrote to whom and when, as the message itself has it. The
// sender's address is above, as the service vouches for it: what From says is
// shown where it says something else.
function head(manifest) {
  const people = (list) => (list ?? []).map((m) => (m.name ? `${m.name} <${m.address}>` : m.address)).join(', ');
  const same = manifest.from.length === 1 && manifest.from[0].address.toLowerCase() === d.sender.toLowerCase();
  const written = new Date(manifest.date ?? '');
  const zoned = new Intl.DateTimeFormat(document.documentElement.lang === 'fr' ? 'fr-FR' : 'en-GB', { dateStyle: 'long', timeStyle: 'short' });
  const said = {
    from: same ? '' : people(manifest.from),
    to: people(manifest.to),
    cc: people(manifest.cc),
    date: isNaN(written) ? '' : zoned.format(written),
  };
  for (const [name, text] of Object.entries(said)) {
    const dd = $('head-' + name);
    dd.textContent = text;
    dd.hidden = dd.previousElementSibling.hidden = text === '';
  }
}

// The text is shown first: it and the formatted text can say different things (AT-80).
async function offerFormatted(manifest, message, source, hasText, onShown) {
  const button = $('switch');
  const formatted = $('html');
  let made = false;
  const toggle = async () => {
    if (!made) {
      made = true;
      const { frame } = await import('./formatted.js');
      const shown = await frame(source, manifest, message, { style: d.frameStyle, hash: d.frameHash, title: d.frameTitle });
      formatted.append(shown.element);
      $('images').hidden = shown.remote === 0;
      onShown(shown.shown);
    }
    const on = formatted.hidden;
    formatted.hidden = !on;
    $('text').hidden = on;
    button.setAttribute('aria-pressed', String(on));
  };
  formatted.hidden = true;
  if (!hasText) return toggle();
  button.hidden = false;
  button.addEventListener('click', toggle);
}

// BESIDE is the type of what opens a file that was too large for the mail.
const BESIDE = 'application/vnd.pli.large+json';

// fileList returns what adds parts to the list of attachments.
function fileList(message, date) {
  const row = page.querySelector('template[data-file]');
  const listed = [];
  const offer = (button, get, name) => button.addEventListener('click', async () => {
    button.setAttribute('aria-busy', 'true');
    try {
      save(await get(), name);
    } catch {
      say('altered');
    } finally {
      button.removeAttribute('aria-busy');
    }
  });
  const add = ({ part, name, read }) => {
    const item = row.content.cloneNode(true);
    item.querySelector('[data-name]').textContent = name;
    item.querySelector('[data-size]').textContent = bytes(part.size, d.units) + ' · ' + kind(name, part.type);
    item.querySelector('[data-risk]').hidden = !isRisky(name, part.type);
    item.querySelector('[data-which]').textContent = ' ' + name;
    const shown = item.firstElementChild;
    if (part.type === BESIDE && part.size < 8192) {
      Promise.all([import('./readlarge.js'), read()])
        .then(([large, content]) => large.offer(shown, content, d, save) || offer(shown.querySelector('button'), read, name))
        .catch(() => say('altered'));
    } else offer(item.querySelector('button'), read, name);
    $('files').append(item);
  };
  const when = new Date(date ?? '');
  const all = async () => (await import('./zip.js')).zip(listed.filter((n) => n.part.type !== BESIDE), isNaN(when) ? new Date() : when);
  offer($('all'), all, 'attachments.zip');
  return (wanted) => {
    const parts = d.release ? wanted : wanted.filter((p) => p.type !== BESIDE); // a large file is fetched with a session
    const files = parts.map((part) => ({ part, name: safeName(part.name, part.type), read: () => decodePart(message, part) }));
    files.forEach(add);
    listed.push(...files);
    $('all').hidden = listed.length < 2;
    $('count').textContent = d.attachments.replace('{n}', listed.length);
    $('attachments').hidden = listed.length === 0;
  };
}

// tidyLarges removes what a fetched large file has left in the browser's own folder, if it has.
function tidyLarges() {
  try {
    if (localStorage.getItem('pli-large')) import('./readlarge.js').then((large) => large.tidy()).catch(() => {});
  } catch { /* no storage, no file */ }
}

// save downloads bytes or a Blob. The type is never the file's own: a page of an active
// type would run as ours (AT-78).
function save(content, name) {
  const url = URL.createObjectURL(new Blob([content], { type: 'application/octet-stream' }));
  const a = document.createElement('a');
  a.href = url;
  a.download = name;
  a.click();
  setTimeout(() => URL.revokeObjectURL(url), 60000);
}
