/**
 * The heartbeat of a shard: one 32-bit word of shared memory for each thread.
 *
 * The shard's thread is the only writer of its word: a timer of its event loop adds one. The supervisor is the only reader. It keeps no
 * common clock with the shard: what counts is whether the word has changed since it looked last, and time in which the supervisor itself did
 * not run (a stopped process, a paused machine) is not held against the shard.
 */
import { assert } from "../assert.js";

/** How often a shard's heart beats, in milliseconds. */
export const HEARTBEAT_MS = 200;

/** Memory for one heart. */
export function createHeart(): SharedArrayBuffer {
  return new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT);
}

/** Beats from now on, as long as this thread's event loop turns. */
export function startHeart(buffer: SharedArrayBuffer): void {
  const word = new Int32Array(buffer);
  let beats = 0;
  function beat(): void {
    // Wraps around, which is as good as any other change. Paired with the load in Pulse.observe.
    beats = (beats + 1) | 0;
    Atomics.store(word, 0, beats);
  }
  beat();
  setInterval(beat, HEARTBEAT_MS).unref();
}

/** The supervisor's fingers on one shard's wrist. */
export class Pulse {
  /** How long no beat was seen, in milliseconds. */
  silentMs = 0;
  readonly #word: Int32Array;
  #seen = 0;

  constructor(buffer: SharedArrayBuffer) {
    this.#word = new Int32Array(buffer);
  }

  /** Looks; `elapsedMs` is the time since the last look in which a beat could have been seen. */
  observe(elapsedMs: number): void {
    assert(elapsedMs >= 0, "time does not run backwards");
    const beats = Atomics.load(this.#word, 0);
    if (beats === this.#seen) this.silentMs += elapsedMs;
    else this.silentMs = 0;
    this.#seen = beats;
  }
}
