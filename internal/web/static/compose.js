/* New envelope: shows how far the upload is, and keeps the files when something has to be corrected.
   Without this file the form posts itself, and the page comes back with everything but the files. */
import { bytes } from './files.js';

const form = document.querySelector('form[data-compose]');
if (form) {
  const files = form.querySelector('input[type=file]');
  const list = form.querySelector('[data-files]');
  const progress = form.querySelector('progress');
  const status = form.querySelector('[data-progress]');
  const total = form.querySelector('[data-total]');
  const cancel = form.querySelector('[data-cancel]');
  const summary = document.getElementById('compose-problems');
  const d = form.dataset;
  const limit = Number(d.max) << 20;

  // The chosen files, gathered over several choices; each can be taken out again.
  let chosen = [];
  const show = () => {
    list.replaceChildren(...chosen.map((f, i) => {
      const row = document.createElement('li');
      row.className = 'file';
      const name = document.createElement('span');
      name.className = 'grow';
      name.textContent = `${f.name} (${bytes(f.size, d.units)})`;
      const out = document.createElement('button');
      out.type = 'button';
      out.className = 'btn';
      out.textContent = d.remove;
      out.setAttribute('aria-label', `${d.remove} ${f.name}`);
      out.addEventListener('click', () => { chosen.splice(i, 1); show(); files.focus(); });
      row.append(name, out);
      return row;
    }));
    const all = new DataTransfer();
    for (const f of chosen) all.items.add(f);
    files.files = all.files;
    // Said when the files are chosen, not after minutes of upload.
    const sum = chosen.reduce((n, f) => n + f.size, 0);
    total.textContent = sum > limit ? d.toobig.replace('{size}', bytes(sum, d.units)) : '';
    total.hidden = sum <= limit;
    files.toggleAttribute('aria-invalid', sum > limit);
    if (sum <= limit) summary.hidden = true;
    return sum <= limit;
  };
  files.addEventListener('change', () => {
    for (const f of files.files) if (!chosen.some((c) => c.name === f.name && c.size === f.size && c.lastModified === f.lastModified)) chosen.push(f);
    show();
  });

  const complain = (problems) => {
    for (const e of form.querySelectorAll('[aria-invalid]')) e.removeAttribute('aria-invalid');
    const ul = summary.querySelector('ul');
    ul.replaceChildren(...problems.map((p) => {
      const li = document.createElement('li');
      const input = p.field && form.querySelector(`#f-${CSS.escape(p.field)}`);
      if (input) {
        input.setAttribute('aria-invalid', 'true');
        const a = document.createElement('a');
        a.href = `#f-${p.field}`;
        a.textContent = p.text;
        li.append(a);
      } else li.textContent = p.text;
      return li;
    }));
    summary.hidden = false;
    summary.focus();
  };

  let busy = false;
  form.addEventListener('submit', (ev) => {
    ev.preventDefault();
    if (busy) return;
    if (!show()) return complain([{ field: 'files', text: total.textContent }]);
    busy = true;
    summary.hidden = true;
    const x = new XMLHttpRequest();
    x.open('POST', form.action);
    x.setRequestHeader('Accept', 'application/json');
    const bar = progress.closest('[data-bar]');
    let said = -1;
    x.upload.addEventListener('progress', (e) => {
      if (!chosen.length || !e.lengthComputable) return;
      bar.hidden = false;
      cancel.onclick = () => x.abort();
      progress.max = e.total;
      progress.value = e.loaded;
      const pct = Math.floor((100 * e.loaded) / e.total);
      if (pct >= said + 10 || pct === 100) { // not every percent: a screen reader reads each one out
        said = pct;
        status.textContent = (chosen.length === 1 ? d.uploading.replace('{file}', chosen[0].name) : d.uploadingall.replace('{n}', chosen.length)).replace('{pct}', pct);
      }
    });
    const done = (problems) => {
      busy = false;
      bar.hidden = true;
      status.textContent = '';
      complain(problems);
    };
    x.addEventListener('load', () => {
      let answer = {};
      try { answer = JSON.parse(x.responseText); } catch { /* not ours: said below */ }
      if (x.status === 200 && answer.next) { changed = false; location.assign(answer.next); } else done(answer.problems || [{ text: answer.detail || d.failed }]);
    });
    x.addEventListener('error', () => done([{ text: d.failed }]));
    x.addEventListener('abort', () => done([{ text: d.cancelled }]));
    x.send(new FormData(form));
  });

  let changed = false;
  form.addEventListener('input', () => { changed = true; });
  addEventListener('beforeunload', (e) => { if (changed && !busy) e.preventDefault(); });
}
