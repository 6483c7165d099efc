/** The connection under a WebSocket: one that the HTTP server lends, or one that a client has made. */

import type { MessagePool } from "./message-pool.js";
import type { Unmasker } from "./unmasker.js";
import type { WebSocketStats } from "./web-socket.js";

/** What sockets ask of the server's connections. All of it is by slot, and only while that slot is theirs. */
export interface SocketTransport {
  readonly stats: WebSocketStats;
  /** Whether this end is the client: it masks what it sends, and its peer does not. */
  readonly isClient: boolean;
  /** Takes masks off in the memory that `received` lends. */
  readonly unmask: Unmasker;
  /** Where short messages are copied to. */
  readonly messages: MessagePool;
  /** The memory that {@link SocketTransport.reserve} gives room in. */
  readonly out: Buffer;
  /** Offset of room for `size` bytes, at most one write block, or -1. */
  reserve(slot: number, size: number): number;
  commit(slot: number, length: number): void;
  /** Gives up what was reserved. */
  abort(slot: number): void;
  /** The whole driver's: bytes that many sockets send, copied once. See `Driver.shareBytes`. */
  share(bytes: Uint8Array): number;
  commitShared(slot: number, shared: number, length: number): boolean;
  unshare(shared: number): void;
  /** Bytes that the kernel has not taken. */
  queuedBytes(slot: number): number;
  /** Whether the write pool has room for a frame of `length` bytes, and what waits with it is at most `max`. Then its reservations succeed, one behind the other. */
  mayQueue(slot: number, length: number, max: number): boolean;
  /** Asks for one `drained`, when the peer has taken most of what waits. */
  requestDrained(slot: number): void;
  /** Asks for one `drained`, when the write pool may have room. */
  requestRoom(slot: number): void;
  pause(slot: number): void;
  resume(slot: number): void;
  /** When `timedOut` is due unless it is set anew; 0 is never. */
  setTimeout(slot: number, ms: number): void;
  remoteAddress(slot: number): string | undefined;
  /** Sends what is queued and closes. */
  close(slot: number): void;
  /** Closes at once. */
  kill(slot: number): void;
  /** A handler failed: into the log with it. */
  report(error: unknown): void;
}

/** Who has taken a connection over from HTTP. The events come as the driver's contract says, each in no request's context. */
export interface UpgradedConnection {
  /** The first event: the connection is its own now. */
  opened(): void;
  received(bytes: Buffer, view: DataView, start: number, end: number): void;
  /** The peer will send no more. */
  ended(): void;
  /** The answer to `requestDrained` or `requestRoom`. */
  drained(): void;
  /** What was set with `setTimeout` is due. */
  timedOut(): void;
  /** The server stops: say so to the peer. */
  leave(): void;
  /** The connection is gone. */
  closed(errno: number): void;
}
