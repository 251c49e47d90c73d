// What this browser keeps of envelopes on their way from the file to the page:
// at most three, for an hour (AT-18). Nobody else's page can read it.
//
// A record is {id, at, e, lock, bytes, ref, slot}: e the recipient's half of the
// key (Uint8Array), null while lock (envelope.js, parsePart) takes a passphrase, bytes the envelope (Uint8Array, or a Blob of many) unless the service keeps it,
// ref and slot once they are known. The bytes, which can be many, are in a store of
// their own, so that nobody reads them who only looks for a record.

const STORES = ['records', 'bytes'];
const MOST = 3;
const AGE = 3600e3;

function settle(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

async function inStores(mode, work) {
  const asked = indexedDB.open('pli', 2);
  asked.onupgradeneeded = () => {
    for (const name of asked.result.objectStoreNames) asked.result.deleteObjectStore(name); // what lives an hour is not carried over
    asked.result.createObjectStore('records', { keyPath: 'id' });
    asked.result.createObjectStore('bytes');
  };
  const db = await settle(asked);
  try {
    const tx = db.transaction(STORES, mode);
    const done = new Promise((resolve, reject) => {
      tx.oncomplete = resolve;
      tx.onerror = tx.onabort = () => reject(tx.error);
    });
    const result = await work(...STORES.map((name) => tx.objectStore(name)));
    await done;
    return result;
  } finally {
    db.close();
  }
}

// prune removes what is too old, and the oldest beyond room.
async function prune(records, bytes, room) {
  const all = await settle(records.getAll());
  all.sort((a, b) => b.at - a.at);
  all.forEach((r, i) => {
    if (i < room && Date.now() - r.at <= AGE) return;
    records.delete(r.id);
    bytes.delete(r.id);
  });
}

// Many bytes are kept as a Blob, which is ten times as fast to get and to put as
// an array. A browser that keeps no Blob (private windows of old ones) gets them as they are.
export const MANY = 2 ** 20;
export const boxed = (bytes) => (bytes?.length > MANY ? new Blob([bytes]) : bytes);

// unboxed returns the bytes from begin to end of what a record keeps, as an array.
export async function unboxed(box, begin = 0, end = box.size ?? box.length) {
  return box instanceof Blob ? new Uint8Array(await box.slice(begin, end).arrayBuffer()) : box.subarray(begin, end);
}

async function keep(envelope, work) {
  const box = boxed(envelope);
  try {
    return await work(box);
  } catch (err) {
    if (box === envelope) throw err;
    return work(envelope);
  }
}

// put keeps a record and returns its id, which nobody can guess.
export async function put({ bytes: envelope, ...record }) {
  const id = [...crypto.getRandomValues(new Uint8Array(16))].map((b) => b.toString(16).padStart(2, '0')).join('');
  await keep(envelope, (box) => inStores('readwrite', async (records, bytes) => {
    await prune(records, bytes, MOST - 1);
    records.add({ ...record, id, at: Date.now() });
    if (box) bytes.add(box, id);
  }));
  return id;
}

// update adds what became known of a record.
export function update(id, { bytes: envelope, ...more }) {
  return keep(envelope, (box) => inStores('readwrite', async (records, bytes) => {
    const record = await settle(records.get(id));
    if (!record) return;
    records.put({ ...record, ...more });
    if (box) bytes.put(box, id);
  }));
}

// get returns the record with that id, or undefined.
export function get(id) {
  return pick((all) => all.find((r) => r.id === id));
}

// find returns the newest record for a reference, or undefined.
export function find(ref) {
  return pick((all) => all.filter((r) => r.ref === ref).sort((a, b) => b.at - a.at)[0]);
}

// What is too old is not found, and is removed while the reader waits for nothing.
async function pick(choose) {
  const found = await inStores('readonly', async (records, bytes) => {
    const record = choose((await settle(records.getAll())).filter((r) => Date.now() - r.at <= AGE));
    return record && { ...record, bytes: await settle(bytes.get(record.id)) };
  });
  inStores('readwrite', (records, bytes) => prune(records, bytes, MOST)).catch(() => {}); // it is tried again
  return found;
}
