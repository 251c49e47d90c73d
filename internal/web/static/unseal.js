// Opens a large envelope in a thread of its own, so that the page stays alive
// and shows how far it is: some browsers hash and decrypt in the thread that asks.
import { parseHead, open } from './envelope.js';

addEventListener('message', async ({ data: { bytes, limit, s, e, record } }) => {
  try {
    const head = await parseHead(bytes, limit);
    const { manifest, message } = await open(bytes, head, s, e, record, (done, total) => postMessage({ done, total }));
    postMessage({ manifest, message, bytes }, [message.buffer, bytes.buffer]);
  } catch (err) {
    postMessage({ code: err.code ?? 'altered', why: err.message });
  }
});
