/**
 * The supervisor's side of shared caches: makes the memory for a name once, gives each thread a number in it, and takes back what a dead thread held.
 *
 * `sharedCache()` is not async, so the thread that asks waits on a word until it is answered; this side never waits.
 */
import type { MessagePort } from "node:worker_threads";
import { type CacheShape, cacheLength } from "../shared/cache-layout.js";
import { buryCacheThread } from "../shared/cache-table.js";
import { SharedWords } from "../shared/words.js";
import { type CacheBounds, cacheShape } from "./cache-size.js";
import { SpareMemory } from "./spare-memory.js";

/** Caches that a server may have. */
export const CACHES_MAX = 64;

/** What a thread asks for. */
export interface CacheAsk {
  readonly name: string;
  readonly bounds: CacheBounds;
  /** Its first word is set to 1, and woken, when the answer is there. */
  readonly bell: Int32Array;
}

/** What it gets, through its port. */
export type CacheAnswer =
  | { readonly memory: SharedArrayBuffer; readonly shape: CacheShape; readonly thread: number }
  | { readonly refused: string };

interface Cache {
  readonly bounds: CacheBounds;
  readonly shape: CacheShape;
  readonly memory: SharedArrayBuffer;
  readonly threads: Set<number>;
}

/** See the top of the file. */
export class CacheDesk {
  readonly #caches = new Map<string, Cache>();
  readonly #spare: SpareMemory;

  constructor(spare: SpareMemory = new SpareMemory()) {
    this.#spare = spare;
  }

  /** Answers, and keeps the thread's number for it until the port closes. */
  accept(port: MessagePort, { name, bounds, bell }: CacheAsk): void {
    const answer = this.#answer(name, bounds, port);
    port.postMessage(answer);
    Atomics.store(bell, 0, 1);
    Atomics.notify(bell, 0);
  }

  #answer(name: string, bounds: CacheBounds, port: MessagePort): CacheAnswer {
    const cache = this.#caches.get(name) ?? this.#make(name, bounds);
    if (cache === undefined) return { refused: `there are ${CACHES_MAX} caches already` };
    const { maxBytes, maxEntries } = cache.bounds;
    if (maxBytes !== bounds.maxBytes || maxEntries !== bounds.maxEntries) {
      return { refused: `it exists with maxBytes ${maxBytes} and maxEntries ${maxEntries}` };
    }
    const { memory, shape, threads } = cache;
    let thread = 0;
    while (threads.has(thread)) thread += 1;
    if (thread >= shape.threads) return { refused: `${shape.threads} threads use it` };
    threads.add(thread);
    // The port closes when the thread has run its last step.
    port.on("close", () => {
      buryCacheThread(new SharedWords(memory), shape, thread);
      threads.delete(thread);
    });
    port.unref();
    return { memory, shape, thread };
  }

  #make(name: string, bounds: CacheBounds): Cache | undefined {
    if (this.#caches.size >= CACHES_MAX) return undefined;
    const shape = cacheShape(bounds);
    const memory = new SharedArrayBuffer(cacheLength(shape) * Int32Array.BYTES_PER_ELEMENT);
    const cache: Cache = { bounds, shape, memory, threads: new Set() };
    this.#caches.set(name, cache);
    this.#spare.take(memory.byteLength, { cache: name });
    return cache;
  }
}
