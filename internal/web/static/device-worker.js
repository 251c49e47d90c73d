// The service worker of /device, and of no other page: it keeps that page and its
// files, without anybody's name in them, for when the network is gone. With the
// network it is not in the way: everything is fetched, and what is kept renewed.
const KEPT = 'pli-device-1';
const FILES = ['own.css', 'icon.svg', 'device.js', 'leases.js', 'render.js', 'envelope.js', 'ask.js', 'files.js', 'text.js', 'links.js', 'formatted.js', 'purify.js', 'zip.js'];
const PAGES = ['en', 'fr'].map((lang) => '/device?lang=' + lang);

async function fill() {
  const cache = await caches.open(KEPT);
  const all = [...FILES.map((f) => '/static/' + f), ...PAGES];
  // As nobody: the kept page has no address in it, and sets no cookie.
  const answers = await Promise.all(all.map((url) => fetch(url, { credentials: 'omit', cache: 'no-cache' })));
  if (!answers.every((a) => a.ok)) throw new Error('a file of the page is missing');
  await Promise.all(all.map((url, i) => cache.put(url, answers[i])));
}

async function kept(request, lang) {
  const { pathname } = new URL(request.url);
  const key = request.mode === 'navigate' ? '/device?lang=' + lang : pathname;
  return (await (await caches.open(KEPT)).match(key, { ignoreVary: true })) ?? Response.error();
}

self.addEventListener('install', (ev) => ev.waitUntil(fill().then(() => self.skipWaiting())));
self.addEventListener('fetch', (ev) => {
  const { request } = ev;
  const url = new URL(request.url);
  const page = request.mode === 'navigate' && url.pathname === '/device';
  if (request.method !== 'GET' || url.origin !== location.origin || !(page || url.pathname.startsWith('/static/'))) return;
  const asked = url.searchParams.get('lang') ?? navigator.language.slice(0, 2);
  ev.respondWith(fetch(request).catch(() => kept(request, asked === 'fr' ? 'fr' : 'en')));
  if (page) ev.waitUntil(fill().catch(() => {})); // without the network it stays as it is
});
