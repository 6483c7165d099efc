/** A queue of objects: first in, first out. */

/** How many places at its front may be empty before they are cut off. */
const EMPTY_MAX = 1_024;

/** Constant time for each operation, on average. */
export class Fifo<Item> {
  #items: (Item | undefined)[] = [];
  #first = 0;

  get length(): number {
    return this.#items.length - this.#first;
  }

  /** The oldest one. */
  get first(): Item | undefined {
    return this.#items[this.#first];
  }

  push(item: Item): void {
    this.#items.push(item);
  }

  shift(): Item | undefined {
    if (this.length === 0) return undefined;
    const item = this.#items[this.#first];
    this.#items[this.#first] = undefined;
    this.#first += 1;
    if (this.#first === this.#items.length) {
      this.#items = [];
      this.#first = 0;
    } else if (this.#first > EMPTY_MAX && this.#first * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#first);
      this.#first = 0;
    }
    return item;
  }

  /** Takes out an item, wherever it is. */
  remove(item: Item): boolean {
    const index = this.#items.indexOf(item, this.#first);
    if (index === -1) return false;
    this.#items.splice(index, 1);
    return true;
  }
}
