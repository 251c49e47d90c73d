// Writes a ZIP file in the browser: stored, not compressed, names in UTF-8
// (PKWARE's APPNOTE.TXT, sections 4.3 and 4.4). Below 4 GiB, which an envelope is.

const TABLE = new Uint32Array(256).map((_, n) => {
  for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n;
});
const STEP = 4 * 2 ** 20; // bytes between two breaths of the page

// crc32 of bytes; the page stays alive meanwhile.
async function crc32(bytes) {
  let crc = 0xffffffff;
  for (let at = 0; at < bytes.length; at += STEP) {
    if (at > 0) await new Promise((resolve) => setTimeout(resolve));
    const end = Math.min(bytes.length, at + STEP);
    for (let i = at; i < end; i++) crc = TABLE[(crc ^ bytes[i]) & 255] ^ (crc >>> 8);
  }
  return (crc ^ 0xffffffff) >>> 0;
}

// zip returns a Blob with the files, [{name, read}], read() giving a promise of
// its bytes: one file is in memory at a time. Names are made different.
export async function zip(files, when) {
  const pieces = [];
  const entries = [];
  let at = 0;
  const names = different(files.map((f) => f.name));
  for (const [i, file] of files.entries()) {
    const bytes = await file.read();
    const name = new TextEncoder().encode(names[i]);
    const head = record([
      [2, 20], // version 2.0 reads it
      [2, 0x0800], // the name is UTF-8
      [2, 0], // stored
      [4, dosTime(when)],
      [4, await crc32(bytes)],
      [4, bytes.length],
      [4, bytes.length],
      [2, name.length],
      [2, 0],
    ]);
    entries.push({ name, head, at });
    pieces.push(record([[4, 0x04034b50]]), head, name, new Blob([bytes]));
    at += 4 + head.length + name.length + bytes.length;
  }
  let size = 0;
  for (const e of entries) {
    // no comment, disk 0, no attributes, and where its own head is
    const entry = [record([[4, 0x02014b50], [2, 20]]), e.head, record([[2, 0], [2, 0], [2, 0], [4, 0], [4, e.at]]), e.name];
    pieces.push(...entry);
    size += entry.reduce((n, p) => n + p.length, 0);
  }
  pieces.push(record([[4, 0x06054b50], [2, 0], [2, 0], [2, entries.length], [2, entries.length], [4, size], [4, at], [2, 0]]));
  return new Blob(pieces, { type: 'application/octet-stream' });
}

// record writes little-endian numbers, [[bytes, value]].
function record(fields) {
  const out = new Uint8Array(fields.reduce((n, [size]) => n + size, 0));
  let at = 0;
  for (const [size, value] of fields) {
    for (let i = 0; i < size; i++) out[at++] = Math.floor(value / 2 ** (8 * i)) & 255;
  }
  return out;
}

function dosTime(t) {
  const year = Math.min(127, Math.max(0, t.getFullYear() - 1980));
  const day = (year << 9) | ((t.getMonth() + 1) << 5) | t.getDate();
  return day * 65536 + ((t.getHours() << 11) | (t.getMinutes() << 5) | (t.getSeconds() >> 1));
}

// different gives the second "a.pdf" the name "a (2).pdf". Systems that do not
// tell A from a must keep both too.
function different(names) {
  const taken = new Set();
  return names.map((name) => {
    const dot = name.lastIndexOf('.') > 0 ? name.lastIndexOf('.') : name.length;
    let s = name;
    for (let n = 2; taken.has(s.toLowerCase()); n++) s = `${name.slice(0, dot)} (${n})${name.slice(dot)}`;
    taken.add(s.toLowerCase());
    return s;
  });
}
