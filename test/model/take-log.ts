/** What the threads of a program got hold of, for the count at its end: plain words that one thread each writes. */
import type { Words } from "../../src/shared/words.js";

/** Where the log is. */
export interface LogShape {
  readonly base: number;
  /** Entries for each thread. */
  readonly entries: number;
}

/** One thread's log. */
export class TakeLog {
  readonly #words: Words;
  readonly #at: number;
  readonly #entries: number;
  #count = 0;

  constructor(words: Words, shape: LogShape, thread: number) {
    this.#words = words;
    this.#at = shape.base + thread * shape.entries;
    this.#entries = shape.entries;
  }

  /** Notes a slot; -1 is nothing. */
  note(slot: number): void {
    if (slot === -1) return;
    if (this.#count === this.#entries) throw new Error("a thread took more than there is");
    this.#words.write(this.#at + this.#count++, slot + 1);
  }
}

/** All that `threads` threads have noted. */
export function notedBy(words: Words, shape: LogShape, threads: number): number[] {
  const slots: number[] = [];
  for (let n = 0; n < threads * shape.entries; n++) {
    const entry = words.read(shape.base + n);
    if (entry !== 0) slots.push(entry - 1);
  }
  return slots;
}

/** Throws unless the slots are those from 0 to `count - 1`, each once. */
export function mustBeEachOnce(slots: readonly number[], count: number): void {
  for (let slot = 0; slot < count; slot++) {
    const times = slots.filter((other) => other === slot).length;
    if (times === 0) throw new Error(`slot ${slot} was lost`);
    if (times > 1) throw new Error(`slot ${slot} was taken ${times} times`);
  }
  if (slots.length !== count) throw new Error(`something was taken that was never there: ${slots.join(" ")}`);
}
