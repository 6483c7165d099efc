/**
 * The heartbeat: a few words of shared memory for each thread, by which the main thread sees whether the thread's event loop turns.
 *
 *     word 0   pulse           odd while the thread is awake, even while it sleeps in its driver (or is not there); each turn makes it another number
 *     word 1   blockages       found so far
 *     word 2   blocked, most   the longest blockage, in milliseconds
 *
 * WHO WRITES WHAT. The thread alone writes word 0: the loop hook (`native/loop.c`) before and after each sleep and at each turn, or a timer where libuv does
 * the sleeping. The watchdog, on the main thread, alone writes words 1 and 2; the thread reads them for its statistics. Each
 * thread has a block of its own, made by the supervisor and gone with the thread, so no successor ever shares a word with its predecessor.
 *
 * No clock is shared: what counts is whether the pulse has changed since it was seen last. A thread that is asleep is alive, since what wakes it is
 * the kernel's business; one that hangs right after waking has published that it is awake.
 */
import { assert } from "../assert.js";

const PULSE = 0;
const BLOCKED_COUNT = 1;
const BLOCKED_MS_MAX = 2;
/** Two cache lines, so that threads' words do not share one wherever the block lies. */
const WORDS = 32;

/** Memory for the heartbeat of one thread. */
export function createHeartbeat(): SharedArrayBuffer {
  return new SharedArrayBuffer(WORDS * Int32Array.BYTES_PER_ELEMENT);
}

/** What the watchdog found on a thread. */
export interface Blockages {
  readonly count: number;
  readonly msMax: number;
}

/** The heart of a thread. For that thread alone. */
export class Heart {
  /** The words, for a driver that writes the pulse itself. */
  readonly words: Int32Array;

  constructor(buffer: SharedArrayBuffer) {
    this.words = wordsOf(buffer);
  }

  /** The event loop turned. */
  beat(): void {
    // Wraps around, which is as good as any other change. The driver's hook may have written it too, so it is read, not remembered.
    Atomics.store(this.words, PULSE, (Atomics.load(this.words, PULSE) + 1) | 1);
  }

  /** No turn is to be expected any more: the thread ends. */
  rest(): void {
    Atomics.store(this.words, PULSE, (Atomics.load(this.words, PULSE) + 1) & ~1);
  }

  get blockages(): Blockages {
    return { count: Atomics.load(this.words, BLOCKED_COUNT), msMax: Atomics.load(this.words, BLOCKED_MS_MAX) };
  }
}

/** The main thread's fingers on one thread's wrist. */
export class Pulse {
  /** How long the thread has been awake without a turn, in milliseconds, as far as was seen. */
  silentMs = 0;
  /** The word as it was seen last. The same number later means: not one turn in between. */
  seen = 0;
  readonly #words: Int32Array;
  /** Copies of what this side alone writes. */
  #blockedCount = 0;
  #blockedMsMax = 0;

  constructor(buffer: SharedArrayBuffer) {
    this.#words = wordsOf(buffer);
  }

  /** Looks; `elapsedMs` is the time since the last look in which a turn could have been seen. */
  observe(elapsedMs: number): void {
    assert(elapsedMs >= 0, "time does not run backwards");
    const pulse = this.now;
    const isAsleep = (pulse & 1) === 0;
    if (pulse === this.seen && !isAsleep) this.silentMs += elapsedMs;
    else this.silentMs = 0;
    this.seen = pulse;
  }

  /** The word at this moment. Paired with the stores in Heart and in `native/loop.c`. */
  get now(): number {
    return Atomics.load(this.#words, PULSE);
  }

  /** A blockage was found. For the watchdog alone. */
  countBlocked(): void {
    this.#blockedCount += 1;
    Atomics.store(this.#words, BLOCKED_COUNT, this.#blockedCount);
  }

  /** How long a blockage has lasted so far. For the watchdog alone. */
  noteBlockedMs(ms: number): void {
    this.#blockedMsMax = Math.max(this.#blockedMsMax, Math.round(ms));
    Atomics.store(this.#words, BLOCKED_MS_MAX, this.#blockedMsMax);
  }
}

function wordsOf(buffer: SharedArrayBuffer): Int32Array {
  assert(buffer.byteLength === WORDS * Int32Array.BYTES_PER_ELEMENT, "a heartbeat has its own block");
  return new Int32Array(buffer);
}
