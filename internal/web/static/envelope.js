// Reads and opens envelopes in the browser (docs/spec/envelope-v1.md).
//
// An ES module without dependencies: WebCrypto does the cryptography, nothing
// here touches the page. It agrees with the Go package envelope on all of
// envelope/testdata/vectors. Everything read from a file is treated as hostile
// until open() has returned.

export const MAGIC = [0x89, 0x50, 0x4c, 0x49, 0x31, 0x0d, 0x0a, 0x1a];
const MAX_TLVS = 65536;
const MAX_HINT = 1024;
const MAX_TIME = 253402300799n; // end of the year 9999
const MAX_MANIFEST = 1 << 22;
const MAX_PARTS = 1000;
const MAX_UNUSUAL = 64;
export const PREFIX = 56; // salt and commitment
export const CHUNK = 16384;
export const SEALED = CHUNK + 16;
export const BATCH = 128; // chunks in WebCrypto's hands at once: 2 MiB keeps its threads busy
const BREATH = 40; // ms after which the page may do something else

const BEGIN = '-----BEGIN PLI ENVELOPE-----';
const END = '-----END PLI ENVELOPE-----';
const PART_TYPE = 'application/x-pli-part';
const PART_OPEN = '<script type="application/x-pli-part" id="part">';
const BEFORE_ARMOR = 512 * 1024;

// No head is longer: magic and version, two headers with their lengths, wrap, seal, length.
export const MAX_HEAD = 12 + 2 * (4 + MAX_TLVS) + 48 + 64 + 8;

// The largest payload parseHead accepts unless told otherwise, in bytes.
export const MAX_PAYLOAD = 512 * 1024 * 1024;

const subtle = globalThis.crypto.subtle;
const encoder = new TextEncoder();
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const bytewise = new TextDecoder('latin1'); // one character per byte, for ASCII searches

// EnvelopeError says why an envelope is refused. code is one of: format,
// version, altered, wrong-key, too-large.
export class EnvelopeError extends Error {
  constructor(code, message) {
    super(message);
    this.name = 'EnvelopeError';
    this.code = code;
  }
}

function refuse(code, message) {
  throw new EnvelopeError(code, message);
}

// ---- text helpers

const HEX = '0123456789abcdef';

// hex returns lower-case hex of bytes.
export function hex(bytes) {
  let s = '';
  for (const b of bytes) s += HEX[b >> 4] + HEX[b & 15];
  return s;
}

// fromHex reads lower-case hex and nothing else.
export function fromHex(text) {
  if (!/^(?:[0-9a-f]{2})*$/.test(text)) refuse('format', 'want lower-case hex');
  const out = new Uint8Array(text.length / 2);
  for (let i = 0; i < out.length; i++) out[i] = parseInt(text.slice(2 * i, 2 * i + 2), 16);
  return out;
}

const URL64 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

// b64url returns base64url of bytes without padding. For keys, not for bulk.
export function b64url(bytes) {
  let s = '';
  let bits = 0;
  let held = 0;
  for (const b of bytes) {
    held = ((held & 63) << 8) | b;
    bits += 8;
    while (bits >= 6) {
      bits -= 6;
      s += URL64[(held >> bits) & 63];
    }
  }
  return bits > 0 ? s + URL64[(held << (6 - bits)) & 63] : s;
}

// fromB64url reads base64url without padding, in its one spelling.
export function fromB64url(text) {
  const out = new Uint8Array(Math.floor((text.length * 3) / 4));
  let bits = 0;
  let held = 0;
  let n = 0;
  for (const c of text) {
    const v = URL64.indexOf(c);
    if (v < 0) refuse('format', 'want base64url');
    held = ((held & 0xff) << 6) | v;
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      out[n++] = (held >> bits) & 0xff;
    }
  }
  if (text.length % 4 === 1 || (held & ((1 << bits) - 1)) !== 0) refuse('format', 'want base64url');
  return out;
}

// ---- base64 in bulk

const DIGIT = new Uint8Array(256).fill(255); // 0..63, 64 for white space, 65 for '=', 255 for the rest
for (let i = 0; i < 62; i++) DIGIT[URL64.charCodeAt(i)] = i;
DIGIT[0x2b] = 62;
DIGIT[0x2f] = 63;
for (const c of ' \t\n\f\r') DIGIT[c.charCodeAt(0)] = 64;
DIGIT[0x3d] = 65;

