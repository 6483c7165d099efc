/**
 * Values in slab blocks: what one thread hands to another as a reference of 32 bits.
 *
 *     [byte length] [the value in the task codec's bytes …]
 *
 * The value is encoded in place, into a block of an estimated size; when it does not fit, the block is put back and a larger one tried. What does not go this way, and why, is counted:
 * the caller then sends it over a MessagePort, with a structured clone.
 */

import { RingloomError } from "../errors.js";
import { SLAB_FULL, type Slab } from "../shared/slab.js";
import type { Words } from "../shared/words.js";
import { Decoder } from "./decoder.js";
import { ENCODE_FULL, Encoder } from "./encoder.js";

/** The answer of {@link Cargo.put} when the value cannot go this way; `Cargo.counts` says what for. */
export const CARGO_REFUSED = 0;

const WORD_BYTES = 4;
const HEADER_WORDS = 1;
/** How many elements or keys of each level the estimate looks at; the others are taken to be like these. */
const SAMPLES_MAX = 8;
const ESTIMATE_DEPTH_MAX = 3;
const GROWTH = 4;

/** Why values did not go this way, since the start. */
export interface CargoCounts {
  /** Values that went. */
  encoded: number;
  /** Functions, instances of classes, cycles and so on: only structured clone can tell. */
  notEncodable: number;
  /** More than the largest block holds. */
  tooLarge: number;
  /** The slab had no room. */
  noRoom: number;
}

/** Puts values into the blocks of one thread's slab, and reads those of all. */
export class Cargo {
  readonly counts: CargoCounts = { encoded: 0, notEncodable: 0, tooLarge: 0, noRoom: 0 };
  /** Why the last value was refused, and about how many bytes it needed. */
  readonly refusal: { reason: keyof Omit<CargoCounts, "encoded">; bytes: number } = { reason: "noRoom", bytes: 0 };

  readonly #words: Words;
  readonly #slab: Slab;
  readonly #byteOffset: number;
  readonly #encoder: Encoder;
  readonly #decoder: Decoder;

  /** @param byteOffset Where the words begin in `memory`. */
  constructor(words: Words, slab: Slab, memory: SharedArrayBuffer, byteOffset = 0) {
    this.#words = words;
    this.#slab = slab;
    this.#byteOffset = byteOffset;
    this.#encoder = new Encoder(memory);
    this.#decoder = new Decoder(memory);
  }

  /** Encodes a value into a new block and gives its reference, which is to be lent or dropped; or {@link CARGO_REFUSED}. Throws what a getter of the value throws. */
  put(value: unknown): number {
    let wordCount = HEADER_WORDS + Math.ceil(estimateBytes(value, 0) / WORD_BYTES);
    for (;;) {
      const wordsTried = Math.min(wordCount, this.#slab.blockWordsMax);
      const reference = this.#slab.take(wordsTried);
      if (reference === SLAB_FULL) return this.#refuse("noRoom", wordsTried);
      const byteLength = this.#encodeInto(reference, value);
      if (byteLength > 0) {
        this.#words.write(this.#slab.wordOf(reference), byteLength);
        this.counts.encoded += 1;
        return reference;
      }
      const size = this.#slab.sizeOf(reference);
      this.#slab.drop(reference);
      if (byteLength !== ENCODE_FULL) return this.#refuse("notEncodable", wordsTried);
      if (size >= this.#slab.blockWordsMax) return this.#refuse("tooLarge", wordCount);
      wordCount = size * GROWTH;
    }
  }

  /** The value in a block that this thread may read. Throws `ERR_RINGLOOM_BAD_ENCODING` when it is damaged. */
  read(reference: number): unknown {
    const word = this.#slab.wordOf(reference);
    const byteLength = this.#words.read(word);
    if (byteLength <= 0 || byteLength > this.#slab.blockWordsMax * WORD_BYTES) {
      throw new RingloomError("ERR_RINGLOOM_BAD_ENCODING", `Cannot decode a value: it claims ${byteLength} bytes`, {
        operation: "decode",
        details: { byteLength },
      });
    }
    const start = this.#byteOffset + (word + HEADER_WORDS) * WORD_BYTES;
    return this.#decoder.decode(start, start + byteLength);
  }

  #refuse(reason: keyof Omit<CargoCounts, "encoded">, wordCount: number): typeof CARGO_REFUSED {
    this.counts[reason] += 1;
    this.refusal.reason = reason;
    this.refusal.bytes = wordCount * WORD_BYTES;
    return CARGO_REFUSED;
  }

  /** Bytes written, or the encoder's negative answer. A getter that throws leaves no block behind. */
  #encodeInto(reference: number, value: unknown): number {
    const word = this.#slab.wordOf(reference);
    const start = this.#byteOffset + (word + HEADER_WORDS) * WORD_BYTES;
    const end = this.#byteOffset + (word + this.#slab.sizeOf(reference)) * WORD_BYTES;
    try {
      const behind = this.#encoder.encode(value, start, end);
      return behind < 0 ? behind : behind - start;
    } catch (error) {
      this.#slab.drop(reference);
      throw error;
    }
  }
}

/** About how many bytes a value takes: exact for strings of one-byte units and for binary data near the surface, a guess for the rest, which a second try mends. */
function estimateBytes(value: unknown, depth: number): number {
  if (typeof value === "string") return value.length + 6;
  if (typeof value !== "object" || value === null) return 9;
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return value.byteLength + 6;
  if (depth >= ESTIMATE_DEPTH_MAX) return 64;
  if (!Array.isArray(value)) return 64;
  const samples = Math.min(value.length, SAMPLES_MAX);
  let sum = 0;
  for (let index = 0; index < samples; index++) sum += estimateBytes(value[index], depth + 1);
  return 6 + (samples < value.length ? Math.ceil((sum / samples) * value.length) : sum);
}
