// The page of a link that asks for documents: seals what is typed and chosen,
// and sends it. The service gets ciphertext, and the two halves of its key.
import { b64url } from './envelope.js';
import { Sealer, compose, fileName } from './seal.js';
import { ask } from './ask.js';
import { bytes } from './files.js';

const form = document.querySelector('form[data-ask]');
const d = form.dataset;
const $ = (name) => document.querySelector(`#ask [data-${name}]`);
const field = (name) => form.querySelector('#f-' + name);
const summary = document.getElementById('ask-problems');
const codes = $('code');
const status = $('progress');
const bar = $('bar');
const types = d.types ? d.types.split(' ') : [];
const MOST = 200; // files
let proven = d.proven;
let chosen = [];
let busy = false;
let changed = false;

form.hidden = false;

function row(file) {
  const li = document.createElement('li');
  const name = document.createElement('span');
  name.className = 'grow';
  name.textContent = `${fileName(file.name)} (${bytes(file.size, d.units)})`;
  li.append(name);
  return li;
}

function show() {
  $('files').replaceChildren(...chosen.map((file, i) => {
    const li = row(file);
    li.className = 'file';
    const out = document.createElement('button');
    out.type = 'button';
    out.className = 'btn';
    out.textContent = d.remove;
    out.setAttribute('aria-label', `${d.remove} ${file.name}`);
    out.addEventListener('click', () => { chosen.splice(i, 1); show(); field('files').focus(); });
    li.append(out);
    return li;
  }));
}

field('files').addEventListener('change', (ev) => {
  for (const f of ev.target.files) if (!chosen.some((c) => c.name === f.name && c.size === f.size && c.lastModified === f.lastModified)) chosen.push(f);
  ev.target.value = ''; // the list below says what is chosen
  changed = true;
  show();
});

function complain(problems) {
  for (const e of form.querySelectorAll('[aria-invalid]')) e.removeAttribute('aria-invalid');
  summary.querySelector('ul').replaceChildren(...problems.map((p) => {
    const li = document.createElement('li');
    const input = p.field && field(p.field);
    if (!input) {
      li.textContent = p.text;
      return li;
    }
    input.setAttribute('aria-invalid', 'true');
    const a = document.createElement('a');
    a.href = '#f-' + p.field;
    a.textContent = p.text;
    li.append(a);
    return li;
  }));
  summary.hidden = problems.length === 0;
  if (!summary.hidden) summary.focus();
}

const typed = (name) => field(name).value.trim();

// check says what is wrong before anything is sealed.
function check() {
  const out = [];
  if (typed('name') === '') out.push({ field: 'name', text: d.noname });
  if (!/^[^\s@"<>(),;:\\]+@[^\s@"<>(),;:\\]+$/.test(typed('email'))) out.push({ field: 'email', text: d.noemail });
  if (typed('text') === '' && chosen.length === 0) out.push({ field: 'files', text: d.nothing });
  for (const f of chosen) {
    const ext = f.name.includes('.') ? f.name.split('.').at(-1).toLowerCase() : '';
    if (types.length > 0 && !types.includes(ext)) out.push({ field: 'files', text: d.badtype.replace('{file}', fileName(f.name)) });
  }
  const sum = chosen.reduce((n, f) => n + f.size, 0);
  if (sum > Number(d.max)) out.push({ field: 'files', text: d.toobig.replace('{size}', bytes(sum, d.units)) });
  if (chosen.length > MOST) out.push({ field: 'files', text: d.toomany });
  return out;
}

form.addEventListener('input', () => { changed = true; });
addEventListener('beforeunload', (e) => { if (changed) e.preventDefault(); });

form.addEventListener('submit', async (ev) => {
  ev.preventDefault();
  if (busy) return;
  const problems = check();
  complain(problems);
  if (problems.length > 0) return;
  if (d.prove && proven !== typed('email').toLowerCase()) await sendCode();
  else await send();
});

// ---- the address, proved by a code

function codeError(text) {
  const e = document.getElementById('f-code-e');
  e.textContent = text;
  e.hidden = text === '';
  document.getElementById('f-code').toggleAttribute('aria-invalid', text !== '');
}

