// A passphrase on a form that seals: what it derives is sent, and it is not. Its
// input has no name, so that no browser sends it by itself.
import { derive, toggle } from './passphrase.js';
import { b64url } from './envelope.js';

const LEAST = 8; // characters

const box = document.querySelector('[data-sealphrase]');
if (box) {
  const form = box.closest('form');
  const input = box.querySelector('#f-pp');
  const wrong = box.querySelector('#f-pp-e');
  const busy = box.querySelector('[data-deriving]');
  const [key, salt] = ['pp_key', 'pp_salt'].map((name) => box.querySelector(`[name=${name}]`));
  let derived = ''; // what key and salt are for
  let working = false;

  const forget = () => { key.value = salt.value = derived = ''; };
  const complain = (text) => {
    wrong.textContent = text;
    wrong.hidden = false;
    input.setAttribute('aria-invalid', 'true');
    for (let d = box.closest('details'); d; d = d.parentElement.closest('details')) d.open = true;
    input.focus();
  };
  input.addEventListener('input', () => {
    forget();
    wrong.hidden = true;
    input.removeAttribute('aria-invalid');
  });
  // Before any other listener: the form goes on when the key is there.
  document.addEventListener('submit', async (ev) => {
    if (ev.target !== form || input.value === derived) return;
    ev.preventDefault();
    ev.stopImmediatePropagation();
    if (working) return;
    if ([...input.value].length < LEAST) return complain(box.dataset.short);
    working = true;
    busy.hidden = false;
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    const text = input.value;
    try {
      key.value = b64url(await derive(text, bytes));
      salt.value = b64url(bytes);
      derived = text;
    } catch {
      forget();
      return complain(box.dataset.broken);
    } finally {
      working = false;
      busy.hidden = true;
    }
    form.requestSubmit(ev.submitter);
  }, true);
  toggle(box.querySelector('[data-toggle]'), input);
  box.hidden = false;
}
