// On the page of a new envelope: files too large for a mail are sealed here and
// sent beside it, one after the other. What opens one becomes a small file of the
// message (large.js), so that everything else goes on as with any file.
import { TYPE, forget, upload, UploadError } from './large.js';
import { bytes } from './files.js';

// Larges keeps the list of files under way. done(file, id) gets the small file
// of each that has arrived.
export class Larges {
  constructor(form, done) {
    this.form = form;
    this.d = form.dataset;
    this.done = done;
    this.list = form.querySelector('[data-larges]');
    this.status = form.querySelector('[data-progress]');
    this.queue = [];
    this.working = false;
    form.querySelector('[data-largehint]').hidden = false;
  }

  get busy() { return this.queue.length > 0; }

  // take begins to send a file, and returns what is wrong with it, if anything.
  take(file) {
    if (file.size > Number(this.d.large)) return this.d.largetoobig.replace('{file}', file.name);
    if (this.queue.some((q) => q.file.name === file.name && q.file.size === file.size)) return '';
    const row = document.createElement('li');
    row.className = 'file';
    const text = Object.assign(document.createElement('span'), { className: 'grow', textContent: `${file.name} (${bytes(file.size, this.d.units)})` });
    const bar = Object.assign(document.createElement('progress'), { value: 0, max: 1 });
    bar.setAttribute('aria-label', file.name);
    const again = Object.assign(document.createElement('button'), { type: 'button', className: 'btn', textContent: this.d.again, hidden: true });
    const out = Object.assign(document.createElement('button'), { type: 'button', className: 'btn', textContent: this.d.remove });
    out.setAttribute('aria-label', `${this.d.remove} ${file.name}`);
    const why = Object.assign(document.createElement('span'), { className: 'err', hidden: true });
    text.append(why);
    row.append(text, again, out, bar);
    this.list.append(row);
    const job = { file, row, bar, why, again, stop: new AbortController(), failed: false };
    out.addEventListener('click', () => {
      job.stop.abort();
      this.remove(job);
      forget(file);
      this.form.querySelector('input[type=file]').focus();
    });
    again.addEventListener('click', () => { job.failed = false; again.hidden = why.hidden = true; this.work(); });
    this.list.hidden = false;
    this.queue.push(job);
    this.work();
    return '';
  }

  remove(job) {
    this.queue = this.queue.filter((q) => q !== job);
    job.row.remove();
    this.list.hidden = this.queue.length === 0;
  }

  async work() {
    if (this.working) return;
    this.working = true;
    for (let job; (job = this.queue.find((q) => !q.failed)); ) {
      let said = -1;
      try {
        const made = await upload(job.file, {
          signal: job.stop.signal,
          onProgress: (done, total) => {
            job.bar.max = total;
            job.bar.value = done;
            const pct = Math.floor((100 * done) / total);
            if (pct >= said + 10) { // not every percent: a screen reader reads each one out
              said = pct;
              this.status.textContent = this.d.largesending.replace('{file}', job.file.name).replace('{pct}', pct);
            }
          },
        });
        this.remove(job);
        this.status.textContent = this.d.largesent.replace('{file}', job.file.name);
        const small = new File([JSON.stringify(made)], this.d.largename.replace('{file}', job.file.name), { type: TYPE });
        small.shown = `${job.file.name} (${bytes(job.file.size, this.d.units)})`;
        this.done(small, made.id);
      } catch (err) {
        if (err.name === 'AbortError') continue;
        job.failed = true;
        job.why.textContent = err instanceof UploadError && err.message ? err.message : this.d.largefailed;
        job.why.hidden = job.again.hidden = false;
        this.status.textContent = `${job.file.name}: ${job.why.textContent}`;
      }
    }
    this.working = false;
  }
}
