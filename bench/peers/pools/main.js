/*
 * Runs one case of the suite `tasks` on one pool and prints one line of JSON.
 *
 *     node pools/main.js MODULE EXECUTORS WIDTH STEPS HOT_STEPS WARMUP_SECONDS SECONDS
 *
 * MODULE exports `open(executors)`, which returns (or resolves to) `{ run(seed, steps), close() }`; `run` resolves to `burn(seed, steps)` of
 * kernel.js, computed in one of the pool's threads. That is all that a pool needs to join this suite. One whose tasks can spawn tasks may bring
 * `measure(settings)` in place of `run`, which submits from one of its own threads, as the programs in Rust and Go do.
 *
 * batches.js says what is submitted. tokio/src/tasks.rs and go/tasks.go take the same arguments behind the module and print the same line.
 */
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { burn } from "../kernel.js";
import { measure } from "./batches.js";

const KERNEL_STEPS = 100_000;
const KERNEL_ROUNDS = 20;
const CLOSE_TIMEOUT_MS = 3_000;

const [module, ...numbers] = process.argv.slice(2);
const [executors, width, steps, hotSteps, warmupSeconds, seconds] = numbers.map(Number);

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
const settings = { width, steps, hotSteps, warmupSeconds, seconds };
const figures = await (pool.measure === undefined ? measure(pool.run, settings) : pool.measure(settings));
process.stdout.write(`${JSON.stringify({ ...figures, kernelNs })}\n`);
step = "close()";
// Does not keep the program alive, but ends it when the pool's threads do so for ever.
setTimeout(() => process.exit(0), CLOSE_TIMEOUT_MS).unref();
await pool.close();
step = "";

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
