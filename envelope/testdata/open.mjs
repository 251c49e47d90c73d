// A third reader of the format, written from docs/spec/envelope-v1.md alone,
// with nothing but WebCrypto: node open.mjs DIR runs the test vectors.
import { readFileSync, readdirSync } from 'node:fs';
const { subtle } = globalThis.crypto, text = (s) => new TextEncoder().encode(s), hex = (b) => Buffer.from(b).toString('hex');
const cat = (...parts) => new Uint8Array(Buffer.concat(parts.map((p) => Buffer.from(p)))), sha256 = async (b) => new Uint8Array(await subtle.digest('SHA-256', b));
const utf8 = (b) => new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(b);
const must = (ok, why) => { if (!ok) throw new Error(why); }, same = (a, b, why) => must(hex(a) === hex(b), why);
// Section 5: the armor, and E where the HTML file has it.
function unarmor(file) {
  if (file.subarray(0, 8).toString('latin1') === '\x89PLI1\r\n\x1a') return [file, null];
  const s = file.toString('latin1'), mark = (w) => `-----${w} PLI ENVELOPE-----`, parts = s.split('application/x-pli-part');
  const [before, body, more] = s.split(mark('BEGIN'));
  must(body !== undefined && more === undefined, 'not exactly one armor');
  const end = body.indexOf('-'), digits = body.slice(0, end).replace(/[ \t\n\f\r]/g, '');
  must(end >= 0 && body.startsWith(mark('END'), end) && /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?$/.test(digits), 'no END or not base64');
  if (parts.length === 1) return [Buffer.from(digits, 'base64'), null];
  const e = /<script type="application\/x-pli-part" id="part">\s*([A-Za-z0-9_-]{43})\s*<\/script>/.exec(before);
  must(e && parts.length === 2, 'key part');
  return [Buffer.from(digits, 'base64'), e[1]];
}
// Section 2: TLVs, into a map by type.
function tlvs(b, known) {
  const out = new Map();
  for (let at = 0, last = -1, order; at < b.length; last = order) {
    must(b.length - at >= 6, 'cut field');
    const type = b.readUInt16BE(at), n = b.readUInt32BE(at + 2);
    order = type & 0x7fff;
    must(n <= b.length - at - 6 && order > last, 'field length or order');
    must(type < 0x8000 || type in known, 'critical field');
    if (type in known) must(known[type](b.subarray(at + 6, at + 6 + n)), 'field ' + type.toString(16));
    out.set(type, b.subarray(at + 6, (at += 6 + n)));
  }
  return out;
}
const time = (v) => v.length === 8 && v.readBigUInt64BE() <= 253402300799n, hint = (v) => v.length <= 1024 && !/\p{Cc}/u.test(utf8(v));
const isOrigin = (v) => { // what a URL parser gives back unchanged, and narrower
  const s = v.toString('latin1'), host = s.replace(/^https?:\/\//, '').replace(/:\d+$/, ''),
    narrow = s.startsWith('https:') ? /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/.test(host) && host.length <= 253 : /^(localhost|127\.0\.0\.1)$/.test(host);
  return narrow && URL.canParse(s) && new URL(s).origin === s && !s.endsWith(':0');
};
const MH = { 0x8001: (v) => v.length === 16 && v.some((x) => x), 0x8002: isOrigin, 0x8003: time, 0x8004: (v) => hex(v) === '0001',
  0x8005: (v) => v.length === 4 && v.readUInt32BE() <= 1, 0x0010: hint, 0x0011: hint, 0x0012: time };
const RH = { 0x8101: (v) => v.length === 16, 0x0110: hint };
// Section 1: keys.
const hmac = async (k, d) => new Uint8Array(await subtle.sign('HMAC', await subtle.importKey('raw', k, { name: 'HMAC', hash: 'SHA-512' }, false, ['sign']), d));
const hkdf = async (ikm, salt, info, n) => new Uint8Array(await subtle.deriveBits({ name: 'HKDF', hash: 'SHA-512', salt, info }, await subtle.importKey('raw', ikm, 'HKDF', false, ['deriveBits']), n * 8));
const gcm = async (key, iv, d) => new Uint8Array(await subtle.decrypt({ name: 'AES-GCM', iv }, await subtle.importKey('raw', key, 'AES-GCM', false, ['decrypt']), d));
async function open(v) {
  const [file, part] = unarmor(Buffer.from(v.file ?? v.text, v.file ? 'base64' : 'utf8'));
  must(file.length >= 16 && file.subarray(0, 12).toString('latin1') === '\x89PLI1\r\n\x1a\x01\x01\0\0', 'magic, version, suite or flags');
  let at = 12;
  const take = (n) => { must(n <= file.length - at, 'cut short'); return file.subarray(at, (at += n)); };
  const header = () => { const n = take(4).readUInt32BE(); must(n <= 65536, 'header size'); return take(n); };
  const mh = tlvs(header(), MH), hh = await sha256(file.subarray(0, at)), rhBytes = header(), rh = tlvs(rhBytes, RH);
  must([1, 2, 3, 4, 5].every((t) => mh.has(0x8000 + t)) && rh.has(0x8101), 'required field');
  const wrap = take(48), seal = take(64), size = take(8).readBigUInt64BE(), payload = file.subarray(at);
  must(size <= BigInt(v.limit) && size === BigInt(payload.length) && payload.length >= 72 && (payload.length - 56) % 16400 >= 16, 'payload size');
  const s = Buffer.from(v.s, 'base64url'), e = Buffer.from(part ?? v.e ?? '', 'base64url'), ph = await sha256(payload);
  must(s.length === 32 && e.length === 32, 'halves');
  if (v.record) same(cat(hh, ph), Buffer.from(v.record.hh + v.record.ph, 'hex'), 'record');
  else must(await subtle.verify('Ed25519', await subtle.importKey('raw', Buffer.from(v.seal_key, 'base64url'), 'Ed25519', false, ['verify']), seal, cat(text('pli/1 seal\0'), hh, ph)), 'seal');
  const okm = await hkdf(cat(s, e), cat(mh.get(0x8001), rh.get(0x8101)), cat(text('pli/1 slot\0'), hh, await sha256(rhBytes)), 44);
  const ck = await gcm(okm.subarray(0, 32), okm.subarray(32), wrap), salt = payload.subarray(0, 24);
  const info = cat(text('c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0'), salt, text('pli/1 payload\0'), hh);
  const t1 = await hmac(ck, cat(info, [1])), keys = cat(t1, await hmac(ck, cat(t1, info, [2]))).subarray(0, 76), chunks = [];
  same(keys.subarray(44), payload.subarray(24, 56), 'commitment');
  for (let i = 0, p = 56; p < payload.length; i++, p += 16400) {
    const nonce = Buffer.from(keys.subarray(32, 44)); // a copy
    nonce.writeUInt32BE((nonce.readUInt32BE(8) ^ i) >>> 0, 8);
    chunks.push(await gcm(keys.subarray(0, 32), nonce, payload.subarray(p, p + 16400)));
  }
  const content = Buffer.concat(chunks), n = content.length >= 8 ? content.readUInt32BE(4) : -1;
  must(content.toString('latin1', 0, 4) === 'PLC1' && n >= 0 && n <= 1 << 22 && n <= content.length - 8, 'content');
  const json = utf8(content.subarray(8, 8 + n)), m = JSON.parse(json);
  must(JSON.stringify(m) === json && hasSchema(m), 'manifest');
  must(m.length <= content.length - 8 - n && content.subarray(8 + n + m.length).every((b) => b === 0), 'padding');
  const pop = await hkdf(e, rh.get(0x8101), cat(text('pli/1 pop\0'), hh), 32);
  return { message: content.subarray(8 + n, 8 + n + m.length), pop, hh, ph, ck, json };
}
// Section 3: one pattern per line of the manifest's table.
function hasSchema(m) {
  const str = (s) => typeof s === 'string' && s.isWellFormed(), int = (i) => Number.isSafeInteger(i) && i >= 0, token = "[!#$%&'*+.0-9^_`a-z{|}~-]{1,127}";
  const re = (r) => (s) => str(s) && new RegExp(`^(?:${r})$`, 'u').test(s), list = (f, max = 1e9) => (a) => Array.isArray(a) && a.length <= max && a.every(f);
  const object = (want) => (o) => Object.keys(o).join() === Object.keys(want).map((k) => k.replace('?', '')).filter((k) => k in want || Object.hasOwn(o, k)).join() &&
    Object.entries(want).every(([k, f]) => { const x = o[k.replace('?', '')]; return (k.endsWith('?') && x === undefined) || (f(x) && !(k.endsWith('?') && x.length === 0)); });
  const box = object({ 'name?': str, address: str }), part = object({ offset: int, length: int, encoding: re('base64|quoted-printable|identity'), type: re(`${token}/${token}`), 'charset?': re(token),
    role: re('text|html|inline|attachment'), 'name?': re('[^/\\\\\\p{Cc}]*'), 'id?': str, size: int, sha256: re('[0-9a-f]{64}') });
  let end = 0;
  return object({ length: int, subject: str, from: list(box), 'to?': list(box), 'cc?': list(box), 'date?': re('\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d(Z|[+-]\\d\\d:\\d\\d)'), parts: list(part, 1000), 'unusual?': list((u) => str(u) && u !== '', 64) })(m) &&
    m.parts.every((p) => p.offset >= end && (end = p.offset + p.length) <= m.length && (p.encoding === 'identity' ? p.size === p.length : p.size <= p.length));
}
const vectors = readdirSync(process.argv[2]).filter((f) => f.endsWith('.json')).map((f) => JSON.parse(readFileSync(process.argv[2] + '/' + f, 'utf8')));
let wrong = vectors.length < 100 ? 1 : 0; // too few is wrong too
for (const v of vectors) {
  const got = await open(v).catch((err) => err), w = v.want;
  const bug = /^(Reference|Range|Type)Error$/.test(got.constructor.name) && got.code !== 'ERR_ENCODING_INVALID_ENCODED_DATA';
  const right = got instanceof Error ? v.outcome === 'reject' && !bug : v.outcome === 'accept' && [hex(got.hh), hex(got.ph), hex(got.ck), hex(got.pop), got.json, hex(await sha256(got.message))].join() === [w.hh, w.ph, w.ck, w.pop, w.manifest, w.message_sha256].join();
  if (!right) console.log(v.name, ++wrong, got);
}
process.exitCode = console.log(vectors.length + ' vectors, ' + wrong + ' wrong') ?? Math.min(wrong, 1);
