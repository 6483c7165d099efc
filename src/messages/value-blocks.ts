/**
 * Values of messages, in blocks of shared memory: each slot has a region, which its thread alone gives out, and a message names a block of it.
 *
 *     block: [byte length] [the value in the task codec's bytes, or the bytes of `node:v8`'s serialiser]
 *
 * A block is published with its message and is its sender's again when the lane's head has passed that message, so nobody gives blocks back, and the death of a thread leaves nothing to mend:
 * the next thread of a slot finds in its lanes which blocks are still to be read.
 */
import { MESSAGE_BYTES_MAX } from "../constants.js";
import { notCloneable, RingloomError } from "../errors.js";
import { CLONE_SHARED, cloneFromBytes, cloneToBytes } from "../scheduler/clone.js";
import { Decoder } from "../scheduler/decoder.js";
import { ENCODE_FULL, Encoder, NOT_ENCODABLE } from "../scheduler/encoder.js";
import { BlockPool } from "../shared/block-pool.js";
import type { MessageSpace } from "../shared/message-space.js";
import { VALUE_CHUNK_UNITS, VALUE_UNIT_WORDS } from "./message-memory.js";

const WORD_BYTES = Int32Array.BYTES_PER_ELEMENT;
const UNIT_BYTES = VALUE_UNIT_WORDS * WORD_BYTES;
const HEADER_BYTES = WORD_BYTES;

/** How a message's second word is to be read. */
export const VALUE_FORM = { number: 0, encoded: 1, cloned: 2, nothing: 3 } as const;
/** One of {@link VALUE_FORM}. */
export type ValueForm = (typeof VALUE_FORM)[keyof typeof VALUE_FORM];

/** Whether a value of that form lies in a block. */
export function isInBlock(form: number): boolean {
  return form === VALUE_FORM.encoded || form === VALUE_FORM.cloned;
}

/** The answer of {@link ValueBlocks.take} when there is no room. */
export const NO_BLOCK = -1;

/** A value as bytes, valid until the next one is encoded. */
export interface EncodedValue {
  readonly form: ValueForm;
  readonly bytes: Uint8Array;
}

/** The blocks of the own slot. */
export class ValueBlocks {
  readonly #bytes: Uint8Array;
  readonly #words: MessageSpace["words"];
  readonly #firstWord: number;
  readonly #pool: BlockPool;
  readonly #scratch = new Uint8Array(MESSAGE_BYTES_MAX);
  readonly #encoder = new Encoder(this.#scratch.buffer);
  #isEncoding = false;

  /** @param memory what `space` lies in */
  constructor(space: MessageSpace, memory: SharedArrayBuffer, slot: number) {
    this.#bytes = new Uint8Array(memory);
    this.#words = space.words;
    this.#firstWord = space.valuesOf(slot);
    this.#pool = new BlockPool(space.shape.valueWords / (VALUE_CHUNK_UNITS * VALUE_UNIT_WORDS), VALUE_CHUNK_UNITS);
  }

  /** Blocks that wait to be read. */
  get count(): number {
    return this.#pool.takenCount;
  }

  /** A former thread of the slot has sent this block, and it is not read yet. Only before the first {@link take}. */
  markTaken(unit: number): void {
    this.#pool.markTaken(unit);
  }

  /** Turns a value into bytes. Throws `ERR_RINGLOOM_NOT_CLONEABLE`, `ERR_RINGLOOM_UNSUPPORTED` when it is too large, or what a getter of it throws. */
  encode(value: unknown): EncodedValue {
    const end = this.#isEncoding ? NOT_ENCODABLE : this.#encode(value);
    if (end > 0) return { form: VALUE_FORM.encoded, bytes: this.#scratch.subarray(0, end) };
    if (end === ENCODE_FULL) throw tooLarge();
    const bytes = clone(value);
    if (bytes.length > MESSAGE_BYTES_MAX - HEADER_BYTES) throw tooLarge();
    return { form: VALUE_FORM.cloned, bytes };
  }

  /** A getter of the value may send a message: that one finds the encoder busy, and is cloned. */
  #encode(value: unknown): number {
    this.#isEncoding = true;
    try {
      return this.#encoder.encode(value, 0, MESSAGE_BYTES_MAX - HEADER_BYTES);
    } finally {
      this.#isEncoding = false;
    }
  }

  /** Puts bytes into a block and gives its unit, or {@link NO_BLOCK}. */
  take(bytes: Uint8Array): number {
    const units = Math.ceil((HEADER_BYTES + bytes.length) / UNIT_BYTES);
    const unit = this.#pool.take(this.#pool.classFor(units));
    if (unit < 0) return NO_BLOCK;
    const word = this.#firstWord + unit * VALUE_UNIT_WORDS;
    this.#words.write(word, bytes.length);
    this.#bytes.set(bytes, word * WORD_BYTES + HEADER_BYTES);
    return unit;
  }

  putBack(unit: number): void {
    this.#pool.putBack(unit);
  }
}

/** Reads the blocks of all slots. */
export class ValueReader {
  readonly #space: MessageSpace;
  readonly #bytes: Uint8Array;
  readonly #decoder: Decoder;

  constructor(space: MessageSpace, memory: SharedArrayBuffer) {
    this.#space = space;
    this.#bytes = new Uint8Array(memory);
    this.#decoder = new Decoder(memory);
  }

  /** The value of a message that came from `slot` and is not released yet. Throws `ERR_RINGLOOM_BAD_ENCODING` when it is damaged. */
  read(slot: number, form: number, second: number): unknown {
    if (form === VALUE_FORM.number) return second >>> 0;
    if (form === VALUE_FORM.nothing) return undefined;
    const word = this.#space.valuesOf(slot) + second * VALUE_UNIT_WORDS;
    const start = word * WORD_BYTES + HEADER_BYTES;
    const end = start + this.#space.words.read(word);
    // What the serialiser reads must not change or go away below it, so it gets a copy.
    return form === VALUE_FORM.encoded
      ? this.#decoder.decode(start, end)
      : cloneFromBytes(Uint8Array.from(this.#bytes.subarray(start, end)));
  }
}

/** Shared memory is refused: a copy of it would be a surprise, and only a port carries it by reference. */
function clone(value: unknown): Uint8Array {
  const bytes = cloneToBytes(value, "send");
  if (bytes !== CLONE_SHARED) return bytes;
  throw notCloneable(
    "send",
    "it holds shared memory, which messages do not carry: hand that over with once(), invokeOnShard() or a task.",
  );
}

function tooLarge(): RingloomError {
  return new RingloomError(
    "ERR_RINGLOOM_UNSUPPORTED",
    `Cannot send: the value of a message takes at most about ${MESSAGE_BYTES_MAX} bytes.`,
    { operation: "send", details: { bytesMax: MESSAGE_BYTES_MAX } },
  );
}
