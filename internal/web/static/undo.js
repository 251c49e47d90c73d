/* Counts down while a sending can be undone. The service decides whether it still can. */
const form = document.querySelector('form[data-undo]');
if (form) {
  const end = Date.now() + Number(form.dataset.undo) * 1000;
  const status = form.querySelector('[data-status]');
  const tick = setInterval(() => {
    const left = Math.ceil((end - Date.now()) / 1000);
    status.textContent = left > 0 ? form.dataset.left.replace('{n}', left) : form.dataset.gone;
    if (left > 0) return;
    clearInterval(tick);
    const button = form.querySelector('button');
    if (document.activeElement === button) document.getElementById('main').focus();
    button.remove();
  }, 500);
}
