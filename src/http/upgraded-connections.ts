/** The connections of a server that another protocol has taken over, and what their sockets use of the server. */
import type { Driver } from "../driver/contract.js";
import { mayQueue } from "../io/write-share.js";
import { MessagePool } from "../ws/message-pool.js";
import type { SocketTransport, UpgradedConnection } from "../ws/transport.js";
import { type ReceiveMemory, type Unmasker, unmaskerOf } from "../ws/unmasker.js";
import type { Upgrade } from "./exchange.js";
import type { Log } from "./log.js";
import type { HttpStats } from "./stats.js";

/** What the transport needs of the connections. */
export interface UpgradedOwner {
  committed(slot: number, count: number): void;
  setUpgradedTimeout(slot: number, ms: number): void;
  wantDrained(slot: number): void;
  starved(slot: number): void;
  remoteAddress(slot: number): string | undefined;
  close(slot: number): void;
  kill(slot: number): void;
}

/** What they are made of. */
export interface UpgradedOptions {
  readonly stats: HttpStats;
  readonly log: Log;
  /** What `received` lends bytes of. */
  readonly memory: ReceiveMemory;
}

/** All of them, by slot. One per server. */
export class UpgradedConnections implements SocketTransport {
  readonly out: Buffer;
  readonly stats: HttpStats;
  readonly isClient = false;
  readonly unmask: Unmasker;
  readonly messages = new MessagePool();
  readonly #driver: Driver;
  readonly #owner: UpgradedOwner;
  readonly #log: Log;
  readonly #connections: (UpgradedConnection | undefined)[] = [];

  constructor(driver: Driver, owner: UpgradedOwner, options: UpgradedOptions) {
    const { buffer, byteOffset, length } = driver.writeBytes;
    this.out = Buffer.from(buffer, byteOffset, length);
    this.stats = options.stats;
    this.unmask = unmaskerOf(options.memory);
    this.#driver = driver;
    this.#owner = owner;
    this.#log = options.log;
  }

  /** Hands `slot` over. */
  start(slot: number, upgrade: Upgrade): void {
    while (this.#connections.length <= slot) this.#connections.push(undefined);
    const connection = upgrade.start(slot, this);
    this.#connections[slot] = connection;
    connection.opened();
  }

  /** Who has taken `slot` over. */
  at(slot: number): UpgradedConnection | undefined {
    return this.#connections[slot];
  }

  /** Forgets `slot`, whose connection is gone, and tells who had it. */
  closed(slot: number, errno: number): void {
    const connection = this.#connections[slot];
    if (connection === undefined) return;
    this.#connections[slot] = undefined;
    connection.closed(errno);
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

  share(bytes: Uint8Array): number {
    return this.#driver.shareBytes(bytes);
  }

  commitShared(slot: number, shared: number, length: number): boolean {
    if (!this.#driver.commitShared(slot, shared)) return false;
    this.#owner.committed(slot, length);
    return true;
  }

  unshare(shared: number): void {
    this.#driver.unshareBytes(shared);
  }

  queuedBytes(slot: number): number {
    return this.#driver.queuedBytes(slot);
  }

  mayQueue(slot: number, length: number, max: number): boolean {
    return mayQueue(this.#driver, { queued: this.#driver.queuedBytes(slot), length, max });
  }

  requestDrained(slot: number): void {
    this.#owner.wantDrained(slot);
  }

  requestRoom(slot: number): void {
    this.#owner.starved(slot);
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
