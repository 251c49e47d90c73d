// The message page: gets the service's half of the key, decrypts the envelope
// here, and shows it. Nothing of the message goes back to the server.
import { MAX_HEAD, parseArmor, parseHead, open, fromB64url } from './envelope.js';
import { MANY, boxed, find, put, unboxed, update } from './shelf.js';
import { ask } from './ask.js';
import { page, d, $, say, progress, render } from './render.js';

const LIMIT = 150 * 2 ** 20; // bytes of an envelope

if (page) $('phase').textContent = d.decrypting;

// ---- the three things needed: E and the ciphertext from here, S from the service

async function run() {
  let record;
  try {
    record = await find(d.ref);
  } catch {
    return say('storage');
  }
  if (!d.release) return say('needfile'); // the address is proved, the mail is not
  if (!record) return say('needkey');
  if (!record.e) return location.replace('/open?id=' + record.id); // it takes a passphrase, which is asked for there
  if (!record.bytes) {
    if (!d.download) return say('needfile');
    try {
      record.bytes = await download(d.download);
    } catch (err) {
      return say('failed', err.message);
    }
    await show(record);
    return update(record.id, { bytes: record.bytes }).catch(() => {}); // without it a reload asks again
  }
  await show(record);
}

// download reads the kept ciphertext, with its progress.
async function download(url) {
  const answer = await fetch(url);
  if (!answer.ok) throw new Error((await answer.json().catch(() => ({}))).detail ?? '');
  const total = Number(answer.headers.get('Content-Length')) || 0;
  if (total > LIMIT) throw new Error(d.toolarge);
  const pieces = [];
  const reader = answer.body.getReader();
  const tell = progress(d.fetching);
  let at = 0;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      if (at + value.length > total) throw new Error();
      pieces.push(value);
      at += value.length;
      tell(at, total);
    }
  } catch {
    throw new Error(d.broken);
  }
  if (at !== total) throw new Error(d.broken);
  const all = new Blob(pieces);
  return total > MANY ? all : unboxed(all);
}

async function show(record) {
  let head;
  try {
    const whole = record.bytes.size ?? record.bytes.length;
    head = await parseHead(await unboxed(record.bytes, 0, MAX_HEAD), LIMIT, whole);
  } catch {
    return say('altered');
  }
  if (head.origin !== location.origin || head.slotId !== d.slot) return say('other');
  const opener = prepare(record.bytes, head);
  performance.mark('pli-bytes');
  const answer = await ask(d.release, { slot: head.slotId });
  performance.mark('pli-key');
  if (!answer.ok) {
    opener.stop();
    // An answer that was lost may have been given: the record says opened then (AT-34).
    return say(answer.key.startsWith('release.level') ? 'level' : 'failed', answer.status === 0 ? d.lost : answer.detail);
  }
  let opened;
  try {
    const { s, hh, ph } = answer.value;
    opened = await opener.open(fromB64url(s), record.e, { hh: fromB64url(hh), ph: fromB64url(ph) }, progress(d.decrypting));
  } catch (err) {
    console.warn(err.code, err.message); // says what was wrong, and nothing of the content
    return say('altered');
  } finally {
    opener.stop();
  }
  performance.mark('pli-opened');
  await render(opened.manifest, opened.message);
  performance.mark('pli-shown');
  if ($('keep')) (await import('./keep.js')).offer($('keep'), record, head, answer.value);
}

// prepare makes ready to open an envelope while the service's half is asked for:
// of a large one, two threads read it already, and one hashes it (unseal.js).
// open() is to be called once, with both halves.
function prepare(bytes, head) {
  const box = boxed(bytes); // a browser may have kept it as an array
  if (!(box instanceof Blob)) return { open: (s, e, record, tell) => open(bytes, head, s, e, record, tell), stop() {} };
  const policy = window.trustedTypes?.createPolicy('pli-thread', { createScriptURL: () => d.thread });
  const [hasher, opener] = [0, 1].map(() => new Worker(policy ? policy.createScriptURL('') : d.thread, { type: 'module' }));
  let tell;
  const opened = new Promise((resolve, reject) => {
    for (const thread of [hasher, opener]) {
      thread.addEventListener('error', () => reject(new Error('a thread that opens did not start')));
      thread.addEventListener('message', ({ data }) => {
        if (data.hashed) {
          hasher.terminate(); // its copy of the envelope goes with it
          opener.postMessage(data);
        } else if (data.manifest) resolve(data);
        else if (data.done !== undefined) tell(data.done, data.total);
        else reject(Object.assign(new Error(data.why), { code: data.code }));
      });
    }
  });
  opened.catch(() => {}); // open() says it
  opener.postMessage({ box, limit: LIMIT });
  hasher.postMessage({ box, limit: LIMIT, hash: true });
  return {
    open(s, e, record, onProgress) {
      tell = onProgress;
      opener.postMessage({ s, e, record });
      return opened;
    },
    stop() {
      hasher.terminate();
      opener.terminate();
    },
  };
}

// ---- the file instead: dropped here, it may bring what this browser has not got

async function take(file) {
  if (!file) return;
  if (file.size > LIMIT) return say('failed', d.toolarge);
  let found;
  let head;
  try {
    found = parseArmor(new Uint8Array(await file.arrayBuffer()));
    head = await parseHead(found.bytes, LIMIT);
  } catch {
    return say('damaged');
  }
  const known = await find(d.ref).catch(() => null);
  const e = (known?.slot === head.slotId ? known.e : null) ?? found.e ?? (found.lock ? null : known?.e);
  if (!e && !found.lock) return say('nokey');
  const id = await put({ bytes: found.bytes, e, lock: e ? null : found.lock }).catch(() => null);
  if (!id) return say('storage');
  // Prove possession again, with this file: /open leads back here.
  if (!e || !d.release || head.slotId !== d.slot) return location.assign('/open?id=' + id);
  await update(id, { ref: d.ref, slot: head.slotId });
  location.reload();
}

if (page) {
  const input = page.querySelector('input[type=file]');
  input.addEventListener('change', () => take(input.files[0]));
  addEventListener('dragover', (ev) => ev.preventDefault());
  addEventListener('drop', (ev) => { ev.preventDefault(); if (!$('drop').hidden) take(ev.dataTransfer.files[0]); });
  run().catch((err) => { console.warn(err.message); say('altered'); });
}
