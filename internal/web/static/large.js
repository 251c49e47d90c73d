// Files too large for a mail (docs/reference/large-files.md): sealed here under
// a key of their own, sent in parts that need not be sent twice, and opened here.
//
// The ciphertext is Cobblestone-256 (docs/spec/envelope-v1.md section 1) with the
// context "pli/1 large" || 00 || id: salt (24) || commitment (32) || chunks of the
// file and its padding. What opens it, the descriptor, travels inside the sealed
// message, as an attachment of TYPE: {"v":1,"id","key","size","name","type"}.
import { BATCH, CHUNK, PREFIX, SEALED, b64url, chunkNonce, expand, fromB64url, fromHex, join } from './envelope.js';
import { padded } from './seal.js';

export const TYPE = 'application/vnd.pli.large+json';
const PART = 4 << 20; // bytes of ciphertext in one request
const TRIES = 8; // of one part, one after the other
const subtle = globalThis.crypto.subtle;
const encoder = new TextEncoder();

// largeSize is the size of the ciphertext of n bytes.
export function largeSize(n) {
  const content = padded(n);
  return PREFIX + content + 16 * (Math.floor(content / CHUNK) + 1);
}

async function keys(id, key, salt, use) {
  const info = join(encoder.encode('c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0'), salt, encoder.encode('pli/1 large\0'), fromHex(id));
  const okm = await expand(key, info);
  return { key: await subtle.importKey('raw', okm.subarray(0, 32), 'AES-GCM', false, [use]), base: okm.subarray(32, 44), commitment: okm.subarray(44) };
}

// bytesOf reads [from, to) of the file and its padding.
async function bytesOf(file, from, to) {
  const out = new Uint8Array(to - from);
  if (from < file.size) out.set(new Uint8Array(await file.slice(from, Math.min(to, file.size)).arrayBuffer()));
  return out;
}

// sealedFrom yields the ciphertext from any offset on, in pieces. Sealing the
// same bytes again under the same key and salt gives the same ciphertext.
export async function* sealedFrom(file, { id, key, salt }, offset) {
  const k = await keys(id, key, salt, 'encrypt');
  const total = padded(file.size);
  const count = Math.floor(total / CHUNK) + 1;
  if (offset < PREFIX) yield join(salt, k.commitment).subarray(offset);
  let skip = Math.max(0, offset - PREFIX) % SEALED;
  for (let i = Math.floor(Math.max(0, offset - PREFIX) / SEALED); i < count; i += BATCH) {
    const n = Math.min(BATCH, count - i);
    const plain = await bytesOf(file, i * CHUNK, Math.min((i + n) * CHUNK, total));
    const out = new Uint8Array(plain.length + 16 * n);
    await Promise.all(Array.from({ length: n }, async (_, j) => {
      const iv = chunkNonce(k.base, i + j);
      out.set(new Uint8Array(await subtle.encrypt({ name: 'AES-GCM', iv }, k.key, plain.subarray(j * CHUNK, (j + 1) * CHUNK))), j * SEALED);
    }));
    yield out.subarray(skip);
    skip = 0;
  }
}

// partsFrom gathers the ciphertext from an offset on into parts.
async function* partsFrom(file, secret, offset) {
  let held = [];
  let size = 0;
  for await (const piece of sealedFrom(file, secret, offset)) {
    for (let at = 0; at < piece.length; ) {
      const k = Math.min(PART - size, piece.length - at);
      held.push(piece.subarray(at, at + k));
      size += k;
      at += k;
      if (size === PART) {
        yield join(...held);
        held = [];
        size = 0;
      }
    }
  }
  if (size > 0) yield join(...held);
}

// ---- what this browser remembers of an upload, so that a reload goes on with it