// base64 decodes src. Strict: only white space between digits, exact padding,
// null when it is not so. Lenient, for parts of old mail: every other byte is
// passed over, the first '=' ends it, and a single left-over digit is dropped.
function base64(src, lenient) {
  if (typeof Uint8Array.fromBase64 === 'function') {
    try {
      return Uint8Array.fromBase64(bytewise.decode(src), { lastChunkHandling: 'strict' });
    } catch {
      if (!lenient) return null;
    }
  }
  const out = new Uint8Array(Math.floor((src.length * 3) / 4) + 3);
  const n = src.length;
  let i = 0;
  let o = 0;
  let group = 0;
  let held = 0;
  let pad = 0;
  while (i < n) {
    if (group === 0) {
      // Four digits a step; white space between groups falls through to the slow way.
      while (i + 4 <= n) {
        const a = DIGIT[src[i]];
        const b = DIGIT[src[i + 1]];
        const c = DIGIT[src[i + 2]];
        const d = DIGIT[src[i + 3]];
        if ((a | b | c | d) > 63) break;
        out[o] = (a << 2) | (b >> 4);
        out[o + 1] = (b << 4) | (c >> 2);
        out[o + 2] = (c << 6) | d;
        o += 3;
        i += 4;
      }
      if (i >= n) break;
    }
    const v = DIGIT[src[i++]];
    if (v < 64) {
      held = (held << 6) | v;
      if (++group === 4) {
        out[o++] = held >> 16;
        out[o++] = held >> 8;
        out[o++] = held;
        group = held = 0;
      }
    } else if (v === 65) {
      pad = 1;
      break;
    } else if (v === 255 && !lenient) {
      return null;
    }
  }
  for (; !lenient && i < n; i++) {
    const v = DIGIT[src[i]];
    if (v === 65) pad++;
    else if (v !== 64) return null;
  }
  if (!lenient && (group === 1 || pad !== (4 - group) % 4)) return null;
  if (group === 2) {
    if (!lenient && held & 15) return null;
    out[o++] = held >> 4;
  } else if (group === 3) {
    if (!lenient && held & 3) return null;
    out[o++] = held >> 10;
    out[o++] = held >> 2;
  }
  return out.subarray(0, o);
}

// ---- armor (section 5)

// isEnvelope says whether bytes begin as the bare binary does.
export function isEnvelope(bytes) {
  return bytes.length >= MAGIC.length && MAGIC.every((b, i) => bytes[i] === b);
}

// parseArmor finds the one envelope in an HTML file, in text, or in the bare
// binary, and E if the file has it: {bytes, e, lock}, as parsePart; both null
// when there is none.
export function parseArmor(input) {
  const file = typeof input === 'string' ? encoder.encode(input) : input;
  if (isEnvelope(file)) return { bytes: file, e: null, lock: null };

  const head = bytewise.decode(file.subarray(0, BEFORE_ARMOR + BEGIN.length));
  const begin = head.indexOf(BEGIN);
  if (begin < 0) refuse('format', 'there is no envelope in this file');
  const { e, lock } = findPart(head.slice(0, begin));

  const from = begin + BEGIN.length;
  const dash = file.indexOf(0x2d, from); // no base64 digit is a dash
  if (dash < 0) {
    explain(file.subarray(from));
    refuse('altered', 'the END line is missing');
  }
  const bytes = base64(file.subarray(from, dash), false);
  if (bytes === null) {
    explain(file.subarray(from, dash));
    refuse('altered', 'the armor is not base64');
  }
  const rest = bytewise.decode(file.subarray(dash));
  if (!rest.startsWith(END)) refuse('altered', 'the END line is cut short or another line breaks the armor');
  if (rest.includes(BEGIN)) refuse('format', 'two envelopes in one file');
  if (rest.includes(PART_TYPE)) refuse('format', 'the key part stands behind the armor');
  return { bytes, e, lock };
}

const QUOTED =
  'it was saved without undoing quoted-printable; save the attachment again, or from another mail program';

// explain names the damage that mail programs do most: an equals sign that is
// not the end is =3D or a soft line break.
function explain(body) {
  const at = body.indexOf(0x3d);
  if (at >= 0 && body.subarray(at).some((b) => DIGIT[b] < 64)) refuse('altered', QUOTED);
}

