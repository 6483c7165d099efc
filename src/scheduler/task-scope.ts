/**
 * What a running task knows of itself: whether it was given up, how much time it has, and which tasks it has spawned.
 *
 * The word of the task in shared memory is the truth. A function that runs without a pause reads it ({@link isCancelled}); for one that waits, the thread looks at the words of those that asked for their signal
 * (`cancel-watch.ts`), when it is rung and now and then.
 *
 * Only a task that can be given up or has a deadline or a group, a *scoped* one, is known beyond its first `await`: an AsyncLocalStorage makes each promise of the thread dearer. All others are known until then, which is all
 * that they need: nobody gives them up but a spawning thread that dies.
 */
import { AsyncLocalStorage, AsyncResource, executionAsyncId } from "node:async_hooks";
import { assert } from "../assert.js";
import { RingloomError } from "../errors.js";
import { CANCELLED, generationOf } from "../shared/task-state.js";
import type { TaskTable } from "../shared/task-table.js";
import type { CancelWatch } from "./cancel-watch.js";
import { monotonicMs } from "./deadline.js";

/** Of a task's scope, in shared memory: it may be given up, or has a deadline, or belongs to a scoped task. */
export const SCOPED = 1;
/** It is in a group: it ends after the tasks that it has spawned. */
export const GROUPED = 2;

/** Which task, and what it was given. */
export interface RunningTaskParts {
  readonly slot: number;
  /** What `TaskTable.claim` gave. */
  readonly claimed: number;
  /** {@link SCOPED} and {@link GROUPED}. */
  readonly scope: number;
}

/** A task that this thread has begun. */
export class RunningTask {
  /** Tasks in flight that it has spawned. */
  childCount = 0;
  /** Told once when the last of those has ended. */
  whenAlone: (() => void) | undefined;
  /** Told once when the task was given up. */
  whenGivenUp: (() => void) | undefined;
  readonly isScoped: boolean;
  readonly isGrouped: boolean;
  /** By {@link monotonicMs}; 0 is never. */
  readonly deadlineMs: number;
  readonly #table: TaskTable;
  readonly #watch: CancelWatch;
  #slot: number;
  #claimed: number;
  #controller: AbortController | undefined;
  #isOver = false;

  constructor(table: TaskTable, watch: CancelWatch, { slot, claimed, scope }: RunningTaskParts) {
    this.#table = table;
    this.#watch = watch;
    this.#slot = slot;
    this.#claimed = claimed;
    this.isScoped = scope !== 0;
    this.isGrouped = (scope & GROUPED) !== 0;
    this.deadlineMs = scope === 0 ? 0 : table.deadlineOf(slot);
  }

  /** The next one of those without a scope: nobody knows of them but while their function is on the stack, so one object stands for one after the other. */
  become(slot: number, claimed: number): this {
    assert(!this.isScoped, "a scoped task is known for longer");
    this.#slot = slot;
    this.#claimed = claimed;
    this.#controller = undefined;
    return this;
  }

  /** Whether it was given up. One that has ended was not, and its slot may be another's. */
  get isCancelled(): boolean {
    if (this.#isOver) return false;
    const state = this.#table.stateOf(this.#slot);
    assert(generationOf(state) === generationOf(this.#claimed), "a task that runs keeps its slot");
    if ((state & CANCELLED) !== 0) return true;
    if (this.remainingMs > 0) return false;
    // What ends early because its time is over must not pass for a result, so the word says so before the function hears of it.
    this.#table.cancel(this.#slot, generationOf(this.#claimed));
    return true;
  }

  /** What is left until the deadline, in milliseconds, not less than 0. */
  get remainingMs(): number {
    if (this.deadlineMs === 0) return Number.POSITIVE_INFINITY;
    // Both count modulo 2^32.
    return Math.max(0, (this.deadlineMs - monotonicMs()) | 0);
  }

  /** Made when it is first asked for. */
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.isCancelled) this.#controller.abort(this.#reason());
      else if (this.isScoped) this.watch();
    }
    return this.#controller.signal;
  }

