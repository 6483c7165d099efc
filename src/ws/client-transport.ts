/** The connection under a client's WebSocket: one of this thread's driver, taken over from the stream that the handshake went over. */
import { AsyncResource } from "node:async_hooks";
import { Buffer } from "node:buffer";
import type { TimedSocket } from "../io/socket-timeouts.js";
import { mayQueue } from "../io/write-share.js";
import type { Connection, ConnectionSink } from "../net/connection.js";
import { MessagePool } from "./message-pool.js";
import { viewOf } from "./payload.js";
import type { SocketTransport, UpgradedConnection } from "./transport.js";
import type { WebSocketStats } from "./web-socket.js";

/** Where the short messages of all clients of a thread are copied to. */
const messages = new MessagePool();
/** What they count together: their bounds for the bytes of all sockets are the thread's. */
const stats: WebSocketStats = {
  webSocketsNow: 0,
  webSocketsOpened: 0,
  webSocketMessagesReceived: 0,
  webSocketMessagesSent: 0,
  webSocketMessagesDropped: 0,
  webSocketViolations: 0,
  webSocketIdleTimeouts: 0,
  webSocketInboundBytesNow: 0,
  webSocketTopicMessagesDropped: 0,
  webSocketSlowConsumers: 0,
  handlerErrors: 0,
};

/** What the clients of this thread count. */
export function clientStats(): WebSocketStats {
  return stats;
}

/** One client's. There is one connection, so slots say nothing. */
export class ClientTransport implements SocketTransport, ConnectionSink, TimedSocket {
  readonly stats = stats;
  readonly messages = messages;
  readonly isClient = true;
  readonly out: Buffer;
  timeout = 0;
  activeAtMs = 0;
  committedBytes = 0;
  readonly #connection: Connection;
  readonly #failed: (error: unknown) => void;
  /** Events come in the context of whoever needed the driver first; handlers run in that of who opened the socket. */
  readonly #context = new AsyncResource("RINGLOOM_WEBSOCKET");
  #socket: UpgradedConnection | undefined;
  #isGone = false;
  /** Views of what was lent last: on most drivers it is always the same memory. */
  #lent: Uint8Array | undefined;
  #bytes: Buffer = NOTHING;
  #view = viewOf(NOTHING);

  constructor(connection: Connection, failed: (error: unknown) => void) {
    this.#connection = connection;
    this.#failed = failed;
    this.out = connection.host.writeBuffer;
  }

  /** From now on what the connection says goes to `socket`; `before` is what was received with the handshake. */
  start(socket: UpgradedConnection, before: Buffer): void {
    const connection = this.#connection;
    const rest = connection.handOver("open a WebSocket", this);
    this.#socket = socket;
    socket.opened();
    for (const bytes of [before, rest]) if (bytes.length > 0) this.received(bytes, 0, bytes.length);
    if (connection.hasPeerEnded) this.ended();
  }

  // --- what the connection says

  received(bytes: Uint8Array, offset: number, length: number): void {
    if (bytes !== this.#lent) {
      this.#lent = bytes;
      this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
      this.#view = viewOf(this.#bytes);
    }
    this.#tell((socket) => socket.received(this.#bytes, this.#view, offset, offset + length));
  }

  ended(): void {
    this.#tell((socket) => socket.ended());
  }

  drained(): void {
    this.#tell((socket) => socket.drained());
  }

  closed(errno: number): void {
    this.#isGone = true;
    this.timeout = 0;
    this.#connection.host.timeouts.forget(this);
    this.#tell((socket) => socket.closed(errno));
  }

  timedOut(): void {
    this.#tell((socket) => socket.timedOut());
  }

  #tell(event: (socket: UpgradedConnection) => void): void {
    if (this.#socket !== undefined) this.#context.runInAsyncScope(event, undefined, this.#socket);
  }

  // --- what the socket asks for

  /** What a server sends has no mask. */
  unmask(): void {}

  reserve(_slot: number, size: number): number {
    const { slot, driver } = this.#connection;
    return slot < 0 || this.#connection.isClosed ? -1 : driver.reserve(slot, size);
  }

  commit(_slot: number, length: number): void {
    this.#connection.driver.commit(this.#connection.slot, length);
    this.committedBytes += length;
  }

  abort(): void {
    this.#connection.driver.abort(this.#connection.slot);
  }

  /** Clients publish nothing. */
  share(): number {
    return -1;
  }

  commitShared(): boolean {
    return false;
  }

  unshare(): void {}

  queuedBytes(): number {
    return this.#connection.queuedBytes;
  }

  mayQueue(_slot: number, length: number, max: number): boolean {
    const { driver, queuedBytes } = this.#connection;
    return mayQueue(driver, { queued: queuedBytes, length, max });
  }

  requestDrained(): void {
    const { slot, driver } = this.#connection;
    if (slot >= 0) driver.requestDrained(slot);
  }

  requestRoom(): void {
    if (!this.#isGone) this.#connection.host.awaitRoom({ proceed: () => this.drained() });
  }

  pause(): void {
    this.#connection.pauseReceiving();
  }

  resume(): void {
    this.#connection.resumeReceiving();
  }

  setTimeout(_slot: number, ms: number): void {
    if (this.#isGone) return;
    this.timeout = ms;
    this.activeAtMs = performance.now();
    if (ms > 0) this.#connection.host.timeouts.watch(this);
  }

  remoteAddress(): string | undefined {
    const { slot, driver, peer } = this.#connection;
    return slot < 0 ? undefined : (driver.peerAddress(slot)?.host ?? peer?.host);
  }

  close(): void {
    this.#connection.close();
  }

  kill(): void {
    this.#connection.destroy();
  }

  report(error: unknown): void {
    this.#failed(error);
  }
}

const NOTHING = Buffer.alloc(0);
