/** Buffers of the caller that a batch of messages is received into, one each. */

/** The first of them. Throws a TypeError or RangeError. */
export function checkBuffers(buffers: readonly Uint8Array[]): Uint8Array {
  const isMemory = Array.isArray(buffers) && buffers.every((buffer) => buffer instanceof Uint8Array);
  if (!isMemory) throw new TypeError("Cannot receive: an array of Uint8Arrays is needed");
  const [first] = buffers;
  if (first === undefined || buffers.some((buffer) => buffer.length === 0))
    throw new RangeError("Cannot receive: each buffer needs room, and there must be one");
  return first;
}
