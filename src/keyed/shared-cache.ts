/**
 * `sharedCache()`: one bounded cache for all shards of a server, in shared memory.
 *
 * What is read is decoded from the memory of all, so no two callers share an object, and no message is sent. `src/shared/cache-table.ts` says how threads read and write it at once.
 */
import { MessageChannel, type MessagePort, receiveMessageOnPort } from "node:worker_threads";
import { RingloomError } from "../errors.js";
import type { CacheAnswer } from "./cache-desk.js";
import { CACHE_COUNTS, CacheEntries, type PutOptions } from "./cache-entries.js";
import { noteCache, type SharedCacheCounts } from "./cache-figures.js";
import { type CacheBounds, checkCacheOptions, invalidCache, type SharedCacheOptions } from "./cache-size.js";
import { decodeValue, encodeValue } from "./cache-value.js";
import { sendToDesk } from "./desk-line.js";
import { OnceLine } from "./once-line.js";
import { within } from "./within.js";

/** How long a thread waits for the main thread to answer, in milliseconds. */
const OPEN_MS_MAX = 10_000;

/**
 * How one entry is kept.
 * @experimental
 */
export interface CacheEntryOptions {
  /** How long it lives, in milliseconds; 0 is for as long as there is room. Default: that of the cache. */
  readonly ttlMs?: number;
}

/**
 * How one caller of `getOrLoad` waits, and how the value is kept.
 * @experimental
 */
export interface CacheLoadOptions extends CacheEntryOptions {
  /** Gives up waiting; what is being loaded is loaded all the same. */
  readonly signal?: AbortSignal;
  /** When the call rejects, in milliseconds; 0 is never, the default. */
  readonly timeoutMs?: number;
}

/**
 * What all threads did with a cache, and what is in it.
 * @experimental
 */
export interface SharedCacheStats extends SharedCacheCounts {
  /** Entries now, those included whose time is over. */
  readonly entries: number;
}

/**
 * A cache that all shards use; see {@link sharedCache}.
 * @experimental
 */
export class SharedCache<Value> {
  readonly name: string;
  readonly #entries: CacheEntries;
  readonly #ttlMs: number;

  /** @internal */
  constructor(name: string, ttlMs: number, entries: CacheEntries) {
    this.name = name;
    this.#ttlMs = ttlMs;
    this.#entries = entries;
  }

  /** A copy of the value, or undefined. */
  get(key: string): Value | undefined {
    checkKey(key);
    const value = this.#entries.get(key);
    this.#entries.table.count(value === undefined ? CACHE_COUNTS.misses : CACHE_COUNTS.hits);
    // The cast is safe as long as a cache's name has one meaning.
    return value as Value | undefined;
  }

  /**
   * Puts a value in, for all shards. Returns false when it was not taken, because it is too large (a quarter of a segment; 1 MiB in a cache of 64) or another thread is in the way; the key has no value then.
   * @throws TypeError For undefined. RingloomError `ERR_RINGLOOM_NOT_CLONEABLE` for what the compact form does not carry: functions, instances of classes, cycles, shared memory.
   */
  set(key: string, value: Value, options: CacheEntryOptions = {}): boolean {
    checkKey(key);
    if (value === undefined) throw new TypeError("Cannot cache undefined: it is what a missing value is");
    const isIn = this.#entries.put(key, value, { ttlMs: this.#ttlOf(options), stamp: undefined });
    this.#entries.table.count(isIn ? CACHE_COUNTS.sets : CACHE_COUNTS.refused);
    return isIn;
  }

  /** Takes a key out; what a `getOrLoad` has begun to load before is not put in. True if the key was there. */
  delete(key: string): boolean {
    checkKey(key);
    const wasThere = this.#entries.delete(key);
    if (wasThere) this.#entries.table.count(CACHE_COUNTS.deletes);
    return wasThere;
  }

