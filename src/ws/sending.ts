/** Frames into the write tier of a connection. */
import { Buffer } from "node:buffer";
import { WRITE_BLOCK_BYTES_MAX } from "../constants.js";
import { headerBytes, OPCODE_TEXT, writeHeader } from "./frame.js";
import { maskedFrame } from "./masking.js";
import type { PublishedFrame } from "./published-frame.js";
import type { SocketTransport } from "./transport.js";

/** What became of a frame: it is queued; there was no room and nothing is queued; a part of it is, and the peer could make nothing of what follows. */
export const FRAME = { queued: 1, noRoom: -1, torn: -2 } as const;
/** One of {@link FRAME}. */
export type FrameOutcome = (typeof FRAME)[keyof typeof FRAME];

/** Text up to this length is tried as ASCII first, by a loop; a call into Node costs more. */
const LOOP_TEXT_MAX = 100;
const NOT_ASCII = 0;

/** Sends a text as one frame. */
export function sendText(transport: SocketTransport, slot: number, text: string): FrameOutcome {
  if (text.length <= LOOP_TEXT_MAX && !transport.isClient) {
    const outcome = sendAscii(transport, slot, text);
    if (outcome !== NOT_ASCII) return outcome;
  }
  return sendFrame(transport, slot, OPCODE_TEXT, Buffer.from(text, "utf8"));
}

/** Short ASCII text, written in place. */
function sendAscii(transport: SocketTransport, slot: number, text: string): FrameOutcome | typeof NOT_ASCII {
  const { length } = text;
  const size = headerBytes(length) + length;
  const offset = transport.reserve(slot, size);
  if (offset < 0) return FRAME.noRoom;
  const { out } = transport;
  const position = writeHeader(out, offset, OPCODE_TEXT, length);
  for (let index = 0; index < length; index++) {
    const unit = text.charCodeAt(index);
    if (unit > 0x7f) {
      transport.abort(slot);
      return NOT_ASCII;
    }
    out[position + index] = unit;
  }
  transport.commit(slot, size);
  return FRAME.queued;
}

/** Sends a payload as one frame. */
export function sendFrame(transport: SocketTransport, slot: number, opcode: number, payload: Uint8Array): FrameOutcome {
  if (transport.isClient) return sendBytes(transport, slot, maskedFrame(opcode, payload), 0);
  const header = headerBytes(payload.length);
  const firstPiece = Math.min(payload.length, WRITE_BLOCK_BYTES_MAX - header);
  const offset = transport.reserve(slot, header + firstPiece);
  if (offset < 0) return FRAME.noRoom;
  const position = writeHeader(transport.out, offset, opcode, payload.length);
  transport.out.set(firstPiece === payload.length ? payload : payload.subarray(0, firstPiece), position);
  transport.commit(slot, header + firstPiece);
  return firstPiece === payload.length ? FRAME.queued : sendBytes(transport, slot, payload, firstPiece);
}

/** Sends a frame that is encoded already. Large ones lie in the write pool once, however many sockets send them. */
export function sendPublished(transport: SocketTransport, slot: number, frame: PublishedFrame): FrameOutcome {
  const pieces = frame.sharedIn(transport);
  if (pieces === undefined) return sendBytes(transport, slot, frame.bytes, 0);
  let sent = 0;
  for (const piece of pieces) {
    // What is left is copied where it cannot be shared.
    if (!transport.commitShared(slot, piece.shared, piece.length)) break;
    sent += piece.length;
  }
  return sent === frame.bytes.length ? FRAME.queued : sendBytes(transport, slot, frame.bytes, sent);
}

/** Copies what is left of a frame into as many blocks as it takes. */
function sendBytes(transport: SocketTransport, slot: number, bytes: Uint8Array, from: number): FrameOutcome {
  for (let sent = from; sent < bytes.length; ) {
    const piece = Math.min(bytes.length - sent, WRITE_BLOCK_BYTES_MAX);
    const at = transport.reserve(slot, piece);
    if (at < 0) return sent === 0 ? FRAME.noRoom : FRAME.torn;
    transport.out.set(piece === bytes.length ? bytes : bytes.subarray(sent, sent + piece), at);
    transport.commit(slot, piece);
    sent += piece;
  }
  return FRAME.queued;
}
