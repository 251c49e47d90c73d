// Oddities of mail, and what a good mail program shows of each: cases() gives {name, raw, text, files, ...}.
//   text: what the plain text says, or the formatted text where there is none; files: names of the attachments, in order;
//   subject, from: where the header is what is odd; formatted: what the formatted text says beside the plain one;
//   unusual: the reader is told that the message can be read in more than one way; pictures: how many the formatted text shows.
import { readFileSync } from 'node:fs';

const latin1 = (s) => Buffer.from(s, 'latin1');
const b64 = (s) => Buffer.from(s).toString('base64').replace(/.{76}(?=.)/g, '$&\r\n');
const PNG = 'iVBORw0KGgoAAAANSUhEUgAAAAIAAAACCAIAAAD91JpzAAAAEElEQVR4nGP4z8AARAwQCgAf7gP9i18U1AAAAABJRU5ErkJggg==';
// png is a picture of so many pixels, as its head has it.
const png = (width, height) => { const b = Buffer.from(PNG, 'base64'); b.writeUInt32BE(width, 16); b.writeUInt32BE(height, 20); return b.toString('base64'); };

const head = 'From: Ana Example <ana@example.org>\r\nTo: bob@example.net\r\nSubject: odd\r\nMIME-Version: 1.0\r\n';
const one = (fields, body = '') => Buffer.concat([latin1(head + fields + '\r\n\r\n'), Buffer.isBuffer(body) ? body : Buffer.from(body)]);
let boundary = 0;
const multi = (kind, ...parts) => { const b = `b${boundary++}`; return `Content-Type: multipart/${kind}; boundary="${b}"\r\n\r\n` + parts.map((p) => `--${b}\r\n${p}\r\n`).join('') + `--${b}--\r\n`; };
const whole = (entity, top = head) => Buffer.from(top + entity);
const text = (s, more = '') => `Content-Type: text/plain; charset=utf-8${more}\r\n\r\n${s}`;
const html = (s, more = '') => `Content-Type: text/html; charset=utf-8${more}\r\n\r\n${s}`;
const file = (type, name, body = 'AAAA') => `Content-Type: ${type}\r\nContent-Disposition: attachment${name}\r\nContent-Transfer-Encoding: base64\r\n\r\n${body}`;
const inline = (id, type = 'image/png', body = PNG) => `Content-Type: ${type}\r\nContent-ID: <${id}>\r\nContent-Disposition: inline\r\nContent-Transfer-Encoding: base64\r\n\r\n${body}`;
const header = (fields, body = 'body') => Buffer.from(fields + '\r\n\r\n' + body);

// The corpus that parsers read in different ways (security.md 5.3): what its one reading shows.
const corpus = {
  '02-dup-content-type-rev': { has: 'hello' }, '04-comment-in-ct': { text: 'hello', files: ['a.txt'] }, '06-missing-final': { text: 'hello', files: ['a.txt'] },
  '08-preamble-part': { text: 'hello', files: ['a.txt'] }, '10-delim-leading-ws': { text: 'two' }, '12-b64-concat-padding': { text: 'hi' }, '14-cte-twice': { text: 'aGVsbG8=' },
  '16-fn-twice': { files: ['safe.txt'] }, '18-fn-name-differ': { files: ['safe.txt'] }, '20-fn-traversal': { files: ['passwd'] }, '22-space-colon': { text: 'hello', files: ['a.txt'] },
  '24-lf-only': { text: 'hello', files: ['a.txt'] }, '26-ew-crlf': { text: 'hi', subject: 'a Bcc: v@x.test' }, '28-from-twice': { text: 'hi', from: 'a@corp.test' },
  '30-from-comment': { text: 'hi' }, '32-from-group': { text: 'hi', from: 'a@corp.test, evil@evil.test' }, '34-rfc822-b64': { files: ['message-1.eml'] },
  '36-uuencode': { has: 'begin 644 evil.exe' }, '38-bad-charset': { text: 'café' }, '40-long-boundary': { text: 'hi' }, '42-deep': { files: ['message-1.eml'] },
  '44-external-body': { files: ['attachment-1.bin'] }, '46-html-first-alt': { text: 'text says pay B', formatted: 'html says pay A', usual: true }, '48-header-utf8-raw': { text: 'hi', subject: 'ü', from: 'Jörg <j@corp.test>', usual: true },
};

