// "Keep on this device": offered where an envelope was opened whose account and
// message allow it. Nothing is kept before the service has agreed and recorded it.
import { keep, fromB64url } from './envelope.js';
import { unboxed } from './shelf.js';
import { ask } from './ask.js';
import { MOST, list, find, put, forget, day } from './leases.js';

// offer shows the choice in box. record is the shelf's, released what opened it.
export async function offer(box, record, head, released) {
  const say = box.querySelector('[role=status]');
  const [taking, dropping] = [box.querySelector('[data-take]'), box.querySelector('[data-forget]')];
  const shown = (kept) => {
    box.querySelector('[data-choice]').hidden = Boolean(kept);
    box.querySelector('[data-have]').hidden = !kept;
    if (!kept) return;
    box.querySelector('[data-until]').textContent = box.dataset.until.replace('{date}', day(kept.until));
    box.querySelector('a').href = `/device?lang=${document.documentElement.lang}#${kept.ref}`;
  };
  let kept;
  try {
    kept = await find(released.ref);
  } catch {
    return; // without storage there is nothing to offer
  }
  shown(kept);
  box.hidden = false;
  const button = (b, work) => b.addEventListener('click', async () => {
    if (b.getAttribute('aria-busy')) return;
    b.setAttribute('aria-busy', 'true');
    try {
      say.textContent = (await work()) ?? '';
    } catch {
      say.textContent = box.dataset.broken;
    } finally {
      b.removeAttribute('aria-busy');
    }
  });
  button(taking, async () => {
    if ((await list()).length >= MOST) return box.dataset.full;
    const answer = await ask(box.dataset.keep, { slot: head.slotId });
    if (!answer.ok) return answer.detail;
    const { sender, sealed_at: sealedAt, ref } = released;
    const { key, base, sealed } = await keep(await unboxed(record.bytes), head, fromB64url(released.s), record.e);
    kept = { ref, slot: head.slotId, sender, sealedAt: Date.parse(sealedAt), until: Date.parse(answer.value.until), proof: answer.value.proof,
      copy: 'copy' in box.dataset, key, base, sealed: new Blob([sealed]) };
    await put(kept);
    shown(kept);
    const offline = await install(box.dataset.worker).then(() => true, () => false);
    box.querySelector('a').focus();
    return offline ? box.dataset.done : box.dataset.nooffline;
  });
  button(dropping, async () => {
    await forget(released.ref);
    shown(null);
    taking.focus();
    return box.dataset.forgotten;
  });
}

// install has the browser keep the page /device and its files, and nothing else
// of this site: that is the worker's scope.
async function install(url) {
  const policy = window.trustedTypes?.createPolicy('pli-device', { createScriptURL: () => url });
  const worker = await navigator.serviceWorker.register(policy ? policy.createScriptURL('') : url, { scope: '/device' });
  const coming = worker.installing ?? worker.waiting ?? worker.active;
  if (coming.state === 'activated') return;
  await new Promise((resolve, reject) => {
    coming.addEventListener('statechange', () => {
      if (coming.state === 'activated') resolve();
      if (coming.state === 'redundant') reject(new Error('the worker was not installed'));
    });
  });
}
