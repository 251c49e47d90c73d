// Runs the passphrase vector through the scripts of the pages: node passphrase.mjs VECTOR STATIC
import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

const [file, dir] = process.argv.slice(2);
const { derive, mask } = await import(pathToFileURL(dir + '/passphrase.js'));
const { parsePart, fromHex, b64url } = await import(pathToFileURL(dir + '/envelope.js'));
const v = JSON.parse(readFileSync(file, 'utf8'));
let run = 0;
const check = (ok, what) => { run++; if (!ok) { console.log(what); process.exitCode = 1; } };

for (const c of v.Masks) {
  const { e, lock } = parsePart(c.Text);
  check(e === null && lock.hint === c.Hint, c.Text);
  const got = await mask(await derive(c.Passphrase, lock.salt), fromHex(c.Slot), lock.masked);
  check(b64url(got) === c.Unmasked, c.Passphrase + ': ' + b64url(got));
}
for (const c of v.Texts) check((parsePart(c.Text) !== null) === c.Accept, c.Text);
if (!(run >= 15)) throw new Error('ran only ' + run);
console.log(run + ' checks');
