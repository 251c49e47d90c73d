// The branding page: what can be read on a colour, while one types it. The
// service decides; without this file it says so when the form is sent.
const about = document.querySelector('[data-contrast]');
const input = document.getElementById('f-color');
const swatch = about?.querySelector('.swatch');
const says = about?.querySelector('[role=status]');
let wait, sheet;

async function weigh() {
  const color = input.value;
  try {
    const answer = await fetch(about.dataset.contrast + '?color=' + encodeURIComponent(color), { headers: { Accept: 'application/json' } });
    if (!answer.ok || color !== input.value) return;
    const { text, style } = await answer.json();
    says.textContent = text;
    swatch.hidden = !style;
    if (!style) return;
    const next = document.createElement('link');
    next.rel = 'stylesheet';
    next.href = style;
    document.head.append(next);
    sheet?.remove();
    sheet = next;
  } catch {
    // Offline: the form says it.
  }
}

if (about && input) {
  input.addEventListener('input', () => {
    clearTimeout(wait);
    wait = setTimeout(weigh, 250);
  });
}
