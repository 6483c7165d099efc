/** What one thread did so far, step by step with results: running the thread again with these results brings it to the same place. */
import type { Step } from "./operation.js";

const FIELDS = 5;

/**
 * The entries below {@link length} have happened. The entry at `length` is the thread's next step: it is known and has no result yet, and it stays valid
 * when the search goes back to this length, because a thread is a function of the results before it.
 */
export class ThreadLog {
  length = 0;
  entries = new Int32Array(64 * FIELDS);

  /** The kind of the next step. */
  get kind(): number {
    return this.entries[this.length * FIELDS]!;
  }

  get index(): number {
    return this.entries[this.length * FIELDS + 1]!;
  }

  get first(): number {
    return this.entries[this.length * FIELDS + 2]!;
  }

  get second(): number {
    return this.entries[this.length * FIELDS + 3]!;
  }

  /** Says what the thread does next. */
  expect(kind: number, index: number, first: number, second: number): void {
    const at = this.length * FIELDS;
    if (at + FIELDS > this.entries.length) this.#grow();
    const { entries } = this;
    entries[at] = kind;
    entries[at + 1] = index;
    entries[at + 2] = first;
    entries[at + 3] = second;
  }

  /** The next step has happened. */
  complete(result: number): void {
    this.entries[this.length * FIELDS + 4] = result;
    this.length++;
  }

  /** Whether entry `position` is this very step. */
  matches(position: number, kind: number, index: number, first: number, second: number): boolean {
    const { entries } = this;
    const at = position * FIELDS;
    return entries[at] === kind && entries[at + 1] === index && entries[at + 2] === first && entries[at + 3] === second;
  }

  resultAt(position: number): number {
    return this.entries[position * FIELDS + 4]!;
  }

  stepAt(position: number): Step {
    const at = position * FIELDS;
    const [kind, index, first, second, result] = this.entries.subarray(at, at + FIELDS);
    return { kind: kind!, index: index!, first: first!, second: second!, result: result! };
  }

  #grow(): void {
    const larger = new Int32Array(2 * this.entries.length);
    larger.set(this.entries);
    this.entries = larger;
  }
}
