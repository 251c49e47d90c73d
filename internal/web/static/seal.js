// Seals a message in the browser (docs/spec/envelope-v1.md): what the Go
// packages message and envelope do in the service, done where the text is typed.
//
// An ES module without dependencies but envelope.js; nothing here touches the
// page. Files are read in pieces, twice: once for their digests, which stand
// before them, and once while they are sealed. TestBrowserSeals opens what this
// makes with the Go packages, which must read it in the same way.
import { BATCH, CHUNK, MAGIC, PREFIX, chunkNonce, expand, hex, hkdf, join, pop, sha256 } from './envelope.js';

const subtle = globalThis.crypto.subtle;
const encoder = new TextEncoder();
const random = (n) => globalThis.crypto.getRandomValues(new Uint8Array(n));
const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
const whole = (text) => decoder.decode(encoder.encode(text)); // without half characters
const LINE = 57; // bytes of a line of base64, which is 76 characters
const STEP = LINE * 8192; // bytes of a file in memory at once, times a small number

// ---- head (section 2)

function u16(n) {
  return new Uint8Array([n >> 8, n & 255]);
}

function u32(n) {
  const b = new Uint8Array(4);
  new DataView(b.buffer).setUint32(0, n);
  return b;
}

function u64(n) {
  const b = new Uint8Array(8);
  new DataView(b.buffer).setBigUint64(0, BigInt(n));
  return b;
}

function tlv(type, value) {
  return join(u16(type), u32(value.length), value);
}

// hint cuts a text to what may stand in a header: 1024 bytes without controls.
function hint(text) {
  let out = text.replace(/[\u0000-\u001f\u007f-\u009f]/g, ' ');
  while (encoder.encode(out).length > 1024) out = [...out].slice(0, -16).join('');
  return encoder.encode(out);
}

// padded is Padmé with a floor of 4096 (section 3).
export function padded(n) {
  if (n <= 4096) return 4096;
  const e = Math.floor(Math.log2(n));
  const s = Math.floor(Math.log2(e)) + 1;
  const step = 2 ** (e - s);
  return Math.ceil(n / step) * step;
}

// payloadSize is the size of the payload of n bytes of message behind a manifest of m bytes.
export function payloadSize(m, n) {
  const content = padded(8 + m + n);
  return PREFIX + content + 16 * (Math.floor(content / CHUNK) + 1);
}

// Sealer seals one message. Its content key never leaves it but wrapped.
export class Sealer {
  // start makes the content key of a message for the key server at origin.
  // sealedAt is in Unix seconds; senderHint is shown before sign-in and proves nothing.
  static async start({ origin, sealedAt, senderHint = '' }) {
    const s = new Sealer();
    s.messageId = random(16);
    s.mh = join(
      tlv(0x8001, s.messageId),
      tlv(0x8002, encoder.encode(origin)),
      tlv(0x8003, u64(sealedAt)),
      tlv(0x8004, u16(1)),
      tlv(0x8005, u32(0)), // the server may not open it
      senderHint ? tlv(0x0010, hint(senderHint)) : new Uint8Array(0),
    );
    s.hh = await sha256(join(new Uint8Array(MAGIC), new Uint8Array([1, 1, 0, 0]), u32(s.mh.length), s.mh));
    s.ck = random(32);
    return s;
  }

  // payload yields the payload in pieces of about 2 MiB: of the manifest, and of
  // the message, an async iterable of manifest.length bytes.
  async *payload(manifest, message) {
    const text = encoder.encode(JSON.stringify(manifest));
    const lead = join(encoder.encode('PLC1'), u32(text.length), text);
    const total = padded(lead.length + manifest.length);
    const salt = random(24);
    const info = join(encoder.encode('c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0'), salt, encoder.encode('pli/1 payload\0'), this.hh);
    const okm = await expand(this.ck, info);
    const key = await subtle.importKey('raw', okm.subarray(0, 32), 'AES-GCM', false, ['encrypt']);
    yield join(salt, okm.subarray(44));
    yield* chunks(key, okm.subarray(32, 44), content(lead, message, manifest.length, total));
  }

  // slot makes the slot of one recipient: {id (hex), rh, wrap, s, e, pop}. masked
  // is what may be shown of the address before sign-in.
  async slot(masked) {
    const id = random(16);
    const rh = join(tlv(0x8101, id), masked ? tlv(0x0110, hint(masked)) : new Uint8Array(0));
    const s = random(32);
    const e = random(32);
    const okm = await hkdf(join(s, e), join(this.messageId, id), join(encoder.encode('pli/1 slot\0'), this.hh, await sha256(rh)), 44);
    const key = await subtle.importKey('raw', okm.subarray(0, 32), 'AES-GCM', false, ['encrypt']);
    const wrap = new Uint8Array(await subtle.encrypt({ name: 'AES-GCM', iv: okm.subarray(32) }, key, this.ck));
    return { id: hex(id), rh, wrap, s, e, pop: await pop(e, hex(id), this.hh) };
  }
}

