/**
 * Groups: async functions of this thread and tasks of any thread that are given up together. A group ends when all of them have, with all that they have spawned.
 *
 * A group belongs to the thread that made it; what crosses threads are its tasks. A task in a group is marked so in shared memory, and so are those that it spawns: each is done only when those below it are.
 */
import { AsyncResource } from "node:async_hooks";
import { GROUP_FAILURES_MAX } from "../constants.js";
import { RingloomError } from "../errors.js";
import { onAbort } from "./abort-listeners.js";
import type { Membership } from "./call-options.js";
import { waitBegun, waitOver } from "./open-waits.js";
import { promisesRun } from "./promises-run.js";
import { callOf } from "./task-calls.js";
import { checkCount, checkTaskOptions, checkTimeout, invalid } from "./task-checks.js";
import { aborted as callAborted } from "./task-errors.js";
import type { GroupOptions, TaskGroup } from "./task-group.js";
import { scopedTask } from "./task-scope.js";
import { type CallLimits, WaitingCall } from "./waiting-call.js";

/**
 * Makes a group, on any thread; for `run` it must be one that may call tasks. A group that is made inside of a task is given up with that task; one that is made inside of a function of another group takes that function's signal.
 *
 * What the functions and tasks of a group throw is seen by {@link TaskGroup.join}; `withGroup` of `ringloom/sync` joins by itself.
 * @throws RingloomError `ERR_RINGLOOM_INVALID_OPTION`.
 * @example
 * ```ts run
 * import { setTimeout } from "node:timers/promises";
 * import { group } from "ringloom/sync";
 * const all = group({ timeoutMs: 2_000 });
 * try {
 *   for (const name of ["ada", "grace"]) {
 *     all.spawn(async (signal) => {
 *       await setTimeout(5, undefined, { signal });
 *       return `hello ${name}`;
 *     });
 *   }
 *   console.log(await all.join()); // [ 'hello ada', 'hello grace' ]
 * } finally {
 *   // With `await using all = group(…)`, which Node 24 knows, this line is not needed.
 *   await all[Symbol.asyncDispose]();
 * }
 * ```
 * @example
 * ```ts
 * import { group, tasks } from "ringloom";
 * const images = tasks<{ resize(bytes: Uint8Array, width: number): Uint8Array }>(new URL("./images.js", import.meta.url));
 * export async function thumbnails(bytes: Uint8Array): Promise<unknown[]> {
 *   const sizes = group({ timeoutMs: 2_000 });
 *   try {
 *     for (const width of [96, 320, 1280]) void sizes.run(images.resize, bytes, width);
 *     return await sizes.join();
 *   } finally {
 *     await sizes[Symbol.asyncDispose]();
 *   }
 * }
 * ```
 * @experimental
 */
export function group(options: GroupOptions = {}): TaskGroup {
  checkGroupOptions(options);
  return new Group(options, true);
}

/** A group that nobody will join: it keeps no outcome, so that it may have calls without end. */
export function unjoinedGroup(options: GroupOptions): TaskGroup {
  return new Group(options, false);
}

/** The group behind an option. Throws `ERR_RINGLOOM_INVALID_OPTION` for anything else. */
export function groupOf(option: TaskGroup): Group {
  if (option instanceof Group) return option;
  throw invalid("group", option, "it is made by group(), on the same thread");
}

const WAITING_MAX_DEFAULT = 10_000;
/** An error of a group inside of a group inside of … has as many. */
const CAUSES_MAX = 16;

const NEVER = Number.POSITIVE_INFINITY;

/** Starts a task of a group; `timeoutMs` is what is left of its time, 0 for ever. */
type Start = (membership: Membership, timeoutMs: number) => Promise<unknown>;

/** What {@link group} makes, and the scheduler's side of it. */
export class Group implements TaskGroup, Membership {
  readonly #options: GroupOptions;
  readonly #isJoined: boolean;
  readonly #keepsResults: boolean;
  readonly #controller = new AbortController();
  /** The signals that cancel it. */
  readonly #above: readonly AbortSignal[];
  /** Oldest first. A set, so that taking the oldest costs the same at any length. */
  readonly #waiting = new Set<WaitingCall>();
  /** Of each call since the last join; of one that failed, undefined. */
  #results: unknown[] = [];
  /** By the index of the result: those that were given up too. */
  #rejections = new Map<number, unknown>();
  #failures: unknown[] = [];
  /** Those that were not kept too. */
  #failureCount = 0;
  #callCount = 0;
  /** What is to be called at the end, the newest first. */
  readonly #deferred: (() => unknown)[] = [];
  #isClosed = false;
  /** Calls whose promise is not settled, and tasks whose slot is taken: one that was given up may run on. */
  #unsettled = 0;
  #running = 0;
  /** Why it was cancelled, unless by a failure. */
  #cancellation: RingloomError | undefined;
  #whenEnded: (() => void)[] = [];
  /** Runs while it has something to give up, or somebody has its signal: it would keep a group that has ended, with all that it knows. */
  #timer: NodeJS.Timeout | undefined;
  readonly #endMs: number;
  #isSignalOut = false;
  #stopFollowing: (() => void)[] = [];

