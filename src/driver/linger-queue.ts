/**
 * The connections that `closeAfterFlush` has half-closed and whose peers have not ended. All wait equally long, so one queue and one timer
 * serve them. A connection that ends first is not taken out: its generation tells.
 */
import { LINGER_MS } from "../constants.js";

interface Lingering {
  readonly slot: number;
  readonly generation: number;
  readonly deadlineMs: number;
}

/** Calls back for each connection that has lingered for `LINGER_MS`. */
export class LingerQueue {
  readonly #generations: Int32Array;
  readonly #expired: (slot: number) => void;
  #queue: Lingering[] = [];
  #first = 0;
  #timer: NodeJS.Timeout | undefined;

  /** `expired` is called for a connection that lingers too long, from a timer. */
  constructor(generations: Int32Array, expired: (slot: number) => void) {
    this.#generations = generations;
    this.#expired = expired;
  }

  add(slot: number): void {
    this.#queue.push({ slot, generation: this.#generations[slot]!, deadlineMs: performance.now() + LINGER_MS });
    this.#timer ??= setTimeout(() => this.#expire(), LINGER_MS).unref();
  }

  /** Forgets them all. */
  clear(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#queue = [];
    this.#first = 0;
  }

  #expire(): void {
    this.#timer = undefined;
    const nowMs = performance.now();
    for (;;) {
      const entry = this.#queue[this.#first];
      if (entry === undefined) return this.clear();
      const isGone = this.#generations[entry.slot] !== entry.generation;
      if (!isGone && entry.deadlineMs > nowMs) {
        this.#queue = this.#queue.slice(this.#first);
        this.#first = 0;
        this.#timer = setTimeout(() => this.#expire(), Math.ceil(entry.deadlineMs - nowMs)).unref();
        return;
      }
      this.#first += 1;
      if (!isGone) this.#expired(entry.slot);
    }
  }
}
