// Shows mails as they come. Without this script the link below the list does it.
(() => {
  const list = document.getElementById('mails');
  const count = document.getElementById('count');
  let seen = null;
  const look = async () => {
    if (document.hidden || list.contains(document.activeElement)) return;
    const r = await fetch(location.href);
    const tag = r.headers.get('ETag');
    if (!r.ok || tag === seen) return;
    const first = seen === null;
    seen = tag;
    if (first) return;
    const next = new DOMParser().parseFromString(await r.text(), 'text/html');
    list.replaceChildren(...next.getElementById('mails').childNodes);
    const words = next.getElementById('count').textContent;
    if (count.textContent !== words) count.textContent = words;
  };
  setInterval(() => look().catch(() => {}), 1500);
  look().catch(() => {});
})();
