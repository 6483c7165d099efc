/** The shard that this thread is, and its messages to and from the other ones: `shard`. */
import { MESSAGES_PER_BATCH_DEFAULT } from "../constants.js";
import { RingloomError } from "../errors.js";
import type { ShardMessage } from "./receiving.js";
import { checkHotTag, type Messages, type SendOptions } from "./sending.js";
import { currentMessages } from "./shard-messages.js";

/**
 * Gives up waiting.
 * @experimental
 */
export interface ShardWaitOptions {
  /** When it aborts, waiting ends with `ERR_RINGLOOM_ABORTED`. */
  readonly signal?: AbortSignal;
}

/**
 * How many messages to take at once.
 * @experimental
 */
export interface ShardBatchOptions extends ShardWaitOptions {
  /** A whole number from 1. Default 1,024. */
  readonly max?: number;
}

/**
 * The shard that this thread is. Every method throws or rejects with `ERR_RINGLOOM_WRONG_THREAD` where no shard runs.
 * @experimental
 */
export interface CurrentShard {
  /** Its number, from 0. */
  readonly number: number;
  /** How many shards there are. */
  readonly count: number;
  /**
   * Sends a message to a shard, which may be this one. What is sent from one shard to one other arrives in that order.
   * @param to number of the shard
   * @param tag 0 to 65,535; what it means is the program's affair
   * @param value Whole numbers from 0 to 2^32 - 1 and undefined travel in the message itself; everything else is copied, up to about 256 KiB of it.
   * @param options by which lane, and how the receiver is woken
   * @returns a promise that resolves when the receiver has taken the message. It rejects with `ERR_RINGLOOM_OVERLOADED` when the lane or the memory for values is full,
   * `ERR_RINGLOOM_INVALID_OPTION` for a shard or tag that cannot be, `ERR_RINGLOOM_NOT_CLONEABLE` for a value that cannot be copied or holds shared memory, `ERR_RINGLOOM_UNSUPPORTED` for one that is too large, `ERR_RINGLOOM_THREAD_LOST` when the shard died before it had
   * taken the message, and `ERR_RINGLOOM_CLOSED` when it has stopped.
   * @experimental
   */
  send(to: number, tag: number, value?: unknown, options?: SendOptions): Promise<void>;
  /**
   * The same without the promise: cheaper, and nobody learns what becomes of it. Throws where `send` rejects at once.
   * @experimental
   */
  sendNoWait(to: number, tag: number, value?: unknown, options?: SendOptions): void;
  /**
   * Sends several messages together, or none of them. The promise resolves when all were taken. More than the lane has room for are refused, and no more than that is taken from the iterable.
   * @experimental
   */
  sendMany(
    to: number,
    messages: Iterable<readonly [tag: number, value?: unknown]>,
    options?: SendOptions,
  ): Promise<void>;
  /**
   * The same without the promise.
   * @experimental
   */
  sendManyNoWait(to: number, messages: Iterable<readonly [tag: number, value?: unknown]>, options?: SendOptions): void;
  /**
   * Resolves when all that this thread has sent before was taken, by all shards. Rejects as the promise of `send` does, also for messages without a promise that were lost since the last time;
   * with `ERR_RINGLOOM_OVERLOADED` when 1,024 flushes wait. Without a message since the last flush it is the same one.
   * @experimental
   */
  flush(): Promise<void>;
  /**
   * Calls `handler` with each message for this shard, in an async context of its own. What it throws is an uncaught exception. One handler at a time.
   * @returns ends that; messages then wait for the next handler
   * @throws RingloomError `ERR_RINGLOOM_INVALID_OPTION` when there is a handler, or a `nextEvent` waits.
   * @experimental
   */
  onMessage<Value = unknown>(handler: (message: ShardMessage<Value>) => unknown): () => void;
  /**
   * The next message for this shard. Several callers are served in their order.
   * @returns Rejects with `ERR_RINGLOOM_CLOSED` when this thread receives no more, `ERR_RINGLOOM_ABORTED`, or `ERR_RINGLOOM_INVALID_OPTION` beside a handler.
   * @experimental
   */
  nextEvent<Value = unknown>(options?: ShardWaitOptions): Promise<ShardMessage<Value>>;
  /**
   * The next message for this shard if there is one now, without waiting; undefined if not, and while a `nextEvent` waits. Cheapest for who takes many at once, or watches for the next one;
   * how often it is called in a turn is the caller's affair.
   * @throws RingloomError `ERR_RINGLOOM_CLOSED` when this thread receives no more, `ERR_RINGLOOM_INVALID_OPTION` beside a handler.
   * @experimental
   */
  tryNextEvent<Value = unknown>(): ShardMessage<Value> | undefined;
  /**
   * The messages for this shard that are there, as soon as there is one: what takes least for each where many come. All of them count as taken, so one that dies meanwhile takes them all with it.
   * @returns one to `max` messages, those of each sender in their order. Rejects as `nextEvent` does.
   * @experimental
   */
  nextEvents<Value = unknown>(options?: ShardBatchOptions): Promise<ShardMessage<Value>[]>;
  /**
   * The same without waiting: none if there are none, and while somebody waits. Throws as `tryNextEvent` does.
   * @experimental
   */
  tryNextEvents<Value = unknown>(options?: Pick<ShardBatchOptions, "max">): ShardMessage<Value>[];
  /**
   * All messages for this shard, one after the other: each is taken when it is asked for. Ends when this thread receives no more.
   * @experimental
   */
  messages<Value = unknown>(options?: ShardWaitOptions): AsyncGenerator<ShardMessage<Value>, void, void>;
  /**
   * Adds to a counter of a shard, 0 to 31, without a message: amounts add up on their way.
   * @param amount a whole number from 0 to 2^32 - 1. Default 1
   * @experimental
   */
  addHot(to: number, tag: number, amount?: number): void;
  /**
   * Takes what was added to this shard's counter since it was last taken, by all shards; waits while that is 0.
   * @experimental
   */
  nextHotCount(tag: number, options?: ShardWaitOptions): Promise<bigint>;
  /**
   * The same without waiting: undefined when it is 0.
   * @experimental
   */
  tryTakeHotCount(tag: number): bigint | undefined;
}