// content yields lead, n bytes of message, and zeros up to total.
async function* content(lead, message, n, total) {
  yield lead;
  let seen = 0;
  for await (const piece of message) {
    seen += piece.length;
    if (seen > n) break;
    yield piece;
  }
  if (seen !== n) throw new Error('a file has changed since it was chosen');
  const zeros = new Uint8Array(1 << 16);
  for (let left = total - lead.length - n; left > 0; left -= zeros.length) yield zeros.subarray(0, Math.min(left, zeros.length));
}

// chunks encrypts pieces of any size; the last chunk is shorter, perhaps empty.
async function* chunks(key, base, pieces) {
  const buffer = new Uint8Array(BATCH * CHUNK);
  let used = 0;
  let next = 0;
  const flush = async (n) => {
    const out = new Uint8Array(used + 16 * n);
    const first = next;
    await Promise.all(Array.from({ length: n }, async (_, i) => {
      const plain = buffer.subarray(i * CHUNK, Math.min((i + 1) * CHUNK, used));
      out.set(new Uint8Array(await subtle.encrypt({ name: 'AES-GCM', iv: chunkNonce(base, first + i) }, key, plain)), i * (CHUNK + 16));
    }));
    next += n;
    used = 0;
    return out;
  };
  for await (const piece of pieces) {
    for (let at = 0; at < piece.length; ) {
      const k = Math.min(piece.length - at, buffer.length - used);
      buffer.set(piece.subarray(at, at + k), used);
      used += k;
      at += k;
      if (used === buffer.length) yield await flush(BATCH);
    }
  }
  yield await flush(Math.floor(used / CHUNK) + 1);
}

// ---- the message (RFC 5322), and its manifest (section 3)

const DIGITS = encoder.encode('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/');

// base64Size is the length of n bytes as base64 in lines, without a last line end.
function base64Size(n) {
  const chars = Math.ceil(n / 3) * 4;
  return n === 0 ? 0 : chars + 2 * Math.floor((chars - 1) / 76);
}

// base64 encodes bytes in lines, with a line end after each but the last.
function base64(bytes) {
  const out = new Uint8Array(base64Size(bytes.length));
  let o = 0;
  for (let i = 0; i < bytes.length; i += 3) {
    if (i > 0 && i % LINE === 0) {
      out[o++] = 13;
      out[o++] = 10;
    }
    const a = bytes[i];
    const b = i + 1 < bytes.length ? bytes[i + 1] : 0;
    const c = i + 2 < bytes.length ? bytes[i + 2] : 0;
    out[o] = DIGITS[a >> 2];
    out[o + 1] = DIGITS[((a & 3) << 4) | (b >> 4)];
    out[o + 2] = i + 1 < bytes.length ? DIGITS[((b & 15) << 2) | (c >> 6)] : 61;
    out[o + 3] = i + 2 < bytes.length ? DIGITS[c & 63] : 61;
    o += 4;
  }
  return out;
}

// line makes text safe for one header line: no controls, nothing that reorders letters.
function line(text) {
  return whole(text).normalize('NFC')
    .replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, ' ')
    .replace(/[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/g, '')
    .replace(/\s+/g, ' ').trim();
}

// words writes text as a header value: as it is where that is plain, else as
// encoded words (RFC 2047), one to a line.
function words(text) {
  if (text === '') return '';
  if (/^[A-Za-z0-9]+(?: [A-Za-z0-9]+)*$/.test(text) && text.length <= 60) return text;
  const out = [];
  let cur = '';
  for (const c of text) {
    const enc = c === ' ' ? '_' : /^[A-Za-z0-9]$/.test(c) ? c : [...encoder.encode(c)].map((b) => '=' + b.toString(16).toUpperCase().padStart(2, '0')).join('');
    if (cur.length + enc.length > 62) {
      out.push(cur);
      cur = '';
    }
    cur += enc;
  }
  out.push(cur);
  return out.map((w) => '=?utf-8?q?' + w + '?=').join('\r\n ');
}

// box is a mailbox of the manifest. A name that looks like an address would pass for one.
function box({ name, address }) {
  const shown = line((name ?? '').replaceAll('@', ' '));
  return shown ? { name: shown, address } : { address };
}

function mailbox({ name, address }) {
  return name ? words(name) + '\r\n <' + address + '>' : address;
}

const DEVICE = /^(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$|clock\$)$/i;

