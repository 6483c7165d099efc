/*
 * Runs one case of the suite `sync` and prints one line of JSON.
 *
 *     node sync/main.js MODULE CASE WARMUP_SECONDS SECONDS
 *
 * MODULE exports `cases`, an object of functions by the name of the case. Each does the case once, as suites/sync.ts defines it, and returns (or resolves to) its check sum. `sum` adds up those of all iterations since the
 * start, warm-up included, modulo 2^32. tokio/src/sync.rs and go/sync.go take the same arguments behind the module, and a number of threads in front of them, and print the same line.
 */
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";

const [module, name, warmupSeconds, seconds] = process.argv.slice(2);
let totalIterations = 0;
let sum = 0;

const { cases } = await import(pathToFileURL(resolve(module)).href);
const runOnce = cases[name];
await runFor(Number(warmupSeconds));
const counted = await runFor(Number(seconds));
process.stdout.write(`${JSON.stringify({ ...counted, totalIterations, sum })}\n`);

async function runFor(limitSeconds) {
  const before = totalIterations;
  const cpuBefore = process.cpuUsage();
  const startedMs = performance.now();
  do {
    sum = (sum + (await runOnce())) >>> 0;
    totalIterations += 1;
  } while (performance.now() - startedMs < limitSeconds * 1_000);
  const ns = (performance.now() - startedMs) * 1e6;
  const { user, system } = process.cpuUsage(cpuBefore);
  return { iterations: totalIterations - before, ns, cpuNs: (user + system) * 1e3 };
}
