/** The listening side of a driver as streams: every accepted connection becomes a {@link DriverSocket}. */
import { assert } from "../assert.js";
import type { Driver, DriverEvents } from "../driver/contract.js";
import { RingloomError } from "../errors.js";
import { DriverSocket, type SocketAddress, type SocketOwner } from "./driver-socket.js";
import { ReceiveCopies } from "./receive-copies.js";
import { type Deadline, SocketTimeouts } from "./socket-timeouts.js";
import { QUEUED_BYTES_MAX, writeShare } from "./write-share.js";
import { WriteTimeouts } from "./write-timeouts.js";

/** How long a write waits for room in the write pool when no turn of the driver comes before, in milliseconds. */
const STARVED_RETRY_MS = 5;

/** Who uses the sockets. */
export interface DriverSocketsOptions {
  readonly allowHalfOpen: boolean;
  /** A peer that takes none of the bytes that wait for it is cut after so long, in milliseconds. 0 is never. */
  readonly writeTimeoutMs: number;
  /** A connection was accepted. Runs in that connection's own async context. */
  readonly connection: (socket: DriverSocket) => void;
  /** A connection is gone; `errno` is 0 after an orderly close. */
  readonly closed: (errno: number) => void;
  /** A listener accepts no more. */
  readonly listenerStopped: (listener: number) => void;
}

/** All connections of one driver. It is the driver's listener. */
export class DriverSockets implements DriverEvents, SocketOwner {
  readonly timeouts = new SocketTimeouts();
  /** By listener: where it listens. */
  readonly addresses = new Map<number, SocketAddress>();
  /** Connections that are not gone, those whose streams are destroyed included. */
  count = 0;
  /** Connections that were cut because their peers took nothing. */
  writeTimeouts = 0;
  readonly #options: DriverSocketsOptions;
  readonly #copies = new ReceiveCopies();
  /** By slot. */
  readonly #sockets: (DriverSocket | undefined)[] = [];
  #starved = new Set<DriverSocket>();
  #retry: Deadline | undefined;
  readonly #writeTimeouts: WriteTimeouts<DriverSocket>;
  #driver: Driver | undefined;
  #writeBuffer: Buffer = Buffer.alloc(0);

  constructor(options: DriverSocketsOptions) {
    this.#options = options;
    this.#writeTimeouts = new WriteTimeouts({
      timeoutMs: options.writeTimeoutMs,
      sockets: () => this.live(),
      cut: (socket) => this.#cutStalled(socket),
    });
  }

  /** Connects the driver, which is made after this object because it needs its events. */
  attach(driver: Driver): void {
    this.#driver = driver;
    const { buffer, byteOffset, byteLength } = driver.writeBytes;
    this.#writeBuffer = Buffer.from(buffer, byteOffset, byteLength);
  }

  get driver(): Driver {
    assert(this.#driver !== undefined, "the driver is attached before it delivers events");
    return this.#driver;
  }

  get writeBuffer(): Buffer {
    return this.#writeBuffer;
  }

  get queuedBytesMax(): number {
    return writeShare(this.driver, QUEUED_BYTES_MAX);
  }

  /** The sockets whose connections are not gone. */
  *live(): Generator<DriverSocket> {
    for (const socket of this.#sockets) if (socket !== undefined) yield socket;
  }

  starved(socket: DriverSocket): void {
    this.#starved.add(socket);
    // Room that another connection gives back need not cause a turn.
    this.#retry ??= this.timeouts.after(STARVED_RETRY_MS, () => {
      this.#retry = undefined;
      this.#feedStarved();
    });
  }

  /** Stops every timer, for good: the driver has let go of all connections. */
  stop(): void {
    this.timeouts.stop();
    this.#writeTimeouts.stop();
  }

  /** Closes every connection at once. Returns how many there were. */
  closeAll(): number {
    let count = 0;
    for (let slot = 0; slot < this.#sockets.length; slot++) {
      const socket = this.#sockets[slot];
      if (socket === undefined) continue;
      count += 1;
      // A socket that was destroyed before may still be sending; its slot is closed all the same.
      socket.within(() => socket.destroy());
      this.driver.close(slot);
    }
    return count;
  }

  accepted(slot: number, listener: number): void {
    const { allowHalfOpen, connection } = this.#options;
    const local = this.addresses.get(listener) ?? { host: "", port: 0 };
    const socket = new DriverSocket(this, { slot, local, allowHalfOpen });
    while (this.#sockets.length <= slot) this.#sockets.push(undefined);
    this.#sockets[slot] = socket;
    this.count += 1;
    this.#writeTimeouts.start();
    socket.within(() => connection(socket));
  }

  connected(_slot: number, _errno: number): void {
    assert(false, "these sockets are only accepted");
  }

  received(slot: number, bytes: Uint8Array, offset: number, length: number): void {
    this.#sockets[slot]?.deliver(this.#copies.copy(bytes, offset, length));
  }

  ended(slot: number): void {
    this.#sockets[slot]?.deliverEnd();
  }

  drained(slot: number): void {
    this.#sockets[slot]?.continueWriting();
  }

  closed(slot: number, errno: number): void {
    const socket = this.#sockets[slot];
    this.#sockets[slot] = undefined;
    this.count -= 1;
    socket?.deliverClosed(errno);
    this.#options.closed(errno);
  }

  listenerStopped(listener: number): void {
    this.#options.listenerStopped(listener);
  }

  turnEnded(): void {
    if (this.#starved.size > 0) this.#feedStarved();
  }

  #feedStarved(): void {
    const starved = this.#starved;
    this.#starved = new Set();
    for (const socket of starved) socket.continueWriting();
  }

  #cutStalled(socket: DriverSocket): void {
    const { writeTimeoutMs } = this.#options;
    this.writeTimeouts += 1;
    socket.cut(
      new RingloomError(
        "ETIMEDOUT",
        `Cannot write: the peer has taken none of the ${socket.queuedBytes} bytes that wait for it in ${writeTimeoutMs} ms`,
        { operation: "write", details: { queuedBytes: socket.queuedBytes, writeTimeoutMs } },
      ),
    );
  }
}
