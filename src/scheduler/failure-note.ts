/**
 * Why the threads of a scheduler do not start, for whoever spawns a task in vain: a text in shared memory. The supervisor writes it, before it says that a place is nobody's any more (`places.ts`); the others read it after they have seen that.
 *
 *     word 0: length of the text in bytes     then the text, UTF-8, cut where there is no more room
 */
const NOTE_BYTES = 4_096;
const LENGTH = 0;

/** Memory for a note. */
export function createFailureNote(): SharedArrayBuffer {
  return new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT + NOTE_BYTES);
}

/** Replaces the note. */
export function writeFailureNote(note: SharedArrayBuffer, text: string): void {
  const bytes = Buffer.from(text).subarray(0, NOTE_BYTES);
  new Uint8Array(note, Int32Array.BYTES_PER_ELEMENT).set(bytes);
  Atomics.store(new Int32Array(note, 0, 1), LENGTH, bytes.length);
}

/** The note, empty when there is none. */
export function readFailureNote(note: SharedArrayBuffer): string {
  const length = Atomics.load(new Int32Array(note, 0, 1), LENGTH);
  // A copy, because text decoders refuse shared memory.
  return Buffer.from(new Uint8Array(note, Int32Array.BYTES_PER_ELEMENT, length)).toString();
}
