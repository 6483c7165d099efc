/** Tasks over many items, a bounded number at a time: nothing is read, called or kept ahead of what the reader of the results takes. */
import { onAbort } from "./abort-listeners.js";
import { currentSpawner } from "./current-seat.js";
import { unjoinedGroup } from "./group.js";
import { callOf, findCall, type TaskCall } from "./task-calls.js";
import { checkCount, invalid } from "./task-checks.js";
import type { TaskGroup } from "./task-group.js";
import { tasks } from "./tasks.js";

/**
 * How a map is run.
 * @experimental
 */
export interface MapOptions {
  /** Tasks that are under way at once. Default: twice as many as there are threads that run tasks. */
  readonly concurrency?: number;
  /** Ends it: the loop over the results rejects, and tasks that are under way are given up. */
  readonly signal?: AbortSignal;
  /** Whether results come in the order of the items; else as they are there. Default true. */
  readonly ordered?: boolean;
  /**
   * Items that one task takes. Small ones are cheaper together; an async source is waited for until so many are there. More than 1 needs a function of {@link tasks}. Default 1.
   */
  readonly chunk?: number;
}

/**
 * What the function is given besides the item, to be passed to `with()`.
 * @experimental
 */
export interface MapCallOptions {
  readonly group: TaskGroup;
}

/**
 * Calls a task for each item and gives the results, to be read by `for await`. It reads ahead as far as it must to keep `concurrency` tasks under way, and holds twice as many results at most: who reads slowly slows it down.
 *
 * The first failure ends it: the others are given up, and the loop rejects with that. Leaving the loop ends it too. Either way all tasks have ended then.
 * @param items An iterable or an async one.
 * @param call A function of {@link tasks}, or one that calls such a function with the options which it gets.
 * @throws RingloomError `ERR_RINGLOOM_INVALID_OPTION`.
 * @example
 * ```ts
 * import { mapTasks, tasks } from "ringloom";
 * const images = tasks<{ resize(path: string, width: number): number; hash(path: string): string }>(new URL("./images.js", import.meta.url));
 * export async function work(paths: string[]): Promise<void> {
 *   for await (const hash of mapTasks(paths, images.hash, { chunk: 16 })) console.log(hash);
 *   const sizes = mapTasks(paths, (path, options) => images.with(options).resize(path, 320), { ordered: false });
 *   for await (const size of sizes) console.log(size);
 * }
 * ```
 * @experimental
 */
export function mapTasks<Item, Result>(
  items: Iterable<Item> | AsyncIterable<Item>,
  call: (item: Item, options: MapCallOptions) => Promise<Result>,
  options: MapOptions = {},
): AsyncGenerator<Result, void, undefined> {
  checkMapOptions(options);
  const { chunk = 1 } = options;
  if (chunk > 1) return flat(mapChunks(chunksOf(items, chunk), chunkCall(call), options));
  const isTask = findCall(call) !== undefined;
  return mapChunks(items, isTask ? taskCall(call) : call, options);
}

/** A function that is called in a group. */
type GroupCall<Item, Result> = (item: Item, options: MapCallOptions) => Promise<Result>;

/** The same without chunks. */
export function mapChunks<Item, Result>(
  items: Iterable<Item> | AsyncIterable<Item>,
  call: GroupCall<Item, Result>,
  options: MapOptions,
): AsyncGenerator<Result, void, undefined> {
  return new Mapping(items, call, options).results();
}

/** The items in lists of `size`; the last one may be shorter. */
export async function* chunksOf<Item>(
  items: Iterable<Item> | AsyncIterable<Item>,
  size: number,
): AsyncGenerator<Item[], void, undefined> {
  let chunk: Item[] = [];
  for await (const item of items) {
    if (chunk.push(item) < size) continue;
    yield chunk;
    chunk = [];
  }
  if (chunk.length > 0) yield chunk;
}

/** Throws `ERR_RINGLOOM_INVALID_OPTION` for options that no map can have. */
export function checkMapOptions({ concurrency, signal, chunk, ordered }: MapOptions): void {
  checkCount("concurrency", concurrency, 1);
  checkCount("chunk", chunk, 1);
  if (chunk === Number.POSITIVE_INFINITY) throw invalid("chunk", chunk, "an integer is needed");
  if (ordered !== undefined && typeof ordered !== "boolean")
    throw invalid("ordered", ordered, "true or false is needed");
  if (signal !== undefined && !(signal instanceof AbortSignal))
    throw invalid("signal", signal, "an AbortSignal is needed");
}

const chunkTasks = tasks<typeof import("./chunk-module.js")>(new URL("./chunk-module.js", import.meta.url));

/** Throws `ERR_RINGLOOM_INVALID_OPTION` for a function with a group: a map gives up and waits for its tasks by one of its own. */
export function checkUngrouped({ options }: TaskCall, option: string): void {
  if (options.group === undefined) return;
  throw invalid(
    option,
    "with a group",
    "its tasks are in a group of their own, so it must have none; to give them up with yours, pass signal: group.signal",
  );
}

