// Seals and opens large files with the browser's script: node large.mjs SCRIPT > one JSON line per size
import { pathToFileURL } from 'node:url';

const { sealedFrom, largeSize, open, descriptor } = await import(pathToFileURL(process.argv[2]));
const concat = async (pieces) => {
  const out = [];
  for await (const p of pieces) out.push(Buffer.from(p));
  return Buffer.concat(out);
};
const stream = (bytes, step) => new ReadableStream({
  start(c) {
    for (let i = 0; i < bytes.length; i += step) c.enqueue(new Uint8Array(bytes.subarray(i, i + step)));
    c.close();
  },
});

for (const size of [0, 1, 4096, 4097, 16383, 16384, 16385, 2 ** 21, 2 ** 21 + 1, 5_000_003]) {
  const bytes = new Uint8Array(size);
  for (let i = 0, x = 7; i < size; i++) bytes[i] = (x = (x * 48271) % 2147483647);
  const file = new File([bytes], 'x.bin');
  const secret = { id: '00112233445566778899aabbccddeeff', key: new Uint8Array(32).fill(7), salt: new Uint8Array(24).fill(9) };
  const sealed = await concat(sealedFrom(file, secret, 0));
  if (sealed.length !== largeSize(size)) throw new Error(`${size}: ${sealed.length} bytes, foretold ${largeSize(size)}`);
  // A transfer goes on at any offset with the same bytes.
  for (const at of [1, 55, 56, 57, 16455, 16456, 16457, 100_000, 2_099_256, sealed.length - 1].filter((n) => n < sealed.length)) {
    if (!sealed.subarray(at).equals(await concat(sealedFrom(file, secret, at)))) throw new Error(`${size}: other bytes from ${at} on`);
  }
  const d = descriptor(Buffer.from(JSON.stringify({ v: 1, id: secret.id, key: Buffer.from(secret.key).toString('base64url'), size, name: 'x.bin', type: '' })));
  const read = async (from, desc = d, piece = 3_000_000) => {
    const out = [];
    await open(desc, async (at) => stream(from.subarray(at, at + piece), 70_001), (b) => out.push(Buffer.from(b)), () => {});
    return Buffer.concat(out);
  };
  if (!(await read(sealed)).equals(Buffer.from(bytes))) throw new Error(`${size}: opened to something else`);
  const refused = async (what, from, desc) => {
    const err = await read(from, desc).then(() => null, (e) => e);
    if (!err?.altered) throw new Error(`${size}: ${what}: ${err}`);
  };
  for (const at of [0, 24, 55, 56, sealed.length - 1, Math.floor(sealed.length / 2)]) {
    const bad = Buffer.from(sealed);
    bad[at] ^= 1;
    await refused('a bit at ' + at, bad);
  }
  await refused('cut short', sealed.subarray(0, sealed.length - 1));
  await refused('another key', sealed, { ...d, key: 'A'.repeat(43) });
  await refused('another id', sealed, { ...d, id: '0'.repeat(32) });
  console.log(JSON.stringify({ size, sealed: sealed.toString('base64'), plain: Buffer.from(bytes).toString('base64') }));
}
for (const odd of ['', 'null', '{}', '{"v":2}', '{"v":1,"id":"../x","key":"' + 'A'.repeat(43) + '","size":1,"name":"x"}', '{"v":1,"id":"' + '0'.repeat(32) + '","key":"' + 'A'.repeat(43) + '","size":-1,"name":"x"}']) {
  if (descriptor(Buffer.from(odd))) throw new Error('a descriptor of ' + odd);
}
