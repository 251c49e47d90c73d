// Shows a message's formatted text three times fenced: DOMPurify takes out what
// is not text, a sandbox without scripts or origin holds what is left, and the
// page's policy, which the frame inherits, lets it load nothing (security.md 5.4).
import './purify.js';
import { decodePart } from './envelope.js';
import { isPicture } from './files.js';
import { aim } from './links.js';

const TAGS = ('a abbr address article aside b bdi bdo big blockquote br caption center cite code col colgroup dd del dfn div dl dt em ' +
  'figcaption figure font footer h1 h2 h3 h4 h5 h6 header hr i img ins kbd li main mark ol p pre q s samp section small span strike ' +
  'strong sub sup table tbody td tfoot th thead time tr tt u ul var wbr').split(' ');
const ATTRIBUTES = ('align alt bgcolor border cellpadding cellspacing color colspan dir face headers height href lang rowspan scope size ' +
  'span src start title type valign width').split(' ');
const MOST_PIXELS = 40e6;

const policy = window.trustedTypes?.createPolicy('pli-message', { createHTML: (s) => s });

// frame returns {element, remote, shown}: an iframe with the cleaned text, how many pictures from the
// Internet it does without, and the ids of the message's own that it has.
export async function frame(source, manifest, message, { style, hash, title }) {
  const pictures = await picturesOf(source, manifest, message);
  const purify = globalThis.DOMPurify(window);
  let remote = 0;
  purify.addHook('beforeSanitizeAttributes', (node) => {
    if (node.nodeName === 'IMG' && /^\s*(https?:)?\/\//i.test(node.getAttribute('src') ?? '')) remote++;
  });
  purify.addHook('afterSanitizeAttributes', (node) => {
    if (node.nodeName === 'IMG') {
      const src = node.getAttribute('src') ?? '';
      const shown = pictures.get(idOf(src));
      if (src.startsWith('cid:') && shown) node.setAttribute('src', shown);
      else node.removeAttribute('src');
    }
    if (node.nodeName === 'A') aim(node);
  });
  const clean = purify.sanitize(source, {
    ALLOWED_TAGS: TAGS,
    ALLOWED_ATTR: ATTRIBUTES,
    ALLOW_DATA_ATTR: false,
    ALLOW_ARIA_ATTR: false,
    ALLOWED_URI_REGEXP: /^(?:https?:|mailto:|tel:|cid:)/i,
    WHOLE_DOCUMENT: false,
    FORCE_BODY: true,
  });
  const html = '<!doctype html><html><head><meta charset="utf-8">' +
    `<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src '${hash}'">` +
    `<style>${style}</style></head><body>${clean}</body></html>`;
  const element = document.createElement('iframe');
  element.setAttribute('sandbox', 'allow-popups allow-popups-to-escape-sandbox');
  element.title = title;
  element.srcdoc = policy ? policy.createHTML(html) : html;
  return { element, remote, shown: new Set(pictures.keys()) };
}

// picturesOf decodes the message's own pictures that the text refers to, by
// their Content-ID, as data: addresses. Only raster types that are what they
// say, of a bounded size (AT-82).
async function picturesOf(source, manifest, message) {
  const out = new Map();
  for (const part of manifest.parts) {
    if (!isPicture(part, source)) continue;
    const bytes = await decodePart(message, part);
    const type = rasterType(bytes);
    const pixels = type ? area(bytes, type) : 0;
    if (!type || !(pixels > 0 && pixels <= MOST_PIXELS)) continue;
    out.set(part.id, await dataURL(new Blob([bytes], { type })));
  }
  return out;
}

function idOf(src) {
  try {
    return decodeURIComponent(src.slice(4));
  } catch {
    return src.slice(4);
  }
}

function dataURL(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(blob);
  });
}

function text(bytes, from, to) {
  return String.fromCharCode(...bytes.subarray(from, to));
}

function rasterType(b) {
  if (text(b, 0, 8) === '\x89PNG\r\n\x1a\n') return 'image/png';
  if (text(b, 0, 3) === '\xff\xd8\xff') return 'image/jpeg';
  if (/^GIF8[79]a$/.test(text(b, 0, 6))) return 'image/gif';
  if (text(b, 0, 4) === 'RIFF' && text(b, 8, 12) === 'WEBP') return 'image/webp';
  return '';
}

// area reads width × height from a picture's head, 0 if it has none.
function area(b, type) {
  const v = new DataView(b.buffer, b.byteOffset, b.byteLength);
  try {
    if (type === 'image/png') return v.getUint32(16) * v.getUint32(20);
    if (type === 'image/gif') return v.getUint16(6, true) * v.getUint16(8, true);
    if (type === 'image/webp') {
      const form = text(b, 12, 16);
      if (form === 'VP8 ') return (v.getUint16(26, true) & 0x3fff) * (v.getUint16(28, true) & 0x3fff);
      if (form === 'VP8L') {
        const bits = v.getUint32(21, true);
        return ((bits & 0x3fff) + 1) * (((bits >>> 14) & 0x3fff) + 1);
      }
      const u24 = (at) => b[at] | (b[at + 1] << 8) | (b[at + 2] << 16);
      return form === 'VP8X' ? (u24(24) + 1) * (u24(27) + 1) : 0;
    }
    for (let at = 2; at < b.length; ) {
      if (b[at] !== 0xff) return 0;
      const marker = b[at + 1];
      if (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)) return v.getUint16(at + 5) * v.getUint16(at + 7);
      at += 2 + v.getUint16(at + 2);
    }
  } catch { /* cut short */ }
  return 0;
}