function findPart(before) {
  const at = before.indexOf(PART_TYPE);
  if (at < 0) return { e: null, lock: null };
  if (before.indexOf(PART_TYPE, at + 1) >= 0) refuse('format', 'two key parts');
  const open = before.indexOf(PART_OPEN);
  if (open < 0) refuse('altered', before.includes('=3D') ? QUOTED : 'the key part is not written as it should be');
  const close = before.indexOf('</script>', open);
  const text = close < 0 ? '' : before.slice(open + PART_OPEN.length, close).trim();
  const part = text.length > MAX_PART ? null : parsePart(text);
  if (!part) refuse('altered', 'the key part is neither 43 characters of base64url nor masked');
  return part;
}

const MAX_PART = 400;
const MAX_LOCK_HINT = 120; // bytes

// parsePart reads E as a link or a file carries it: {e, lock}, of which one is
// null; null for any other text. lock is an E that takes a passphrase: {salt,
// masked, hint} (passphrase.js).
export function parsePart(text) {
  const m = /^(?:([\w-]{43})|p1\.([\w-]{22})\.([\w-]{43})(?:\.([\w-]+))?)$/.exec(text ?? '');
  if (!m) return null;
  try {
    if (m[1]) return { e: fromB64url(m[1]), lock: null };
    const raw = fromB64url(m[4] ?? '');
    const hint = utf8.decode(raw);
    if (raw.length > MAX_LOCK_HINT || /[\u0000-\u001f\u007f-\u009f]/.test(hint)) return null;
    return { e: null, lock: { salt: fromB64url(m[2]), masked: fromB64url(m[3]), hint } };
  } catch {
    return null;
  }
}

// ---- head (section 2)

// Cursor reads a file from front to back.
class Cursor {
  constructor(bytes) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.at = 0;
  }
  take(n) {
    if (n > this.bytes.length - this.at) refuse('altered', 'the envelope ends too early');
    this.at += n;
    return this.bytes.subarray(this.at - n, this.at);
  }
  u32() {
    this.take(4);
    return this.view.getUint32(this.at - 4);
  }
  u64() {
    this.take(8);
    return this.view.getBigUint64(this.at - 8);
  }
  tlvs() {
    const n = this.u32();
    if (n > MAX_TLVS) refuse('format', 'a header is larger than 65536 bytes');
    return this.take(n);
  }
}

// eachTLV calls fields[type](value) for every known field. It checks lengths
// and order, and refuses unknown critical fields.
function eachTLV(bytes, fields) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const seen = new Set();
  let last = -1;
  for (let at = 0; at < bytes.length; ) {
    if (bytes.length - at < 6) refuse('format', 'a field is cut short');
    const type = view.getUint16(at);
    const n = view.getUint32(at + 2);
    at += 6;
    if (n > bytes.length - at) refuse('format', 'a field is longer than its header');
    if ((type & 0x7fff) <= last) refuse('format', 'a field is given twice or out of order');
    last = type & 0x7fff;
    if (fields[type]) {
      fields[type](bytes.subarray(at, at + n));
      seen.add(type);
    } else if (type & 0x8000) {
      refuse('version', 'unknown critical field ' + type.toString(16));
    }
    at += n;
  }
  return seen;
}

function sized(value, n) {
  if (value.length !== n) refuse('format', 'a field has a wrong length');
  return new DataView(value.buffer, value.byteOffset, n);
}

function unixTime(value) {
  const t = sized(value, 8).getBigUint64(0);
  if (t > MAX_TIME) refuse('format', 'a time is out of range');
  return Number(t);
}

function hintText(value) {
  let text = '';
  try {
    text = utf8.decode(value);
  } catch {
    refuse('format', 'a hint is not UTF-8');
  }
  if (value.length > MAX_HINT || /[\u0000-\u001f\u007f-\u009f]/.test(text)) refuse('format', 'a hint cannot be shown');
  return text;
}

const LABEL = '[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?';
const ORIGIN = new RegExp(
  '^(?:(https)://(' + LABEL + '(?:\\.' + LABEL + ')*)|http://(?:localhost|127\\.0\\.0\\.1))(?::([1-9][0-9]{0,4}))?$',
);

