/** Frames as a client sends them: masked with a key that nobody can foresee (RFC 6455, sections 5.3 and 10.3). */
import { Buffer } from "node:buffer";
import { randomFillSync } from "node:crypto";
import { BIT_MASKED, headerBytes, unmask, writeHeader } from "./frame.js";
import { viewOf } from "./payload.js";

/** Random bytes are asked for so many at once: a call for four costs as much. */
const KEYS_BYTES = 4_096;
const KEY_BYTES = 4;

const keys = Buffer.alloc(KEYS_BYTES);
let keysUsed = KEYS_BYTES;

/** The whole frame, in memory of its own. */
export function maskedFrame(first: number, payload: Uint8Array): Buffer {
  const { length } = payload;
  const frame = Buffer.allocUnsafe(headerBytes(length) + KEY_BYTES + length);
  const keyAt = writeHeader(frame, 0, first, length);
  frame[1] = frame[1]! | BIT_MASKED;
  const key = nextKey();
  frame.writeInt32LE(key, keyAt);
  const payloadAt = keyAt + KEY_BYTES;
  frame.set(payload, payloadAt);
  // A mask is put on as it is taken off.
  unmask(viewOf(frame), payloadAt, length, key, 0);
  return frame;
}

function nextKey(): number {
  if (keysUsed === KEYS_BYTES) {
    randomFillSync(keys);
    keysUsed = 0;
  }
  const key = keys.readInt32LE(keysUsed);
  keysUsed += KEY_BYTES;
  return key;
}