/**
 * A class, since V8 looks up each member of an object literal that has getters in a hash table. The methods need no `this`.
 */
class ThisShard implements CurrentShard {
  get number(): number {
    return currentMessages("number").shard;
  }

  get count(): number {
    return currentMessages("count").shardCount;
  }

  send(to: number, tag: number, value?: unknown, options?: SendOptions): Promise<void> {
    return promiseOf(() => currentMessages("send").sending.send(to, tag, value, options));
  }

  sendNoWait(to: number, tag: number, value?: unknown, options?: SendOptions): void {
    currentMessages("sendNoWait").sending.sendNoWait(to, tag, value, options);
  }

  sendMany(to: number, messages: Messages, options?: SendOptions): Promise<void> {
    return promiseOf(() => currentMessages("sendMany").sending.sendMany(to, messages, options));
  }

  sendManyNoWait(to: number, messages: Messages, options?: SendOptions): void {
    currentMessages("sendManyNoWait").sending.sendManyNoWait(to, messages, options);
  }

  async flush(): Promise<void> {
    await currentMessages("flush").sending.flush();
  }

  onMessage<Value>(handler: (message: ShardMessage<Value>) => unknown): () => void {
    // The cast is the caller's claim about what is sent.
    return currentMessages("onMessage").receiving.setHandler(handler as (message: ShardMessage) => unknown);
  }

  nextEvent<Value>(options?: ShardWaitOptions): Promise<ShardMessage<Value>> {
    // The casts are the caller's claim about what is sent.
    return promiseOf(
      () => currentMessages("nextEvent").receiving.nextEvent(options?.signal) as Promise<ShardMessage<Value>>,
    );
  }

  tryNextEvent<Value>(): ShardMessage<Value> | undefined {
    return currentMessages("tryNextEvent").receiving.tryNextEvent() as ShardMessage<Value> | undefined;
  }

  async nextEvents<Value>({
    signal,
    max = MESSAGES_PER_BATCH_DEFAULT,
  }: ShardBatchOptions = {}): Promise<ShardMessage<Value>[]> {
    const batch = await currentMessages("nextEvents").receiving.nextEvents(signal, max);
    return batch as ShardMessage<Value>[];
  }

  tryNextEvents<Value>({
    max = MESSAGES_PER_BATCH_DEFAULT,
  }: Pick<ShardBatchOptions, "max"> = {}): ShardMessage<Value>[] {
    return currentMessages("tryNextEvents").receiving.tryNextEvents(max) as ShardMessage<Value>[];
  }

  async *messages<Value>(options: ShardWaitOptions = {}): AsyncGenerator<ShardMessage<Value>, void, void> {
    for (;;) {
      const message = await nextOrEnd<Value>(options);
      if (message === undefined) return;
      yield message;
    }
  }

  addHot(to: number, tag: number, amount = 1): void {
    currentMessages("addHot").sending.addHot(to, tag, amount);
  }

  async nextHotCount(tag: number, { signal }: ShardWaitOptions = {}): Promise<bigint> {
    checkHotTag("nextHotCount", tag);
    return currentMessages("nextHotCount").hot.next(tag, signal);
  }

  tryTakeHotCount(tag: number): bigint | undefined {
    checkHotTag("tryTakeHotCount", tag);
    return currentMessages("tryTakeHotCount").hot.tryTake(tag);
  }
}

/**
 * The shard that this thread is, and its messages to and from the other shards.
 * @example
 * ```ts
 * import { shard } from "ringloom";
 * const INVALIDATE = 1;
 * const cache = new Map<string, string>();
 * shard.onMessage<string>(({ tag, value }) => tag === INVALIDATE && cache.delete(value));
 * export function invalidate(key: string): void {
 *   for (let to = 0; to < shard.count; to++) shard.sendNoWait(to, INVALIDATE, key);
 * }
 * ```
 * @experimental
 */
export const shard: CurrentShard = new ThisShard();

/** The promise itself, a ticket for instance, which nobody has to wait for; what is wrong at once is a rejection that somebody should handle. */
function promiseOf<Result>(begin: () => Promise<Result>): Promise<Result> {
  try {
    return begin();
  } catch (error) {
    return Promise.reject(error);
  }
}

async function nextOrEnd<Value>(options: ShardWaitOptions): Promise<ShardMessage<Value> | undefined> {
  try {
    return await shard.nextEvent<Value>(options);
  } catch (error) {
    if (error instanceof RingloomError && error.code === "ERR_RINGLOOM_CLOSED") return undefined;
    throw error;
  }
}