function originText(value) {
  const text = bytewise.decode(value);
  const m = ORIGIN.exec(text);
  const port = m && m[3] ? Number(m[3]) : 0;
  if (!m || (m[2] && m[2].length > 253) || port > 65535 || port === (m[1] ? 443 : 80)) {
    refuse('format', 'the key server is not https://host[:port]');
  }
  return text;
}

// parseHead reads and checks everything before the payload. Nothing of it is
// proven before open() succeeds. It returns {messageId, slotId (hex), origin,
// sealedAt, notAfter (Unix seconds, 0 for none), policy, senderHint,
// subjectHint, hint, hh, rhh, wrap, seal, payloadOffset, payloadSize}. Of an
// envelope of whole bytes, its first MAX_HEAD are enough.
export async function parseHead(bytes, limit = MAX_PAYLOAD, whole = bytes.length) {
  const c = new Cursor(bytes);
  if (bytes.length < 16) refuse('format', 'the file is too short');
  if (!isEnvelope(c.take(8))) refuse('format', 'the file does not begin as an envelope');
  if (c.u32() !== 0x01010000) refuse('version', 'made by a newer or unknown version');

  const head = { senderHint: '', subjectHint: '', notAfter: 0, hint: '' };
  const mh = c.tlvs();
  const inHeader = eachTLV(mh, {
    0x8001: (v) => void (head.messageId = hex(sized(v, 16) && v)),
    0x8002: (v) => void (head.origin = originText(v)),
    0x8003: (v) => void (head.sealedAt = unixTime(v)),
    0x8004: (v) => sized(v, 2).getUint16(0) === 1 || refuse('version', 'unknown content format'),
    0x8005: (v) => void (head.policy = sized(v, 4).getUint32(0)),
    0x0010: (v) => void (head.senderHint = hintText(v)),
    0x0011: (v) => void (head.subjectHint = hintText(v)),
    0x0012: (v) => void (head.notAfter = unixTime(v)),
  });
  for (let type = 0x8001; type <= 0x8005; type++) {
    if (!inHeader.has(type)) refuse('format', 'a required field is missing');
  }
  if (head.messageId === '0'.repeat(32)) refuse('format', 'no message id');
  if (head.policy > 1) refuse('version', 'unknown policy bits');
  head.hh = await sha256(bytes.subarray(0, c.at));

  const rh = c.tlvs();
  const inSlot = eachTLV(rh, {
    0x8101: (v) => void (head.slotId = hex(sized(v, 16) && v)),
    0x0110: (v) => void (head.hint = hintText(v)),
  });
  if (!inSlot.has(0x8101)) refuse('format', 'no slot id');
  head.rhh = await sha256(rh);

  head.wrap = c.take(48);
  head.seal = c.take(64);
  const size = c.u64();
  if (size > BigInt(limit)) refuse('too-large', 'the payload is larger than is accepted');
  head.payloadSize = Number(size);
  head.payloadOffset = c.at;
  if (head.payloadSize < PREFIX + 16 || (head.payloadSize - PREFIX) % SEALED < 16) {
    refuse('altered', 'the payload has no last chunk');
  }
  if (whole - c.at !== head.payloadSize) refuse('altered', 'the file was cut short, or something was added');
  return head;
}

// ---- keys (section 1)

export async function sha256(bytes) {
  return new Uint8Array(await subtle.digest('SHA-256', bytes));
}

export function join(...parts) {
  const out = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const p of parts) {
    out.set(p, at);
    at += p.length;
  }
  return out;
}

function equal(a, b) {
  let diff = a.length ^ b.length;
  for (let i = 0; i < a.length; i++) diff |= a[i] ^ b[i];
  return diff === 0;
}

export async function hkdf(ikm, salt, info, length) {
  const key = await subtle.importKey('raw', ikm, 'HKDF', false, ['deriveBits']);
  return new Uint8Array(await subtle.deriveBits({ name: 'HKDF', hash: 'SHA-512', salt, info }, key, length * 8));
}

async function hmac(hash, key, data) {
  const k = await subtle.importKey('raw', key, { name: 'HMAC', hash }, false, ['sign']);
  return new Uint8Array(await subtle.sign('HMAC', k, data));
}

function need32(secret) {
  if (!(secret instanceof Uint8Array) || secret.length !== 32) refuse('format', 'a half key has 32 bytes');
}

