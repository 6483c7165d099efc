/**
 * The bytes of one write, however many pieces they lie in, and how many of them have left. Small pieces leave together: what is moved at once spans as many as fit.
 */

/** A write that keeps copies of small pieces makes blocks of this size for them. */
const BLOCK_BYTES = 16 * 1024;

/** The bytes of one write. */
export class Gather {
  /** How many there are, with those that have left. */
  length = 0;
  /** How many have left. */
  taken = 0;
  readonly #pieces: Uint8Array[];
  /** Where the next byte lies: a piece, and the offset in it. */
  #piece = 0;
  #offset = 0;
  /** The memory of the last piece where that is a copy, which may have room. */
  #block: Buffer | undefined;

  /** The pieces are used, not copied. */
  constructor(pieces: readonly Uint8Array[] = []) {
    this.#pieces = [...pieces];
    for (const { length } of pieces) this.length += length;
  }

  /** How many bytes have not left. */
  get left(): number {
    return this.length - this.taken;
  }

  /** Moves the next `length` bytes, which must be left, to `target` at `start`. */
  moveTo(target: Uint8Array, start: number, length: number): void {
    let at = start;
    for (let missing = length; missing > 0; ) {
      const piece = this.#pieces[this.#piece]!;
      const count = Math.min(missing, piece.length - this.#offset);
      target.set(count === piece.length ? piece : piece.subarray(this.#offset, this.#offset + count), at);
      at += count;
      missing -= count;
      this.#offset += count;
      if (this.#offset === piece.length) this.#next();
    }
    this.taken += length;
  }

  /** Adds a copy of the bytes. */
  append(bytes: Uint8Array): void {
    this.length += bytes.length;
    const last = this.#pieces.length - 1;
    const used = this.#block === undefined ? 0 : this.#pieces[last]!.length;
    if (this.#block !== undefined && used + bytes.length <= this.#block.length) {
      this.#block.set(bytes, used);
      this.#pieces[last] = this.#block.subarray(0, used + bytes.length);
      return;
    }
    this.#block = Buffer.allocUnsafeSlow(Math.max(BLOCK_BYTES, bytes.length));
    this.#block.set(bytes);
    this.#pieces.push(this.#block.subarray(0, bytes.length));
  }

  /** The piece has left: its memory is not needed any more. */
  #next(): void {
    this.#pieces[this.#piece] = NOTHING;
    // A last piece that has left is not added to.
    if (this.#piece === this.#pieces.length - 1) this.#block = undefined;
    this.#piece += 1;
    this.#offset = 0;
  }
}

const NOTHING = new Uint8Array(0);
