// What a form with a new password does a little better with a script: it shows
// what was typed, and hints at its strength before the server judges it. The
// texts come with the page: <form data-password data-show data-hide data-label
// data-marks="short|guessable|fair|good">. A page may also offer to copy a text:
// <button hidden data-copy="id" data-copied="…">.
for (const form of document.querySelectorAll('form[data-password]')) {
  const inputs = [...form.querySelectorAll('input[autocomplete=new-password]')];
  if (inputs.length === 0) continue;
  addToggle(form, inputs);
  if (form.dataset.marks) addMeter(form, inputs[0]);
}
for (const button of document.querySelectorAll('button[data-copy]')) {
  if (!navigator.clipboard) continue;
  button.hidden = false;
  button.addEventListener('click', async () => {
    const from = document.getElementById(button.dataset.copy);
    await navigator.clipboard.writeText(from.value ?? from.textContent);
    const live = document.getElementById('live');
    if (live) live.textContent = button.dataset.copied;
    button.textContent = button.dataset.copied;
  });
}

function addToggle(form, inputs) {
  const button = document.createElement('button');
  button.type = 'button';
  button.className = 'btn';
  const label = () => { button.textContent = inputs[0].type === 'password' ? form.dataset.show : form.dataset.hide; };
  button.addEventListener('click', () => {
    const type = inputs[0].type === 'password' ? 'text' : 'password';
    for (const i of inputs) i.type = type;
    label();
  });
  // What is shown is not sent as text: password managers watch the type.
  form.addEventListener('submit', () => { for (const i of inputs) i.type = 'password'; });
  label();
  inputs.at(-1).closest('.field').append(button);
}

// A hint only. It counts what an attacker would have to try at least: different
// characters, not repeats and runs; the names on the page count for nothing.
function addMeter(form, input) {
  const marks = form.dataset.marks.split('|');
  const box = document.createElement('span');
  box.className = 'strength hint';
  const meter = document.createElement('meter');
  meter.max = 4;
  meter.low = 2;
  meter.high = 3;
  meter.optimum = 4;
  meter.setAttribute('aria-hidden', 'true');
  const text = document.createElement('span');
  text.setAttribute('role', 'status');
  box.append(meter, ' ', text);
  box.hidden = true;
  input.after(box);
  const known = () => [...form.querySelectorAll('input:not([type=password])')].filter(i => i !== input && !i.autocomplete.includes('password'))
    .flatMap(i => i.value.toLowerCase().split(/[^\p{L}\p{N}]+/u)).filter(w => w.length > 2);
  input.addEventListener('input', () => {
    box.hidden = input.value === '';
    let s = input.value.toLowerCase();
    for (const w of known()) s = s.replaceAll(w, '');
    const grade = [...input.value].length < 15 ? 0 : rate(s);
    meter.value = grade + 1;
    text.textContent = form.dataset.label + ' ' + marks[grade];
  });
}

function rate(s) {
  const chars = [...s];
  let worth = 0;
  chars.forEach((c, i) => {
    const step = i ? c.codePointAt(0) - chars[i - 1].codePointAt(0) : 9;
    worth += Math.abs(step) <= 1 ? 0.2 : chars.indexOf(c) < i - 1 ? 0.7 : 1;
  });
  return worth < 9 ? 1 : worth < 12 ? 2 : 3;
}
