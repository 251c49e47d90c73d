// What this browser keeps of envelopes on their way from the file to the page:
// at most three, for an hour (AT-18). Nobody else's page can read it.
//
// A record is {id, at, e, lock, bytes, ref, slot}: e the recipient's half of the
// key (Uint8Array), null while lock (envelope.js, parsePart) takes a passphrase, bytes the envelope (Uint8Array) unless the service keeps it,
// ref and slot once they are known.

const STORE = 'envelopes';
const MOST = 3;
const AGE = 3600e3;

function settle(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

async function inStore(mode, work) {
  const asked = indexedDB.open('pli', 1);
  asked.onupgradeneeded = () => asked.result.createObjectStore(STORE, { keyPath: 'id' });
  const db = await settle(asked);
  try {
    const tx = db.transaction(STORE, mode);
    const done = new Promise((resolve, reject) => {
      tx.oncomplete = resolve;
      tx.onerror = tx.onabort = () => reject(tx.error);
    });
    const result = await work(tx.objectStore(STORE));
    await done;
    return result;
  } finally {
    db.close();
  }
}

// prune removes what is too old, and the oldest beyond room. It reads one
// record at a time: they can be large.
function prune(store, room) {
  return new Promise((resolve, reject) => {
    const found = [];
    const walk = store.openCursor();
    walk.onerror = () => reject(walk.error);
    walk.onsuccess = () => {
      const c = walk.result;
      if (c) {
        found.push({ id: c.value.id, at: c.value.at });
        c.continue();
        return;
      }
      found.sort((a, b) => b.at - a.at);
      found.forEach((r, i) => (i >= room || Date.now() - r.at > AGE) && store.delete(r.id));
      resolve();
    };
  });
}

// put keeps a record and returns its id, which nobody can guess.
export async function put(record) {
  const id = [...crypto.getRandomValues(new Uint8Array(16))].map((b) => b.toString(16).padStart(2, '0')).join('');
  await inStore('readwrite', async (store) => {
    await prune(store, MOST - 1);
    store.add({ ...record, id, at: Date.now() });
  });
  return id;
}

// update adds what became known of a record.
export function update(id, more) {
  return inStore('readwrite', async (store) => {
    const record = await settle(store.get(id));
    if (record) store.put({ ...record, ...more });
  });
}

// get returns the record with that id, or undefined.
export async function get(id) {
  await inStore('readwrite', (store) => prune(store, MOST));
  return inStore('readonly', (store) => settle(store.get(id)));
}

// find returns the newest record for a reference, or undefined.
export async function find(ref) {
  await inStore('readwrite', (store) => prune(store, MOST));
  const all = await inStore('readonly', (store) => settle(store.getAll()));
  return all.filter((r) => r.ref === ref).sort((a, b) => b.at - a.at)[0];
}
