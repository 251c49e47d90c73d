// The card of an envelope whose mail was not shown to this session: where this
// browser still keeps what the mail brought, it opens from that.
import { find } from './shelf.js';

const card = document.querySelector('[data-kept]');
const here = card?.querySelector('[data-here]');
if (here) {
  const record = await find(card.dataset.kept).catch(() => null); // without storage there is nothing to offer
  if (record) {
    here.querySelector('a').href = '/open?id=' + record.id;
    here.hidden = false;
    card.querySelector('[data-mail]').hidden = true;
  }
}
