/** Small pieces of a body, copied together while they wait: each by itself takes a hundred times the memory of a byte, and who sends single bytes decides how many there are. */
import { Buffer } from "node:buffer";

const SMALL_BYTES = 1_024;
const BLOCK_BYTES = 16 * 1_024;

/** The pieces of one body. */
export class JoinedPieces {
  #block: Buffer | undefined;
  #used = 0;

  /** The last piece that waits with `piece` behind it, to take its place; undefined where they stay apart. The first small piece stays as it is, because most bodies have only one. */
  join(last: Buffer | undefined, piece: Buffer): Buffer | undefined {
    if (last === undefined || piece.length > SMALL_BYTES) return undefined;
    const block = this.#block;
    const isOfBlock = block !== undefined && last.buffer === block.buffer && last.length === this.#used;
    if (block !== undefined && isOfBlock && this.#used + piece.length <= BLOCK_BYTES) return this.#append(block, piece);
    if (last.length > SMALL_BYTES) return undefined;
    const fresh = Buffer.allocUnsafeSlow(BLOCK_BYTES);
    this.#block = fresh;
    this.#used = last.copy(fresh);
    return this.#append(fresh, piece);
  }

  #append(block: Buffer, piece: Buffer): Buffer {
    this.#used += piece.copy(block, this.#used);
    return block.subarray(0, this.#used);
  }
}
