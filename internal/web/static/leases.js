// What this device keeps to open again without the service: at most twenty
// envelopes, each until its lease ends. Signing out deletes them all (Clear-Site-Data).
//
// A record is {ref, slot, sender: {name, address, organisation}, sealedAt, until and
// seen (ms), proof of the lease, copy: whether its sender lets it be saved, key (a
// CryptoKey that cannot be read out), base, sealed (Blob: the chunks)}. Nothing of
// the message is in it in plain: also its subject is inside.

export const MOST = 20;

function settle(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

async function inStore(mode, work) {
  const asked = indexedDB.open('pli-leases', 1);
  asked.onupgradeneeded = () => asked.result.createObjectStore('kept', { keyPath: 'ref' });
  const db = await settle(asked);
  try {
    const tx = db.transaction('kept', mode);
    const done = new Promise((resolve, reject) => {
      tx.oncomplete = resolve;
      tx.onerror = tx.onabort = () => reject(tx.error);
    });
    const result = await work(tx.objectStore('kept'));
    await done;
    return result;
  } finally {
    db.close();
  }
}

// list returns the records, the one that ends first before the others. Those
// that have ended are deleted; a clock that is set back brings none again.
export function list() {
  return inStore('readwrite', async (kept) => {
    const now = Date.now();
    const left = [];
    for (const r of await settle(kept.getAll())) {
      r.seen = Math.max(r.seen, now);
      if (r.seen >= r.until) kept.delete(r.ref);
      else {
        kept.put(r);
        left.push(r);
      }
    }
    return left.sort((a, b) => a.until - b.until);
  });
}

export const find = async (ref) => (await list()).find((r) => r.ref === ref);
export const put = (record) => inStore('readwrite', (kept) => void kept.put({ ...record, seen: Date.now() }));
export const forget = (ref) => inStore('readwrite', (kept) => void kept.delete(ref));

// day says when, in the page's language.
export function day(ms) {
  return new Intl.DateTimeFormat(document.documentElement.lang === 'fr' ? 'fr-FR' : 'en-GB', { dateStyle: 'long', timeStyle: 'short' }).format(ms);
}
