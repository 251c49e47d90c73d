// Shows plain text as a mail program does: addresses become links, and lines
// that begin with > are quoted.
import { aim } from './links.js';

const LINK = /\b(?:https?:\/\/|mailto:)[^\s<>"\u0060\u0000-\u001f\u007f-\u009f]{1,2048}/gi;
const DEEP = 6; // quotes in quotes; deeper ones keep their signs
const MOST_LINKS = 2000; // that a browser lays out without stopping

// show writes text into an element whose white space is kept.
export function show(element, text) {
  write(element, text.replace(/\r\n?/g, '\n').split('\n'), 0, { links: MOST_LINKS });
}

function write(to, lines, depth, left) {
  const quoted = (line) => depth < DEEP && line.startsWith('>');
  for (let from = 0; from < lines.length; ) {
    let end = from + 1;
    while (end < lines.length && quoted(lines[end]) === quoted(lines[from])) end++;
    const run = lines.slice(from, end);
    if (quoted(lines[from])) {
      const quote = document.createElement('blockquote');
      write(quote, run.map((line) => line.replace(/^> ?/, '')), depth + 1, left);
      to.append(quote);
    } else {
      // A block begins a line by itself, and swallows the line end before it.
      link(to, run.join('\n') + (end < lines.length && run.at(-1) === '' ? '\n' : ''), left);
    }
    from = end;
  }
}

function link(to, text, left) {
  let at = 0;
  for (const found of text.matchAll(LINK)) {
    if (left.links-- <= 0) break;
    const href = trimmed(found[0]);
    const a = document.createElement('a');
    a.setAttribute('href', href);
    a.textContent = href;
    aim(a);
    to.append(text.slice(at, found.index), a.hasAttribute('href') ? a : href);
    at = found.index + href.length;
  }
  to.append(text.slice(at));
}

// trimmed takes off what closes the sentence around an address.
function trimmed(address) {
  let s = address;
  for (;;) {
    const last = s.at(-1);
    const open = { ')': '(', ']': '[', '}': '{' }[last];
    const more = (c) => s.split(c).length;
    if (open ? more(open) >= more(last) : !'.,;:!?\'*_'.includes(last)) return s;
    s = s.slice(0, -1);
  }
}
