/** Lists of buffers that are filled or written in order. */
import { VECTOR_BUFFERS_MAX } from "../constants.js";

/** How many bytes the buffers have together. */
export function totalBytes(buffers: readonly Uint8Array[]): number {
  return buffers.reduce((sum, buffer) => sum + buffer.byteLength, 0);
}

/** What is left of the buffers behind the first `skip` bytes, as much of it as one transfer takes. */
export function restOf(buffers: readonly Uint8Array[], skip: number): Uint8Array[] {
  const rest: Uint8Array[] = [];
  let before = 0;
  for (const buffer of buffers) {
    const end = before + buffer.byteLength;
    if (end > skip) rest.push(skip > before ? buffer.subarray(skip - before) : buffer);
    before = end;
    if (rest.length === VECTOR_BUFFERS_MAX) break;
  }
  return rest;
}
