/**
 * The supervisor's side of the threads for tasks that block: starts one when a task waits and none is idle, one at a time and a bounded number, and looks again whenever one is ready or has ended.
 *
 * Who spawns such a task wakes an idle thread, or rings the supervisor. A ring may come too late, for a thread that has just become free, or be one of many: the truth is whether hints wait.
 *
 * Those that end before they are ready use up the budget that compute threads have for the same. When it is spent, one is tried after each rest, and where there is none at all, tasks are lost instead of waiting.
 */
import { type MessagePort, Worker, type WorkerOptions } from "node:worker_threads";
import type { DeskRequest } from "../keyed/desk.js";
import type { Segment } from "../shared/segment.js";
import type { BlockingAssignment } from "./blocking-thread.js";
import type { MemberLimits } from "./compute-member.js";
import { passToDesk } from "./desk-message.js";
import { BLOCKING_IDLE_CODE } from "./scheduler-memory.js";
import { passToShard } from "./shard-line.js";

/** How to run them. */
export interface BlockingThreadsOptions {
  readonly segment: Segment;
  /** The id of the first one. */
  readonly first: number;
  readonly count: number;
  readonly limits: MemberLimits;
  readonly resourceLimits: WorkerOptions["resourceLimits"];
  /** Gives a thread a life, and what it has to know. */
  readonly assign: (thread: number) => BlockingAssignment;
  /** There is no thread of that id: what it has left is put right, and what is pinned to it waits for a successor or is lost. */
  readonly bury: (thread: number, end: BlockingEnd) => void;
  /** A thread has ended before it was ready. `isFirst` tells the first of a series. */
  readonly stillborn: (cause: unknown, isFirst: boolean) => void;
  /** None is tried for some time. */
  readonly givenUp: (cause: unknown, restMs: number) => void;
  /** Rings a thread. */
  readonly ring: (thread: number) => void;
  /** A thread wants something of the desk where threads meet who share something by its name. */
  readonly desk: (request: DeskRequest) => void;
  /** A thread wants to call functions of a shard. */
  readonly connect: (shard: number, caller: MessagePort) => void;
  /** Whether the threads keep the process alive now. */
  readonly isReferenced: () => boolean;
}

/** How a thread has ended. */
export interface BlockingEnd {
  /** It died; else it had nothing to do any more, or there was none. */
  readonly isLost: boolean;
  /** Another one of that id will come when a task needs it. */
  readonly isReplaced: boolean;
}

/** What has happened to them. */
export interface BlockingCounts {
  /** Threads that were started. */
  started: number;
  /** Threads that there are. */
  threads: number;
}

/** The threads of one pool. */
export class BlockingThreads {
  readonly counts: BlockingCounts = { started: 0, threads: 0 };
  readonly #options: BlockingThreadsOptions;
  /** By id, from the first one on. */
  readonly #workers: (Worker | undefined)[];
  #starting: number | undefined;
  #restartTimer: NodeJS.Timeout | undefined;
  #isGivenUp = false;
  #isClosed = false;

  constructor(options: BlockingThreadsOptions) {
    this.#options = options;
    this.#workers = new Array<Worker | undefined>(options.count).fill(undefined);
  }

  /** Somebody has rung, or a thread is ready or has ended. */
  look(): void {
    const { first, count, segment, ring } = this.#options;
    if (this.#isClosed || count === 0 || this.#starting !== undefined) return;
    if (this.#restartTimer !== undefined) return this.#refuse();
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
    if (isReferenced && !this.#isGivenUp) this.#restartTimer?.ref();
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
    this.#starting = n;
    this.counts.started += 1;
    this.counts.threads += 1;
    let cause: unknown;
    let worker: Worker;
    try {
      worker = this.#create(n);
    } catch (error) {
      this.#ended(n, undefined, error);
      return;
    }
    this.#workers[n] = worker;
    worker.once("message", () => {
      this.#starting = undefined;
      this.#isGivenUp = false;
      this.look();
    });
    worker.on("message", (message: unknown) => passToDesk(message, this.#options));
    worker.on("message", (message: unknown) => passToShard(message, this.#options));
    worker.on("error", (error) => {
      cause ??= error;
      if (this.#starting !== n) process.emitWarning(error);
    });
    worker.on("exit", (code) => this.#ended(n, code, cause ?? new Error(`it ended with code ${code}`)));
    if (!this.#options.isReferenced()) worker.unref();
  }

  #create(n: number): Worker {
    const { first, assign, resourceLimits } = this.#options;
    const assignment = assign(first + n);
    return new Worker(new URL("./blocking-thread.js", import.meta.url), {
      name: `ringloom-blocking-${n}`,
      workerData: assignment,
      transferList: [assignment.line],
      ...(resourceLimits === undefined ? {} : { resourceLimits }),
    });
  }

  /** The code is undefined where the system gave no thread. */
  #ended(n: number, code: number | undefined, cause: unknown): void {
    const { first, bury } = this.#options;
    const wasReady = this.#starting !== n;
    if (!wasReady) this.#starting = undefined;
    this.#workers[n] = undefined;
    this.counts.threads -= 1;
    bury(first + n, { isLost: code !== BLOCKING_IDLE_CODE, isReplaced: true });
    if (this.#isClosed) return;
    if (wasReady) this.look();
    else this.#diedInVain(cause);
  }

  #diedInVain(cause: unknown): void {
    const { limits, stillborn, givenUp } = this.#options;
    if (!this.#isGivenUp) {
      const delayMs = limits.budget.take(performance.now());
      stillborn(cause, limits.budget.used === 1);
      if (delayMs !== undefined) return this.#lookIn(delayMs);
      this.#isGivenUp = true;
      givenUp(cause, limits.restMs);
    }
    this.#lookIn(limits.restMs);
    this.#refuse();
  }

  /** None is started for some time. Where there is one, it may take what waits. */
  #refuse(): void {
    const { first, count, segment, bury } = this.#options;
    if (!this.#isGivenUp || this.counts.threads > 0) return;
    for (let thread = first; thread < first + count; thread++) {
      if (!segment.inboxes[thread]!.isEmpty()) bury(thread, { isLost: false, isReplaced: false });
    }
  }

  #lookIn(delayMs: number): void {
    this.#restartTimer = setTimeout(() => {
      this.#restartTimer = undefined;
      this.look();
    }, delayMs);
    // As long as they are given up, the process may end.
    if (this.#isGivenUp || !this.#options.isReferenced()) this.#restartTimer.unref();
  }
}
