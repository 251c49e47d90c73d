/* A field for several addresses: each becomes a chip that can be taken out, and contacts are suggested.
   The textarea that it replaces stays in the form, hidden, and has the whole list: without this file it is the field. */

// split cuts what was typed or pasted at commas, semicolons and line ends, and at spaces where there are no names.
const split = (s) => s.split(/[,;\n]+/).flatMap((p) => (p.includes('<') ? [p] : p.split(/\s+/))).map((p) => p.trim()).filter(Boolean);

export function chips(area, d, changed) {
  const box = document.createElement('x-people');
  for (const k of ['label', 'found', 'none']) box.dataset[k] = d[k];
  box.dataset.src = '/compose/people';
  const list = document.createElement('ul');
  list.className = 'chips tokens';
  const input = document.createElement('input');
  const status = document.createElement('span');
  status.className = 'vh';
  status.setAttribute('role', 'status');
  for (const a of ['id', 'aria-describedby', 'aria-invalid', 'required', 'autocomplete']) {
    if (area.hasAttribute(a)) input.setAttribute(a, area.getAttribute(a));
    area.removeAttribute(a);
  }
  Object.assign(input, { type: 'text', autocapitalize: 'none', spellcheck: false });
  const all = () => [...list.children].map((li) => li.firstChild.textContent);
  const keep = () => {
    list.hidden = !list.children.length;
    const value = [...all(), ...split(input.value)].join(', ');
    if (value === area.value) return;
    area.value = value;
    changed();
  };
  const add = (text) => {
    const li = document.createElement('li');
    if (!/^[^@]*<?[^\s@]+@[^\s@]+>?$/.test(text)) li.className = 'bad';
    const name = document.createElement('span');
    name.textContent = text;
    const out = document.createElement('button');
    out.type = 'button';
    out.className = 'btn quiet';
    out.textContent = '×';
    out.setAttribute('aria-label', `${d.remove} ${text}`);
    out.addEventListener('click', () => { li.remove(); keep(); input.focus(); });
    li.append(name, out);
    list.append(li);
  };
  // Chips that are there stay the same elements: leaving the field to press one must not take it away.
  const commit = () => {
    const before = all();
    const more = split(input.value).filter((a) => !before.includes(a));
    input.value = '';
    more.forEach(add);
    keep();
  };
  area.hidden = true;
  split(area.value).forEach(add);
  box.append(input, status);
  area.before(list, box);
  keep();
  input.addEventListener('input', () => (/[,;]$/.test(input.value) ? commit() : keep()));
  input.addEventListener('paste', (e) => {
    const text = e.clipboardData.getData('text/plain');
    if (!/[,;\n]/.test(text)) return;
    e.preventDefault();
    input.value += text;
    commit();
  });
  input.addEventListener('picked', commit);
  input.addEventListener('blur', commit);
  input.addEventListener('keydown', (e) => {
    if (e.defaultPrevented) return; // the list of suggestions took it
    if (e.key === 'Enter' && input.value.trim()) {
      e.preventDefault();
      commit();
    } else if (e.key === 'Backspace' && !input.value && list.lastChild) {
      e.preventDefault();
      input.value = all().at(-1); // to be corrected
      list.lastChild.remove();
      keep();
    }
  });
}