// pop is what the key server knows of E, 32 bytes.
export async function pop(e, slotHex, hh) {
  need32(e);
  return hkdf(e, fromHex(slotHex), join(encoder.encode('pli/1 pop\0'), hh), 32);
}

// possession answers the key server's nonce, 32 bytes.
export function possession(popBytes, nonce) {
  return hmac('SHA-256', popBytes, join(encoder.encode('pli/1 possession\0'), nonce));
}

async function aesKey(raw) {
  return subtle.importKey('raw', raw, 'AES-GCM', false, ['decrypt']);
}

// unwrap returns the content key. Wrong halves and an altered wrap look the same.
async function unwrap(head, s, e) {
  const salt = join(fromHex(head.messageId), fromHex(head.slotId));
  const okm = await hkdf(join(s, e), salt, join(encoder.encode('pli/1 slot\0'), head.hh, head.rhh), 44);
  const key = await aesKey(okm.subarray(0, 32));
  try {
    return new Uint8Array(await subtle.decrypt({ name: 'AES-GCM', iv: okm.subarray(32) }, key, head.wrap));
  } catch {
    return refuse('wrong-key', 'the key does not open this envelope');
  }
}

// expand is HKDF-Expand of the payload's 76 bytes of keys (Cobblestone-256).
export async function expand(ck, info) {
  const first = await hmac('SHA-512', ck, join(info, [1]));
  const second = await hmac('SHA-512', ck, join(first, info, [2]));
  return join(first, second).subarray(0, 76);
}

// ---- opening (section 4)

// open decrypts bytes, which parseHead read, with both halves, and checks all
// of it against the key server's record {hh, ph} (32 bytes each) before it
// returns {manifest, message}. onProgress(done, total) counts payload bytes.
// hash is a promise of the payload's SHA-256, from whoever has computed it
// of the same bytes.
export async function open(bytes, head, s, e, record, onProgress, hash) {
  need32(s);
  need32(e);
  if (!equal(record.hh, head.hh)) refuse('altered', 'the header is not the one on record');
  const payload = bytes.subarray(head.payloadOffset, head.payloadOffset + head.payloadSize);
  // Hashing and decrypting are both the browser's threads' work: they go on at
  // once, and nothing is read before both have said yes.
  const [hashed, opened] = await Promise.allSettled([hash ?? sha256(payload), decrypt(payload, head, s, e, onProgress)]);
  if (hashed.status === 'rejected' || !equal(record.ph, hashed.value)) refuse('altered', 'the payload is not the one on record');
  if (opened.status === 'rejected') throw opened.reason;
  return readContent(opened.value);
}

async function decrypt(payload, head, s, e, onProgress) {
  const { key, base } = await payloadKey(payload, head, s, e);
  return decryptChunks(payload.subarray(PREFIX), key, base, onProgress);
}

// payloadKey returns what decrypts the payload: {key, base}, a CryptoKey that
// cannot be read out, and the first nonce.
async function payloadKey(payload, head, s, e) {
  const ck = await unwrap(head, s, e);
  const info = join(
    encoder.encode('c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0'),
    payload.subarray(0, 24),
    encoder.encode('pli/1 payload\0'),
    head.hh,
  );
  const okm = await expand(ck, info);
  if (!equal(okm.subarray(44), payload.subarray(24, PREFIX))) {
    refuse('altered', 'the payload belongs to another key or header');
  }
  return { key: await aesKey(okm.subarray(0, 32)), base: okm.slice(32, 44) };
}

// keep returns what a device keeps to open the envelope again by itself:
// {key, base, sealed}, as payloadKey has them, and the payload's chunks.
export async function keep(bytes, head, s, e) {
  const payload = bytes.subarray(head.payloadOffset, head.payloadOffset + head.payloadSize);
  return { ...(await payloadKey(payload, head, s, e)), sealed: payload.subarray(PREFIX) };
}

// openKept is open for what keep returned. That it is the record's was checked
// before it was kept; that nothing was changed since, the key says.
export async function openKept({ key, base, sealed }, onProgress) {
  return readContent(await decryptChunks(sealed, key, base, onProgress));
}

