/**
 * Words that remember what they were, so that a search goes back by undoing instead of running everything again.
 */
export class Journal {
  readonly words: Int32Array;
  #changes = new Int32Array(1 << 10);
  #length = 0;

  constructor(length: number) {
    this.words = new Int32Array(length);
  }

  /** A point to {@link rewind} to. */
  mark(): number {
    return this.#length;
  }

  set(at: number, value: number): void {
    const { words } = this;
    const before = words[at]!;
    if (before === value) return;
    if (this.#length + 2 > this.#changes.length) this.#grow();
    this.#changes[this.#length++] = at;
    this.#changes[this.#length++] = before;
    words[at] = value;
  }

  rewind(mark: number): void {
    const { words } = this;
    const changes = this.#changes;
    for (let at = this.#length; at > mark; at -= 2) words[changes[at - 2]!] = changes[at - 1]!;
    this.#length = mark;
  }

  #grow(): void {
    const larger = new Int32Array(2 * this.#changes.length);
    larger.set(this.#changes);
    this.#changes = larger;
  }
}
