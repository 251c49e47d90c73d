// Passkeys. A form with data-passkey asks the browser for one when it is sent ("create" for a new one,
// "get" for one that is there), and goes to its address with the answer. data-offer: also beside the
// address that somebody types, where the browser can.
const bytes = s => Uint8Array.from(atob(s.replace(/-/g, '+').replace(/_/g, '/')), c => c.charCodeAt(0));
const text = b => b && btoa(String.fromCharCode(...new Uint8Array(b))).replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '');
const minutes = 60_000;
let offer; // the one that waits beside the address
let asked; // a challenge on its way, if any

// A challenge may begin this browser's session. Whatever else was sent meanwhile would begin another, and of the
// two the last to be answered would stay: one after the other.
async function challenge(create) {
  while (asked) await asked;
  const answer = fetch('/passkey/challenge', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ add: create }) });
  asked = answer.catch(() => {}).then(() => { asked = undefined; });
  return answer;
}
addEventListener('submit', async e => {
  if (!asked || 'passkey' in e.target.dataset) return;
  e.preventDefault();
  e.stopImmediatePropagation();
  const button = e.submitter;
  await asked;
  e.target.requestSubmit(button);
}, true);

async function ask(form, more) {
  const create = form.dataset.passkey === 'create';
  const r = await challenge(create);
  if (r.status === 403 && create) { // it is some time since this person proved who they are, or their mailbox is still to be proved
    const at = (await r.clone().json()).key === 'proof.again' ? 'mailbox' : 'second';
    location.assign(`/${at}?next=${encodeURIComponent(location.pathname)}`);
  }
  if (!r.ok) throw new Error(`status ${r.status}`);
  const { publicKey } = await r.json();
  publicKey.challenge = bytes(publicKey.challenge);
  if (publicKey.user) publicKey.user.id = bytes(publicKey.user.id);
  for (const c of publicKey.excludeCredentials ?? []) c.id = bytes(c.id);
  const got = await navigator.credentials[create ? 'create' : 'get']({ publicKey, ...more });
  const { clientDataJSON, attestationObject, authenticatorData, signature, userHandle } = got.response;
  form.elements.answer.value = JSON.stringify({
    id: got.id, rawId: text(got.rawId), type: got.type, clientExtensionResults: {},
    response: {
      clientDataJSON: text(clientDataJSON),
      ...(create ? { attestationObject: text(attestationObject), transports: got.response.getTransports?.() ?? [] }
        : { authenticatorData: text(authenticatorData), signature: text(signature), userHandle: text(userHandle) ?? undefined }),
    },
  });
  form.submit();
}

async function wait(form) {
  offer = new AbortController();
  const again = setTimeout(() => { offer.abort(); wait(form); }, 9 * minutes); // before the challenge is too old
  try {
    await ask(form, { mediation: 'conditional', signal: offer.signal });
  } catch { // nobody took it, or the form's button was pressed
    clearTimeout(again);
  }
}

if (window.PublicKeyCredential && navigator.credentials) {
  document.querySelector('[data-nopasskey]')?.remove();
  for (const form of document.querySelectorAll('form[data-passkey]')) {
    form.hidden = false;
    const says = form.querySelector('[role=status]');
    form.addEventListener('submit', async e => {
      e.preventDefault();
      offer?.abort();
      says.textContent = '';
      try {
        await ask(form, {});
      } catch (err) {
        says.textContent = err.name === 'NotAllowedError' || err.name === 'AbortError' ? form.dataset.cancelled : form.dataset.failed;
      }
    });
    if ('offer' in form.dataset && await PublicKeyCredential.isConditionalMediationAvailable?.()) {
      // Not before somebody is there: each challenge is kept, and programs look at this page too.
      await new Promise(r => ['pointermove', 'pointerdown', 'keydown', 'focusin'].forEach(e => addEventListener(e, r, { once: true })));
      wait(form);
    }
  }
}
