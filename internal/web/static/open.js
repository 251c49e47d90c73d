// Where every way meets: is this envelope this service's, and does the visitor
// hold it? Only then does anybody learn whom it is from and for.
import { MAX_HEAD, parseHead, pop, possession, b64url, fromB64url, fromHex } from './envelope.js';
import { get, unboxed, update } from './shelf.js';
import { ask } from './ask.js';

const page = document.querySelector('[data-way="open"]');
const query = new URLSearchParams(location.search);

function say(name, fill) {
  page.querySelector('[data-wait]').hidden = true;
  const box = page.querySelector(`[data-say="${name}"]`);
  for (const [key, text] of Object.entries(fill ?? {})) box.querySelector(`[data-fill="${key}"]`).textContent = text;
  box.hidden = false;
  box.focus();
}

async function prove() {
  let record;
  try {
    record = await get(query.get('id'));
  } catch {
    return say('storage');
  }
  if (!record) return say('gone');

  let head = null;
  if (record.bytes) {
    try {
      head = await parseHead(await unboxed(record.bytes, 0, MAX_HEAD), 150 * 2 ** 20, record.bytes.size ?? record.bytes.length);
    } catch (err) {
      return say(err.code === 'version' ? 'version' : 'damaged');
    }
    // AT-12: nothing is asked of the other service, and nothing of this one.
    if (head.origin !== location.origin) {
      return say('origin', { theirs: new URL(head.origin).host, ours: location.host });
    }
  }

  const challenge = await ask('/api/v1/open/challenge', head ? { slot: head.slotId } : { ref: record.ref });
  if (!challenge.ok) return say('refused', { why: challenge.detail });
  const { slot, hh, nonce } = challenge.value;
  const attempt = async (e) => {
    // The possession key depends on the head: where the record and the file differ, the proof fails.
    const proof = await possession(await pop(e, slot, head ? head.hh : fromB64url(hh)), fromB64url(nonce));
    return ask('/api/v1/open/possession', { slot, proof: b64url(proof) });
  };
  if (!record.e) return askPassphrase(record, slot, attempt);
  const answer = await attempt(record.e);
  if (!answer.ok) return say(answer.status === 403 || answer.status === 404 ? 'unknown' : 'refused', { why: answer.detail });
  await go(record.id, { ref: answer.value.ref, slot });
}

async function go(id, more) {
  await update(id, more);
  location.replace('/e/' + more.ref);
}

// askPassphrase shows the form, and tries what is typed: a wrong passphrase
// gives a wrong half, which proves nothing.
async function askPassphrase(record, slot, attempt) {
  const { derive, mask, toggle } = await import('./passphrase.js');
  const box = page.querySelector('[data-passphrase]');
  const form = box.querySelector('form');
  const input = form.querySelector('input');
  const wrong = form.querySelector('[data-wrong]');
  const busy = form.querySelector('[data-deriving]');
  const { salt, masked, hint } = record.lock;
  if (hint) {
    box.querySelector('[data-fill="hint"]').textContent = hint;
    box.querySelector('[data-hint]').hidden = false;
  }
  toggle(form.querySelector('[data-toggle]'), input);
  const complain = (text) => {
    wrong.textContent = text;
    wrong.hidden = false;
    input.setAttribute('aria-invalid', 'true');
    input.setAttribute('aria-describedby', 'pp-e pp-h');
    input.focus();
    input.select();
  };
  let working = false;
  form.addEventListener('submit', async (ev) => {
    ev.preventDefault();
    if (working) return;
    if (input.value === '') return complain(form.dataset.empty);
    working = true;
    wrong.hidden = true;
    busy.hidden = false;
    try {
      const e = await mask(await derive(input.value, salt), fromHex(slot), masked);
      const answer = await attempt(e);
      if (answer.ok) return await go(record.id, { e, lock: null, ref: answer.value.ref, slot });
      complain(answer.status === 403 || answer.status === 404 ? form.dataset.no : answer.detail);
    } catch {
      complain(form.dataset.broken);
    }
    busy.hidden = true;
    working = false;
  });
  page.querySelector('[data-wait]').hidden = true;
  page.querySelector('[data-title]').hidden = true;
  box.hidden = false;
  input.focus();
}

page?.querySelector('[data-wait]').removeAttribute('hidden');
if (page) prove().catch(() => say('damaged'));
