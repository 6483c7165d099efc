/*
 * Batches of the suite `tasks`, and how long they took: the part of main.js that submits, so that it can run in a task as well.
 *
 * Batches of `width` tasks follow each other: all are submitted, then all are awaited. Task number b of batch number r gets the seed (b & 15) + 1 and `steps`
 * steps, or `hotSteps` if these are not 0 and b is r modulo `width`. `sum` adds up every result since the start, modulo 2^32.
 */

/** Submits by `run(seed, steps)`, which resolves to `burn(seed, steps)` of kernel.js. */
export class Batches {
  total = 0;
  sum = 0;
  #run;
  #width;
  #steps;
  #hotSteps;
  /** Between two looks at the clock lie this many batches, so that the clock weighs nothing beside an empty task. */
  #chunk;

  constructor(run, { width, steps, hotSteps }) {
    this.#run = run;
    this.#width = width;
    this.#steps = steps;
    this.#hotSteps = hotSteps;
    this.#chunk = Math.max(1, Math.floor(256 / width));
  }

  /** Batches one after the other for that long: their number, and what they took. */
  async runFor(limitSeconds) {
    const before = this.total;
    const cpuBefore = process.cpuUsage();
    const startedMs = performance.now();
    let nowMs = startedMs;
    while (nowMs - startedMs < limitSeconds * 1_000) {
      for (let i = 0; i < this.#chunk; i++) await this.#runBatch();
      nowMs = performance.now();
    }
    const { user, system } = process.cpuUsage(cpuBefore);
    return { batches: this.total - before, ns: (nowMs - startedMs) * 1e6, cpuNs: (user + system) * 1e3 };
  }

  async #runBatch() {
    const width = this.#width;
    const hot = this.#hotSteps > 0 ? this.total % width : -1;
    this.total++;
    if (width === 1) {
      this.sum = (this.sum + (await this.#run(1, this.#steps))) >>> 0;
      return;
    }
    const tasks = new Array(width);
    for (let b = 0; b < width; b++) tasks[b] = this.#run((b & 15) + 1, b === hot ? this.#hotSteps : this.#steps);
    for (const result of await Promise.all(tasks)) this.sum = (this.sum + result) >>> 0;
  }
}

/** All of a run: what is counted comes behind a warm-up. */
export async function measure(run, { warmupSeconds, seconds, ...shape }) {
  const batches = new Batches(run, shape);
  await batches.runFor(warmupSeconds);
  const counted = await batches.runFor(seconds);
  return { ...counted, totalBatches: batches.total, sum: batches.sum };
}
