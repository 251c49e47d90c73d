// In an opened message: a file that was too large for the mail. Its ciphertext is
// fetched piece by piece, decrypted here, and written where the reader says; where
// the browser cannot ask, into a file of its own that it then saves.
import { descriptor, open } from './large.js';
import { safeName, isRisky, kind, bytes } from './files.js';

const GATHERED = 2 ** 30; // bytes that are gathered in memory before they are saved

// offer fills the row of a part that describes a large file. It returns false
// where the part is something else. d has the texts and the slot.
export function offer(row, content, d, save) {
  const file = descriptor(content);
  if (!file) return false;
  const name = safeName(file.name, file.type ?? '');
  const $ = (n) => row.querySelector(`[data-${n}]`);
  $('name').textContent = name;
  $('size').textContent = bytes(file.size, d.units) + ' · ' + kind(name, file.type ?? '');
  $('risk').hidden = !isRisky(name, file.type ?? '');
  $('which').textContent = ' ' + name;
  const bar = Object.assign(document.createElement('progress'), { hidden: true });
  bar.setAttribute('aria-label', name);
  const said = document.createElement('span');
  said.className = 'hint';
  said.setAttribute('role', 'status');
  said.style.flexBasis = '100%';
  row.append(bar, said);
  const button = row.querySelector('button');
  const cancel = Object.assign(document.createElement('button'), { type: 'button', className: 'btn', textContent: d.cancel, hidden: true });
  const again = Object.assign(document.createElement('button'), { type: 'button', className: 'btn', textContent: d.again, hidden: true });
  again.setAttribute('aria-label', `${d.again} ${name}`);
  button.after(again, cancel);
  button.addEventListener('click', async () => {
    if (button.hidden) return;
    const stop = new AbortController();
    let sink;
    try {
      sink = await target(name, file.size, save);
    } catch (err) {
      if (err.name !== 'AbortError') said.textContent = d.largenoroom;
      return;
    }
    cancel.onclick = () => stop.abort();
    button.hidden = true;
    bar.hidden = cancel.hidden = false;
    cancel.focus();
    said.textContent = '';
    const from = async (at) => {
      const answer = await fetch(`/api/v1/open/large/${d.slot}/${file.id}?at=${at}`, { signal: stop.signal, headers: { 'Accept-Language': document.documentElement.lang } });
      if (answer.ok) return answer.body;
      const { key = '', detail = '' } = await answer.json().catch(() => ({}));
      // A proof that is asked for anew is given in another tab; a service that is away comes back.
      const wait = answer.status === 401 || answer.status === 429 || answer.status >= 500 || key.startsWith('release.level');
      throw Object.assign(new Error(detail), { said: true, wait });
    };
    // stuck waits until the reader, or the browser that is online again, goes on. What has come is kept.
    const stuck = (err) => new Promise((resolve, reject) => {
      const end = (then) => () => {
        again.hidden = true;
        said.textContent = '';
        removeEventListener('online', go);
        stop.signal.removeEventListener('abort', quit);
        then();
      };
      const go = end(resolve);
      const quit = end(() => reject(stop.signal.reason));
      said.textContent = [err.said ? err.message : '', d.largewaits].join(' ').trim();
      again.hidden = false;
      again.onclick = go;
      addEventListener('online', go);
      stop.signal.addEventListener('abort', quit);
    });
    try {
      await open(file, from, sink.write, (done, total) => { bar.max = total; bar.value = done; }, stuck);
      await sink.done();
      said.textContent = d.largesaved;
    } catch (err) {
      await sink.drop();
      said.textContent = stop.signal.aborted ? d.largestopped : err.name === 'QuotaExceededError' ? d.largenoroom :
        err.said && err.message ? err.message : err.altered ? d.largealtered : d.broken;
    }
    const mine = row.contains(document.activeElement);
    button.hidden = false;
    bar.hidden = cancel.hidden = true;
    if (mine) button.focus();
  });
  return true;
}

// target is where the file goes: what the reader picks, where the browser can ask;
// a file of the browser's own on its disk; or memory.
async function target(name, size, save) {
  if (window.showSaveFilePicker) {
    const handle = await window.showSaveFilePicker({ suggestedName: name });
    const out = await handle.createWritable(); // the file is there when it is whole
    return { write: (b) => out.write(b), done: () => out.close(), drop: () => out.abort() };
  }
  return await onDisk(name, save).catch(() => gathered(name, size, save));
}

const OWN = 'large-'; // the names of our files in the browser's own folder: and when they were begun
const MARK = 'pli-large'; // read.js looks at it
const SAVING = 10 * 60 * 1000; // ms that saving one may take

// onDisk writes into the browser's own folder, which no page but this site's sees,
// and then saves that file: nothing of it is in memory. It goes when it has been saved.
async function onDisk(name, save) {
  const folder = await navigator.storage.getDirectory();
  await tidy(folder);
  const key = `${OWN}${Date.now()}-${Math.random()}`;
  localStorage.setItem(MARK, '1');
  const gone = () => folder.removeEntry(key).catch(() => {});
  const handle = await folder.getFileHandle(key, { create: true });
  const out = await handle.createWritable().catch(async (err) => { await gone(); throw err; });
  return {
    write: (b) => out.write(b),
    done: async () => {
      await out.close();
      save(await handle.getFile(), name);
      setTimeout(gone, SAVING);
    },
    drop: async () => {
      await out.abort().catch(() => {});
      await gone();
    },
  };
}

// tidy removes what a page that was closed early has left there. MARK says that there is something.
export async function tidy(folder) {
  folder ??= await navigator.storage.getDirectory();
  let left = false;
  for await (const key of folder.keys()) {
    if (!key.startsWith(OWN)) continue;
    const old = Number(key.slice(OWN.length).split('-')[0]) < Date.now() - SAVING;
    if (!old || await folder.removeEntry(key).then(() => false, () => true)) left = true; // one being written is held
  }
  if (!left) localStorage.removeItem(MARK);
}

function gathered(name, size, save) {
  if (size > GATHERED) throw new Error('too large to gather');
  let pieces = [];
  let held = [];
  let n = 0;
  const pack = () => {
    pieces.push(new Blob(held));
    held = [];
    n = 0;
  };
  return {
    write: (b) => {
      held.push(b);
      if ((n += b.length) >= 8 << 20) pack();
    },
    done: () => {
      pack();
      save(new Blob(pieces), name);
    },
    drop: () => { pieces = held = []; },
  };
}
