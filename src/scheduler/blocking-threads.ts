/**
 * The supervisor's side of the threads for tasks that block: starts one when a task waits and none is idle, one at a time and a bounded number, and looks again whenever one is ready or has ended.
 *
 * Who spawns such a task wakes an idle thread, or rings the supervisor. A ring may come too late, for a thread that has just become free, or be one of many: the truth is whether hints wait.
 */
import { Worker, type WorkerOptions } from "node:worker_threads";
import type { Segment } from "../shared/segment.js";
import type { BlockingAssignment } from "./blocking-thread.js";
import { BLOCKING_IDLE_CODE } from "./scheduler-memory.js";

/** How to run them. */
export interface BlockingThreadsOptions {
  readonly segment: Segment;
  /** The id of the first one. */
  readonly first: number;
  readonly count: number;
  readonly resourceLimits: WorkerOptions["resourceLimits"];
  /** Gives a thread a life, and what it has to know. */
  readonly assign: (thread: number) => BlockingAssignment;
  /** A thread has ended; `isLost` unless it had nothing to do any more. */
  readonly bury: (thread: number, isLost: boolean) => void;
  /** Rings a thread. */
  readonly ring: (thread: number) => void;
  /** Whether the threads keep the process alive now. */
  readonly isReferenced: () => boolean;
}

/** What has happened to them. */
export interface BlockingCounts {
  /** Threads that were started. */
  started: number;
  /** Threads that there are. */
  threads: number;
}

/** Who dies before it is ready is replaced only after a pause, in milliseconds. */
const RESTART_PAUSE_MS = 500;

/** The threads of one pool. */
export class BlockingThreads {
  readonly counts: BlockingCounts = { started: 0, threads: 0 };
  readonly #options: BlockingThreadsOptions;
  /** By id, from the first one on. */
  readonly #workers: (Worker | undefined)[];
  #starting: number | undefined;
  #restartTimer: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(options: BlockingThreadsOptions) {
    this.#options = options;
    this.#workers = new Array<Worker | undefined>(options.count).fill(undefined);
  }

  /** Somebody has rung, or a thread is ready or has ended. */
  look(): void {
    const { first, count, segment, ring } = this.#options;
    if (this.#isClosed || count === 0 || this.#starting !== undefined || this.#restartTimer !== undefined) return;
    // One that was begun on a thread which died waits for the successor of that one.
    const bereft = this.#workers.findIndex(
      (worker, n) => worker === undefined && !segment.inboxes[first + n]!.isEmpty(),
    );
    if (bereft === -1 && segment.inboxes[first]!.isEmpty()) return;
    const vacant = bereft === -1 ? this.#workers.indexOf(undefined) : bereft;
    if (vacant !== -1) return this.#start(vacant);
    // All are there. One that waits for something can take the task.
    for (let n = 0; n < count; n++) ring(first + n);
  }

  setReferenced(isReferenced: boolean): void {
    if (isReferenced) this.#restartTimer?.ref();
    else this.#restartTimer?.unref();
    for (const worker of this.#workers) {
      if (isReferenced) worker?.ref();
      else worker?.unref();
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#restartTimer);
    await Promise.all(this.#workers.map((worker) => worker?.terminate()));
  }

  #start(n: number): void {
    const { first, assign, resourceLimits, isReferenced } = this.#options;
    const worker = new Worker(new URL("./blocking-thread.js", import.meta.url), {
      name: `ringloom-blocking-${n}`,
      workerData: assign(first + n),
      ...(resourceLimits === undefined ? {} : { resourceLimits }),
    });
    this.#workers[n] = worker;
    this.#starting = n;
    this.counts.started += 1;
    this.counts.threads += 1;
    worker.once("message", () => {
      this.#starting = undefined;
      this.look();
    });
    worker.on("error", (error) => process.emitWarning(error));
    worker.on("exit", (code) => this.#ended(n, code));
    if (!isReferenced()) worker.unref();
  }

  #ended(n: number, code: number): void {
    const { first, bury } = this.#options;
    const wasReady = this.#starting !== n;
    if (!wasReady) this.#starting = undefined;
    this.#workers[n] = undefined;
    this.counts.threads -= 1;
    bury(first + n, code !== BLOCKING_IDLE_CODE);
    if (wasReady) this.look();
    else this.#lookLater();
  }

  #lookLater(): void {
    if (this.#isClosed) return;
    this.#restartTimer = setTimeout(() => {
      this.#restartTimer = undefined;
      this.look();
    }, RESTART_PAUSE_MS);
    if (!this.#options.isReferenced()) this.#restartTimer.unref();
  }
}
