/** A queue of values in an array that is used round and round: no operation moves the others, and it grows only with what is in it. */

const SIZE_FIRST = 8;

/** First in, first out; constant time for each operation, on average. */
export class RingBuffer<Value> {
  /** As long as a power of two. */
  #values: (Value | undefined)[] = [];
  #first = 0;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  push(value: Value): void {
    if (this.#length === this.#values.length) this.#grow();
    this.#values[(this.#first + this.#length) & (this.#values.length - 1)] = value;
    this.#length += 1;
  }

  /** The oldest one. Of an empty queue, undefined. */
  shift(): Value | undefined {
    if (this.#length === 0) return undefined;
    const value = this.#values[this.#first];
    // The value must not be kept from here.
    this.#values[this.#first] = undefined;
    this.#first = (this.#first + 1) & (this.#values.length - 1);
    this.#length -= 1;
    return value;
  }

  clear(): void {
    this.#values = [];
    this.#first = 0;
    this.#length = 0;
  }

  #grow(): void {
    const values = this.#values.slice(this.#first).concat(this.#values.slice(0, this.#first));
    values.length = Math.max(SIZE_FIRST, values.length * 2);
    this.#values = values;
    this.#first = 0;
  }
}
