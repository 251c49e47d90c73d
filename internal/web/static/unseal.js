// Opens a large envelope in threads of its own, so that the page stays alive and
// shows how far it is: some browsers hash and decrypt in the thread that asks.
// One thread hashes the payload, another decrypts it. Both read the envelope
// while the page asks for the service's half.
//
// A thread is told {box, limit}, the envelope as a Blob. With hash it answers
// {hashed}, the payload's SHA-256. Without, it is told that answer, and {s, e,
// record}, each when it is known, and answers {done, total} and in the end
// {manifest, message}. Whatever fails is {code, why}.
import { parseHead, open, sha256 } from './envelope.js';

let envelope; // a promise of {bytes, head}
let tellHash;
const hashed = new Promise((resolve) => (tellHash = resolve));

async function read(box, limit) {
  const bytes = new Uint8Array(await box.arrayBuffer());
  return { bytes, head: await parseHead(bytes, limit) };
}

addEventListener('message', async ({ data }) => {
  try {
    if (data.hashed) return tellHash(data.hashed);
    if (data.box) {
      envelope = read(data.box, data.limit);
      const { bytes, head } = await envelope;
      if (data.hash) postMessage({ hashed: await sha256(bytes.subarray(head.payloadOffset)) });
      return;
    }
    const { bytes, head } = await envelope;
    const { manifest, message } = await open(bytes, head, data.s, data.e, data.record, (done, total) => postMessage({ done, total }), hashed);
    postMessage({ manifest, message }, [message.buffer]);
  } catch (err) {
    postMessage({ code: err.code ?? 'altered', why: err.message });
  }
});
