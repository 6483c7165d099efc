/** The payload of a frame, wherever it lies. */
import { Buffer } from "node:buffer";

/** Lent with a view of the memory that it lies in, or the socket's own. */
export interface Payload {
  readonly bytes: Buffer;
  readonly view: DataView | undefined;
  readonly start: number;
  readonly length: number;
}

/** All of `bytes`, which nobody else has. */
export function ownedPayload(bytes: Buffer): Payload {
  return { bytes, view: undefined, start: 0, length: bytes.length };
}

/** The bytes of a payload for good: a copy of what is lent. */
export function kept({ bytes, view, start, length }: Payload): Buffer {
  return view === undefined ? bytes : Buffer.from(bytes.subarray(start, start + length));
}

/** A view of the same memory. */
export function viewOf(bytes: Buffer): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}
