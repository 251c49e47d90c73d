// Back from an organisation's sign-in: what it answered goes on in the session
// of this site. Without a script the page's button does it.
history.replaceState(null, '', location.pathname); // the answer stays out of the history
document.querySelector('form[data-return]').requestSubmit();
