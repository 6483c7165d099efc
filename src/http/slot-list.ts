/** Connections that wait for their turn, each with its generation, so that one whose slot was given away meanwhile is passed over. */
export class SlotList {
  #pairs: number[] = [];

  get isEmpty(): boolean {
    return this.#pairs.length === 0;
  }

  add(slot: number, generation: number): void {
    this.#pairs.push(slot, generation);
  }

  /** Takes everything off the list and calls `visit` for those that are still the same connection. What is added meanwhile stays for the next time. */
  takeEach(generations: Int32Array, visit: (slot: number) => void): void {
    const pairs = this.#pairs;
    this.#pairs = [];
    for (let index = 0; index < pairs.length; index += 2) {
      const slot = pairs[index]!;
      if (generations[slot] === pairs[index + 1]) visit(slot);
    }
  }
}
