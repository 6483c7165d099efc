/** A frame that arrives in pieces. A socket has one only while it is inside a frame. */
import { Buffer } from "node:buffer";
import { BITS_LENGTH, HEADER_BYTES_MAX, LENGTH_16 } from "./frame.js";
import type { Unmasker } from "./unmasker.js";

/** Up to here a payload gets its room at once, of which the system backs what is written. From there it grows with what arrives, not with what was announced. */
const PAYLOAD_BYTES_FIRST = 64 * 1024;

/** Bytes of the header that begins with these two, without the masking key. */
export function lengthEnd(second: number): number {
  const length = second & BITS_LENGTH;
  return length < LENGTH_16 ? 2 : length === LENGTH_16 ? 4 : 10;
}

/**
 * Payload bytes that a header announces, the header's length being there: -1 where it is written in more bytes than it needs, or has the bit that must be 0
 * (RFC 6455, section 5.2).
 */
export function announcedBytes(bytes: Buffer, at: number): number {
  const length = bytes[at + 1]! & BITS_LENGTH;
  if (length < LENGTH_16) return length;
  if (length === LENGTH_16) {
    const value = bytes.readUInt16BE(at + 2);
    return value < LENGTH_16 ? -1 : value;
  }
  const high = bytes.readUInt32BE(at + 2);
  const value = high * 0x1_0000_0000 + bytes.readUInt32BE(at + 6);
  return high >= 0x8000_0000 || value < 0x1_0000 ? -1 : value;
}

/** Where the header of a frame is put together, and then its payload. */
export class PartialFrame {
  /** FIN, reserved bits and opcode. */
  first = 0;
  /** How long the payload will be; -1 until the header is complete. */
  length = -1;
  /** Bytes of it that are there. */
  filled = 0;
  payload: Buffer = NOTHING;
  #key = 0;
  #header: Buffer | undefined;
  #headerUsed = 0;

  /** Keeps bytes of a header that is not complete. */
  keepHeader(bytes: Buffer, start: number, end: number): void {
    this.#header ??= Buffer.alloc(HEADER_BYTES_MAX);
    bytes.copy(this.#header, this.#headerUsed, start, end);
    this.#headerUsed += end - start;
  }

  /**
   * Goes on with the header. Returns the bytes, joined with what was kept, that a header may be read from, and how many of them were kept: the caller reads
   * it there and goes on in its own bytes.
   */
  joined(bytes: Buffer, start: number, end: number): { readonly header: Buffer; readonly kept: number } {
    const kept = this.#headerUsed;
    const more = Math.min(HEADER_BYTES_MAX, end - start);
    const header = Buffer.alloc(kept + more);
    this.#header?.copy(header, 0, 0, kept);
    bytes.copy(header, kept, start, start + more);
    return { header, kept };
  }

  /** The header is complete. */
  begin(first: number, length: number, key: number): void {
    this.#header = undefined;
    this.first = first;
    this.length = length;
    this.#key = key;
  }

  /** Takes payload bytes, without their mask, which is taken off where they lie. Returns the position behind those that belong to this frame. */
  fill(bytes: Buffer, start: number, end: number, unmask: Unmasker): number {
    const count = Math.min(this.length - this.filled, end - start);
    if (this.filled + count > this.payload.length) this.#grow(this.filled + count);
    unmask(start, count, this.#key, this.filled);
    bytes.copy(this.payload, this.filled, start, start + count);
    this.filled += count;
    return start + count;
  }

  get isComplete(): boolean {
    return this.filled === this.length;
  }

  #grow(needed: number): void {
    const size = Math.min(this.length, Math.max(needed, this.payload.length * 2, PAYLOAD_BYTES_FIRST));
    const larger = Buffer.allocUnsafeSlow(size);
    this.payload.copy(larger, 0, 0, this.filled);
    this.payload = larger;
  }
}

const NOTHING = Buffer.alloc(0);
