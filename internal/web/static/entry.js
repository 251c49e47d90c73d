// The entry pages: they take an envelope, or what leads to one, put it on the
// shelf and go on to /open (docs/spec/envelope-v1.md, section 6). They ask the
// server for nothing and read no session.
import { parseArmor, parsePart, fromB64url, isEnvelope } from './envelope.js';
import { put } from './shelf.js';

const page = document.querySelector('[data-way]');
const { way, ref, stage } = page.dataset;
const LIMIT = 150 * 2 ** 20; // bytes of a file

// say shows one of the page's explanations, and nothing else.
export function say(name) {
  for (const box of page.querySelectorAll('[data-say]')) box.hidden = box.dataset.say !== name;
  page.querySelector('[data-wait]')?.setAttribute('hidden', '');
  const box = page.querySelector(`[data-say="${name}"]`);
  box?.focus();
}

async function keep(record) {
  let id;
  try {
    id = await put(record);
  } catch {
    return say('storage');
  }
  location.replace('/open?id=' + id + (record.ref ? '&ref=' + record.ref : ''));
}

// keepFile takes a whole file or armor; the half of the key may come beside it.
async function keepFile(input, part) {
  let found;
  try {
    found = parseArmor(input);
  } catch {
    return say('damaged');
  }
  const half = found.e || found.lock ? { e: found.e, lock: found.lock } : part;
  if (!half) return say('nokey');
  return keep({ bytes: found.bytes, ...half });
}

const ways = {
  // The file's page opened this one and hands over the envelope: once, and only
  // the page that opened this one, whatever its origin (a file has none).
  receive() {
    const from = window.opener;
    if (!from) return say('nothing');
    let taken = false;
    const timer = setTimeout(() => taken || say('nothing'), 10000);
    addEventListener('message', (ev) => {
      const m = ev.data;
      if (taken || ev.source !== from || m?.pli !== 'envelope') return;
      if (typeof m.text !== 'string' || typeof m.e !== 'string' || !parsePart(m.e)) return;
      taken = true;
      clearTimeout(timer);
      if (m.text.length > LIMIT) say('toolarge');
      else keepFile(m.text, parsePart(m.e));
    });
    from.postMessage({ pli: 'ready' }, '*');
  },
  // The whole envelope is in the fragment.
  link() {
    const f = new URLSearchParams(window.pliFragment);
    const part = parsePart(f.get('e'));
    let bytes = null;
    try {
      bytes = fromB64url((f.get('x') ?? '').replace(/\s/g, ''));
    } catch { /* below */ }
    if (!part || !bytes || !isEnvelope(bytes)) return say('damaged');
    keep({ bytes, ...part });
  },
  // A form posted it; it waits here, for this browser, once.
  async stage() {
    const part = parsePart(new URLSearchParams(window.pliFragment).get('e'));
    if (!part) return say('nokey');
    const answer = await fetch(stage, { method: 'POST' }).catch(() => null);
    if (!answer?.ok) return say('unstaged');
    keepFile(new Uint8Array(await answer.arrayBuffer()), part);
  },
  // The link of the mail: the half of the key is here, the envelope at the service.
  mail() {
    const part = parsePart(window.pliFragment);
    if (!part) return location.replace('/e/' + ref); // the link lost its end: the page asks for the address
    keep({ ...part, ref });
  },
  drop() {
    const zone = page.querySelector('[data-drop]');
    const input = page.querySelector('input[type=file]');
    const take = async (file) => {
      if (!file) return;
      if (file.size > LIMIT) return say('toolarge');
      keepFile(new Uint8Array(await file.arrayBuffer()), null);
    };
    input.addEventListener('change', () => take(input.files[0]));
    zone.addEventListener('dragover', (ev) => { ev.preventDefault(); zone.classList.add('over'); });
    zone.addEventListener('dragleave', () => zone.classList.remove('over'));
    addEventListener('dragover', (ev) => ev.preventDefault());
    addEventListener('drop', (ev) => {
      ev.preventDefault(); // a file beside the zone is not shown as a page
      zone.classList.remove('over');
      take(ev.dataTransfer.files[0]);
    });
    zone.hidden = false;
  },
};

// A viewer that runs this page in its own sandbox gives it no storage, and a
// frame could be anybody's (AT-19, AT-20).
if (way in ways) {
  page.querySelector('[data-wait]')?.removeAttribute('hidden'); // without a script there is nothing to wait for
  if (self.origin === 'null' || window.top !== window.self) say('sandbox');
  else ways[way]();
}
