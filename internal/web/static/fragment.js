// The recipient's half of the key may be in the fragment. It leaves the address
// bar and the history before anything else happens (security.md, AT-24).
window.pliFragment = location.hash.slice(1);
if (location.hash) history.replaceState(null, '', location.pathname + location.search);