  /** From now on the thread looks whether it was given up. What its function has left behind may run on after its end. */
  watch(): void {
    if (!this.#isOver) this.#watch.add(this);
  }

  /** Whether it has ended. What its function has left behind, a timer for instance, runs on in its async context. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** Its outcome is written. */
  end(): void {
    this.#isOver = true;
    this.#watch.delete(this);
  }

  /** It was given up: tells whoever asked. */
  giveUp(): void {
    const { whenGivenUp } = this;
    this.whenGivenUp = undefined;
    whenGivenUp?.();
    storage.run(this, () => this.#controller?.abort(this.#reason()));
  }

  /** One of the tasks that it has spawned has ended. */
  childEnded(): void {
    this.childCount -= 1;
    if (this.childCount > 0) return;
    const { whenAlone } = this;
    this.whenAlone = undefined;
    whenAlone?.();
  }

  #reason(): RingloomError {
    // The timer of whoever called may be a little early.
    return this.remainingMs <= TIMER_SLACK_MS ? timeOver() : givenUp();
  }
}

function givenUp(): RingloomError {
  return new RingloomError("ERR_RINGLOOM_ABORTED", "The task was given up.", { operation: "task" });
}

function timeOver(): RingloomError {
  return new RingloomError("ERR_RINGLOOM_TIMEOUT", "The task's time is over.", { operation: "task" });
}

const TIMER_SLACK_MS = 5;
const storage = new AsyncLocalStorage<RunningTask>();
/** The task whose function is on the stack. */
let current: RunningTask | undefined;

/** Calls a task's function, in an async context of its own, which inherits the caller's: rounds run in none. */
export function callTask(
  task: RunningTask,
  run: (...args: readonly unknown[]) => unknown,
  args: readonly unknown[],
): unknown {
  // The number is what it defaults to; without one the constructor looks for two options, a third of its time.
  const resource = new AsyncResource("RINGLOOM_TASK", executionAsyncId());
  current = task;
  try {
    if (task.isScoped) return resource.runInAsyncScope(callScoped, undefined, task, run, args);
    return resource.runInAsyncScope(run, undefined, ...args);
  } finally {
    current = undefined;
  }
}

function callScoped(
  task: RunningTask,
  run: (...args: readonly unknown[]) => unknown,
  args: readonly unknown[],
): unknown {
  return storage.run(task, run, ...args);
}

/** The scoped task that this code runs in. What a task has left behind when it ended is on its own: its deadline is over, and must not be that of calls which are made later. */
export function scopedTask(): RunningTask | undefined {
  const task = current ?? storage.getStore();
  return task?.isScoped === true && !task.isOver ? task : undefined;
}

/**
 * The signal of the task that this code runs in: aborted when whoever called the task has given it up, by a signal, a timeout or a group. Outside of a task, and in
 * one that nobody can give up, it never is.
 *
 * It is aborted while the thread is in its event loop; code that runs on without a pause asks {@link isCancelled}.
 * @returns A signal to be passed on, to `fetch` or `timers/promises` for instance. Its reason is a RingloomError, `ERR_RINGLOOM_ABORTED` or `ERR_RINGLOOM_TIMEOUT`.
 * @example
 * ```ts
 * import { setTimeout } from "node:timers/promises";
 * import { taskSignal } from "ringloom";
 * // A task's function: ends soon after its caller has lost interest.
 * export async function poll(url: string): Promise<string> {
 *   const signal = taskSignal();
 *   for (;;) {
 *     const answer = await fetch(url, { signal });
 *     if (answer.ok) return answer.text();
 *     await setTimeout(1_000, undefined, { signal });
 *   }
 * }
 * ```
 * @experimental
 */
export function taskSignal(): AbortSignal {
  // A new one each time, because listeners would gather on one that all share.
  return (current ?? storage.getStore())?.signal ?? new AbortController().signal;
}

/**
 * Whether the task that this code runs in was given up, or its time is over. Cheap enough for a loop that looks every few microseconds: one atomic load, and one look at the clock if there is a deadline.
 * @example
 * ```ts
 * import { isCancelled } from "ringloom";
 * export function countPrimes(to: number): number | undefined {
 *   let count = 0;
 *   for (let n = 2; n < to; n++) {
 *     if ((n & 1023) === 0 && isCancelled()) return undefined;
 *     if (isPrime(n)) count += 1;
 *   }
 *   return count;
 * }
 * declare function isPrime(n: number): boolean;
 * ```
 * @experimental
 */
export function isCancelled(): boolean {
  return (current ?? storage.getStore())?.isCancelled ?? false;
}

/**
 * How long the task that this code runs in still has, in milliseconds: what is left of the `timeoutMs` of its call, or of a task's above it. `Infinity` without a deadline, outside of a task, and in what a task has left behind
 * when it ended.
 * @experimental
 */
export function timeRemaining(): number {
  return scopedTask()?.remainingMs ?? Number.POSITIVE_INFINITY;
}
