/** Copies of received bytes that their readers may keep. A driver lends its bytes for one event only, and a stream hands them on. */

/** Copies are cut from blocks of this size, because an allocation of its own costs more than the copy. */
const BLOCK_BYTES = 64 * 1024;
/** Longer pieces get memory of their own: they would waste the rest of a block. */
const SHARED_BYTES_MAX = 16 * 1024;

/** Makes copies. One per thread is enough; a block lives as long as its last copy. */
export class ReceiveCopies {
  #block = Buffer.alloc(0);
  #used = 0;

  /** The `length` bytes from `offset` on, in memory that nobody else writes to. */
  copy(bytes: Uint8Array, offset: number, length: number): Buffer {
    if (length > SHARED_BYTES_MAX) {
      const own = Buffer.allocUnsafeSlow(length);
      own.set(bytes.subarray(offset, offset + length));
      return own;
    }
    if (this.#used + length > this.#block.length) {
      this.#block = Buffer.allocUnsafeSlow(BLOCK_BYTES);
      this.#used = 0;
    }
    const start = this.#used;
    this.#used = start + length;
    const copied = this.#block.subarray(start, start + length);
    // `copy` and `set` both end in one memmove; without an intermediate view the former allocates nothing.
    if (Buffer.isBuffer(bytes)) bytes.copy(copied, 0, offset, offset + length);
    else copied.set(bytes.subarray(offset, offset + length));
    return copied;
  }
}