  /** Takes everything out. */
  clear(): void {
    const { table } = this.#entries;
    for (const place of this.#places()) table.stamp(place);
    for (const place of this.#places()) table.clear(place);
  }

  /**
   * The value, which `load` makes if there is none: once at a time for each key in all shards, and all that wait get a copy. A load that gives undefined is not put in.
   * When the loading shard dies, another one that waits loads.
   * @throws RingloomError `ERR_RINGLOOM_CALL_FAILED` with what `load` threw as its cause, for all that waited; the next call loads again. `ERR_RINGLOOM_OVERLOADED` with 10,000 loads,
   * `ERR_RINGLOOM_TIMEOUT`, `ERR_RINGLOOM_ABORTED`.
   */
  async getOrLoad(
    key: string,
    load: (key: string) => Value | Promise<Value>,
    options: CacheLoadOptions = {},
  ): Promise<Value> {
    const found = this.get(key);
    if (found !== undefined) return found;
    const ttlMs = this.#ttlOf(options);
    const { signal, timeoutMs = 0 } = options;
    if (!(timeoutMs >= 0))
      throw this.#failed("ERR_RINGLOOM_INVALID_OPTION", `timeoutMs is ${timeoutMs}, not 0 or more`);
    if (signal?.aborted === true) throw this.#failed("ERR_RINGLOOM_ABORTED", "it was given up", signal.reason);
    const stamp = this.#entries.stampOf(key);
    // Who asks after a deletion, or after a `set` that is gone again, does not get what was begun to load before it.
    const flight = `${this.name}\0${key}\0${stamp}`;
    const value = flights.value(flight, () => this.#load(key, load, { ttlMs, stamp }));
    const loaded = await within(value, {
      signal,
      timeoutMs,
      timedOut: () => this.#failed("ERR_RINGLOOM_TIMEOUT", `it took longer than ${timeoutMs} ms`),
      aborted: (reason) => this.#failed("ERR_RINGLOOM_ABORTED", "it was given up", reason),
    });
    // The casts are safe because all flights carry that, and as long as a cache's name has one meaning.
    return decodeValue(loaded as ArrayBuffer) as Value;
  }

  /** What all threads did with it. Counts the entries, so it is not for every request; {@link counts} is. */
  get stats(): SharedCacheStats {
    const { table } = this.#entries;
    let entries = 0;
    for (const place of this.#places()) if (table.isTaken(place)) entries += 1;
    return { ...this.counts, entries };
  }

  /** What all threads did with it, as `runtimeStats().caches` shows it. */
  get counts(): SharedCacheCounts {
    const { table } = this.#entries;
    const total = (name: keyof typeof CACHE_COUNTS): number => table.total(CACHE_COUNTS[name]);
    return {
      hits: total("hits"),
      misses: total("misses"),
      sets: total("sets"),
      deletes: total("deletes"),
      loads: total("loads"),
      evictions: total("evictions"),
      expired: total("expired"),
      refused: total("refused"),
    };
  }

  async #load(key: string, load: (key: string) => Value | Promise<Value>, options: PutOptions): Promise<ArrayBuffer> {
    const entries = this.#entries;
    // Another shard may have loaded it between the miss and now.
    const found = entries.get(key);
    if (found !== undefined) return encodeValue(found);
    entries.table.count(CACHE_COUNTS.loads);
    const value = await load(key);
    if (value !== undefined) {
      const isIn = entries.put(key, value, options);
      entries.table.count(isIn ? CACHE_COUNTS.sets : CACHE_COUNTS.refused);
    }
    return encodeValue(value);
  }

  #ttlOf({ ttlMs = this.#ttlMs }: CacheEntryOptions): number {
    if (ttlMs >= 0 && Number.isFinite(ttlMs)) return ttlMs;
    throw this.#failed("ERR_RINGLOOM_INVALID_OPTION", `ttlMs is ${ttlMs}, not 0 or more`);
  }

  #failed(code: RingloomError["code"], why: string, cause?: unknown): RingloomError {
    return new RingloomError(code, `Cannot use the shared cache "${this.name}": ${why}.`, {
      operation: "sharedCache",
      details: { name: this.name },
      cause,
    });
  }

  *#places(): Generator<{ segment: number; bucket: number; way: number }> {
    const { segments, buckets, ways } = this.#entries.table.shape;
    for (let segment = 0; segment < segments; segment++)
      for (let bucket = 0; bucket < buckets; bucket++)
        for (let way = 0; way < ways; way++) yield { segment, bucket, way };
  }
}

