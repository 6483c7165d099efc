/**
 * One compute thread and those that follow it under the same id, seen from the supervisor: started, buried, replaced, and given up where they die without having begun anything.
 *
 *     starting → up → dead → starting … → given up → starting, once in a while → up
 */
import type { MessagePort, Worker } from "node:worker_threads";
import type { DeskRequest } from "../keyed/desk.js";
import type { RestartBudget } from "../runtime/restart-budget.js";
import { passToDesk } from "./desk-message.js";
import { passToShard } from "./shard-line.js";

/** Threads that die before they have run for so long are replaced only after a pause, in milliseconds. */
const STABLE_MS = 1_000;
const RESTART_PAUSE_MS = 500;

/** What a member needs of its pool. */
export interface MemberPool {
  /** Makes the thread; may throw. */
  create(thread: number): Worker;
  /** The thread has made its last step. Says whether it had begun a task. */
  buried(thread: number): boolean;
  /** A thread has died before it had begun anything. `isFirst` tells the first of a series. */
  stillborn(thread: number, cause: unknown, isFirst: boolean): void;
  /** No thread of that id will be there for some time. */
  givenUp(thread: number, cause: unknown): void;
  /** A thread of an id that was given up is there. */
  recovered(thread: number): void;
  /** The thread wants something of the desk where threads meet who share something by its name. */
  desk(request: DeskRequest): void;
  /** The thread wants to call functions of a shard. */
  connect(shard: number, caller: MessagePort): void;
  /** An error that ended a thread. */
  crashed(thread: number, error: unknown): void;
}

/** How often threads may die in vain, all members together. */
export interface MemberLimits {
  readonly budget: RestartBudget;
  /** How long a member that was given up rests before the next try, in milliseconds. */
  readonly restMs: number;
}

/** One id's threads. */
export class ComputeMember {
  readonly #thread: number;
  readonly #pool: MemberPool;
  readonly #limits: MemberLimits;
  #worker: Worker | undefined;
  #startedMs = 0;
  #timer: NodeJS.Timeout | undefined;
  #isReferenced = false;
  #isGivenUp = false;
  #isTerminated = false;
  #isClosed = false;
  #error: unknown;

  constructor(thread: number, pool: MemberPool, limits: MemberLimits) {
    this.#thread = thread;
    this.#pool = pool;
    this.#limits = limits;
  }

  start(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#isTerminated = false;
    this.#error = undefined;
    this.#startedMs = performance.now();
    let worker: Worker;
    try {
      worker = this.#pool.create(this.#thread);
    } catch (error) {
      this.#error = error;
      this.#ended(undefined);
      return;
    }
    this.#worker = worker;
    // The first thing that a thread says is that it is ready.
    worker.once("message", () => this.#ready());
    worker.on("message", (message: unknown) => passToDesk(message, this.#pool));
    worker.on("message", (message: unknown) => passToShard(message, this.#pool));
    worker.on("error", (error) => {
      this.#error ??= error;
    });
    worker.on("exit", (code) => this.#ended(code));
    if (!this.#isReferenced) worker.unref();
  }

  /** Ends the thread wherever it is; another one follows. */
  async terminate(): Promise<void> {
    this.#isTerminated = true;
    await this.#worker?.terminate();
  }

  /** Ends the thread, and no other one follows. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    await this.#worker?.terminate();
  }

  /** Whether the thread keeps the process alive; where it died and is not replaced yet, the timer stands for it. */
  setReferenced(isReferenced: boolean): void {
    this.#isReferenced = isReferenced;
    for (const one of [this.#worker, this.#isGivenUp ? undefined : this.#timer]) {
      if (isReferenced) one?.ref();
      else one?.unref();
    }
  }

  #ready(): void {
    if (!this.#isGivenUp) return;
    this.#isGivenUp = false;
    this.#pool.recovered(this.#thread);
  }

  #ended(exitCode: number | undefined): void {
    this.#worker = undefined;
    // Also when the pool closes: what never began is not lost, and the seat rejects it.
    const hadBegun = this.#pool.buried(this.#thread);
    if (this.#isClosed) return;
    const isYoung = performance.now() - this.#startedMs < STABLE_MS;
    if (isYoung && !hadBegun && !this.#isTerminated) {
      this.#diedInVain(this.#error ?? new Error(`it ended with code ${exitCode}`));
      return;
    }
    if (this.#error !== undefined) this.#pool.crashed(this.#thread, this.#error);
    this.#startIn(isYoung ? RESTART_PAUSE_MS : 0);
  }

  #diedInVain(cause: unknown): void {
    const { budget, restMs } = this.#limits;
    if (this.#isGivenUp) return this.#startIn(restMs);
    const delayMs = budget.take(performance.now());
    this.#pool.stillborn(this.#thread, cause, budget.used === 1);
    if (delayMs !== undefined) return this.#startIn(delayMs);
    this.#isGivenUp = true;
    this.#pool.givenUp(this.#thread, cause);
    this.#startIn(restMs);
  }

  #startIn(delayMs: number): void {
    this.#timer = setTimeout(() => this.start(), delayMs);
    // A member that was given up lets its process end.
    if (this.#isGivenUp || !this.#isReferenced) this.#timer.unref();
  }
}
