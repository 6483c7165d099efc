import { assert } from "../assert.js";
import { HttpError } from "./http-error.js";

/** Bodies above this many bytes take a place in the pool; smaller ones get a buffer of their own. */
export const LARGE_BODY_BYTES_MIN = 32 * 1024;
/** Places of a shard's pool unless told otherwise. */
export const LARGE_BODY_BLOCKS_DEFAULT = 64;
/** Size of a block unless told otherwise, in bytes. */
export const LARGE_BODY_BLOCK_BYTES_DEFAULT = 1024 * 1024;

assert(LARGE_BODY_BYTES_MIN <= LARGE_BODY_BLOCK_BYTES_DEFAULT, "a block holds more than the bodies that need none");

/** Options of {@link LargeBodyPool}. */
export interface LargeBodyPoolOptions {
  /** How many large bodies can be in memory, unfinished, at once. Default 64. */
  readonly blocks?: number;
  /** Size of a reusable block in bytes, at least 32 KiB. Default 1 MiB. */
  readonly blockBytes?: number;
}

/** A place in the pool: memory for one body that is arriving. */
export interface LargeBody {
  /** At least as long as was asked for. It may hold bytes of an earlier body behind what was written to it. */
  readonly bytes: Uint8Array;
  /** Whether `bytes` returns to the pool when the place is released, and so must not be kept. */
  readonly reusable: boolean;
}

/**
 * Bounds how many request bodies above {@link LARGE_BODY_BYTES_MIN} a shard buffers at once, and keeps memory for them.
 *
 * A body whose bytes the handler will keep (`bytes()`, `arrayBuffer()`) is read straight into memory of exactly its size, which is
 * handed over: what a handler gets stays valid for ever, pins no more than its length and shows nothing of another request. A
 * body that is only decoded (`text()`, `json()`) is read into a block that the next one uses again. Either way it
 * holds one place until it is complete, so at most `blocks` bodies are unfinished. Blocks are allocated when first needed.
 */
export class LargeBodyPool {
  readonly #blocksMax: number;
  readonly #blockBytes: number;
  readonly #free: Uint8Array[] = [];
  #inUse = 0;
  #exhausted = 0;

  /** Throws a RangeError for a count below 1 or a block below 32 KiB. */
  constructor(options: LargeBodyPoolOptions = {}) {
    const { blocks = LARGE_BODY_BLOCKS_DEFAULT, blockBytes = LARGE_BODY_BLOCK_BYTES_DEFAULT } = options;
    if (!Number.isSafeInteger(blocks) || blocks < 1) {
      throw new RangeError(`Cannot create a body pool: blocks is ${blocks}, not a positive integer`);
    }
    if (!Number.isSafeInteger(blockBytes) || blockBytes < LARGE_BODY_BYTES_MIN) {
      throw new RangeError(`Cannot create a body pool: blockBytes is ${blockBytes}, below ${LARGE_BODY_BYTES_MIN}`);
    }
    this.#blocksMax = blocks;
    this.#blockBytes = blockBytes;
  }

  /** Places taken now. */
  get inUse(): number {
    return this.#inUse;
  }

  /** Places in all. */
  get blocksMax(): number {
    return this.#blocksMax;
  }

  /** Blocks that wait for their next use. */
  get freeBlocks(): number {
    return this.#free.length;
  }

  /** How many times a body found every place taken. It only grows. */
  get exhausted(): number {
    return this.#exhausted;
  }

  /**
   * Takes a place with memory for `length` bytes; `keep` when the memory goes to the user.
   * Throws `ERR_RINGLOOM_OVERLOADED` with status 503 when every place is taken.
   */
  acquire(length: number, keep: boolean): LargeBody {
    if (this.#inUse === this.#blocksMax) {
      this.#exhausted++;
      throw new HttpError(
        "ERR_RINGLOOM_OVERLOADED",
        503,
        `Cannot buffer a request body: all ${this.#blocksMax} places for large bodies are taken`,
        { operation: "read body", details: { length } },
      );
    }
    this.#inUse++;
    if (keep || length > this.#blockBytes) return { bytes: allocateUnfilled(length), reusable: false };
    return { bytes: this.#free.pop() ?? allocateUnfilled(this.#blockBytes), reusable: true };
  }

  /** Gives a place back, and its block with it. */
  release(body: LargeBody): void {
    assert(this.#inUse > 0, "a released place was taken");
    this.#inUse--;
    if (!body.reusable) return;
    assert(!this.#free.includes(body.bytes), "a block is released once");
    this.#free.push(body.bytes);
  }
}

/**
 * Memory that is not zeroed first, since every byte that a reader will see is written before. `allocUnsafeSlow` takes it from no shared
 * pool, so its ArrayBuffer holds these bytes alone.
 */
export function allocateUnfilled(length: number): Uint8Array {
  const buffer = Buffer.allocUnsafeSlow(length);
  return new Uint8Array(buffer.buffer, buffer.byteOffset, length);
}