const flights = new OnceLine("getOrLoad", "flight");

/** A cache of this thread. The port is open for as long as the thread is there: the supervisor hears of its end by it. */
interface Opened {
  readonly cache: SharedCache<unknown>;
  readonly bounds: CacheBounds;
  readonly port: MessagePort;
}

const opened = new Map<string, Opened>();

/**
 * Opens the cache of that name, the same for all shards of the server. Call it at the module's top level; the first call of a thread waits for the main thread to answer.
 * Values are what the codec of tasks carries: strings, numbers, typed arrays, plain objects, Map, Set, Date. When it is full, what was read of late is kept and what was not goes first (CLOCK).
 *
 * In a program without shards it is the main thread's.
 * @throws RingloomError `ERR_RINGLOOM_INVALID_OPTION`, also when the cache exists with other bounds; `ERR_RINGLOOM_WRONG_THREAD` on a thread that belongs to no server; `ERR_RINGLOOM_TIMEOUT` when the main thread is blocked.
 * @example
 * ```ts
 * import { sharedCache } from "ringloom";
 * const pages = sharedCache<string>("pages", { maxBytes: 16 * 2 ** 20, ttlMs: 60_000 });
 * const page = await pages.getOrLoad("/news", async (path) => `<h1>${path}</h1>`);
 * ```
 * @experimental
 */
export function sharedCache<Value = unknown>(name: string, options: SharedCacheOptions = {}): SharedCache<Value> {
  if (typeof name !== "string" || name === "") throw invalidCache(String(name), "the name is no text");
  const bounds = checkCacheOptions(name, options);
  const known = opened.get(name);
  if (known !== undefined) {
    const { maxBytes, maxEntries, ttlMs } = known.bounds;
    if (maxBytes !== bounds.maxBytes || maxEntries !== bounds.maxEntries || ttlMs !== bounds.ttlMs)
      throw invalidCache(name, "it is open here with other options");
    return known.cache as SharedCache<Value>;
  }
  const { entries, port, bytes } = open(name, bounds);
  const cache = new SharedCache<Value>(name, bounds.ttlMs, entries);
  opened.set(name, { cache: cache as SharedCache<unknown>, bounds, port });
  noteCache(name, () => ({ ...cache.counts, bytes }));
  return cache;
}

function open(
  name: string,
  bounds: CacheBounds,
): { readonly entries: CacheEntries; readonly port: MessagePort; readonly bytes: number } {
  const { port1, port2 } = new MessageChannel();
  const bell = new Int32Array(new SharedArrayBuffer(4));
  sendToDesk("sharedCache", { want: "cache", port: port2, ask: { name, bounds, bell } });
  Atomics.wait(bell, 0, 0, OPEN_MS_MAX);
  const answer = receiveMessageOnPort(port1)?.message as CacheAnswer | undefined;
  port1.unref();
  if (answer === undefined || "refused" in answer) port1.close();
  if (answer === undefined) {
    throw new RingloomError(
      "ERR_RINGLOOM_TIMEOUT",
      `Cannot open the shared cache "${name}": the main thread did not answer.`,
      {
        operation: "sharedCache",
        details: { name },
      },
    );
  }
  if ("refused" in answer) throw invalidCache(name, answer.refused);
  const { memory, shape, thread } = answer;
  return { entries: new CacheEntries(memory, shape, thread), port: port1, bytes: memory.byteLength };
}

function checkKey(key: unknown): void {
  if (typeof key !== "string") throw new TypeError(`Cannot cache under a key that is ${typeof key}, not a string`);
}