  constructor(options: GroupOptions, isJoined: boolean) {
    this.#options = options;
    this.#isJoined = isJoined;
    this.#keepsResults = isJoined && options.keepResults !== false;
    const { signal, timeoutMs = 0 } = options;
    this.#above = [signal, scopedTask()?.signal].filter((one) => one !== undefined);
    this.#endMs = timeoutMs > 0 ? performance.now() + timeoutMs : NEVER;
    this.#armTimer();
    this.#lookAbove();
  }

  get signal(): AbortSignal {
    this.#isSignalOut = true;
    this.#armTimer();
    return this.#controller.signal;
  }

  get tasksSignal(): AbortSignal {
    return this.#controller.signal;
  }

  get size(): number {
    return Math.max(this.#unsettled, this.#running);
  }

  run<Args extends readonly unknown[], Result>(
    task: (...args: Args) => Promise<Result>,
    ...args: Args
  ): Promise<Result> {
    const { call, options } = callOf(task, "task");
    // The cast is safe because the call is the function's own.
    return call(args, { ...options, group: this }) as Promise<Result>;
  }

  spawn<Result>(run: (signal: AbortSignal) => Result | PromiseLike<Result>): Promise<Result> {
    if (typeof run !== "function") throw invalid("run", run, "a function is needed");
    return this.#admit(() => this.#runHere(run)) as Promise<Result>;
  }

  defer(cleanup: () => unknown): void {
    if (typeof cleanup !== "function") throw invalid("cleanup", cleanup, "a function is needed");
    if (this.#isClosed) throw closed();
    this.#deferred.push(cleanup);
  }

  /** A call that has this group among its options. */
  start(start: Start, limits: CallLimits): Promise<unknown> {
    return this.#admit(start, limits);
  }

  /** Without limits it is a function of this thread, which has ended when its promise is settled. */
  #admit(start: Start, limits?: CallLimits): Promise<unknown> {
    // Nobody would see this one at a join.
    if (this.#isClosed) return Promise.reject(closed());
    const { concurrency = Number.POSITIVE_INFINITY, waitingMax = WAITING_MAX_DEFAULT } = this.#options;
    this.#lookAbove();
    // The timer may have been cleared in between.
    if (this.#endMs !== NEVER && performance.now() >= this.#endMs) this.#timeOut();
    if (this.tasksSignal.aborted) return this.#note(Promise.reject(aborted(this.tasksSignal.reason)));
    if (this.#running < concurrency) return this.#note(start(this, limits?.timeoutMs ?? 0), limits === undefined);
    if (this.#waiting.size >= waitingMax) return this.#note(Promise.reject(overloaded(waitingMax)));
    return this.#note(this.#wait(start, limits));
  }

  #wait(start: Start, limits: CallLimits | undefined): Promise<unknown> {
    try {
      checkTaskOptions(limits ?? {});
    } catch (error) {
      return Promise.reject(error);
    }
    const { signal } = limits ?? {};
    if (signal?.aborted === true) return Promise.reject(callAborted(signal.reason));
    // It belongs to the task that calls now, not to the one that makes room.
    const begin = AsyncResource.bind((timeoutMs: number) =>
      limits === undefined ? this.#telling(start(this, 0)) : start(this, timeoutMs),
    );
    const waiting = new WaitingCall(begin, limits ?? {}, (call) => this.#waiting.delete(call));
    this.#waiting.add(waiting);
    return waiting.outcome;
  }

  taskBegun(): void {
    this.#running += 1;
  }

  taskEnded(): void {
    this.#running -= 1;
    this.#beginNext();
    this.#tellIfEnded();
  }

  cancel(reason?: unknown): void {
    this.#cancel(aborted(reason));
  }

  async join(): Promise<unknown[]> {
    for (;;) {
      const results = this.tryJoin();
      if (results !== undefined) return results;
      await this.#nextEnd();
    }
  }

  tryJoin(): unknown[] | undefined {
    if (this.size > 0) return undefined;
    this.#lookAbove();
    const { results, failures, failureCount, callCount } = this.#takeOutcomes();
    if (failureCount > 0) throw failed(failures, { failureCount, callCount });
    if (this.#cancellation !== undefined) throw this.#cancellation;
    return results;
  }

  async joinSettled(): Promise<PromiseSettledResult<unknown>[]> {
    while (this.size > 0) await this.#nextEnd();
    const { results, rejections } = this.#takeOutcomes();
    return results.map((value, index) =>
      rejections.has(index) ? { status: "rejected", reason: rejections.get(index) } : { status: "fulfilled", value },
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cancel();
    while (this.size > 0) await this.#nextEnd();
    this.#isClosed = true;
    this.#takeOutcomes();
    const errors = await this.#cleanUp();
    if (errors.length > 0) throw new AggregateError(errors, `${errors.length} clean-ups of the group failed.`);
  }

  /** One after the other, since what was made later may need what was there before. */
  async #cleanUp(): Promise<unknown[]> {
    const errors: unknown[] = [];
    for (let cleanup = this.#deferred.pop(); cleanup !== undefined; cleanup = this.#deferred.pop()) {
      try {
        await cleanup();
      } catch (error) {
        errors.push(error);
      }
    }
    return errors;
  }

  /** No async function: there may be many, and each would keep what it needs to go on. */
  #runHere(run: (signal: AbortSignal) => unknown): Promise<unknown> {
    this.taskBegun();
    let promise: Promise<unknown>;
    try {
      promise = Promise.resolve(run(this.tasksSignal));
    } catch (error) {
      promise = Promise.reject(error);
    }
    return promise;
  }

  /** A function of this thread that had to wait: its place is free when it has ended. */
  #telling(promise: Promise<unknown>): Promise<unknown> {
    const end = (): void => this.taskEnded();
    promise.then(end, end);
    return promise;
  }

  /** For one join; the next one begins anew. */
  #takeOutcomes(): Outcomes {
    const outcomes: Outcomes = {
      results: this.#results,
      rejections: this.#rejections,
      failures: this.#failures,
      failureCount: this.#failureCount,
      callCount: this.#callCount,
    };
    this.#results = [];
    this.#rejections = new Map();
    this.#failures = [];
    this.#failureCount = 0;
    this.#callCount = 0;
    return outcomes;
  }

  /** Resolves when all have ended, and those who waited for them have heard of it: they may have begun something by then. */
  #nextEnd(): Promise<void> {
    return new Promise<void>((resolve) => this.#whenEnded.push(resolve)).then(promisesRun);
  }

  /** Keeps the outcome of a call for the next join. */
  #note(promise: Promise<unknown>, isHere = false): Promise<unknown> {
    const results = this.#results;
    const rejections = this.#rejections;
    const index = this.#keepsResults ? results.push(undefined) - 1 : -1;
    this.#callCount += 1;
    if (this.#unsettled++ === 0) this.#follow();
    promise.then(
      (value) => {
        if (index >= 0) results[index] = value;
        this.#settled(isHere);
      },
      (error: unknown) => {
        if (index >= 0) rejections.set(index, error);
        this.#failed(error);
        this.#settled(isHere);
      },
    );
    return promise;
  }

  #settled(isHere: boolean): void {
    this.#unsettled -= 1;
    if (isHere) this.#running -= 1;
    // A call that was refused has made room without ending.
    this.#beginNext();
    this.#tellIfEnded();
  }

  #failed(error: unknown): void {
    this.#lookAbove();
    // Those that were given up with the group have not failed by themselves. Who has a signal that is above the group as well may have heard it first.
    const given = [this.tasksSignal, ...this.#above];
    if (given.some((one) => one.aborted && comesFrom(error, one.reason))) return;
    if (this.#isJoined) {
      this.#failureCount += 1;
      if (this.#failures.length < GROUP_FAILURES_MAX) this.#failures.push(error);
    }
    if (this.#options.onFailure !== "continue") this.#abort(error);
  }

  #beginNext(): void {
    if (this.#waiting.size === 0) return;
    const { concurrency = Number.POSITIVE_INFINITY } = this.#options;
    for (const waiting of this.#waiting) {
      if (this.#running >= concurrency) return;
      this.#waiting.delete(waiting);
      waiting.begin();
    }
  }

  #tellIfEnded(): void {
    if (this.size > 0) return;
    waitOver(this);
    if (!this.#isSignalOut) this.#clearTimer();
    for (const stop of this.#stopFollowing) stop();
    this.#stopFollowing = [];
    const told = this.#whenEnded;
    this.#whenEnded = [];
    for (const tell of told) tell();
  }

  /** Only while there are tasks: a signal that lives long would keep the group as long. */
  #follow(): void {
    waitBegun("group", this);
    this.#armTimer();
    // Tasks may have been left when the last call was settled.
    for (const stop of this.#stopFollowing) stop();
    this.#stopFollowing = this.#above.map((signal) => onAbort(signal, () => this.#lookAbove()));
  }

  #lookAbove(): void {
    const done = this.#above.find((signal) => signal.aborted);
    if (done !== undefined) this.#cancel(aborted(done.reason));
  }

  /** What is under way keeps the process alive, not this. */
  #armTimer(): void {
    if (this.#timer !== undefined || this.#endMs === NEVER || this.tasksSignal.aborted) return;
    this.#timer = setTimeout(() => this.#timeOut(), Math.max(1, this.#endMs - performance.now())).unref();
  }

  #clearTimer(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #timeOut(): void {
    this.#cancel(timedOut(this.#options.timeoutMs ?? 0));
  }

  #cancel(error: RingloomError): void {
    if (this.tasksSignal.aborted) return;
    this.#cancellation = error;
    this.#abort(error);
  }

  #abort(reason: unknown): void {
    if (this.tasksSignal.aborted) return;
    this.#clearTimer();
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    this.#controller.abort(reason);
    for (const one of waiting) one.giveUp(aborted(this.tasksSignal.reason));
  }
}

function checkGroupOptions(options: GroupOptions): void {
  const { signal, timeoutMs, concurrency, waitingMax, onFailure, keepResults } = options;
  checkTimeout(timeoutMs);
  if (signal !== undefined && !(signal instanceof AbortSignal))
    throw invalid("signal", signal, "an AbortSignal is needed");
  checkCount("concurrency", concurrency, 1);
  checkCount("waitingMax", waitingMax, 0);
  if (onFailure !== undefined && onFailure !== "cancel" && onFailure !== "continue") {
    throw invalid("onFailure", onFailure, 'use "cancel" or "continue"');
  }
  if (keepResults !== undefined && typeof keepResults !== "boolean") {
    throw invalid("keepResults", keepResults, "true or false is needed");
  }
}

/** What a join takes. */
interface Outcomes {
  readonly results: unknown[];
  readonly rejections: Map<number, unknown>;
  readonly failures: unknown[];
  readonly failureCount: number;
  readonly callCount: number;
}

/** Whether an error says no more than that a signal was aborted: it is the signal's reason, or was caused by it, as those of Node's own functions and of ours are. */
export function comesFrom(error: unknown, reason: unknown): boolean {
  let one = error;
  for (let depth = 0; depth < CAUSES_MAX; depth++) {
    if (one === reason) return true;
    if (!(one instanceof Error)) return false;
    one = one.cause;
  }
  return false;
}

function failed(
  failures: readonly unknown[],
  { failureCount, callCount }: { readonly failureCount: number; readonly callCount: number },
): AggregateError {
  const [first] = failures;
  const what = first instanceof Error ? first.message : String(first);
  return new AggregateError(failures, `${failureCount} of ${callCount} tasks of the group failed; the first: ${what}`);
}

function closed(): RingloomError {
  return new RingloomError("ERR_RINGLOOM_CLOSED", "Cannot spawn: the group's block was left.", { operation: "group" });
}

function aborted(cause: unknown): RingloomError {
  return new RingloomError("ERR_RINGLOOM_ABORTED", "The group was given up.", { operation: "group", cause });
}

function timedOut(timeoutMs: number): RingloomError {
  return new RingloomError("ERR_RINGLOOM_TIMEOUT", `The group took longer than ${timeoutMs} ms.`, {
    operation: "group",
    details: { timeoutMs },
  });
}

function overloaded(waitingMax: number): RingloomError {
  return new RingloomError(
    "ERR_RINGLOOM_OVERLOADED",
    `Cannot call: ${waitingMax} calls wait for a place in the group.`,
    {
      operation: "group",
      details: { waitingMax },
    },
  );
}
