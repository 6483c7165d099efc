/**
 * Takes masks off in the memory that the server receives into, which is a WebAssembly memory: 16 bytes an instruction where the payload is long enough for the call.
 *
 * The module is this text, assembled (WebAssembly core specification, section 5; `v128` is its SIMD part):
 *
 *     (import "e" "m" (memory 1))
 *     (func (export "u") (param $at i32) (param $end i32) (param $key i32)
 *       while $at <= $end - 64: four times v128.store $at (v128.xor (v128.load $at) (i32x4.splat $key)); $at += 64
 *       while $at <= $end - 4:  i32.store $at (i32.xor (i32.load $at) $key); $at += 4
 *       while $at < $end:       i32.store8 $at (i32.xor (i32.load8_u $at) $key); $key >>>= 8; $at += 1)
 */
import { Buffer } from "node:buffer";
import { rotateKey, unmask } from "./frame.js";

const MODULE = Buffer.from(
  "AGFzbQEAAAABBwFgA39/fwACCAEBZQFtAgABAwIBAAcFAQF1AAAKwgEBvwECAXsBfyAC/REhAyABQcAAayEEAkADQCAAIARKDQEgACAA/QAAACAD/VH9CwAAIAAgAP0AABAgA/1R/QsAECAAIAD9AAAgIAP9Uf0LACAgACAA/QAAMCAD/VH9" +
    "CwAwIABBwABqIQAMAAsLIAFBBGshBAJAA0AgACAESg0BIAAgACgAACACczYAACAAQQRqIQAMAAsLAkADQCAAIAFODQEgACAALQAAIAJzOgAAIAJBCHYhAiAAQQFqIQAMAAsLCw==",
  "base64",
);

/** From this many bytes on the call pays. */
const CALL_BYTES_MIN = 96;

/** Takes the mask off `length` bytes at `position`; `key` and `phase` as for {@link unmask}. */
export type Unmasker = (position: number, length: number, key: number, phase: number) => void;

/** A `WebAssembly.Memory`, which not every program's types know. */
export interface ReceiveMemory {
  readonly buffer: ArrayBuffer;
}

/** The unmasker of one memory. Where there is no SIMD it is the loop of {@link unmask}. */
export function unmaskerOf(memory: ReceiveMemory): Unmasker {
  const view = new DataView(memory.buffer);
  if (!WebAssembly.validate(MODULE))
    return (position, length, key, phase) => unmask(view, position, length, key, phase);
  const instance = new WebAssembly.Instance(new WebAssembly.Module(MODULE), { e: { m: memory as WebAssembly.Memory } });
  const unmaskWide = instance.exports.u as (position: number, end: number, key: number) => void;
  return (position, length, key, phase) => {
    if (length < CALL_BYTES_MIN) unmask(view, position, length, key, phase);
    else unmaskWide(position, position + length, rotateKey(key, phase));
  };
}