async function decryptChunks(sealed, key, base, onProgress) {
  const count = Math.floor(sealed.length / SEALED) + 1; // the last is shorter, perhaps empty
  const out = new Uint8Array(sealed.length - 16 * count);
  const one = async (i) => {
    const plain = await subtle.decrypt(
      { name: 'AES-GCM', iv: chunkNonce(base, i) },
      key,
      sealed.subarray(i * SEALED, (i + 1) * SEALED),
    );
    out.set(new Uint8Array(plain), i * CHUNK);
  };
  let rested = performance.now();
  for (let i = 0; i < count; i += BATCH) {
    // Some browsers decrypt a small chunk at once, and would not come back to the page before the last.
    if (performance.now() - rested > BREATH) {
      await new Promise((resolve) => setTimeout(resolve));
      rested = performance.now();
    }
    const end = Math.min(count, i + BATCH);
    const batch = [];
    for (let k = i; k < end; k++) batch.push(one(k));
    try {
      await Promise.all(batch);
    } catch {
      refuse('altered', 'a part of the payload does not decrypt');
    }
    if (onProgress) onProgress(Math.min(end * SEALED, sealed.length), sealed.length);
  }
  return out;
}

export function chunkNonce(base, i) {
  const iv = base.slice();
  const view = new DataView(iv.buffer);
  view.setUint32(8, view.getUint32(8) ^ i); // MAX_PAYLOAD keeps i far below 2^32
  return iv;
}

// ---- content and manifest (section 3)

function readContent(content) {
  const view = new DataView(content.buffer, content.byteOffset, content.byteLength);
  if (content.length < 8 || view.getUint32(0) !== 0x504c4331) refuse('format', 'unknown content');
  const size = view.getUint32(4);
  if (size > MAX_MANIFEST || size > content.length - 8) refuse('format', 'the manifest is longer than the content');
  const manifest = parseManifest(content.subarray(8, 8 + size));
  const from = 8 + size;
  if (manifest.length > content.length - from) refuse('format', 'the content is shorter than its manifest says');
  const end = from + manifest.length;
  for (let i = end; i < content.length; i++) {
    if (content[i] !== 0) refuse('format', 'the padding is not zero');
  }
  return { manifest, message: content.subarray(from, end) };
}

// Members in their order; those with '?' are optional, and absent when empty.
const SHAPES = {
  manifest: ['length', 'subject', 'from', 'to?', 'cc?', 'date?', 'parts', 'unusual?'],
  mailbox: ['name?', 'address'],
  part: ['offset', 'length', 'encoding', 'type', 'charset?', 'role', 'name?', 'id?', 'size', 'sha256'],
};

const TOKEN = "[!#$%&'*+.0-9^_`a-z{|}~-]{1,127}";
const isToken = (s) => new RegExp('^' + TOKEN + '$').test(s);
const isType = (s) => new RegExp('^' + TOKEN + '/' + TOKEN + '$').test(s);
const isText = (s) => typeof s === 'string' && !/\p{Surrogate}/u.test(s); // no half pairs
const TIMESTAMP = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:Z|[+-]\d\d:\d\d)$/;
const isCount = (n) => Number.isSafeInteger(n) && n >= 0;

// parseManifest reads the canonical form only: what JSON.stringify would write.
// So a duplicate name, an odd number or white space is refused by one comparison.
function parseManifest(bytes) {
  let text = '';
  let m = null;
  try {
    text = utf8.decode(bytes);
    m = JSON.parse(text);
  } catch {
    refuse('format', 'the manifest is not JSON');
  }
  if (JSON.stringify(m) !== text) refuse('format', 'the manifest is not in canonical form');
  if (!checkManifest(m)) refuse('format', 'the manifest is not of its schema');
  return m;
}

function hasShape(o, shape) {
  if (o === null || typeof o !== 'object' || Array.isArray(o)) return false;
  const want = [];
  for (const member of shape) {
    const name = member.replace('?', '');
    if (name !== member) {
      if (!Object.hasOwn(o, name)) continue;
      if (o[name] === '' || (Array.isArray(o[name]) && o[name].length === 0)) return false;
    }
    want.push(name);
  }
  const names = Object.keys(o);
  return names.length === want.length && names.every((name, i) => name === want[i]);
}

