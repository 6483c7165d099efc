/**
 * Access to the 32-bit words of a SharedArrayBuffer, in two kinds that never mix on one word.
 *
 * *Control words* are touched with sequentially consistent atomics. *Payload words* are touched plainly; what makes that sound is a control word that
 * publishes them: it is stored after the payload was written, and loaded before the payload is read.
 *
 * Every structure of this folder reaches shared memory through this interface alone, so that the model checker (`test/model`) can put itself in between.
 */

/** The words of one piece of shared memory, by index. Values are signed 32-bit integers. */
export interface Words {
  readonly length: number;
  /** Atomic. */
  load(index: number): number;
  /** Atomic. */
  store(index: number, value: number): void;
  /** Atomic: adds, wrapping around, and gives the value before. */
  add(index: number, value: number): number;
  /** Atomic: gives the value before. */
  or(index: number, value: number): number;
  /** Atomic: gives the value before. */
  and(index: number, value: number): number;
  /** Atomic: gives the value before. */
  exchange(index: number, value: number): number;
  /** Atomic: stores `replacement` if the word is `expected`; gives the value found, so it has succeeded if that is `expected`. */
  compareExchange(index: number, expected: number, replacement: number): number;
  /** Blocks the thread while the word is `expected`, until {@link notify} or for `timeoutMs` at most. */
  wait(index: number, expected: number, timeoutMs?: number): "ok" | "not-equal" | "timed-out";
  /** Wakes threads that {@link wait} on the word, and says how many. */
  notify(index: number, count?: number): number;
  /** Payload: a plain load. */
  read(index: number): number;
  /** Payload: a plain store. */
  write(index: number, value: number): void;
}

/** Words of real shared memory. */
export class SharedWords implements Words {
  readonly length: number;
  readonly #words: Int32Array;

  constructor(buffer: SharedArrayBuffer, byteOffset = 0, length?: number) {
    this.#words = new Int32Array(buffer, byteOffset, length);
    this.length = this.#words.length;
  }

  load(index: number): number {
    return Atomics.load(this.#words, index);
  }

  store(index: number, value: number): void {
    Atomics.store(this.#words, index, value);
  }

  add(index: number, value: number): number {
    return Atomics.add(this.#words, index, value);
  }

  or(index: number, value: number): number {
    return Atomics.or(this.#words, index, value);
  }

  and(index: number, value: number): number {
    return Atomics.and(this.#words, index, value);
  }

  exchange(index: number, value: number): number {
    return Atomics.exchange(this.#words, index, value);
  }

  compareExchange(index: number, expected: number, replacement: number): number {
    return Atomics.compareExchange(this.#words, index, expected, replacement);
  }

  wait(index: number, expected: number, timeoutMs = Number.POSITIVE_INFINITY): "ok" | "not-equal" | "timed-out" {
    return Atomics.wait(this.#words, index, expected, timeoutMs);
  }

  notify(index: number, count = Number.POSITIVE_INFINITY): number {
    return Atomics.notify(this.#words, index, count);
  }

  read(index: number): number {
    return this.#words[index]!;
  }

  write(index: number, value: number): void {
    this.#words[index] = value;
  }
}
