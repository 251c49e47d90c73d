// In an opened message: a file that was too large for the mail. Its ciphertext is
// fetched piece by piece, decrypted here, and written where the reader says, or
// gathered where the browser cannot ask.
import { descriptor, open } from './large.js';
import { safeName, isRisky, kind, bytes } from './files.js';

const GATHERED = 2 * 2 ** 30; // bytes that a browser gathers before it saves them

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
  said.style.display = 'block';
  row.querySelector('.grow').append(said);
  row.append(bar);
  const button = row.querySelector('button');
  const cancel = Object.assign(document.createElement('button'), { type: 'button', className: 'btn', textContent: d.cancel, hidden: true });
  button.after(cancel);
  button.addEventListener('click', async () => {
    if (button.disabled) return;
    const stop = new AbortController();
    let sink;
    try {
      sink = await target(name, file.size, save);
    } catch (err) {
      if (err.name !== 'AbortError') said.textContent = d.largenoroom;
      return;
    }
    cancel.onclick = () => stop.abort();
    button.disabled = true;
    bar.hidden = cancel.hidden = false;
    said.textContent = '';
    try {
      const from = async (at) => {
        const answer = await fetch(`/api/v1/open/large/${d.slot}/${file.id}?at=${at}`, { signal: stop.signal, headers: { 'Accept-Language': document.documentElement.lang } });
        if (!answer.ok) throw Object.assign(new Error((await answer.json().catch(() => ({}))).detail ?? ''), { said: true });
        return answer.body;
      };
      await open(file, from, sink.write, (done, total) => { bar.max = total; bar.value = done; });
      await sink.done();
      said.textContent = d.largesaved;
    } catch (err) {
      await sink.drop();
      said.textContent = stop.signal.aborted ? d.largestopped : err.said && err.message ? err.message : err.altered ? d.largealtered : d.broken;
    }
    button.disabled = false;
    bar.hidden = cancel.hidden = true;
  });
  return true;
}

// target is where the file goes: what the reader picks, where the browser can
// ask; or memory, which browsers move to disk, and then a download.
async function target(name, size, save) {
  if (window.showSaveFilePicker) {
    const handle = await window.showSaveFilePicker({ suggestedName: name });
    const out = await handle.createWritable(); // the file is there when it is whole
    return { write: (b) => out.write(b), done: () => out.close(), drop: () => out.abort() };
  }
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
