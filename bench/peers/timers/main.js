/*
 * Runs one case of the suite `timers` and prints one line of JSON.
 *
 *     node --expose-gc timers/main.js MODULE CASE COUNT WARMUP_SECONDS SECONDS
 *
 * MODULE exports `crowd(count)`, which returns `{ insert(index, ms), cancel(index) }`, and `sleep(ms)`, a promise. CASE is one of
 *
 *     pending   COUNT timers are inserted, spread over ten minutes, then each is cancelled, again and again
 *     sleep     COUNT tasks begin, each awaits sleep(10), all are awaited, again and again
 *     spawn     the same without the sleep
 *     hop       awaits of an async function that returns at once, COUNT between two looks at the clock
 *
 * Bytes are taken once, at the end, with COUNT timers pending, where there is a collector to be called. tokio/src/timers.rs and go/timers.go take the same arguments behind the module.
 */
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";

const SPREAD_MS = 600_000;
const FIRST_MS = 10_000;
const SLEEP_MS = 10;

const [module, name, ...numbers] = process.argv.slice(2);
const [count, warmupSeconds, seconds] = numbers.map(Number);
const { crowd, sleep } = await import(pathToFileURL(resolve(module)).href);

const CASES = {
  pending: measurePending,
  sleep: () => measureTasks(SLEEP_MS),
  spawn: () => measureTasks(0),
  hop: measureHops,
};
const line = await CASES[name]();
process.stdout.write(`${JSON.stringify(line)}\n`, () => process.exit(0));

/** Irregular, and the same for all. */
function delayOf(index) {
  return FIRST_MS + ((index * 7_919) % SPREAD_MS);
}

async function repeat(round) {
  for (const [length, counts] of [
    [warmupSeconds, false],
    [seconds, true],
  ]) {
    const endMs = performance.now() + length * 1_000;
    do await round(counts);
    while (performance.now() < endMs);
  }
}

async function measurePending() {
  let timers = 0;
  let insertNs = 0;
  let cancelNs = 0;
  await repeat((counts) => {
    const { insert, cancel } = crowd(count);
    const begunMs = performance.now();
    for (let index = 0; index < count; index++) insert(index, delayOf(index));
    const insertedMs = performance.now();
    for (let index = 0; index < count; index++) cancel(index);
    const cancelledMs = performance.now();
    if (!counts) return;
    timers += count;
    insertNs += (insertedMs - begunMs) * 1e6;
    cancelNs += (cancelledMs - insertedMs) * 1e6;
  });
  if (globalThis.gc === undefined) return { count: timers, insertNs, cancelNs };
  return { count: timers, insertNs, cancelNs, ...(await measureBytes()) };
}

async function measureBytes() {
  const pending = crowd(count);
  const kept = new Array(count).fill(undefined);
  const bytes = await bytesOf(() => {
    for (let index = 0; index < count; index++) pending.insert(index, delayOf(index));
  });
  for (let index = 0; index < count; index++) pending.cancel(index);
  const promiseBytes = await bytesOf(() => {
    for (let index = 0; index < count; index++) kept[index] = sleep(delayOf(index));
  });
  return { bytes: bytes / count, promiseBytes: promiseBytes / kept.length };
}

async function bytesOf(fill) {
  const before = await usedBytes();
  fill();
  return (await usedBytes()) - before;
}

/** Array buffers are let go in a turn after the collection. */
async function usedBytes() {
  for (let times = 0; times < 3; times++) {
    globalThis.gc();
    await new Promise((resolve) => setImmediate(resolve));
  }
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

async function measureTasks(ms) {
  let rounds = 0;
  let ns = 0;
  await repeat(async (counts) => {
    let done = 0;
    const task = async () => {
      if (ms > 0) await sleep(ms);
      done += 1;
    };
    const tasks = new Array(count);
    const begunMs = performance.now();
    for (let index = 0; index < count; index++) tasks[index] = task();
    await Promise.all(tasks);
    const tookMs = performance.now() - begunMs;
    if (done !== count) throw new Error(`${done} of ${count} tasks have ended`);
    if (!counts) return;
    rounds += 1;
    ns += tookMs * 1e6;
  });
  return { count: rounds, ns };
}

async function measureHops() {
  let hops = 0;
  let ns = 0;
  let sum = 0;
  const hop = async (value) => value;
  await repeat(async (counts) => {
    const begunMs = performance.now();
    for (let index = 0; index < count; index++) sum += await hop(1);
    if (!counts) return;
    hops += count;
    ns += (performance.now() - begunMs) * 1e6;
  });
  if (sum < hops) throw new Error("a hop has returned something else");
  return { count: hops, ns };
}
