// What an attachment is called, how large it is, and whether it can do harm (AT-78, AT-79).

const DANGEROUS = new Set(('ade adp apk app appref-ms appx bat chm cmd com cpl dll dmg docm dotm exe gadget hlp hta htm html img inf ins iso ' +
  'jar js jse lnk mde mht mhtml msc msi msix msp mst ocx one pif pkg ppam pptm ps1 psm1 py pyw reg scf scr sct settingcontent-ms sh shs ' +
  'sldm svg svgz swf url vb vbe vbs vhd vhdx webarchive wsc wsf wsh xhtml xht xlam xlsm xltm xll xml xsl xslt').split(' '));
const ACTIVE = /^(text\/html|image\/svg|application\/(xhtml|xml|javascript|x-ms|x-sh|hta|java)|text\/(xml|javascript))/;
const DEVICE = /^(con|prn|aux|nul|com\d|lpt\d|conin\$|conout\$)(\.|$)/i;

function extension(name) {
  const dot = name.lastIndexOf('.');
  return dot > 0 ? name.slice(dot + 1).toLowerCase() : '';
}

// safeName returns name without a path, control or direction characters, or
// what a system would read otherwise. Its real extension stays in sight.
export function safeName(name, type) {
  let s = (name ?? '').normalize('NFC')
    .replace(/[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g, '')
    .replace(/[/\\:*?"<>|]/g, '_')
    .replace(/^[.\s]+|[.\s]+$/g, '');
  if (DEVICE.test(s)) s = '_' + s;
  if (s === '') s = type === 'message/rfc822' ? 'message.eml' : 'attachment';
  if (s.length > 120) {
    const ext = extension(s).slice(0, 20);
    s = s.slice(0, 100) + (ext ? '….' + ext : '…');
  }
  return s;
}

// isRisky says whether a system may run such a file.
export function isRisky(name, type) {
  return DANGEROUS.has(extension(name)) || ACTIVE.test(type);
}

const RASTER = new Set(['image/png', 'image/jpeg', 'image/gif', 'image/webp']);
const MOST_BYTES = 10e6; // of one picture

// isPicture says whether a part is a picture that the formatted text refers to by its Content-ID, which
// may be written out there (RFC 2392), of a raster type and a bounded size (AT-82).
export function isPicture(part, source) {
  if (!part.id || !RASTER.has(part.type) || part.size > MOST_BYTES) return false;
  return [part.id, encodeURIComponent(part.id), part.id.replaceAll('&', '&amp;')].some((id) => source.includes('cid:' + id));
}

// kind is what to call the file's type: its extension, or its media type.
export function kind(name, type) {
  return extension(name).toUpperCase() || type;
}

// bytes is a size for people; units are those of the page, from bytes upwards.
export function bytes(n, units) {
  const names = units.split(' ');
  let u = 0;
  while (n >= 1000 && u < names.length - 1) { n /= 1000; u++; }
  const number = new Intl.NumberFormat(document.documentElement.lang, { maximumFractionDigits: u > 0 && n < 10 ? 1 : 0 });
  return number.format(n) + '\u00a0' + names[u];
}
