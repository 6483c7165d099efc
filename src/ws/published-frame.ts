/** A frame on its way to many sockets, which may belong to several servers of one thread. */
import { Buffer } from "node:buffer";
import { WRITE_BLOCK_BYTES_MAX } from "../constants.js";
import { DEFLATE_NOW_BYTES_MAX, type DeflateParameters, deflateLater, deflateNow } from "./deflate.js";
import { BIT_DEFLATED, BITS_OPCODE, headerBytes, writeHeader } from "./frame.js";
import { lengthEnd } from "./partial-frame.js";
import type { SocketTransport } from "./transport.js";
import { runZlibJob } from "./zlib-jobs.js";

/**
 * From this size on a frame is shared and not copied. Below it a copy costs less than a send of its own: what is copied leaves together with whatever else goes to that socket in the same turn.
 */
const SHARED_BYTES_MIN = 4_096;

/** A part of a frame in a transport's write pool. */
export interface SharedPiece {
  readonly shared: number;
  readonly length: number;
}

/** One published message, as it travels. */
export class PublishedFrame {
  readonly bytes: Uint8Array;
  #transport: SocketTransport | undefined;
  /** Undefined where nothing is shared. */
  #pieces: SharedPiece[] | undefined;
  #kept: Buffer | undefined;
  /** Compressed for windows of each size, by the first socket that has it; undefined where that is no smaller. */
  #deflated: Map<number, PublishedFrame | undefined> | undefined;
  #deflatedLater: Map<number, Promise<Buffer | undefined>> | undefined;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  /** Its parts in a transport's write pool; undefined when it is to be copied. */
  sharedIn(transport: SocketTransport): readonly SharedPiece[] | undefined {
    if (this.bytes.length < SHARED_BYTES_MIN) return undefined;
    if (this.#transport !== transport) {
      this.#releasePieces();
      this.#transport = transport;
      this.#pieces = this.#share(transport);
    }
    return this.#pieces;
  }

  get opcode(): number {
    return this.bytes[0]! & BITS_OPCODE;
  }

  /** The message. */
  get payload(): Uint8Array {
    return this.bytes.subarray(lengthEnd(this.bytes[1]!));
  }

  /** A copy of it that stays, one for all who need it. */
  keptPayload(): Buffer {
    this.#kept ??= Buffer.from(this.payload);
    return this.#kept;
  }

  /** The frame compressed, once for all sockets with such a window; undefined where that is no smaller. It refers to no other message. */
  deflatedNow(parameters: DeflateParameters): PublishedFrame | undefined {
    const deflated = (this.#deflated ??= new Map());
    const key = keyOf(parameters);
    if (deflated.has(key)) return deflated.get(key);
    const { payload } = this;
    const smaller = deflateNow(payload, parameters);
    const frame =
      smaller.length < payload.length ? new PublishedFrame(frameOf(this.opcode | BIT_DEFLATED, smaller)) : undefined;
    deflated.set(key, frame);
    return frame;
  }

  /** The payload compressed, for messages that take too long to be compressed at once; else as {@link PublishedFrame.deflatedNow}. */
  deflatedLater(parameters: DeflateParameters): Promise<Buffer | undefined> {
    const deflated = (this.#deflatedLater ??= new Map<number, Promise<Buffer | undefined>>());
    const key = keyOf(parameters);
    let payload = deflated.get(key);
    if (payload === undefined) {
      const plain = this.keptPayload();
      payload =
        plain.length > DEFLATE_NOW_BYTES_MAX
          ? runZlibJob(() => deflateLater(plain, parameters))
          : Promise.resolve(deflateNow(plain, parameters));
      deflated.set(key, payload);
    }
    return payload;
  }

  /** Nobody is to send it any more. */
  release(): void {
    for (const frame of this.#deflated?.values() ?? []) frame?.release();
    this.#releasePieces();
  }

  #releasePieces(): void {
    for (const { shared } of this.#pieces ?? []) this.#transport?.unshare(shared);
    this.#pieces = undefined;
  }

  #share(transport: SocketTransport): SharedPiece[] | undefined {
    const pieces: SharedPiece[] = [];
    for (let at = 0; at < this.bytes.length; at += WRITE_BLOCK_BYTES_MAX) {
      const piece = this.bytes.subarray(at, at + WRITE_BLOCK_BYTES_MAX);
      const shared = transport.share(piece);
      if (shared < 0) {
        for (const one of pieces) transport.unshare(one.shared);
        return undefined;
      }
      pieces.push({ shared, length: piece.length });
    }
    return pieces;
  }
}

function keyOf({ windowBits, level }: DeflateParameters): number {
  return windowBits * 16 + level;
}

function frameOf(first: number, payload: Uint8Array): Buffer {
  const header = headerBytes(payload.length);
  const frame = Buffer.allocUnsafe(header + payload.length);
  writeHeader(frame, 0, first, payload.length);
  frame.set(payload, header);
  return frame;
}
