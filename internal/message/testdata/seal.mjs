// Seals messages with the browser's script: node seal.mjs SCRIPT CASES > one JSON line per case
import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

globalThis.location = { hostname: 'pli.example.org' };
const [script, cases] = process.argv.slice(2);
const { Sealer, compose, fileName, payloadSize } = await import(pathToFileURL(script));
const b64 = (b) => Buffer.from(b).toString('base64');

for (const c of JSON.parse(readFileSync(cases, 'utf8'))) {
  // Bytes that no pattern of the encodings hides.
  const files = (c.files ?? []).map((f) => {
    const bytes = new Uint8Array(f.size);
    for (let i = 0, x = 1; i < bytes.length; i++) bytes[i] = (x = (x * 48271) % 2147483647);
    return new File([bytes], f.name, { type: f.type });
  });
  const m = await compose({ from: c.from, to: c.to, subject: c.subject, date: new Date(c.date), text: c.text, files });
  const sealer = await Sealer.start({ origin: 'https://pli.example.org', sealedAt: 1795000000, senderHint: c.from.name });
  const out = [];
  let most = 0;
  for await (const piece of sealer.payload(m.manifest, m.pieces())) {
    out.push(piece);
    most = Math.max(most, piece.length);
  }
  const payload = Buffer.concat(out);
  const slot = await sealer.slot('a***@example.org');
  const foretold = payloadSize(Buffer.byteLength(JSON.stringify(m.manifest)), m.manifest.length);
  console.log(JSON.stringify({
    mh: b64(sealer.mh), hh: b64(sealer.hh), rh: b64(slot.rh), wrap: b64(slot.wrap), slot: slot.id, s: b64(slot.s), e: b64(slot.e), pop: b64(slot.pop),
    payload: b64(payload), manifest: JSON.stringify(m.manifest), names: files.map((f) => fileName(f.name)), most, foretold,
  }));
}
