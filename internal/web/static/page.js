// What a page does a little better with a script: menus close, and a problem
// is in view. Every page works without it.
document.querySelector('#problem,#flash[autofocus]')?.focus();
const close = except => document.querySelectorAll('details.menu[open]').forEach(d => { if (d !== except) d.open = false; });
document.addEventListener('click', e => close(e.target.closest('details.menu')));
document.addEventListener('keydown', e => {
  if (e.key !== 'Escape') return;
  const menu = document.activeElement?.closest('details.menu[open]');
  close();
  menu?.querySelector('summary').focus();
});
// A control that says why it cannot be used does nothing when pressed.
document.addEventListener('click', e => { if (e.target.closest('[aria-disabled=true]')) e.preventDefault(); });
// Where nobody has said which zone is theirs, the browser knows.
const zoned = new Intl.DateTimeFormat(document.documentElement.lang === 'fr' ? 'fr-FR' : 'en-GB', { dateStyle: 'long', timeStyle: 'short' });
for (const t of document.querySelectorAll('time[data-utc]')) if (/\d:\d/.test(t.textContent)) t.textContent = zoned.format(new Date(t.dateTime));
