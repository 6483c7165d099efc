/**
 * The values in the cells of a shared channel, in the compact form in which tasks' values travel.
 *
 *     ring | for each cell 64 bytes: [length in bytes] value, if it is small | for each cell: room for a larger value
 *
 * A cell's room belongs to who has claimed the cell, so there is nothing to allocate and nothing to give back, and of a dead thread nothing is left. The kernel backs what was used.
 */
import { notCloneable, RingloomError } from "../errors.js";
import { Decoder } from "../scheduler/decoder.js";
import { ENCODE_FULL, Encoder, NOT_ENCODABLE } from "../scheduler/encoder.js";
import { SharedWords } from "../shared/words.js";

const LINE_BYTES = 64;
const LENGTH_BYTES = 4;
const INLINE_BYTES = LINE_BYTES - LENGTH_BYTES;
const SCRATCH_BYTES = 4_096;
const SCRATCH_GROWTH = 8;

/** Where cells are, and how large. */
export interface CellsShape {
  /** In bytes, a multiple of 64. */
  readonly byteOffset: number;
  readonly cells: number;
  /** The largest value. */
  readonly valueBytesMax: number;
}

/** Bytes that they take. */
export function cellsBytes({ cells, valueBytesMax }: Pick<CellsShape, "cells" | "valueBytesMax">): number {
  return cells * (LINE_BYTES + roomBytes(valueBytesMax));
}

/** Where bytes are made before they are copied into a cell. */
interface Scratch {
  readonly bytes: Uint8Array;
  readonly encoder: Encoder;
}

/** One thread's access. */
export class SharedCells {
  readonly #words: SharedWords;
  readonly #bytes: Uint8Array;
  readonly #decoder: Decoder;
  readonly #shape: CellsShape;
  /** For errors. */
  readonly #what: string;
  /** Absent while it is in use: a getter of a value may send something itself. */
  #scratch: Scratch | undefined;

  constructor(memory: SharedArrayBuffer, shape: CellsShape, name: string) {
    this.#words = new SharedWords(memory);
    this.#bytes = new Uint8Array(memory);
    this.#decoder = new Decoder(memory);
    this.#shape = shape;
    this.#what = `the shared channel ${JSON.stringify(name)}`;
  }

  /**
   * The bytes of a value, valid until the next call.
   * @throws RingloomError `ERR_RINGLOOM_NOT_CLONEABLE` for one that the codec does not carry, `ERR_RINGLOOM_UNSUPPORTED` for one that is too large. TypeError for undefined, which is what `tryRecv` gives when there is none. What a getter of it throws.
   */
  encode(value: unknown): Uint8Array {
    if (value === undefined) throw new TypeError(`Cannot send undefined over ${this.#what}: send null, or an object`);
    const { valueBytesMax } = this.#shape;
    let scratch = this.#scratch ?? makeScratch(Math.min(SCRATCH_BYTES, valueBytesMax));
    this.#scratch = undefined;
    try {
      let end = scratch.encoder.encode(value, 0, scratch.bytes.length);
      while (end === ENCODE_FULL && scratch.bytes.length < valueBytesMax) {
        scratch = makeScratch(Math.min(scratch.bytes.length * SCRATCH_GROWTH, valueBytesMax));
        end = scratch.encoder.encode(value, 0, scratch.bytes.length);
      }
      if (end === NOT_ENCODABLE) throw notCloneable("sharedChannel", `the value for ${this.#what} is not plain data`);
      if (end === ENCODE_FULL) throw this.#tooLarge();
      return scratch.bytes.subarray(0, end);
    } finally {
      this.#scratch = scratch;
    }
  }

  /** Writes the bytes of a value into a cell that this thread has claimed. */
  write(cell: number, bytes: Uint8Array): void {
    const line = this.#lineOf(cell);
    this.#words.write(line / LENGTH_BYTES, bytes.length);
    this.#bytes.set(bytes, bytes.length <= INLINE_BYTES ? line + LENGTH_BYTES : this.#roomOf(cell));
  }

  /** The value of a cell that this thread has taken. */
  read(cell: number): unknown {
    const line = this.#lineOf(cell);
    const length = this.#words.read(line / LENGTH_BYTES);
    const start = length <= INLINE_BYTES ? line + LENGTH_BYTES : this.#roomOf(cell);
    return this.#decoder.decode(start, start + length);
  }

  #lineOf(cell: number): number {
    return this.#shape.byteOffset + cell * LINE_BYTES;
  }

  #roomOf(cell: number): number {
    const { byteOffset, cells, valueBytesMax } = this.#shape;
    return byteOffset + cells * LINE_BYTES + cell * roomBytes(valueBytesMax);
  }

  #tooLarge(): RingloomError {
    const { valueBytesMax } = this.#shape;
    return new RingloomError(
      "ERR_RINGLOOM_UNSUPPORTED",
      `Cannot send over ${this.#what}: the value is larger than ${valueBytesMax} bytes.`,
      { operation: "send", details: { valueBytesMax } },
    );
  }
}

function makeScratch(byteLength: number): Scratch {
  const bytes = new Uint8Array(byteLength);
  return { bytes, encoder: new Encoder(bytes.buffer) };
}

function roomBytes(valueBytesMax: number): number {
  return valueBytesMax <= INLINE_BYTES ? 0 : Math.ceil(valueBytesMax / LINE_BYTES) * LINE_BYTES;
}