function checkManifest(m) {
  if (!hasShape(m, SHAPES.manifest) || !isCount(m.length) || !isText(m.subject)) return false;
  for (const list of [m.from, m.to ?? [], m.cc ?? []]) {
    if (!Array.isArray(list) || !list.every(checkMailbox)) return false;
  }
  if (!isText(m.date ?? '') || (m.date !== undefined && !TIMESTAMP.test(m.date))) return false;
  const unusual = m.unusual ?? [];
  if (!Array.isArray(unusual) || unusual.length > MAX_UNUSUAL) return false;
  if (!unusual.every((u) => isText(u) && u !== '')) return false;
  if (!Array.isArray(m.parts) || m.parts.length > MAX_PARTS) return false;
  let end = 0;
  for (const p of m.parts) {
    if (!checkPart(p) || p.offset < end || p.length > m.length - p.offset) return false;
    end = p.offset + p.length;
  }
  return true;
}

function checkMailbox(b) {
  return hasShape(b, SHAPES.mailbox) && isText(b.name ?? '') && isText(b.address);
}

function checkPart(p) {
  if (!hasShape(p, SHAPES.part) || ![p.offset, p.length, p.size].every(isCount)) return false;
  if (p.encoding === 'identity' ? p.size !== p.length : p.size > p.length) return false;
  return (
    ['identity', 'base64', 'quoted-printable'].includes(p.encoding) &&
    ['text', 'html', 'inline', 'attachment'].includes(p.role) &&
    typeof p.type === 'string' &&
    isType(p.type) &&
    (p.charset === undefined || (typeof p.charset === 'string' && isToken(p.charset))) &&
    isText(p.name ?? '') &&
    !/[/\\\u0000-\u001f\u007f-\u009f]/.test(p.name ?? '') &&
    isText(p.id ?? '') &&
    typeof p.sha256 === 'string' &&
    /^[0-9a-f]{64}$/.test(p.sha256)
  );
}

// ---- parts

// decodePart returns the decoded bytes of one part of the manifest, after
// checking them against its size and digest.
export async function decodePart(message, part) {
  const encoded = message.subarray(part.offset, part.offset + part.length);
  let bytes = encoded;
  if (part.encoding === 'base64') bytes = base64(encoded, true);
  if (part.encoding === 'quoted-printable') bytes = quotedPrintable(encoded);
  if (bytes.length !== part.size || hex(await sha256(bytes)) !== part.sha256) {
    refuse('altered', 'a part is not what its manifest says');
  }
  return bytes;
}

function hexDigit(c) {
  if (c >= 0x30 && c <= 0x39) return c - 0x30;
  const letter = c & 0xdf;
  return letter >= 0x41 && letter <= 0x46 ? letter - 0x37 : -1;
}

// quotedPrintable decodes as the specification says: white space at the end of
// a line goes, a soft line break joins lines, '=' without two digits stands for itself.
function quotedPrintable(src) {
  const out = new Uint8Array(src.length);
  let o = 0;
  for (let at = 0; at < src.length; ) {
    let next = src.indexOf(0x0a, at);
    next = next < 0 ? src.length : next + 1;
    let end = next;
    while (end > at && (src[end - 1] === 0x20 || src[end - 1] === 0x09 || src[end - 1] === 0x0d || src[end - 1] === 0x0a)) end--;
    const soft = end > at && src[end - 1] === 0x3d;
    if (soft) end--;
    for (let i = at; i < end; i++) {
      const hi = src[i] === 0x3d && i + 2 < end ? hexDigit(src[i + 1]) : -1;
      const lo = hi >= 0 ? hexDigit(src[i + 2]) : -1;
      if (lo >= 0) {
        out[o++] = (hi << 4) | lo;
        i += 2;
      } else {
        out[o++] = src[i];
      }
    }
    if (!soft && src[next - 1] === 0x0a) {
      if (next - 2 >= at && src[next - 2] === 0x0d) out[o++] = 0x0d;
      out[o++] = 0x0a;
    }
    at = next;
  }
  return out.subarray(0, o);
}

// decodeText makes text of a part's bytes. A charset that browsers do not know
// or that the part does not name is UTF-8 if it can be that, and Windows-1252 if not.
export function decodeText(bytes, charset) {
  try {
    if (charset) return new TextDecoder(charset).decode(bytes);
  } catch { /* as if it were not said */ }
  try {
    return utf8.decode(bytes).replace(/^\ufeff/, '');
  } catch {
    return bytewise.decode(bytes);
  }
}
