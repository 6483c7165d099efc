/** A frame on its way to many sockets, which may belong to several servers of one thread. */
import { WRITE_BLOCK_BYTES_MAX } from "../constants.js";
import type { SocketTransport } from "./transport.js";

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

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  /** Its parts in a transport's write pool; undefined when it is to be copied. */
  sharedIn(transport: SocketTransport): readonly SharedPiece[] | undefined {
    if (this.bytes.length < SHARED_BYTES_MIN) return undefined;
    if (this.#transport !== transport) {
      this.release();
      this.#transport = transport;
      this.#pieces = this.#share(transport);
    }
    return this.#pieces;
  }

  /** Nobody is to send it any more. */
  release(): void {
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
