/* New envelope: one chip per address, drafts kept while one writes, how far the upload is, and the files stay when
   something has to be corrected. Without this file the form posts itself; the files are then kept in a draft. */
import { bytes } from './files.js';
import { chips } from './chips.js';
import { Larges } from './sendlarge.js';
import { forget } from './large.js';

const form = document.querySelector('form[data-compose]');
if (form) {
  const files = form.querySelector('input[type=file]');
  const list = form.querySelector('[data-files]');
  const kept = form.querySelector('[data-kept]');
  const progress = form.querySelector('progress');
  const status = form.querySelector('[data-progress]');
  const saved = form.querySelector('[data-saved]');
  const total = form.querySelector('[data-total]');
  const cancel = form.querySelector('[data-cancel]');
  const summary = document.getElementById('compose-problems');
  const d = form.dataset;
  const limit = Number(d.max) << 20;

  // A file too large for a mail goes beside it: what opens it is a small file of the message, and "large" names it.
  const named = form.elements.large;
  const larges = Number(d.large) > 0 && new Larges(form, (small, id) => {
    small.large = id;
    named.value = `${named.value} ${id}`.trim();
    chosen.push(small);
    show();
    touched();
  });
  const unlarge = (id) => {
    named.value = named.value.split(' ').filter((n) => n !== id).join(' ');
    forget({}, id);
  };

  // The chosen files, gathered over several choices; each can be taken out again.
  let chosen = [];
  const show = () => {
    list.replaceChildren(...chosen.map((f, i) => {
      const row = document.createElement('li');
      row.className = 'file';
      const name = document.createElement('span');
      name.className = 'grow';
      name.textContent = f.shown ?? `${f.name} (${bytes(f.size, d.units)})`;
      const out = document.createElement('button');
      out.type = 'button';
      out.className = 'btn';
      out.textContent = d.remove;
      out.setAttribute('aria-label', `${d.remove} ${f.name}`);
      out.addEventListener('click', () => { chosen.splice(i, 1); if (f.large) unlarge(f.large); show(); files.focus(); });
      row.append(name, out);
      return row;
    }));
    const all = new DataTransfer();
    for (const f of chosen) all.items.add(f);
    files.files = all.files;
    // Said when the files are chosen, not after minutes of upload.
    const before = [...kept.querySelectorAll('input:checked')].reduce((n, k) => n + Number(k.dataset.size), 0);
    const sum = chosen.reduce((n, f) => n + f.size, before);
    total.textContent = sum > limit ? d.toobig.replace('{size}', bytes(sum, d.units)) : '';
    total.hidden = sum <= limit;
    files.toggleAttribute('aria-invalid', sum > limit);
    if (sum <= limit) summary.hidden = true;
    return sum <= limit;
  };
  files.addEventListener('change', () => {
    for (const f of files.files) if (larges && f.size > limit) {
      const wrong = larges.take(f);
      if (wrong) complain([{ field: 'files', text: wrong }]);
    } else if (!chosen.some((c) => c.name === f.name && c.size === f.size && c.lastModified === f.lastModified)) chosen.push(f);
    show();
  });

  const complain = (problems) => {
    for (const e of form.querySelectorAll('[aria-invalid]')) e.removeAttribute('aria-invalid');
    const ul = summary.querySelector('ul');
    ul.replaceChildren(...problems.map((p) => {
      const li = document.createElement('li');
      const input = p.field && form.querySelector(`#f-${CSS.escape(p.field)}`);
      if (p.href) li.append(Object.assign(document.createElement('a'), { href: p.href, target: '_blank', rel: 'noopener', textContent: p.text }));
      else if (input) {
        input.closest('details')?.setAttribute('open', '');
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

  // adopt takes over what the service now has of this draft.
  const adopt = (draft, sent) => {
    if (!draft) return;
    form.elements.draft.value = draft.id;
    form.elements.version.value = draft.version;
    const off = new Set([...kept.querySelectorAll('input[name=keep]:not(:checked)')].map((k) => k.value));
    kept.querySelectorAll('.field').forEach((e) => e.remove());
    for (const f of draft.files) {
      const row = document.createElement('div');
      row.className = 'field check';
      const box = Object.assign(document.createElement('input'), { type: 'checkbox', id: `k-${f.id}`, name: 'keep', value: f.id, checked: !off.has(f.id) });
      box.dataset.size = f.size;
      const had = Object.assign(document.createElement('input'), { type: 'hidden', name: 'had', value: f.id });
      const label = Object.assign(document.createElement('label'), { htmlFor: box.id, textContent: f.text });
      row.append(had, box, label);
      kept.append(row);
    }
    kept.hidden = !draft.files.length;
    chosen = chosen.filter((f) => !sent.includes(f));
    show();
    if (draft.id) history.replaceState(null, '', `/compose?draft=${draft.id}`);
  };

  // post sends the form; quiet says nothing of how far it is.
  let busy = null;
  const post = (path, quiet) => {
    const sent = chosen.slice();
    const before = new FormData(form);
    busy = new Promise((resolve) => {
      const x = new XMLHttpRequest();
      x.open('POST', path);
      x.setRequestHeader('Accept', 'application/json');
      const bar = progress.closest('[data-bar]');
      let said = -1;
      x.upload.addEventListener('progress', (e) => {
        if (quiet || !sent.length || !e.lengthComputable) return;
        bar.hidden = false;
        cancel.onclick = () => x.abort();
        progress.max = e.total;
        progress.value = e.loaded;
        const pct = Math.floor((100 * e.loaded) / e.total);
        if (pct >= said + 10 || pct === 100) { // not every percent: a screen reader reads each one out
          said = pct;
          status.textContent = (sent.length === 1 ? d.uploading.replace('{file}', sent[0].name) : d.uploadingall.replace('{n}', sent.length)).replace('{pct}', pct);
        }
      });
      const end = (answer) => {
        busy = null;
        bar.hidden = true;
        status.textContent = '';
        resolve(answer);
      };
      x.addEventListener('load', () => {
        let answer = {};
        try { answer = JSON.parse(x.responseText); } catch { /* not ours: said below */ }
        if (x.status === 401) answer = { problems: [{ text: d.signedout, href: '/signin' }], lost: true }; // the session has ended: the form stays
        else if (x.status !== 200 && !answer.problems) answer = { problems: [{ text: answer.detail || d.failed }], lost: true };
        // What was refused was not kept; a draft whose saving went well has all that came.
        adopt(answer.draft, answer.problems && !answer.kept ? [] : sent);
        end(answer);
      });
      x.addEventListener('error', () => end({ problems: [{ text: d.failed }], lost: true }));
      x.addEventListener('abort', () => end({ problems: [{ text: d.cancelled }], lost: true }));
      x.send(before);
    });
    return busy;
  };

  let changed = false;
  let leaving = false;
  let timer = 0;
  let asked = false; // by a person, while something was under way
  const touched = () => {
    changed = true;
    timer ||= setTimeout(autosave, 30000);
  };
  const stop = () => { clearTimeout(timer); timer = 0; };

  // autosave keeps what has changed, and says so without a word aloud.
  async function autosave() {
    stop();
    if (busy || leaving || !changed) return;
    if (!show()) return;
    changed = false;
    const answer = await post('/compose/draft', true);
    if (leaving || asked) return;
    if (!answer.problems) saved.textContent = answer.saved;
    else {
      changed = true;
      saved.textContent = answer.lost ? d.notsaved : '';
      if (answer.lost) timer ||= setTimeout(autosave, 30000);
      if (!answer.lost || answer.problems[0].href) complain(answer.problems); // another window has it: somebody must look
    }
  }

  form.addEventListener('submit', async (ev) => {
    ev.preventDefault();
    if (asked) return;
    asked = true;
    const save = ev.submitter?.hasAttribute('data-save');
    if (busy) await busy;
    stop();
    if (larges && larges.busy && !save) {
      asked = false;
      return complain([{ field: 'files', text: d.largebusy }]);
    }
    if (!show()) {
      asked = false;
      return complain([{ field: 'files', text: total.textContent }]);
    }
    summary.hidden = true;
    changed = false;
    const answer = await post(save ? '/compose/draft' : form.getAttribute('action'), false);
    asked = false;
    if (answer.problems) {
      touched();
      return complain(answer.problems);
    }
    if (answer.next) {
      leaving = true;
      location.assign(answer.next);
      return;
    }
    saved.textContent = '';
    status.textContent = answer.saved;
  });

  form.addEventListener('input', touched);
  addEventListener('beforeunload', (e) => { if (changed && !leaving) e.preventDefault(); });
  addEventListener('pageshow', (e) => { if (e.persisted) leaving = false; });

  // How those who are named will open it, as the service says.
  const how = form.querySelector('[data-how]');
  const told = 5;
  let hows = [...how.children].map((li) => li.textContent);
  const tell = () => {
    how.replaceChildren(...hows.slice(0, told).concat(hows.length > told ? [how.dataset.more.replace('{n}', hows.length - told)] : []).map((text) => Object.assign(document.createElement('li'), { textContent: text })));
  };
  let asking;
  let wait;
  const ask = () => {
    clearTimeout(wait);
    wait = setTimeout(async () => {
      asking?.abort();
      asking = new AbortController();
      const body = new URLSearchParams();
      for (const n of ['to', 'cc', 'level']) body.set(n, form.elements[n].value);
      try {
        const answer = await fetch('/compose/how', { method: 'POST', body, signal: asking.signal, headers: { Accept: 'application/json' } });
        if (!answer.ok) return;
        hows = (await answer.json()).how;
        tell();
      } catch { /* overtaken, or no answer: nothing depends on it */ }
    }, 400);
  };
  form.elements.level.addEventListener('change', ask);
  for (const name of ['to', 'cc']) chips(form.elements[name], d, () => { touched(); ask(); });
  changed = false; // what the chips did to the list is no change of the person's
  stop();
  clearTimeout(wait);
  tell();
}
