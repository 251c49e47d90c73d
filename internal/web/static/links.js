// What links of a message have in common, in plain and in formatted text.

// aim makes a link open elsewhere, without a trace of this page, and says its
// true host where its text does not. An address that cannot be one goes.
export function aim(node) {
  const href = node.getAttribute('href');
  if (!href) return;
  node.setAttribute('rel', 'noopener noreferrer nofollow');
  node.setAttribute('target', '_blank');
  let host = '';
  try {
    const u = new URL(href);
    if (u.protocol === 'http:' || u.protocol === 'https:') host = u.host;
  } catch {
    node.removeAttribute('href');
  }
  if (host && hostOf(node.textContent) !== host) node.append(` [${host}]`);
}

// hostOf is the host that a link's text names for a person who reads it; "" if
// it names none, or hides it behind a name and an @.
function hostOf(text) {
  const s = text.trim().toLowerCase();
  try {
    const u = new URL(s.includes('://') ? s : 'https://' + s);
    return u.username || u.password ? '' : u.host;
  } catch {
    return '';
  }
}
