/**
 * A thread that rings doorbells, for the contract suite. It publishes before each ring by adding to a word of shared memory, so that a ring which
 * the owner has missed shows as a sum that it never reaches.
 */
import { parentPort, Worker, workerData } from "node:worker_threads";
import type { Doorbell } from "../../src/driver/contract.js";
import { bellWords, forceDoorbell, type RingResult, ringDoorbell } from "../../src/driver/doorbell.js";

/** Words that ringers and test share. */
export const SHARED = { published: 0, stop: 1, resting: 2, seen: 3 } as const;
/** How long a wake-up may take on the slowest machine, in milliseconds. */
const ANSWER_MS_MAX = 10_000;
/** Where a doorbell says that its owner sleeps. */
const ASLEEP = 16;

export interface RingOrder {
  readonly doorbell: Doorbell;
  readonly shared: SharedArrayBuffer;
  /** How often to ring; without it until `SHARED.stop`. */
  readonly times?: number;
  /** Ring only when the owner says that it may be asleep. */
  readonly onlyAsleep?: boolean;
  /** Rest between rings for up to so many milliseconds, so that the owner falls asleep now and then. */
  readonly restMsMax?: number;
  readonly isForced?: boolean;
  /** After each ring wait for its answer, `SHARED.seen`, and ring again when the owner is just about to sleep: nothing else can wake it then. */
  readonly isAnswered?: boolean;
}

export type RingCounts = Record<RingResult, number>;

/** Starts a thread that rings as told. `done` has what its rings came to. */
export function startRinger(order: RingOrder): { worker: Worker; done: Promise<RingCounts> } {
  const worker = new Worker(new URL("./ringer.js", import.meta.url), { workerData: { order } });
  const done = new Promise<RingCounts>((resolve, reject) => {
    worker.once("message", resolve);
    worker.once("error", reject);
    worker.once("exit", (code) => reject(new Error(`The ringer ended with ${code}`)));
  });
  // A test that has failed already ends its ringers.
  done.catch(() => {});
  return { worker, done };
}

function run({ doorbell, shared, times, onlyAsleep, restMsMax = 0, isForced, isAnswered }: RingOrder): RingCounts {
  const words = new Int32Array(shared);
  const asleep = bellWords(doorbell);
  const counts: RingCounts = { woken: 0, told: 0, closed: 0 };
  for (let count = 0; times === undefined ? Atomics.load(words, SHARED.stop) === 0 : count < times; count++) {
    while (onlyAsleep && Atomics.load(asleep, ASLEEP) === 0) Atomics.wait(words, SHARED.resting, 0, 1);
    if (restMsMax > 0) Atomics.wait(words, SHARED.resting, 0, ((count * 7) % 10) * (restMsMax / 10));
    Atomics.add(words, SHARED.published, 1);
    counts[isForced ? forceDoorbell(doorbell) : ringDoorbell(doorbell)] += 1;
    if (isAnswered) awaitAnswer(words, count + 1);
  }
  return counts;
}

function awaitAnswer(words: Int32Array, published: number): void {
  for (let seen = Atomics.load(words, SHARED.seen); seen < published; seen = Atomics.load(words, SHARED.seen))
    if (Atomics.wait(words, SHARED.seen, seen, ANSWER_MS_MAX) === "timed-out") throw new Error("A ring was lost");
  // Up to some 50 µs.
  for (let left = (published * 7919) % 50_000; left > 0; left--) if (Atomics.load(words, SHARED.stop) !== 0) return;
}

const { order } = (workerData ?? {}) as { order?: RingOrder };
if (order !== undefined) parentPort?.postMessage(run(order));