function taskCall<Item, Result>(task: GroupCall<Item, Result>): GroupCall<Item, Result> {
  const found = callOf(task, "call");
  checkUngrouped(found, "call");
  const { call, options } = found;
  return (item, { group: all }) => call([item], { ...options, group: all }) as Promise<Result>;
}

function chunkCall<Item, Result>(task: GroupCall<Item, Result>): GroupCall<Item[], Result[]> {
  const found = callOf(task, "call");
  checkUngrouped(found, "call");
  const { module, name, options } = found;
  return (items, { group: all }) =>
    chunkTasks.with({ ...options, group: all }).mapChunk({ module, name }, items) as Promise<Result[]>;
}

async function* flat<Result>(lists: AsyncIterable<Result[]>): AsyncGenerator<Result, void, undefined> {
  for await (const list of lists) yield* list;
}

/** Of an item whose task is under way, `isDone` is false. */
interface Held<Result> {
  isDone: boolean;
  value: Result | undefined;
}

/** Results that are held beside each task that is under way: while the oldest one takes long, the others go on. */
const HELD_PER_TASK = 2;

/** A map that is under way: one side reads items and calls tasks, the other one hands results out. */
class Mapping<Item, Result> {
  readonly #items: Iterable<Item> | AsyncIterable<Item>;
  readonly #call: GroupCall<Item, Result>;
  readonly #isOrdered: boolean;
  readonly #concurrency: number;
  readonly #group: TaskGroup;
  readonly #signal: AbortSignal | undefined;
  /** Ordered: by item. Else: by when the result was there. */
  readonly #held: Held<Result>[] = [];
  #heldCount = 0;
  #underWay = 0;
  #isRead = false;
  #isStopped = false;
  #failure: { readonly error: unknown } | undefined;
  #wakeReader: (() => void) | undefined;
  #wakeWriter: (() => void) | undefined;

  constructor(
    items: Iterable<Item> | AsyncIterable<Item>,
    call: GroupCall<Item, Result>,
    { concurrency = 2 * currentSpawner("mapTasks").places.count, signal, ordered = true }: MapOptions,
  ) {
    this.#items = items;
    this.#call = call;
    this.#isOrdered = ordered;
    this.#concurrency = concurrency;
    this.#signal = signal;
    this.#group = unjoinedGroup({ ...(signal === undefined ? {} : { signal }), onFailure: "continue" });
  }

  async *results(): AsyncGenerator<Result, void, undefined> {
    const { signal } = this.#group;
    const giveUp = (): void => this.#fail(signal.reason);
    signal.addEventListener("abort", giveUp);
    if (signal.aborted) giveUp();
    // A group hears of its signal only while it has tasks, and here the source may be waiting.
    const given = this.#signal;
    const stopHearing = given === undefined ? undefined : onAbort(given, () => this.#group.cancel(given.reason));
    const reading = this.#read();
    try {
      for (;;) {
        if (this.#failure !== undefined) throw this.#failure.error;
        if (this.#held[0]?.isDone === true) {
          this.#heldCount -= 1;
          this.#wakeReader?.();
          yield this.#held.shift()?.value as Result;
        } else {
          if (this.#isRead && this.#heldCount === 0) return;
          await new Promise<void>((resolve) => (this.#wakeWriter = resolve));
        }
      }
    } finally {
      signal.removeEventListener("abort", giveUp);
      stopHearing?.();
      this.#isStopped = true;
      this.#wakeReader?.();
      await this.#group[Symbol.asyncDispose]();
      // One that waits for its source ends when that answers, and reads no further.
      void reading;
    }
  }

  async #read(): Promise<void> {
    try {
      for await (const item of this.#items) {
        while (!this.#hasRoom() && !this.#isStopped) {
          await new Promise<void>((resolve) => (this.#wakeReader = resolve));
        }
        if (this.#isStopped) return;
        this.#begin(item);
      }
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#isRead = true;
      this.#wakeWriter?.();
    }
  }

  /** Counted here and not by the group, since a function may call what it likes. */
  #hasRoom(): boolean {
    return this.#underWay < this.#concurrency && this.#heldCount < HELD_PER_TASK * this.#concurrency;
  }

  #begin(item: Item): void {
    const held: Held<Result> = { isDone: false, value: undefined };
    this.#heldCount += 1;
    this.#underWay += 1;
    if (this.#isOrdered) this.#held.push(held);
    this.#call(item, { group: this.#group }).then(
      (value) => {
        this.#underWay -= 1;
        held.isDone = true;
        held.value = value;
        if (!this.#isOrdered) this.#held.push(held);
        this.#wakeReader?.();
        this.#wakeWriter?.();
      },
      (error: unknown) => this.#fail(error),
    );
  }

  #fail(error: unknown): void {
    this.#failure ??= { error };
    this.#isStopped = true;
    this.#group.cancel();
    this.#wakeReader?.();
    this.#wakeWriter?.();
  }
}