function settle(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

async function memory(mode, work) {
  const asked = indexedDB.open('pli-large', 1);
  asked.onupgradeneeded = () => asked.result.createObjectStore('uploads', { keyPath: 'mark' });
  const db = await settle(asked);
  try {
    return await settle(work(db.transaction('uploads', mode).objectStore('uploads')));
  } finally {
    db.close();
  }
}

const mark = (file) => [file.name, file.size, file.lastModified].join('\0');

export class UploadError extends Error {}

async function request(method, path, body, headers, signal) {
  const answer = await fetch('/api/v1/large' + path, { method, body, signal, headers: { 'Accept-Language': document.documentElement.lang, ...headers } });
  const value = await answer.json().catch(() => ({}));
  if (answer.ok) return value;
  const refused = answer.status < 500 && answer.status !== 408 && answer.status !== 429;
  throw Object.assign(refused ? new UploadError(value.detail ?? '') : new Error(value.detail ?? ''), { status: answer.status });
}

// upload seals a file and sends it, or what is missing of it, and returns its
// descriptor. onProgress(done, total) counts bytes of ciphertext. It throws an
// UploadError with the sentence to show where trying again would not help.
export async function upload(file, { signal, onProgress }) {
  let known = await memory('readonly', (s) => s.get(mark(file))).catch(() => null);
  let at = 0;
  if (known) {
    try {
      at = (await request('GET', '/' + known.id, undefined, {}, signal)).offset;
    } catch (err) {
      if (err.status !== 404) throw err;
      known = null; // the service has forgotten it
    }
  }
  const total = largeSize(file.size);
  if (!known) {
    const made = await request('POST', '', JSON.stringify({ size: total }), { 'Content-Type': 'application/json' }, signal);
    const random = (n) => crypto.getRandomValues(new Uint8Array(n));
    known = { mark: mark(file), id: made.id, key: random(32), salt: random(24) };
    await memory('readwrite', (s) => s.put(known)).catch(() => {}); // then a reload begins anew
  }
  let failed = 0;
  while (at < total) {
    try {
      for await (const part of partsFrom(file, known, at)) {
        signal.throwIfAborted();
        onProgress(at, total);
        at = (await request('PATCH', '/' + known.id, part, { 'Content-Type': 'application/offset+octet-stream', 'Upload-Offset': String(at) }, signal)).offset;
        failed = 0;
      }
    } catch (err) {
      if (err.name === 'AbortError' || err.name === 'NotReadableError' || err.name === 'NotFoundError') throw err;
      if (err instanceof UploadError && err.status !== 409) throw err;
      if (++failed > TRIES) throw err;
      await new Promise((resolve) => setTimeout(resolve, Math.min(30000, 250 * 2 ** failed)));
      signal.throwIfAborted();
      // What the service has counts, whatever was thought to have been sent.
      at = (await request('GET', '/' + known.id, undefined, {}, signal).catch((e) => { if (e instanceof UploadError) throw e; return { offset: at }; })).offset;
    }
  }
  onProgress(total, total);
  await memory('readwrite', (s) => s.delete(known.mark)).catch(() => {});
  return { v: 1, id: known.id, key: b64url(known.key), size: file.size, name: file.name, type: file.type };
}

// forget ends an upload that is not wanted any more.
export async function forget(file, id) {
  const known = id ? null : await memory('readonly', (s) => s.get(mark(file))).catch(() => null);
  if (known) await memory('readwrite', (s) => s.delete(known.mark)).catch(() => {});
  const which = id ?? known?.id;
  if (which) await request('DELETE', '/' + which).catch(() => {}); // it goes by itself after a day
}

// ---- opening

// descriptor reads what stands in a message, or returns null where it is none.
export function descriptor(bytes) {
  let v;
  try {
    v = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    return null;
  }
  const fine = v?.v === 1 && /^[0-9a-f]{32}$/.test(v.id) && /^[A-Za-z0-9_-]{43}$/.test(v.key) &&
    Number.isSafeInteger(v.size) && v.size >= 0 && typeof v.name === 'string' && typeof (v.type ?? '') === 'string';
  return fine ? v : null;
}

const altered = (why) => Object.assign(new Error(why), { altered: true });

// open decrypts a large file: fetchFrom(offset) gives a stream of its ciphertext
// from there, perhaps only a piece. write takes the file's bytes in order. An
// error has altered set where the ciphertext is not what was sealed. Where the line
// stays broken, or an error of fetchFrom has wait set, stuck(error) is asked: what it
// throws ends it, and when it returns it goes on.
export async function open(d, fetchFrom, write, onProgress, stuck = (err) => { throw err; }) {
  const total = largeSize(d.size);
  const content = padded(d.size);
  const count = Math.floor(content / CHUNK) + 1;
  let k = null;
  let held = new Uint8Array(BATCH * SEALED);
  let used = 0;
  let next = 0; // chunk
  let left = d.size; // bytes of the file still to come; what follows is padding
  const flush = async (n) => {
    const plain = await Promise.all(Array.from({ length: n }, async (_, j) => {
      const sealed = held.slice(j * SEALED, Math.min((j + 1) * SEALED, used));
      const iv = chunkNonce(k.base, next + j);
      return new Uint8Array(await subtle.decrypt({ name: 'AES-GCM', iv }, k.key, sealed).catch(() => { throw altered('a chunk does not decrypt'); }));
    }));
    next += n;
    used = 0;
    const mine = [];
    for (const p of plain) {
      mine.push(p.subarray(0, Math.min(left, p.length)));
      left -= mine.at(-1).length;
      if (p.subarray(mine.at(-1).length).some((b) => b !== 0)) throw altered('the padding is not zero');
    }
    const whole = join(...mine); // one write, and not one for each chunk
    if (whole.length > 0) await write(whole);
  };
  const take = async (piece) => {
    for (let at = 0; at < piece.length; ) {
      const room = k ? held.length : PREFIX;
      const n = Math.min(room - used, piece.length - at);
      held.set(piece.subarray(at, at + n), used);
      used += n;
      at += n;
      if (!k && used === PREFIX) {
        const head = held.slice(0, PREFIX);
        k = await keys(d.id, fromB64url(d.key), head.subarray(0, 24), 'decrypt');
        if (!k.commitment.every((b, i) => b === head[24 + i])) throw altered('it belongs to another key');
        used = 0;
      } else if (k && used === held.length) await flush(BATCH);
    }
  };
  let at = 0;
  let failed = 0;
  while (at < total) {
    const before = at;
    try {
      const reader = (await fetchFrom(at)).getReader();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        if (at + value.length > total) throw altered('there is more than there should be');
        await take(value);
        at += value.length;
        onProgress(at, total);
      }
      if (at === before) throw altered('it ends too early');
      failed = 0;
    } catch (err) {
      // Only where the line broke is it asked for again, from where it broke.
      if (!(err instanceof TypeError) && !err.wait) throw err;
      if (err.wait || navigator.onLine === false || ++failed > TRIES) {
        await stuck(err);
        failed = 0;
        continue;
      }
      await new Promise((resolve) => setTimeout(resolve, Math.min(30000, 250 * 2 ** failed)));
    }
  }
  if (count - next > 0) await flush(count - next);
  if (left !== 0 || next !== count) throw altered('it ends too early');
}
