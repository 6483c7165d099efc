/** A cache's value on its way from the shard that has loaded it to those that wait: in the compact form in which it lies in the cache, so that all get the same as who finds it there. */
import { notCloneable } from "../errors.js";
import { Decoder } from "../scheduler/decoder.js";
import { ENCODE_FULL, Encoder, NOT_ENCODABLE } from "../scheduler/encoder.js";

const FIRST_BYTES = 1_024;
const GROWTH = 8;

/** The bytes of a value of any size. Throws `ERR_RINGLOOM_NOT_CLONEABLE`, and what a getter of the value throws. */
export function encodeValue(value: unknown): ArrayBuffer {
  for (let length = FIRST_BYTES; ; length *= GROWTH) {
    const memory = new ArrayBuffer(length);
    const end = new Encoder(memory).encode(value, 0, length);
    if (end === NOT_ENCODABLE) throw notCloneable("sharedCache", "the value is not plain data");
    if (end !== ENCODE_FULL) return memory.slice(0, end);
  }
}

/** The value, made anew by each call. */
export function decodeValue(bytes: ArrayBuffer): unknown {
  return new Decoder(bytes).decode(0, bytes.byteLength);
}
