// A passphrase that sender and recipient agreed on masks the recipient's half of
// the key (docs/spec/envelope-v1.md, section 6). It is used here, in the browser,
// and never sent.

const ROUNDS = 600000;
const encoder = new TextEncoder();
const subtle = globalThis.crypto.subtle;

// derive returns the key of a passphrase, 32 bytes. It takes a good part of a second.
export async function derive(text, salt) {
  const key = await subtle.importKey('raw', encoder.encode(text.normalize('NFC')), 'PBKDF2', false, ['deriveBits']);
  return new Uint8Array(await subtle.deriveBits({ name: 'PBKDF2', hash: 'SHA-256', salt, iterations: ROUNDS }, key, 256));
}

// mask masks a slot's half, and unmasks it: k is what derive returned, slot the
// 16 bytes of the slot's id, e 32 bytes.
export async function mask(k, slot, e) {
  const key = await subtle.importKey('raw', k, 'HKDF', false, ['deriveBits']);
  const info = encoder.encode('pli/1 passphrase');
  const pad = new Uint8Array(await subtle.deriveBits({ name: 'HKDF', hash: 'SHA-512', salt: slot, info }, key, 256));
  return pad.map((b, i) => b ^ e[i]);
}

// toggle makes a button show and hide a passphrase, and hides it when the form is sent.
export function toggle(button, input) {
  const shown = () => {
    button.textContent = input.type === 'password' ? button.dataset.show : button.dataset.hide;
  };
  button.addEventListener('click', () => {
    input.type = input.type === 'password' ? 'text' : 'password';
    shown();
  });
  input.form?.addEventListener('submit', () => { input.type = 'password'; shown(); });
  button.hidden = false;
  shown();
}
