// The answer page: says how far the upload is and what is to be corrected, quotes
// the message into the form, or attaches it to one that is passed on. The message is opened here, as on its own page (an opening like
// any other, which its sender can see), and only when the reader asks for it.
import { parseHead, open, decodePart, decodeText, fromB64url } from './envelope.js';
import { find, unboxed } from './shelf.js';
import { ask } from './ask.js';
import { bytes, safeName } from './files.js';

const form = document.querySelector('form[data-answer]');
const d = form?.dataset;
const LIMIT = 150 * 2 ** 20; // bytes of an envelope
const MOST_TEXT = 2e5; // characters that are quoted

// opened decrypts the envelope with what this browser keeps of it. It throws a
// sentence to show.
async function opened() {
  const record = await find(d.ref).catch(() => null);
  if (!record?.e) throw new Error(d.nofile); // nothing is left of it, or it takes a passphrase again
  if (!record.bytes) {
    if (!d.download) throw new Error(d.nofile);
    const answer = await fetch(d.download).catch(() => null);
    if (!answer?.ok) throw new Error(d.nofile);
    record.bytes = new Uint8Array(await answer.arrayBuffer());
  }
  record.bytes = await unboxed(record.bytes);
  let head;
  try {
    head = await parseHead(record.bytes, LIMIT);
  } catch {
    throw new Error(d.nofile);
  }
  if (head.origin !== location.origin || head.slotId !== d.slot) throw new Error(d.nofile);
  const answer = await ask(d.release, { slot: head.slotId });
  if (!answer.ok) throw new Error(answer.detail);
  const { s, hh, ph } = answer.value;
  try {
    return await open(record.bytes, head, fromB64url(s), record.e, { hh: fromB64url(hh), ph: fromB64url(ph) });
  } catch {
    throw new Error(d.nofile);
  }
}

async function quote(button, status) {
  button.disabled = true;
  status.textContent = d.working;
  try {
    const { manifest, message } = await opened();
    const texts = [];
    for (const p of manifest.parts.filter((p) => p.role === 'text')) texts.push(decodeText(await decodePart(message, p), p.charset));
    const text = texts.join('\n');
    if (text.trim() === '') throw new Error(d.notext);
    const lines = text.slice(0, MOST_TEXT).replace(/\r\n?/g, '\n').replace(/\n+$/, '').split('\n');
    const body = form.querySelector('#f-body');
    body.value = `${body.value}${body.value && !body.value.endsWith('\n') ? '\n' : ''}\n\n${d.wrote}\n${lines.map((l) => (l.startsWith('>') ? '>' : '> ') + l).join('\n')}\n`;
    body.dispatchEvent(new Event('input', { bubbles: true }));
    status.textContent = d.quoted;
    body.focus();
    body.setSelectionRange(0, 0);
    body.scrollTop = 0;
  } catch (err) {
    status.textContent = err.message;
    button.disabled = false;
    button.focus();
  }
}

const BESIDE = 'application/vnd.pli.large+json';

// beside are the files that lie beside the message: what opens one goes with the
// new message as an attachment, and the service is told which ones it is to have.
async function beside(manifest, message) {
  const parts = manifest.parts.filter((p) => p.type === BESIDE && p.size < 8192);
  if (parts.length === 0) return [];
  const { descriptor } = await import('./large.js');
  const out = [];
  for (const p of parts) {
    const content = await decodePart(message, p);
    const l = descriptor(content);
    if (l) out.push({ id: l.id, name: safeName(l.name, l.type ?? ''), size: l.size, file: new File([content], p.name ?? 'large.json', { type: BESIDE }) });
  }
  return out;
}

// attach puts the message as it was sealed into the page's second file input.
// A box that is unticked while the message is being opened wins.
async function attach(box, input, status, submit) {
  input.value = form.querySelector('[data-large]').value = '';
  status.textContent = '';
  if (!box.checked) return;
  submit.disabled = true;
  status.textContent = d.working;
  try {
    const { manifest, message } = await opened();
    if (!box.checked) return;
    const file = new File([message], `${safeName(manifest.subject || 'message', '').slice(0, 80)}.eml`, { type: 'message/rfc822' });
    const all = new DataTransfer();
    const said = [[file.name, file.size]];
    all.items.add(file);
    const larges = await beside(manifest, message);
    if (!box.checked) return;
    for (const l of larges) {
      all.items.add(l.file);
      said.push([l.name, l.size]);
    }
    input.files = all.files;
    form.querySelector('[data-large]').value = larges.map((l) => l.id).join(' ');
    status.textContent = said.map(([name, size]) => d.attached.replace('{file}', name).replace('{size}', bytes(size, d.units))).join(' ');
  } catch (err) {
    box.checked = false;
    status.textContent = err.message;
  } finally {
    submit.disabled = false;
  }
}

