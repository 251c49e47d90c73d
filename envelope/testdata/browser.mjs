// Runs the vectors through the browser's script: node browser.mjs DIR SCRIPT
import { readFileSync, readdirSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

const [dir, script] = process.argv.slice(2);
const env = await import(pathToFileURL(script));
const { subtle } = globalThis.crypto;
const sha256 = async (b) => new Uint8Array(await subtle.digest('SHA-256', b));

// openVector opens one vector and returns null, or what is wrong with the outcome.
async function openVector(v) {
  const input = v.file ? Buffer.from(v.file, 'base64') : v.text ?? '';
  const { bytes, e: part } = env.parseArmor(input);
  const head = await env.parseHead(bytes, v.limit);
  const s = env.fromB64url(v.s);
  const e = part ?? env.fromB64url(v.e ?? '');
  const ph = await sha256(bytes.subarray(head.payloadOffset));
  let record = v.record && { hh: env.fromHex(v.record.hh), ph: env.fromHex(v.record.ph) };
  if (!record) {
    const key = await subtle.importKey('raw', env.fromB64url(v.seal_key), 'Ed25519', false, ['verify']);
    const text = Buffer.concat([Buffer.from('pli/1 seal\0'), head.hh, ph]);
    if (!(await subtle.verify('Ed25519', key, head.seal, text))) throw new env.EnvelopeError('altered', 'seal');
    record = { hh: head.hh, ph };
  }
  let progress = 0;
  const { manifest, message } = await env.open(bytes, head, s, e, record, (done, total) => (progress = done / total));
  for (const p of manifest.parts) {
    const decoded = await env.decodePart(message, p).catch((err) => err);
    if (!(decoded instanceof Uint8Array) && manifest.parts.length < 1000) throw new Error('part: ' + decoded);
  }
  const pop = await env.pop(e, head.slotId, head.hh);
  const got = {
    message_id: head.messageId, slot_id: head.slotId, origin: head.origin, sealed_at: head.sealedAt, policy: head.policy,
    sender_hint: head.senderHint || undefined, hint: head.hint || undefined, e: env.b64url(e),
    hh: env.hex(head.hh), ph: env.hex(ph), ck: v.want?.ck, pop: env.hex(pop), nonce: v.want?.nonce,
    possession: env.hex(await env.possession(pop, env.fromHex(v.want?.nonce ?? ''))),
    manifest: JSON.stringify(manifest), message_length: message.length, message_sha256: env.hex(await sha256(message)),
  };
  if (progress !== 1) throw new Error('progress ended at ' + progress);
  return got;
}

let run = 0;
let bad = 0;
for (const withNative of [true, false]) {
  if (!withNative) delete Uint8Array.fromBase64;
  for (const name of readdirSync(dir).filter((n) => n.endsWith('.json')).sort()) {
    const v = JSON.parse(readFileSync(dir + '/' + name, 'utf8'));
    run++;
    let problem = '';
    try {
      const got = JSON.stringify(await openVector(v));
      if (v.outcome !== 'accept') problem = 'opened';
      else if (got !== JSON.stringify(v.want)) problem = 'opened to ' + got;
    } catch (err) {
      // A refusal has a reason; anything else is a mistake in the script.
      if (v.outcome !== 'reject' || !(err instanceof env.EnvelopeError)) problem = err.stack;
    }
    if (problem) {
      bad++;
      console.log(name + ': ' + problem.slice(0, 1500));
    }
  }
}
if (!(run >= 200)) throw new Error('found only ' + run + ' vectors');
console.log(run + ' runs, ' + bad + ' wrong');
process.exitCode = bad ? 1 : 0;
