// ask posts JSON to this site and returns {ok, status, value} or, with the
// sentence to show, {ok, status, key, detail}.
export async function ask(url, body) {
  let answer;
  try {
    answer = await fetch(url, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', 'Accept-Language': document.documentElement.lang },
      body: JSON.stringify(body),
    });
  } catch {
    return { ok: false, status: 0, key: 'offline', detail: document.querySelector('[data-offline]')?.dataset.offline ?? '' };
  }
  const value = await answer.json().catch(() => ({}));
  return answer.ok
    ? { ok: true, status: answer.status, value }
    : { ok: false, status: answer.status, key: value.key ?? '', detail: value.detail ?? '' };
}
