// Drives Debian's Firefox by its own Marionette protocol: JSON with its length before it, over a connection to this machine.
import { spawn } from 'node:child_process';
import { connect, createServer } from 'node:net';
import { mkdirSync, writeFileSync } from 'node:fs';
import { scratch } from './lib.mjs';

const freePort = () => new Promise((resolve) => {
  const s = createServer().listen(0, '127.0.0.1', () => { const { port } = s.address(); s.close(() => resolve(port)); });
});

async function dial(port) {
  for (let i = 0; ; i++) {
    try {
      return await new Promise((resolve, reject) => { const c = connect(port, '127.0.0.1', () => resolve(c)); c.on('error', reject); });
    } catch (err) {
      if (i > 300) throw err;
      await new Promise((r) => setTimeout(r, 100));
    }
  }
}

// firefox starts one with a profile of its own, without a window.
export async function firefox(lang = 'en') {
  const port = await freePort(), profile = `${scratch}/firefox-${port}`;
  mkdirSync(profile);
  const prefs = { 'marionette.port': port, 'intl.accept_languages': lang, 'browser.shell.checkDefaultBrowser': false, 'datareporting.policy.dataSubmissionEnabled': false,
    'app.update.enabled': false, 'network.captive-portal-service.enabled': false, 'network.connectivity-service.enabled': false, 'browser.safebrowsing.update.enabled': false };
  writeFileSync(`${profile}/user.js`, Object.entries(prefs).map(([k, v]) => `user_pref(${JSON.stringify(k)}, ${JSON.stringify(v)});\n`).join(''));
  const program = spawn('firefox-esr', ['--headless', '--marionette', '--no-remote', '--profile', profile], { stdio: 'ignore', env: { ...process.env, HOME: profile } });
  const ended = new Promise((resolve) => program.on('exit', resolve));
  const socket = await dial(port);
  const waiting = new Map();
  let held = Buffer.alloc(0), last = 0;
  socket.on('data', (more) => {
    held = Buffer.concat([held, more]);
    for (let colon; (colon = held.indexOf(':')) > 0;) {
      const n = Number(held.subarray(0, colon));
      if (held.length < colon + 1 + n) return;
      const said = JSON.parse(held.subarray(colon + 1, colon + 1 + n));
      held = held.subarray(colon + 1 + n);
      if (!Array.isArray(said)) continue; // its greeting
      const [, id, error, value] = said;
      const { resolve, reject } = waiting.get(id);
      waiting.delete(id);
      if (error) reject(new Error(`${error.error}: ${error.message}`)); else resolve(value);
    }
  });
  const call = (command, params = {}) => new Promise((resolve, reject) => {
    const text = Buffer.from(JSON.stringify([0, ++last, `WebDriver:${command}`, params]));
    waiting.set(last, { resolve, reject });
    socket.write(`${text.length}:`);
    socket.write(text);
  });
  await call('NewSession', { strictFileInteractability: false });
  const page = {
    call,
    go: (url) => call('Navigate', { url }),
    run: async (script, ...args) => (await call('ExecuteScript', { script, args })).value,
    // until waits for what a script finds, and returns it.
    async until(script, ...args) {
      for (let i = 0; i < 600; i++) { // a busy machine takes its time
        const found = await page.run(script, ...args).catch(() => null); // the page may just be leaving
        if (found) return found;
        await new Promise((r) => setTimeout(r, 100));
      }
      throw new Error(`not found: ${script} ${JSON.stringify(args)} at ${await page.run('return location.href')}: ${await page.run('return document.body.innerText')}`);
    },
    // element waits for a visible one, by CSS selector and part of its text.
    async element(css, text = '') {
      const e = await page.until('return [...document.querySelectorAll(arguments[0])].find((e) => e.checkVisibility() && e.textContent.includes(arguments[1]))', css, text);
      return Object.values(e)[0];
    },
    async click(css, text) { await call('ElementClick', { id: await page.element(css, text) }); },
    async type(css, text) { await call('ElementSendKeys', { id: await page.element(css), text }); },
    // tab goes to the newest tab there is, once there are n.
    async tab(n) {
      for (let i = 0; i < 100; i++) {
        const all = await call('GetWindowHandles');
        if (all.length >= n) return call('SwitchToWindow', { handle: all.at(-1) });
        await new Promise((r) => setTimeout(r, 100));
      }
      throw new Error('no new tab');
    },
    async picture(path) { writeFileSync(path, Buffer.from((await call('TakeScreenshot', { full: true })).value, 'base64')); },
    async close() {
      program.kill();
      await ended;
      socket.destroy();
    },
  };
  return page;
}
