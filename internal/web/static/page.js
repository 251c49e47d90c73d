// What a page does a little better with a script: menus close, and a problem
// is in view. Every page works without it.
document.querySelector('#problem,#flash[autofocus]')?.focus();
// Where tabs scroll sideways, the one of this page is in view.
for (const here of document.querySelectorAll('.tabs [aria-current]')) {
  const tabs = here.closest('.tabs');
  tabs.scrollLeft = here.offsetLeft - tabs.offsetLeft - (tabs.clientWidth - here.offsetWidth) / 2;
}
// A page whose script says that something is to be corrected says so in its title, as one that came so from the service.
const title = document.title;
const said = document.querySelector('[data-problems]');
if (said) new MutationObserver(() => { document.title = said.hidden ? title : `${said.dataset.problems} ${title.replace(`${said.dataset.problems} `, '')}`; }).observe(said, { attributeFilter: ['hidden'] });
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
// One key: / looks for something, ? says so. They can be switched off, for whom
// speech or a tremor presses keys (WCAG 2.1.4), in this browser.
const keys = document.getElementById('keys');
const off = () => { try { return localStorage.getItem('keys') === 'off'; } catch { return true; } };
const set = on => { try { if (on) localStorage.removeItem('keys'); else localStorage.setItem('keys', 'off'); } catch { /* then they stay off */ } };
if (keys) {
  document.addEventListener('keydown', e => {
    if (e.ctrlKey || e.altKey || e.metaKey || e.defaultPrevented || e.isComposing || off()) return;
    if (e.target.closest?.('input,textarea,select,dialog,[contenteditable]')) return;
    const search = document.querySelector('main input[type=search]');
    if (e.key === '/' && search) search.focus();
    else if (e.key === '?') keys.showModal();
    else return;
    e.preventDefault();
  });
  keys.addEventListener('click', e => {
    if (!e.target.closest('button')) return;
    if (e.target.closest('[value=off]')) set(false);
    keys.close();
    show();
  });
}
const choice = document.querySelector('[data-keys]');
function show() { if (choice) { choice.hidden = false; choice.querySelector('input').checked = !off(); } }
choice?.querySelector('input').addEventListener('change', e => set(e.target.checked));
show();