// fileName is what a recipient sees of a file's name, in the form that readers
// of the message do not change any more.
export function fileName(name) {
  let s = whole(name).normalize('NFC').replace(/[/\\ ]+$/, '');
  s = s.slice(Math.max(s.lastIndexOf('/'), s.lastIndexOf('\\')) + 1);
  s = s.replace(/[\s\p{Z}]/gu, ' ').replace(/[\p{Cc}<>:"|?*]/gu, '_').replace(/\p{Cf}/gu, '');
  s = s.replace(/ +/g, ' ').trim();
  if ([...s].length > 100) {
    const dot = s.lastIndexOf('.');
    const ext = dot > 0 && s.length - dot <= 12 ? s.slice(dot) : '';
    s = [...s.slice(0, s.length - ext.length)].slice(0, 100 - ext.length).join('').trim() + ext;
  }
  while (encoder.encode(s).length > 200) s = [...s].slice(1).join('').trim(); // the end has the extension
  s = s.replace(/[. ]+$/, '');
  if (s.startsWith('.')) s = '_' + s;
  if (/^[._ ]*$/.test(s)) return 'file';
  return DEVICE.test(s.split('.')[0].trim()) ? '_' + s : s;
}

// fileParam is the filename parameter, per RFC 2231 where the name is not plain.
function fileParam(name) {
  if (/^[\x20-\x7e]{1,60}$/.test(name)) return ';\r\n filename="' + name + '"';
  const pieces = [];
  let cur = "utf-8''";
  for (const b of encoder.encode(name)) {
    const c = String.fromCharCode(b);
    const enc = /[A-Za-z0-9._-]/.test(c) ? c : '%' + b.toString(16).toUpperCase().padStart(2, '0');
    if (cur.length + enc.length > 60) {
      pieces.push(cur);
      cur = '';
    }
    cur += enc;
  }
  pieces.push(cur);
  if (pieces.length === 1) return ';\r\n filename*=' + pieces[0];
  return pieces.map((p, i) => `;\r\n filename*${i}*=${p}`).join('');
}

// fileType is a media type that may stand on a file, as in sealing's fileType.
function fileType(type) {
  const t = (type ?? '').split(';')[0].trim().toLowerCase();
  const token = "[!#$%&'*+.0-9^_`a-z{|}~-]+";
  return new RegExp('^' + token + '/' + token + '$').test(t) && t.length <= 100 && !/^(multipart|message)\//.test(t) ? t : 'application/octet-stream';
}

// read yields a file (a Blob) in pieces that are whole lines of base64.
async function* read(file) {
  for (let at = 0; at < file.size; at += STEP) {
    yield new Uint8Array(await file.slice(at, Math.min(at + STEP, file.size)).arrayBuffer());
  }
}

// compose makes a message {manifest, pieces}: pieces() yields its bytes. from
// and to are {name, address}; date is a Date; files are Files, all of which
// together fit into memory once.
export async function compose({ from, to, subject, date, text, files = [] }) {
  const manifest = { length: 0, subject: line(subject), from: [box(from)], to: to.map(box) };
  manifest.date = date.toISOString().slice(0, 19) + 'Z';
  manifest.parts = [];

  const out = []; // bytes, or files
  let at = 0;
  const put = (s) => {
    const bytes = typeof s === 'string' ? encoder.encode(s) : s;
    out.push(bytes);
    at += bytes.length;
  };
  put('Date: ' + date.toUTCString().replace('GMT', '+0000') + '\r\n');
  put('From: ' + mailbox(manifest.from[0]) + '\r\n');
  put('To: ' + manifest.to.map(mailbox).join(',\r\n ') + '\r\n');
  put('Subject: ' + words(manifest.subject) + '\r\n');
  put('Message-ID: <' + hex(random(16)) + '@' + globalThis.location.hostname + '>\r\nMIME-Version: 1.0\r\n');
  const boundary = 'pli_' + hex(random(15));
  if (files.length > 0) put(`Content-Type: multipart/mixed; boundary="${boundary}"\r\n\r\n--${boundary}\r\n`);
  const body = encoder.encode(whole(text).replace(/\r\n|\r|\n/g, '\r\n') || '\r\n');
  put('Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n');
  const encoded = base64(body);
  manifest.parts.push({
    offset: at, length: encoded.length, encoding: 'base64', type: 'text/plain', charset: 'utf-8', role: 'text',
    size: body.length, sha256: hex(await sha256(body)),
  });
  put(encoded);
  for (const file of files) {
    const name = fileName(file.name);
    const type = fileType(file.type);
    put(`\r\n--${boundary}\r\nContent-Type: ${type}\r\nContent-Disposition: attachment${fileParam(name)}\r\nContent-Transfer-Encoding: base64\r\n\r\n`);
    const length = base64Size(file.size);
    const sum = hex(await sha256(new Uint8Array(await file.arrayBuffer())));
    manifest.parts.push({ offset: at, length, encoding: 'base64', type, role: 'attachment', name, size: file.size, sha256: sum });
    out.push(file);
    at += length;
  }
  if (files.length > 0) put(`\r\n--${boundary}--\r\n`);
  manifest.length = at;
  return {
    manifest,
    async *pieces() {
      for (const piece of out) {
        if (piece instanceof Uint8Array) {
          yield piece;
          continue;
        }
        let first = true;
        for await (const bytes of read(piece)) {
          if (!first) yield encoder.encode('\r\n');
          first = false;
          yield base64(bytes);
        }
      }
    },
  };
}
