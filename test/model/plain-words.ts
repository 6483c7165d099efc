/** Words that nobody else sees: for what is not interleaved, before the threads start and after they have ended. */
import type { Words } from "../../src/shared/words.js";

export class PlainWords implements Words {
  readonly length: number;
  readonly #words: Int32Array;

  constructor(words: Int32Array) {
    this.#words = words;
    this.length = words.length;
  }

  load(index: number): number {
    return this.#words[this.#checked(index)]!;
  }

  store(index: number, value: number): void {
    this.#words[this.#checked(index)] = value;
  }

  add(index: number, value: number): number {
    return this.#replace(index, this.load(index) + value);
  }

  or(index: number, value: number): number {
    return this.#replace(index, this.load(index) | value);
  }

  and(index: number, value: number): number {
    return this.#replace(index, this.load(index) & value);
  }

  exchange(index: number, value: number): number {
    return this.#replace(index, value);
  }

  compareExchange(index: number, expected: number, replacement: number): number {
    const before = this.load(index);
    if (before === (expected | 0)) this.#words[index] = replacement;
    return before;
  }

  wait(index: number, expected: number): "not-equal" {
    if (this.load(index) === (expected | 0)) throw new Error("Cannot wait here: no other thread runs");
    return "not-equal";
  }

  notify(index: number): number {
    this.#checked(index);
    return 0;
  }

  read(index: number): number {
    return this.load(index);
  }

  write(index: number, value: number): void {
    this.store(index, value);
  }

  #replace(index: number, value: number): number {
    const before = this.load(index);
    this.#words[index] = value;
    return before;
  }

  #checked(index: number): number {
    if (!(index >= 0 && index < this.length && Number.isInteger(index))) {
      throw new RangeError(`Cannot touch word ${index} of ${this.length}`);
    }
    return index;
  }
}