const hint = document.getElementById('f-code-h').textContent;
async function sendCode() {
  if (busy) return;
  busy = true;
  const answer = await ask(d.path + '/code', { email: typed('email') });
  busy = false;
  if (!answer.ok) {
    if (!codes.hidden) return codeError(answer.detail);
    return complain([{ field: answer.key === 'err.email' ? 'email' : '', text: answer.detail }]);
  }
  document.getElementById('f-code-h').textContent = hint.replace('{email}', typed('email'));
  codeError('');
  form.hidden = true;
  codes.hidden = false;
  document.getElementById('f-code').value = '';
  document.getElementById('f-code').focus();
}

codes.addEventListener('submit', async (ev) => {
  ev.preventDefault();
  if (busy) return;
  busy = true;
  const answer = await ask(d.path + '/verify', { code: document.getElementById('f-code').value });
  busy = false;
  if (!answer.ok) {
    codeError(answer.detail);
    return document.getElementById('f-code').focus();
  }
  proven = typed('email').toLowerCase();
  back();
  await send();
});
function back() {
  codes.hidden = true;
  form.hidden = false;
}
$('again').addEventListener('click', sendCode);
$('back').addEventListener('click', () => { back(); field('email').focus(); });

// ---- sealing and sending

async function seal() {
  const now = new Date();
  const m = await compose({
    from: { name: typed('name'), address: typed('email') }, to: [{ name: d.toname, address: d.to }],
    subject: d.title, date: now, text: field('text').value, files: chosen,
  });
  const sealer = await Sealer.start({ origin: d.origin, sealedAt: Math.floor(now / 1000), senderHint: typed('name') });
  const pieces = [];
  for await (const piece of sealer.payload(m.manifest, m.pieces())) pieces.push(piece);
  const slot = await sealer.slot('');
  const head = { name: typed('name'), email: typed('email'), mh: b64url(sealer.mh), rh: b64url(slot.rh), wrap: b64url(slot.wrap), s: b64url(slot.s), e: b64url(slot.e) };
  const data = new FormData();
  data.append('head', JSON.stringify(head));
  data.append('payload', new Blob(pieces, { type: 'application/octet-stream' }), 'payload');
  return data;
}

async function send() {
  busy = true;
  status.textContent = d.sealing;
  status.scrollIntoView({ block: 'nearest' });
  let data;
  try {
    data = await seal();
  } catch {
    busy = false;
    status.textContent = '';
    return complain([{ field: 'files', text: d.changed }]); // all else that can go wrong here was checked
  }
  const x = new XMLHttpRequest();
  x.open('POST', d.path + '/answer');
  x.setRequestHeader('Accept-Language', document.documentElement.lang);
  let said = -1;
  x.upload.addEventListener('progress', (e) => {
    if (!e.lengthComputable || e.total < 1e6) return;
    bar.hidden = false;
    $('cancel').onclick = () => x.abort();
    bar.querySelector('progress').max = e.total;
    bar.querySelector('progress').value = e.loaded;
    const pct = Math.floor((100 * e.loaded) / e.total);
    if (pct >= said + 10 || pct === 100) { // not every percent: a screen reader reads each one out
      said = pct;
      status.textContent = d.uploading.replace('{pct}', pct);
    }
  });
  const end = (problem) => {
    busy = false;
    bar.hidden = true;
    status.textContent = '';
    if (problem) complain([problem]);
  };
  x.addEventListener('load', () => {
    let answer = {};
    try { answer = JSON.parse(x.responseText); } catch { /* not ours: said below */ }
    if (x.status === 200 && answer.ref) {
      end();
      return receipt(answer.ref);
    }
    if (answer.key === 'intake.prove') proven = ''; // the session has ended meanwhile
    end({ text: answer.detail || d.failed });
  });
  x.addEventListener('error', () => end({ text: d.failed }));
  x.addEventListener('abort', () => end({ text: d.cancelled }));
  x.send(data);
}

function receipt(ref) {
  changed = false;
  form.hidden = true;
  $('ref').textContent = ref;
  $('at').textContent = new Intl.DateTimeFormat(document.documentElement.lang === 'fr' ? 'fr-FR' : 'en-GB', { dateStyle: 'long', timeStyle: 'short' }).format(new Date());
  $('sent').replaceChildren(...chosen.map(row));
  if (chosen.length === 0) $('sent').closest('dd').textContent = '–';
  $('done').hidden = false;
  document.getElementById('done-h').focus();
}
$('print').addEventListener('click', () => print());
