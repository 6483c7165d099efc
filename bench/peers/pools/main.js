/*
 * Runs one case of the suite `tasks` on one pool and prints one line of JSON.
 *
 *     node pools/main.js MODULE EXECUTORS WIDTH STEPS HOT_STEPS WARMUP_SECONDS SECONDS
 *
 * MODULE exports `open(executors)`, which returns (or resolves to) `{ run(seed, steps), close() }`; `run` resolves to `burn(seed, steps)` of
 * kernel.js, computed in one of the pool's threads. That is all that a pool needs to join this suite.
 *
 * Batches of WIDTH tasks follow each other: all are submitted, then all are awaited. Task number b of batch number r gets the seed (b & 15) + 1 and STEPS
 * steps, or HOT_STEPS if these are not 0 and b is r modulo WIDTH. `sum` adds up every result since the start, warm-up included, modulo 2^32.
 * tokio/src/tasks.rs and go/tasks.go take the same arguments behind the module and print the same line.
 */
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { burn } from "../kernel.js";

const KERNEL_STEPS = 100_000;
const KERNEL_ROUNDS = 20;
const CLOSE_TIMEOUT_MS = 3_000;

const [module, ...numbers] = process.argv.slice(2);
const [executors, width, steps, hotSteps, warmupSeconds, seconds] = numbers.map(Number);
// Between two looks at the clock lie this many batches, so that the clock weighs nothing beside an empty task.
const chunk = Math.max(1, Math.floor(256 / width));
let batches = 0;
let sum = 0;

// Node ends a program whose promise can never settle any more, and says nothing. What was measured before close() was measured all the same.
let step = "open()";
process.on("exit", (code) => {
  if (step === "" || code === 1) return;
  const isMeasured = step === "close()";
  process.stderr.write(`${isMeasured ? "remark" : "error"}: the pool left a promise of ${step} unsettled\n`);
  if (isMeasured) process.exitCode = 0;
});

const kernelNs = measureKernel();
const { open } = await import(pathToFileURL(resolve(module)).href);
const pool = await open(executors);
step = "run()";
await runFor(warmupSeconds);
const counted = await runFor(seconds);
process.stdout.write(`${JSON.stringify({ ...counted, totalBatches: batches, sum, kernelNs })}\n`);
step = "close()";
// Does not keep the program alive, but ends it when the pool's threads do so for ever.
setTimeout(() => process.exit(0), CLOSE_TIMEOUT_MS).unref();
await pool.close();
step = "";

async function runFor(limitSeconds) {
  const before = batches;
  const cpuBefore = process.cpuUsage();
  const startedMs = performance.now();
  let nowMs = startedMs;
  while (nowMs - startedMs < limitSeconds * 1_000) {
    for (let i = 0; i < chunk; i++) await runBatch();
    nowMs = performance.now();
  }
  const { user, system } = process.cpuUsage(cpuBefore);
  return { batches: batches - before, ns: (nowMs - startedMs) * 1e6, cpuNs: (user + system) * 1e3 };
}

async function runBatch() {
  const hot = hotSteps > 0 ? batches % width : -1;
  batches++;
  if (width === 1) {
    sum = (sum + (await pool.run(1, steps))) >>> 0;
    return;
  }
  const tasks = new Array(width);
  for (let b = 0; b < width; b++) tasks[b] = pool.run((b & 15) + 1, b === hot ? hotSteps : steps);
  for (const result of await Promise.all(tasks)) sum = (sum + result) >>> 0;
}

/** Nanoseconds of one step on one thread, with nothing else running: the best of several, after V8 has compiled it. */
function measureKernel() {
  let best = Number.POSITIVE_INFINITY;
  for (let i = 0; i < KERNEL_ROUNDS; i++) {
    const startedMs = performance.now();
    burn(i, KERNEL_STEPS);
    best = Math.min(best, performance.now() - startedMs);
  }
  return (best * 1e6) / KERNEL_STEPS;
}
