// Rates and latencies over the last seconds. Pure.

export class Rate {
  constructor(window = 5000) {
    this.window = window;
    this.marks = []; // [time, count], at most one per 100 ms
  }

  add(count, now) {
    const last = this.marks.at(-1);
    if (last !== undefined && now - last[0] < 100) last[1] += count;
    else this.marks.push([now, count]);
    this.#forget(now);
  }

  perSecond(now) {
    this.#forget(now);
    return this.marks.reduce((sum, mark) => sum + mark[1], 0) / (this.window / 1000);
  }

  #forget(now) {
    while (this.marks.length && this.marks[0][0] < now - this.window) this.marks.shift();
  }
}

export class Latency {
  constructor(window = 5000, most = 500) {
    this.window = window;
    this.most = most;
    this.samples = [];
  }

  add(milliseconds, now) {
    this.samples.push([now, Math.max(milliseconds, 0)]);
    if (this.samples.length > this.most) this.samples.shift();
  }

  /** The value below which `share` of the last seconds' samples lie; null when there are none. */
  quantile(share, now) {
    while (this.samples.length && this.samples[0][0] < now - this.window) this.samples.shift();
    if (!this.samples.length) return null;
    const sorted = this.samples.map((sample) => sample[1]).sort((one, two) => one - two);
    return sorted[Math.min(Math.floor(share * sorted.length), sorted.length - 1)];
  }
}
