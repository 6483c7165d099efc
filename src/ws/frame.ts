/**
 * The frame of RFC 6455, section 5.2.
 *
 *     ┌───┬───────┬────────┬───┬──────────┬─────────────────────┬───────────────┬─────────┐
 *     │FIN│ RSV1-3│ opcode │ M │ length 7 │ length 16 or 64     │ masking key   │ payload │
 *     └───┴───────┴────────┴───┴──────────┴─────────────────────┴───────────────┴─────────┘
 *       1     3       4      1      7        if 126 or 127         32, if M
 */

/** Goes on with a message. */
export const OPCODE_CONTINUATION = 0;
/** Begins a message of text, or is one. */
export const OPCODE_TEXT = 1;
/** Begins a message of bytes, or is one. */
export const OPCODE_BINARY = 2;
/** Begins or answers the closing handshake. */
export const OPCODE_CLOSE = 8;
/** Asks for a pong. */
export const OPCODE_PING = 9;
/** Answers a ping, or tells that this end lives. */
export const OPCODE_PONG = 10;

/** In the first byte: the last frame of its message. */
export const BIT_FIN = 0x80;
/** In the first byte: of extensions. */
export const BITS_RESERVED = 0x70;
/** Of these: the message is compressed (RFC 7692, section 6). It stands in the first frame of a message alone. */
export const BIT_DEFLATED = 0x40;
/** In the first byte: what the frame is. */
export const BITS_OPCODE = 0x0f;
/** The bit of the opcode that control frames have. */
export const BIT_CONTROL = 0x08;
/** In the second byte: a masking key follows. */
export const BIT_MASKED = 0x80;
/** In the second byte: the length, or what says where it is. */
export const BITS_LENGTH = 0x7f;
/** The length is the next two bytes. */
export const LENGTH_16 = 126;
/** The length is the next eight bytes. */
export const LENGTH_64 = 127;

/** Payload of a control frame, in bytes. */
export const CONTROL_BYTES_MAX = 125;
/** A masked frame's header with a length of 64 bits. */
export const HEADER_BYTES_MAX = 14;

/** Bytes of the header that a server sends before so many bytes of payload. */
export function headerBytes(payloadBytes: number): number {
  return payloadBytes < LENGTH_16 ? 2 : payloadBytes < 0x1_0000 ? 4 : 10;
}

/** Writes the header of an unmasked, final frame; `opcode` may have reserved bits. Returns the position behind it. */
export function writeHeader(out: Buffer, position: number, opcode: number, payloadBytes: number): number {
  out[position] = BIT_FIN | opcode;
  if (payloadBytes < LENGTH_16) {
    out[position + 1] = payloadBytes;
    return position + 2;
  }
  if (payloadBytes < 0x1_0000) {
    out[position + 1] = LENGTH_16;
    out[position + 2] = payloadBytes >>> 8;
    out[position + 3] = payloadBytes & 0xff;
    return position + 4;
  }
  out[position + 1] = LENGTH_64;
  out.writeUInt32BE(Math.floor(payloadBytes / 0x1_0000_0000), position + 2);
  out.writeUInt32BE(payloadBytes % 0x1_0000_0000, position + 6);
  return position + 10;
}

/** The masking key for bytes that come behind `phase` others. */
export function rotateKey(key: number, phase: number): number {
  const turn = (phase & 3) * 8;
  return turn === 0 ? key : (key >>> turn) | (key << (32 - turn));
}

/**
 * Takes the mask off `length` bytes, eight at a time. `key` is the masking key as a little-endian word; `phase` is how many bytes of the payload came before
 * these. `view` is over the same memory as the position counts in.
 */
export function unmask(view: DataView, position: number, length: number, key: number, phase: number): void {
  const word = rotateKey(key, phase);
  const last = position + length;
  let at = position;
  for (; at + 8 <= last; at += 8) {
    view.setInt32(at, view.getInt32(at, true) ^ word, true);
    view.setInt32(at + 4, view.getInt32(at + 4, true) ^ word, true);
  }
  if (at + 4 <= last) {
    view.setInt32(at, view.getInt32(at, true) ^ word, true);
    at += 4;
  }
  for (let shift = 0; at < last; at += 1, shift += 8) view.setUint8(at, view.getUint8(at) ^ ((word >>> shift) & 0xff));
}
