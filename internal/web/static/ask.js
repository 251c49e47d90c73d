// ask posts JSON to this site and returns {ok, status, value} or, with the
// sentence to show, {ok, status, key, detail}.
export async function ask(url, body) {
  let answer;
  let value;
  try {
    answer = await fetch(url, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', 'Accept-Language': document.documentElement.lang },
      body: JSON.stringify(body),
    });
    value = answer.ok && answer.status !== 204 ? await answer.json() : await answer.json().catch(() => ({}));
  } catch { // no answer, or one that was cut
    return { ok: false, status: 0, key: 'offline', detail: document.querySelector('[data-offline]')?.dataset.offline ?? '' };
  }
  return answer.ok
    ? { ok: true, status: answer.status, value }
    : { ok: false, status: answer.status, key: value.key ?? '', detail: value.detail ?? '' };
}
