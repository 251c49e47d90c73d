// /device: the envelopes that this device keeps. It opens them with what it has,
// and where the service answers, asks it first whether it still may.
import { openKept } from './envelope.js';
import { ask } from './ask.js';
import { page, d, $, say, progress, render } from './render.js';
import { list, forget, day } from './leases.js';

// standing asks for each record whether its lease stands, and deletes those
// that do not. It returns what is left, and whether the service answered.
async function standing(records) {
  const answers = await Promise.all(records.map((r) => ask(d.check, { proof: r.proof })));
  const gone = records.filter((_, i) => answers[i].ok && !answers[i].value.stands);
  await Promise.all(gone.map((r) => forget(r.ref)));
  return { left: records.filter((r) => !gone.includes(r)), gone, online: answers.every((a) => a.ok) };
}

async function run() {
  let found;
  try {
    found = await list();
  } catch {
    return say('storage');
  }
  const wanted = location.hash.slice(1);
  if (!wanted) return showList(await standing(found));
  const record = found.find((r) => r.ref === wanted);
  if (!record) return say('ended');
  const { gone, online } = await standing([record]);
  if (gone.length) return say('withdrawn');
  await open(record, online);
}

function showList({ left, gone, online }) {
  $('wait').hidden = true;
  const row = page.querySelector('template[data-row]');
  const box = $('rows');
  for (const r of left) {
    const item = row.content.cloneNode(true);
    const name = r.sender.name || r.sender.address;
    const link = item.querySelector('a');
    link.textContent = name;
    link.href = '#' + r.ref;
    item.querySelector('[data-more]').textContent = [r.sender.address, r.ref.slice(0, 3) + '-' + r.ref.slice(3)].join(' · ');
    item.querySelector('[data-ends]').textContent = d.until.replace('{date}', day(r.until));
    item.querySelector('[data-which]').textContent = ' ' + name + ', ' + r.ref;
    item.querySelector('button').addEventListener('click', async () => {
      await forget(r.ref);
      location.reload();
    });
    box.append(item);
  }
  $('none').hidden = left.length > 0;
  $('gone').hidden = gone.length === 0;
  $('offlinelist').hidden = online;
  $('forgetall').hidden = left.length < 2;
  $('list').hidden = false;
  $('forgetall').addEventListener('click', async () => {
    await Promise.all(left.map((r) => forget(r.ref)));
    location.reload();
  });
}

async function open(record, online) {
  const sealed = new Uint8Array(await record.sealed.arrayBuffer());
  let opened;
  try {
    opened = await openKept({ ...record, sealed }, progress(d.decrypting));
  } catch {
    return say('altered');
  }
  const { name, address, organisation } = record.sender;
  d.sender = address;
  $('from').textContent = (name && name !== address ? name : '') + (organisation ? ', ' + organisation : '') + ` <${address}>`;
  $('until').textContent = (online ? d.online : d.alone).replace('{date}', day(record.until));
  if (!record.copy) $('eml').remove();
  $('drop-kept').addEventListener('click', async () => {
    await forget(record.ref);
    location.assign('/device' + location.search);
  });
  await render(opened.manifest, opened.message);
  // What is on the screen goes when its time is over, also where nobody reloads.
  const left = record.until - Date.now();
  if (left < 2 ** 31) setTimeout(() => location.reload(), left);
}

addEventListener('hashchange', () => location.reload());
if (page) run().catch((err) => { console.warn(err.message); say('altered'); });
