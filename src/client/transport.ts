/** What carries the bytes of one connection of a client: our own socket, or TLS over it. */
import type { Duplex } from "node:stream";
import { WRITE_BLOCK_BYTES_MAX } from "../constants.js";
import { RingloomError } from "../errors.js";
import type { Connection, ConnectionSink } from "../net/connection.js";

/** Who hears what happens on a transport. */
export interface TransportEvents {
  /** The bytes are lent. */
  received(bytes: Uint8Array, offset: number, length: number): void;
  /** The peer will send no more. */
  ended(): void;
  /** There is room again, after a write that returned false. */
  drained(): void;
  /** It is gone; the last event. */
  closed(error: Error | undefined): void;
}

/** A connection that is open. Writes are taken in any case; one that returns false asks to wait for `drained`. Nothing happens after `close` and `destroy`. */
export interface Transport {
  events: TransportEvents;
  /** Latin-1. */
  writeText(text: string): boolean;
  write(bytes: Uint8Array): boolean;
  pause(): void;
  resume(): void;
  /** Whether it keeps the thread alive. */
  hold(isHeld: boolean): void;
  /** Closes in order. */
  close(): void;
  /** Closes at once, and drops what was written. */
  destroy(): void;
}

/** Until the connection of the client is there. */
export const NO_EVENTS: TransportEvents = { received() {}, ended() {}, drained() {}, closed() {} };

/** Bytes as they are. */
export class PlainTransport implements Transport, ConnectionSink {
  events = NO_EVENTS;
  readonly #connection: Connection;

  /** @param connection of which nothing was read. */
  constructor(connection: Connection) {
    this.#connection = connection;
    const early = connection.handOver("send a request", this);
    if (early.length > 0) connection.destroy(spokeFirst());
  }

  writeText(text: string): boolean {
    const { outbound, driver, slot, host, isClosed, queuedBytesMax } = this.#connection;
    if (isClosed) return true;
    const { length } = text;
    const hasRoom = length <= WRITE_BLOCK_BYTES_MAX && length <= queuedBytesMax - driver.queuedBytes(slot);
    const at = outbound.isPending || !hasRoom ? -1 : driver.reserve(slot, length);
    if (at < 0) return this.write(Buffer.from(text, "latin1"));
    host.writeBuffer.latin1Write(text, at, length);
    driver.commit(slot, length);
    outbound.committedBytes += length;
    return true;
  }

  write(bytes: Uint8Array): boolean {
    const { outbound, isClosed } = this.#connection;
    if (isClosed || bytes.length === 0) return true;
    return outbound.keep(bytes, () => {
      if (!outbound.isPending) this.events.drained();
    });
  }

  pause(): void {
    this.#connection.pauseReceiving();
  }

  resume(): void {
    this.#connection.resumeReceiving();
  }

  hold(isHeld: boolean): void {
    holdConnection(this.#connection, isHeld);
  }

  close(): void {
    this.#connection.closeBehindWrites();
  }

  destroy(): void {
    this.#connection.destroy();
  }

  received(bytes: Uint8Array, offset: number, length: number): void {
    this.events.received(bytes, offset, length);
  }

  ended(): void {
    this.events.ended();
  }

  closed(_errno: number, error: Error | undefined): void {
    this.events.closed(error);
  }
}

/** Over a stream of Node's, such as that of TLS, which stands on a connection of ours. */
export class DuplexTransport implements Transport {
  events = NO_EVENTS;
  readonly #stream: Duplex;
  readonly #connection: Connection;
  #error: Error | undefined;
  #isCorked = false;

  constructor(stream: Duplex, connection: Connection) {
    this.#stream = stream;
    this.#connection = connection;
    stream.on("data", (chunk: Buffer) => this.events.received(chunk, 0, chunk.length));
    stream.on("end", () => this.events.ended());
    stream.on("drain", () => this.events.drained());
    stream.on("error", (error: Error) => {
      this.#error = error;
      // TLS that breaks behind its handshake emits the error and stays open.
      stream.destroy();
    });
    stream.on("close", () => this.events.closed(this.#error));
  }

  writeText(text: string): boolean {
    return this.write(Buffer.from(text, "latin1"));
  }

  write(bytes: Uint8Array): boolean {
    if (this.#stream.destroyed || bytes.length === 0) return true;
    this.#cork();
    return this.#stream.write(bytes);
  }

  pause(): void {
    this.#stream.pause();
  }

  resume(): void {
    this.#stream.resume();
  }

  hold(isHeld: boolean): void {
    holdConnection(this.#connection, isHeld);
  }

  close(): void {
    this.#stream.end();
    // The peer need not end its direction; what it still sends is nobody's.
    this.#stream.once("finish", () => this.#stream.destroy());
  }

  destroy(): void {
    this.#stream.destroy();
  }

  /** The pieces of one turn become one record of TLS. */
  #cork(): void {
    if (this.#isCorked) return;
    this.#isCorked = true;
    this.#stream.cork();
    process.nextTick(() => {
      this.#isCorked = false;
      this.#stream.uncork();
    });
  }
}

function holdConnection({ driver, slot }: Connection, isHeld: boolean): void {
  if (slot >= 0) driver.setReferenced(slot, isHeld);
}

function spokeFirst(): RingloomError {
  return new RingloomError("ERR_RINGLOOM_BAD_RESPONSE", "Cannot send a request: the server spoke before it was asked", {
    operation: "request",
  });
}
