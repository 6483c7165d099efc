/**
 * `npm run test:stress`: tasks of all kinds, cancelled and timed out at random, on threads that are killed at random.
 *
 *     npm run test:stress                     10 minutes
 *     npm run test:stress -- --seconds 30 --seed 7
 *
 * What must hold: every call settles once; none hangs; a task that is not idempotent runs at most once, and exactly once if its call resolved; what resolved has the right value; no slot and no block
 * of memory is left when all are settled. Ends with 1 and the seed when something does not.
 */
import { setEnvironmentData } from "node:worker_threads";
import { RingloomError } from "../../src/errors.js";
import type { TaskOptions } from "../../src/scheduler/call-options.js";
import { type Placement, pinned, roundRobin, stealable, sticky } from "../../src/scheduler/placement.js";
import { type Scheduler, startScheduler } from "../../src/scheduler/scheduler.js";
import { tasks } from "../../src/scheduler/tasks.js";
import { commandOptions } from "../support/command-options.js";
import type * as StressModule from "./stress-module.js";

const THREADS = 3;
const IN_FLIGHT = 400;
const TASKS_PER_ROUND = 20_000;
const HANG_MS = 60_000;
const KILL_MS_MAX = 400;
const EXPECTED = new Set([
  "ERR_RINGLOOM_THREAD_LOST",
  "ERR_RINGLOOM_ABORTED",
  "ERR_RINGLOOM_TIMEOUT",
  "ERR_RINGLOOM_OVERLOADED",
]);

/** xorshift32: a failing run can be begun again with its seed, though threads keep no order. */
class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed | 1;
  }

  below(limit: number): number {
    this.#state ^= this.#state << 13;
    this.#state ^= this.#state >>> 17;
    this.#state ^= this.#state << 5;
    return (this.#state >>> 0) % limit;
  }

  isOneIn(count: number): boolean {
    return this.below(count) === 0;
  }
}

const values = commandOptions(
  { seconds: { type: "string", default: "600" }, seed: { type: "string" } },
  "Options: --seconds N, --seed N, --help",
);
const seconds = Number(values.seconds);
const seed = values.seed === undefined ? Date.now() % 2 ** 31 : Number(values.seed);
const runs = new Int32Array(new SharedArrayBuffer(TASKS_PER_ROUND * Int32Array.BYTES_PER_ELEMENT));
setEnvironmentData("ringloom-stress", runs.buffer);
const work = tasks<typeof StressModule>(new URL("./stress-module.js", import.meta.url));
const random = new Random(seed);
const outcomes = new Map<string, number>();
const problems: string[] = [];

function note(outcome: string): void {
  outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
}

function placement(): Placement {
  const kind = random.below(8);
  if (kind === 0) return pinned(random.below(THREADS));
  if (kind === 1) return roundRobin();
  return kind === 2 ? sticky(`key ${random.below(10)}`) : stealable();
}

/** One task, from its call to its end. */
async function one(id: number): Promise<void> {
  const controller = random.isOneIn(10) ? new AbortController() : undefined;
  const isIdempotent = random.isOneIn(4);
  const options: TaskOptions = {
    placement: placement(),
    idempotent: isIdempotent,
    ...(controller === undefined ? {} : { signal: controller.signal }),
    ...(random.isOneIn(20) ? { timeoutMs: 1 + random.below(5) } : {}),
  };
  if (controller !== undefined) setTimeout(() => controller.abort(), random.below(4));
  const value = random.isOneIn(20) ? "x".repeat(random.below(100_000)) : id;
  const kind = random.below(10);
  try {
    if (kind === 0) await work.with(options).fail(id);
    else if (kind === 1) expectSame(await work.with(options).fan(id, 10), 10, id);
    else if (kind === 2) expectSame(await work.with(options).wait(id, random.below(5), value), value, id);
    else expectSame(await work.with(options).burn(id, random.below(100), value), value, id);
    note("resolved");
    const count = Atomics.load(runs, id);
    if (count < 1 || (count > 1 && !isIdempotent)) problems.push(`task ${id} resolved and ran ${count} times`);
  } catch (error) {
    if (error instanceof RangeError && kind === 0) return note("failed as planted");
    const code = error instanceof RingloomError ? error.code : String(error);
    note(code);
    if (!EXPECTED.has(code)) problems.push(`task ${id} rejected with ${String(error)}`);
    const count = Atomics.load(runs, id);
    if (count > 1 && !isIdempotent) problems.push(`task ${id} was rejected and ran ${count} times`);
  }
}

function expectSame(actual: unknown, expected: unknown, id: number): void {
  if (actual !== expected) problems.push(`task ${id} gave ${String(actual).slice(0, 40)}`);
}

async function round(scheduler: Scheduler): Promise<void> {
  runs.fill(0);
  let next = 0;
  async function lane(): Promise<void> {
    while (next < TASKS_PER_ROUND) await one(next++);
  }
  let killTimer: NodeJS.Timeout | undefined;
  function killLater(): void {
    killTimer = setTimeout(() => {
      void scheduler.terminateThread(random.below(THREADS));
      killLater();
    }, random.below(KILL_MS_MAX));
  }
  killLater();
  const hang = setTimeout(() => {
    console.error(`a call hangs: ${JSON.stringify(scheduler.stats)}, seed ${seed}`);
    process.exit(1);
  }, HANG_MS);
  await Promise.all(Array.from({ length: IN_FLIGHT }, lane));
  clearTimeout(killTimer);
  // Calls that were given up leave tasks that still run.
  while (scheduler.stats.inFlight > 0) await new Promise((resolve) => setTimeout(resolve, 5));
  clearTimeout(hang);
  if (scheduler.stats.blocks > 0) problems.push(`${scheduler.stats.blocks} blocks of memory were left`);
}

const scheduler = startScheduler({ compute: THREADS });
const endMs = performance.now() + seconds * 1_000;
let rounds = 0;
while (performance.now() < endMs && problems.length === 0) {
  await round(scheduler);
  rounds += 1;
}
const { spawned, deaths, lost, requeued } = scheduler.stats;
console.log(
  `${rounds} rounds, ${spawned} tasks spawned here, ${deaths} threads killed, ${lost} lost, ${requeued} begun again; seed ${seed}`,
);
for (const [outcome, count] of outcomes) console.log(`  ${outcome}: ${count}`);
await scheduler.close();
for (const problem of problems.slice(0, 20)) console.error(`FAILED: ${problem}`);
if (problems.length > 0) console.error(`seed ${seed}`);
process.exitCode = problems.length > 0 ? 1 : 0;