const asked = form?.querySelector('[data-quote]');
if (asked) {
  asked.hidden = false;
  const button = asked.querySelector('button');
  button.addEventListener('click', () => quote(button, asked.querySelector('[role=status]')));
}

const passed = form?.querySelector('[data-attach]');
if (passed) {
  passed.hidden = false;
  const box = passed.querySelector('input[type=checkbox]');
  const run = () => attach(box, form.querySelector('[data-original]'), passed.querySelector('[role=status]'), form.querySelector('button.pri'));
  box.addEventListener('change', run);
  run();
}

// ---- sending: the page stays, with its files, when something is to be corrected

if (form) {
  const summary = document.getElementById('reply-problems');
  const total = form.querySelector('[data-total]');
  const bar = form.querySelector('[data-bar]');
  const progress = bar.querySelector('progress');
  const status = form.querySelector('[data-progress]');
  const files = () => [...form.querySelectorAll('input[type=file]')].flatMap((i) => [...i.files]);

  // Said when the files are chosen, not after minutes of upload.
  const fits = () => {
    const sum = files().reduce((n, f) => n + f.size, 0);
    const limit = Number(d.max) << 20;
    total.textContent = sum > limit ? d.toobig.replace('{size}', bytes(sum, d.units)) : '';
    total.hidden = sum <= limit;
    form.querySelector('#f-files').toggleAttribute('aria-invalid', sum > limit);
    return sum <= limit;
  };

  const complain = (problems) => {
    for (const e of form.querySelectorAll('[aria-invalid]')) e.removeAttribute('aria-invalid');
    summary.querySelector('ul').replaceChildren(...problems.map((p) => {
      const li = document.createElement('li');
      if (p.href) {
        li.append(Object.assign(document.createElement('a'), { href: p.href, target: '_blank', rel: 'noopener', textContent: p.text }));
        return li;
      }
      const input = p.field && form.querySelector(`#f-${CSS.escape(p.field)}`);
      if (!input) {
        li.textContent = p.text;
        return li;
      }
      input.setAttribute('aria-invalid', 'true');
      li.append(Object.assign(document.createElement('a'), { href: `#f-${p.field}`, textContent: p.text }));
      return li;
    }));
    summary.hidden = false;
    summary.focus();
  };

  let busy = false;
  let changed = false;
  form.addEventListener('submit', (ev) => {
    ev.preventDefault();
    if (busy) return;
    if (!fits()) return complain([{ field: 'files', text: total.textContent }]);
    busy = true;
    summary.hidden = true;
    const all = files();
    const x = new XMLHttpRequest();
    let said = -1;
    x.upload.addEventListener('progress', (e) => {
      if (!all.length || !e.lengthComputable) return;
      bar.hidden = false;
      progress.max = e.total;
      progress.value = e.loaded;
      const pct = Math.floor((100 * e.loaded) / e.total);
      if (pct < said + 10 && pct !== 100) return; // not every percent: a screen reader reads each one out
      said = pct;
      status.textContent = (all.length === 1 ? d.uploading.replace('{file}', all[0].name) : d.uploadingall.replace('{n}', all.length)).replace('{pct}', pct);
    });
    const done = (problems) => {
      busy = false;
      bar.hidden = true;
      status.textContent = '';
      complain(problems);
    };
    x.addEventListener('load', () => {
      let answer = {};
      try { answer = JSON.parse(x.responseText); } catch { /* not ours: said below */ }
      if (x.status === 401) return done([{ text: d.signedout, href: d.path }]); // the session has ended: the form stays
      if (x.status !== 200 || !answer.next) return done(answer.problems ?? [{ text: answer.detail ?? d.failed }]);
      changed = false;
      location.assign(answer.next);
    });
    x.addEventListener('error', () => done([{ text: d.failed }]));
    x.addEventListener('abort', () => done([{ text: d.cancelled }]));
    bar.querySelector('[data-cancel]').onclick = () => x.abort();
    x.open('POST', form.getAttribute('action'));
    x.setRequestHeader('Accept', 'application/json');
    x.send(new FormData(form));
  });
  form.querySelector('#f-files').addEventListener('change', fits);
  form.addEventListener('input', () => { changed = true; });
  addEventListener('beforeunload', (e) => { if (changed && !busy) e.preventDefault(); });
}
