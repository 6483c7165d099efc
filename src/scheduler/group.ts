/**
 * Groups of tasks: they are given up together, and the group ends when all of them have, with all that they have spawned, on whichever threads.
 *
 * A group belongs to the thread that made it; what crosses threads are its tasks. A task in a group is marked so in shared memory, and so are those that it spawns: each is done only when those below it are.
 */
import { AsyncResource } from "node:async_hooks";
import { RingloomError } from "../errors.js";
import { onAbort } from "./abort-listeners.js";
import type { Membership } from "./call-options.js";
import { callOf } from "./task-calls.js";
import { checkCount, checkTimeout, invalid } from "./task-checks.js";
import type { GroupOptions, TaskGroup } from "./task-group.js";
import { scopedTask } from "./task-scope.js";

/**
 * Makes a group of tasks, on any thread that may call tasks. A group that is made inside of a task is given up with that task.
 * @throws RingloomError `ERR_RINGLOOM_INVALID_OPTION`.
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
 *     // With `await using sizes = group(…)`, which Node 24 knows, this line is not needed.
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

/** Starts a task of a group. */
type Start = (membership: Membership) => Promise<unknown>;

/** A call that waits for its turn. */
interface Waiting {
  readonly begin: () => Promise<unknown>;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/** What {@link group} makes, and the scheduler's side of it. */
export class Group implements TaskGroup, Membership {
  readonly #options: GroupOptions;
  readonly #keepsOutcomes: boolean;
  readonly #controller = new AbortController();
  /** The signals that cancel it. */
  readonly #above: readonly AbortSignal[];
  /** Oldest first. A set, so that taking the oldest costs the same at any length. */
  readonly #waiting = new Set<Waiting>();
  /** Of each call since the last join; of one that failed, undefined. */
  #results: unknown[] = [];
  #failures: unknown[] = [];
  /** Calls whose promise is not settled, and tasks whose slot is taken: one that was given up may run on. */
  #unsettled = 0;
  #running = 0;
  /** Why it was cancelled, unless by a failure. */
  #cancellation: RingloomError | undefined;
  #whenEnded: (() => void)[] = [];
  readonly #timer: NodeJS.Timeout | undefined;
  #stopFollowing: (() => void)[] = [];

  constructor(options: GroupOptions, keepsOutcomes: boolean) {
    this.#options = options;
    this.#keepsOutcomes = keepsOutcomes;
    const { signal, timeoutMs = 0 } = options;
    this.#above = [signal, scopedTask()?.signal].filter((one) => one !== undefined);
    // What is under way keeps the process alive, not this.
    if (timeoutMs > 0) this.#timer = setTimeout(() => this.#cancel(timedOut(timeoutMs)), timeoutMs).unref();
    this.#lookAbove();
  }

  get signal(): AbortSignal {
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

  /** A call that has this group among its options. */
  start(start: Start): Promise<unknown> {
    const { concurrency = Number.POSITIVE_INFINITY, waitingMax = WAITING_MAX_DEFAULT } = this.#options;
    this.#lookAbove();
    if (this.signal.aborted) return this.#note(Promise.reject(aborted(this.signal.reason)));
    if (this.#running < concurrency) return this.#note(start(this));
    if (this.#waiting.size >= waitingMax) return this.#note(Promise.reject(overloaded(waitingMax)));
    // It belongs to the task that calls now, not to the one that makes room.
    const begin = AsyncResource.bind(() => start(this));
    return this.#note(new Promise((resolve, reject) => this.#waiting.add({ begin, resolve, reject })));
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
    await this.#allEnded();
    return this.tryJoin() ?? [];
  }

  tryJoin(): unknown[] | undefined {
    if (this.size > 0) return undefined;
    this.#lookAbove();
    const results = this.#results;
    const failures = this.#failures;
    this.#results = [];
    this.#failures = [];
    if (failures.length > 0) throw failed(failures, results.length);
    if (this.#cancellation !== undefined) throw this.#cancellation;
    return results;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cancel();
    await this.#allEnded();
    this.#results = [];
    this.#failures = [];
  }

  #allEnded(): Promise<void> {
    return this.size === 0 ? Promise.resolve() : new Promise((resolve) => this.#whenEnded.push(resolve));
  }

  /** Keeps the outcome of a call for the next join. */
  #note(promise: Promise<unknown>): Promise<unknown> {
    const results = this.#results;
    const index = this.#keepsOutcomes ? results.push(undefined) - 1 : -1;
    if (this.#unsettled++ === 0) this.#follow();
    promise.then(
      (value) => {
        if (index >= 0) results[index] = value;
        this.#settled();
      },
      (error: unknown) => {
        this.#failed(error);
        this.#settled();
      },
    );
    return promise;
  }

  #settled(): void {
    this.#unsettled -= 1;
    // A call that was refused has made room without ending.
    this.#beginNext();
    this.#tellIfEnded();
  }

  #failed(error: unknown): void {
    // Those that were given up with the group have not failed by themselves.
    const isOurs = this.signal.aborted && error instanceof RingloomError && error.cause === this.signal.reason;
    if (isOurs) return;
    if (this.#keepsOutcomes) this.#failures.push(error);
    if (this.#options.onFailure !== "continue") this.#abort(error);
  }

  #beginNext(): void {
    const { concurrency = Number.POSITIVE_INFINITY } = this.#options;
    for (const waiting of this.#waiting) {
      if (this.#running >= concurrency) return;
      this.#waiting.delete(waiting);
      waiting.begin().then(waiting.resolve, waiting.reject);
    }
  }

  #tellIfEnded(): void {
    if (this.size > 0) return;
    for (const stop of this.#stopFollowing) stop();
    this.#stopFollowing = [];
    const told = this.#whenEnded;
    this.#whenEnded = [];
    for (const tell of told) tell();
  }

  /** Only while there are tasks: a signal that lives long would keep the group as long. */
  #follow(): void {
    // Tasks may have been left when the last call was settled.
    for (const stop of this.#stopFollowing) stop();
    this.#stopFollowing = this.#above.map((signal) => onAbort(signal, () => this.#lookAbove()));
  }

  #lookAbove(): void {
    const done = this.#above.find((signal) => signal.aborted);
    if (done !== undefined) this.#cancel(aborted(done.reason));
  }

  #cancel(error: RingloomError): void {
    if (this.signal.aborted) return;
    this.#cancellation = error;
    this.#abort(error);
  }

  #abort(reason: unknown): void {
    if (this.signal.aborted) return;
    clearTimeout(this.#timer);
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    this.#controller.abort(reason);
    for (const { reject } of waiting) reject(aborted(this.signal.reason));
  }
}

function checkGroupOptions({ signal, timeoutMs, concurrency, waitingMax, onFailure }: GroupOptions): void {
  checkTimeout(timeoutMs);
  if (signal !== undefined && !(signal instanceof AbortSignal))
    throw invalid("signal", signal, "an AbortSignal is needed");
  checkCount("concurrency", concurrency, 1);
  checkCount("waitingMax", waitingMax, 0);
  if (onFailure !== undefined && onFailure !== "cancel" && onFailure !== "continue") {
    throw invalid("onFailure", onFailure, 'use "cancel" or "continue"');
  }
}

function failed(failures: readonly unknown[], count: number): AggregateError {
  const [first] = failures;
  const what = first instanceof Error ? first.message : String(first);
  return new AggregateError(failures, `${failures.length} of ${count} tasks of the group failed; the first: ${what}`);
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
