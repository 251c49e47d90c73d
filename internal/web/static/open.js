// Where every way meets: is this envelope this service's, and does the visitor
// hold it? Only then does anybody learn whom it is from and for.
import { parseHead, pop, possession, b64url, fromB64url } from './envelope.js';
import { get, update } from './shelf.js';
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
      head = await parseHead(record.bytes, 150 * 2 ** 20);
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
  // The possession key depends on the head: where the record and the file differ, the proof fails.
  const proof = await possession(await pop(record.e, slot, head ? head.hh : fromB64url(hh)), fromB64url(nonce));
  const answer = await ask('/api/v1/open/possession', { slot, proof: b64url(proof) });
  if (!answer.ok) return say(answer.status === 403 || answer.status === 404 ? 'unknown' : 'refused', { why: answer.detail });
  await update(record.id, { ref: answer.value.ref, slot });
  location.replace('/e/' + answer.value.ref);
}

page?.querySelector('[data-wait]').removeAttribute('hidden');
if (page) prove().catch(() => say('damaged'));