export const cases = (dir) => [
  ...Object.entries(corpus).map(([name, want]) => ({ files: [], unusual: !want.usual, ...want, name, raw: readFileSync(`${dir}/${name}.eml`) })),

  // Character sets.
  { name: 'iso-2022-jp', raw: one('Content-Type: text/plain; charset=iso-2022-jp', latin1('\x1b$B$3$s$K$A$O\x1b(B')), text: 'こんにちは' },
  { name: 'koi8-r', raw: one('Content-Type: text/plain; charset=KOI8-R', latin1('\xf0\xd2\xc9\xd7\xc5\xd4')), text: 'Привет' },
  { name: 'shift_jis in html', raw: one('Content-Type: text/html; charset=Shift_JIS', latin1('<p>\x93\xfa\x96{</p>')), text: '日本' },
  { name: 'gb18030', raw: one('Content-Type: text/plain; charset="gb18030"', latin1('\xc4\xe3\xba\xc3')), text: '你好' },
  { name: 'windows-1252 called iso-8859-1', raw: one('Content-Type: text/plain; charset=iso-8859-1', latin1('\x93quoted\x94 \x80 5')), text: '“quoted” € 5' },
  { name: 'windows-1252 called us-ascii', raw: one('Content-Type: text/plain; charset=us-ascii', latin1('it\x92s')), text: 'it’s' },
  { name: 'windows-1252 called nothing', raw: one('Content-Type: text/plain', latin1('d\xe9j\xe0 vu')), text: 'déjà vu' },
  { name: 'utf-8 called nothing', raw: one('Content-Type: text/plain', 'déjà vu'), text: 'déjà vu' },
  { name: 'only the page names its charset', raw: one('Content-Type: text/html', latin1('<html><head><meta charset="koi8-r"></head><p>\xf0\xd2\xc9\xd7\xc5\xd4')), text: 'Привет' },
  { name: 'a charset by its old name', raw: one('Content-Type: text/plain; charset=cp932', latin1('\x93\xfa\x96{')), text: '日本' },
  { name: 'utf-16', raw: one('Content-Type: text/plain; charset=utf-16\r\nContent-Transfer-Encoding: base64', Buffer.from('\ufeffwide é', 'utf16le').toString('base64')), text: 'wide é' },
  { name: 'utf-7 is no markup', raw: one('Content-Type: text/html; charset=utf-7', '+ADw-b+AD4-bold'), text: '+ADw-b+AD4-bold', unusual: true },

  // Headers.
  { name: 'one character in two words', raw: header('From: jm@x.test\r\nSubject: =?utf-8?b?w6nDqcM=?=\r\n =?utf-8?b?qcOp?= =?utf-8?q?_x?=\r\nContent-Type: text/plain'), subject: 'éééé x', text: 'body' },
  { name: 'words in quotes', raw: header('From: "=?iso-8859-1?Q?J=F6rg_M=FCller?=" <jm@x.test>\r\nSubject: =?iso-2022-jp?B?GyRCJDMkcyRLJEEkTxsoQg==?=\r\nContent-Type: text/plain'), subject: 'こんにちは', from: 'Jörg Müller <jm@x.test>', text: 'body' },
  { name: 'no header but a subject', raw: header('Subject: only'), subject: 'only', text: 'body' },
  { name: 'a very long header', raw: header(`From: ana@example.org\r\n${'X-Long: ' + 'y'.repeat(900) + '\r\n'}`.repeat(1) + `References:${' <id@x.test>\r\n'.repeat(2000)}Subject: long`), subject: 'long', text: 'body' },
  { name: 'a header too large to be one', raw: header(`Subject: ${'z '.repeat(200000)}`), subject: '', files: ['message.eml'], unusual: true },

  // Bodies and their parts.
  { name: 'flowed', raw: one('Content-Type: text/plain; charset=utf-8; format=flowed', 'A paragraph \r\nthat flows.\r\n> quoted \r\n> too'), has: 'that flows.' },
  { name: 'nothing at all', raw: one('Content-Type: text/plain'), text: '', files: [] },
  { name: 'empty parts', raw: whole(multi('mixed', '', 'Content-Type: text/plain\r\n', file('application/pdf', '; filename=empty.pdf', ''))), text: '', files: ['empty.pdf'] },
  { name: 'broken base64', raw: one('Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64', 'aGVs*bG8g\r\nd29ybGQ'), text: 'hello world', unusual: true },
  { name: 'text, picture, text', raw: whole(multi('mixed', text('before'), file('image/png', '; filename=p.png', PNG), text('after'))), text: 'before\nafter', files: ['p.png'] },
  { name: 'html, file, html', raw: whole(multi('alternative', text('both'), multi('mixed', html('<p>before</p>'), file('application/pdf', '; filename=a.pdf'), html('<p>after</p>')))), text: 'both', formatted: 'before\n\nafter', files: ['a.pdf'] },
  { name: 'footer of a list', raw: whole(multi('mixed', text('the text'), text('-- \r\nthe list'))), text: 'the text\n--\nthe list' },
  { name: 'related in alternative in mixed', raw: whole(multi('mixed', multi('alternative', text('plain'), multi('related', html('<p>rich <img src="cid:p@x"></p>'), inline('p@x'))), file('application/pdf', '; filename=a.pdf'))), text: 'plain', formatted: 'rich', files: ['a.pdf'], pictures: 1 },
  { name: 'a picture by a written-out id', raw: whole(multi('related', html('<p>x<img src="cid:p%40x"></p>'), inline('p@x'))), text: 'x', pictures: 1 },
  { name: 'a vector picture is none', raw: whole(multi('related', html('<p>x<img src="cid:s@x"></p>'), inline('s@x', 'image/svg+xml', b64('<svg xmlns="http://www.w3.org/2000/svg" onload="x"/>')))), text: 'x', files: ['attachment-2.bin'], pictures: 0 },
  { name: 'nor is one called png', raw: whole(multi('related', html('<p>x<img src="cid:s@x"></p>'), inline('s@x', 'image/png', b64('<svg xmlns="http://www.w3.org/2000/svg"/>')))), text: 'x', files: ['attachment-2.png'], pictures: 0 },
  { name: 'nor one of 30000 by 30000', raw: whole(multi('related', html('<p>x<img src="cid:s@x"></p>'), inline('s@x', 'image/png', png(30000, 30000)))), text: 'x', files: ['attachment-2.png'], pictures: 0 },
  { name: 'an invitation', raw: whole(multi('alternative', text('Meet?'), html('<p>Meet?</p>'), 'Content-Type: text/calendar; method=REQUEST; charset=utf-8\r\n\r\nBEGIN:VCALENDAR\r\nEND:VCALENDAR')), text: 'Meet?', formatted: 'Meet?', files: ['attachment-3.ics'] },
  { name: 'signed', raw: whole(multi('signed; protocol="application/pkcs7-signature"; micalg=sha-256', text('signed text'), file('application/pkcs7-signature', '; filename=smime.p7s'))), text: 'signed text', files: ['smime.p7s'] },
  { name: 'encrypted for somebody else', raw: one('Content-Type: application/pkcs7-mime; smime-type=enveloped-data; name=smime.p7m\r\nContent-Transfer-Encoding: base64', 'AAAA'), files: ['smime.p7m'] },
  { name: 'pgp in the text', raw: one('Content-Type: text/plain', '-----BEGIN PGP MESSAGE-----\r\n\r\nhQ==\r\n-----END PGP MESSAGE-----'), has: '-----BEGIN PGP MESSAGE-----' },
  { name: 'pgp in parts', raw: whole(multi('encrypted; protocol="application/pgp-encrypted"', 'Content-Type: application/pgp-encrypted\r\n\r\nVersion: 1', 'Content-Type: application/octet-stream; name=encrypted.asc\r\n\r\n-----BEGIN PGP MESSAGE-----')), files: ['attachment-1.bin', 'encrypted.asc'] },
  { name: 'winmail.dat', raw: whole(multi('mixed', text('see it'), file('application/ms-tnef', '; name=winmail.dat; filename=winmail.dat', 'eJ8+IgAA'))), text: 'see it', files: ['winmail.dat'] },
  { name: 'a message in a message', raw: whole(multi('mixed', text('look'), 'Content-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\nnot ours')), text: 'look', files: ['message-2.eml'] },
  { name: 'a digest', raw: whole(multi('digest', '\r\nSubject: a\r\n\r\nA', '\r\nSubject: b\r\n\r\nB')), files: ['message-1.eml', 'message-2.eml'] },
  { name: 'a bounce', raw: whole(multi('report; report-type=delivery-status', text('It came back.'), 'Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; x.test', 'Content-Type: text/rfc822-headers\r\n\r\nSubject: x')), text: 'It came back.', files: ['attachment-2.bin', 'attachment-3.bin'] },
  { name: '200 deep', raw: whole([...Array(200)].reduce((inner) => multi('mixed', inner), text('core'))), files: ['message-1.eml'], unusual: true },

  // Names of files.
  { name: 'markup where text stands', raw: whole(multi('mixed', text('<img src=x onerror="top.ran=1">\r\n<script>top.ran=1</script>'), file('application/pdf', '; filename="<img src=x onerror=top.ran=1>.pdf"')), head.replace('odd', '<img src=x onerror=top.ran=1>').replace('Ana Example', '"<script>top.ran=1</script>"').replace('ana@example.org', 'x@y.test')),
    subject: '<img src=x onerror=top.ran=1>', from: '<script>top.ran=1</script> <x@y.test>', text: '<img src=x onerror="top.ran=1">\n<script>top.ran=1</script>', files: ['_img src=x onerror=top.ran=1_.pdf'] },
  { name: 'encoded names', raw: whole(multi('mixed', text('x'), file('application/pdf', "; filename*=UTF-8''r%C3%A9sum%C3%A9.pdf"), file('application/pdf', "; filename*0*=UTF-8''tr%C3%A8s;\r\n filename*1=-long;\r\n filename*2*=%20nom.pdf"),
    file('application/pdf', '; filename="=?koi8-r?B?0MnT2M3P?=.pdf"'), file('application/pdf', '; filename="=?utf-8?B?w6nDqQ==?=\r\n =?utf-8?B?w6kuZG9j?="'))), text: 'x', files: ['résumé.pdf', 'très-long nom.pdf', 'письмо.pdf', 'ééé.doc'] },
  { name: 'names that mislead', raw: whole(multi('mixed', text('x'), file('application/pdf', `; filename="a\u202Ecod.exe"`), file('application/pdf', '; filename="..\\\\..\\\\x.bat"'), file('application/pdf', '; filename=CON'), file('application/pdf', `; filename="${'n'.repeat(300)}.exe"`), file('application/pdf', '; filename="end.exe. . "'))),
    text: 'x', files: ['acod.exe', 'x.bat', '_CON', `${'n'.repeat(100)}….exe`, 'end.exe'], unusual: true },
  { name: 'active files', raw: whole(multi('mixed', text('x'), file('text/html', '; filename=page.html'), file('image/svg+xml', '; filename=v.svg'), file('application/octet-stream', '; filename=run.lnk'), file('text/html', ''), file('application/hta', '; filename=h.hta'))),
    text: 'x', files: ['page.html', 'v.svg', 'run.lnk', 'attachment-5.html', 'h.hta'], risky: 5 },
].map((c) => ({ files: [], unusual: false, ...c }));
