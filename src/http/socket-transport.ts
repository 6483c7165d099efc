/** The connections of a server, as the sockets of another protocol use them. */
import type { Driver } from "../driver/contract.js";
import type { SocketTransport } from "../ws/transport.js";
import type { Log } from "./log.js";
import type { HttpStats } from "./stats.js";

/** What the transport needs of the connections. */
export interface TransportOwner {
  committed(slot: number, count: number): void;
  setUpgradedTimeout(slot: number, ms: number): void;
  wantDrained(slot: number): void;
  remoteAddress(slot: number): string | undefined;
  close(slot: number): void;
  kill(slot: number): void;
}

/** {@link SocketTransport} over the driver of a server. One per server. */
export class ServerTransport implements SocketTransport {
  readonly out: Buffer;
  readonly stats: HttpStats;
  readonly #driver: Driver;
  readonly #owner: TransportOwner;
  readonly #log: Log;

  constructor(driver: Driver, owner: TransportOwner, options: { readonly stats: HttpStats; readonly log: Log }) {
    const { buffer, byteOffset, length } = driver.writeBytes;
    this.out = Buffer.from(buffer, byteOffset, length);
    this.stats = options.stats;
    this.#driver = driver;
    this.#owner = owner;
    this.#log = options.log;
  }

  reserve(slot: number, size: number): number {
    return this.#driver.reserve(slot, size);
  }

  commit(slot: number, length: number): void {
    this.#driver.commit(slot, length);
    // The write timeout looks at what was committed and not taken.
    this.#owner.committed(slot, length);
  }

  abort(slot: number): void {
    this.#driver.abort(slot);
  }

  queuedBytes(slot: number): number {
    return this.#driver.queuedBytes(slot);
  }

  requestDrained(slot: number): void {
    this.#owner.wantDrained(slot);
  }

  pause(slot: number): void {
    this.#driver.pause(slot);
  }

  resume(slot: number): void {
    this.#driver.resume(slot);
  }

  setTimeout(slot: number, ms: number): void {
    this.#owner.setUpgradedTimeout(slot, ms);
  }

  remoteAddress(slot: number): string | undefined {
    return this.#owner.remoteAddress(slot);
  }

  close(slot: number): void {
    this.#owner.close(slot);
  }

  kill(slot: number): void {
    this.#owner.kill(slot);
  }

  report(error: unknown): void {
    this.#log({ level: "error", message: "A WebSocket handler failed", error });
  }
}
