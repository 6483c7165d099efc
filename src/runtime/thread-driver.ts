/**
 * The driver that a thread's own sockets, files and timers share: one for each thread, made when the first of them needs it, and never before.
 *
 * A server has a driver of its own, because its events go one way only. Here each connection has an owner, and its events go there.
 */
import type { ConnectionOptions } from "node:tls";
import { assert } from "../assert.js";
import { chooseDriver, createDriver } from "../driver/choose.js";
import type { Driver, DriverEvents, DriverName, Listening, TlsTarget } from "../driver/contract.js";
import { RingloomError } from "../errors.js";

/** What happens to one connection, in the order and with the duties that the driver's contract says. */
export interface ConnectionOwner {
  connected(slot: number, errno: number): void;
  received(slot: number, bytes: Uint8Array, offset: number, length: number): void;
  ended(slot: number): void;
  drained(slot: number): void;
  closed(slot: number, errno: number): void;
}

/** What happens at one listener. */
export interface ListenerOwner {
  /** A peer has connected. Returns who owns the connection from now on. */
  accepted(slot: number): ConnectionOwner;
  stopped(): void;
}

/** The sizes of a thread's driver, and which one it is. */
export interface ThreadDriverOptions {
  readonly name: DriverName;
  /** `uv` where a server of the same thread will want to do the waiting. */
  readonly loop: "inverted" | "uv";
  readonly connectionsMax: number;
  readonly writePoolBytes: number;
  /** Of no use to the portable driver, which gets none. */
  readonly receiveSlabBytes: number;
  readonly ringEntries: number;
}

/** 1,000 buffers of 4 KiB: memory that is never received into costs nothing but address space. */
const RECEIVE_SLAB_BYTES = 4 * 1024 * 1024;
const WRITE_POOL_BYTES = 16 * 1024 * 1024;
const CONNECTIONS_MAX = 16_384;
const RING_ENTRIES = 1_024;
const SPIN_MICROS = 25;

let current: ThreadDriver | undefined;
let currentTls: ThreadDriver | undefined;
let settings: Partial<ThreadDriverOptions> = {};

/** Says what the driver of this thread will be, before it is made. Later it is too late: throws `ERR_RINGLOOM_INVALID_OPTION`. */
export function configureThreadDriver(options: Partial<ThreadDriverOptions>): void {
  if (current !== undefined)
    throw new RingloomError(
      "ERR_RINGLOOM_INVALID_OPTION",
      "The driver of this thread exists already: configure it before the first socket, file or timer",
      { operation: "configureThreadDriver", details: { ...options } },
    );
  settings = { ...settings, ...options };
}

/**
 * The driver of this thread.
 * @throws RingloomError `ERR_RINGLOOM_DRIVER_UNAVAILABLE`, or the kernel's code, when it cannot be made.
 */
export function threadDriver(): ThreadDriver {
  current ??= new ThreadDriver(settings);
  return current;
}

/**
 * The driver of this thread's connections that speak TLS, which is Node's: the portable one. Where that serves the thread anyway, it is the same.
 * @throws RingloomError as {@link threadDriver}.
 */
export function tlsThreadDriver(): ThreadDriver {
  if (currentTls === undefined && current?.driver.name === "portable") return current;
  currentTls ??= new ThreadDriver({ ...settings, name: "portable" });
  return currentTls;
}

/** Whether this thread has a driver of its own by now. */
export function hasThreadDriver(): boolean {
  return current !== undefined;
}

/** Closes the driver of this thread, if it has one, and everything that it holds. The next use makes a new one. */
export async function closeThreadDriver(): Promise<void> {
  const closing = [current, currentTls];
  current = undefined;
  currentTls = undefined;
  await Promise.all(closing.map((one) => one?.driver.shutdown()));
}

/** Hands the events of a driver to those who own its connections. */
export class ThreadDriver implements DriverEvents {
  readonly driver: Driver;
  /** By slot. */
  readonly #owners: (ConnectionOwner | undefined)[] = [];
  readonly #listeners = new Map<number, ListenerOwner>();
  readonly #turnEnds: (() => void)[] = [];

  constructor(options: Partial<ThreadDriverOptions> = {}) {
    const name = options.name ?? chooseDriver().name;
    const length = name === "portable" ? 0 : (options.receiveSlabBytes ?? RECEIVE_SLAB_BYTES);
    this.driver = createDriver(
      name,
      {
        connectionsMax: options.connectionsMax ?? CONNECTIONS_MAX,
        writePoolBytes: options.writePoolBytes ?? WRITE_POOL_BYTES,
        receiveSlab: { bytes: new Uint8Array(length), offset: 0, length },
        ringEntries: options.ringEntries ?? RING_ENTRIES,
        spin: { mode: "adaptive", microsMax: SPIN_MICROS },
        loop: options.loop ?? "inverted",
      },
      this,
    );
  }

  /**
   * Starts to connect to an IP address; see `Driver.connect`.
   * @throws RingloomError `ERR_RINGLOOM_OVERLOADED` when every slot is taken.
   */
  connect(host: string, port: number, owner: ConnectionOwner): number {
    return this.#own(this.driver.connect(host, port), owner, "connect");
  }

  /** As {@link connect}, and speaks TLS; see `Driver.connectTls`. Only for the driver that {@link tlsThreadDriver} gives. */
  connectTls(target: TlsTarget, options: ConnectionOptions, owner: ConnectionOwner): number {
    assert(this.driver.connectTls !== undefined, "TLS is spoken by the driver that can");
    return this.#own(this.driver.connectTls(target, options), owner, "connect");
  }

  /** As {@link connect}, to a Unix socket; see `Driver.connectPath`. */
  connectPath(path: string, owner: ConnectionOwner): number {
    return this.#own(this.driver.connectPath(path), owner, "connect");
  }

  /** Makes the driver stop a listener; see `Driver.stopListening`. */
  stopListening(listener: number): void {
    this.driver.stopListening(listener);
  }

  /**
   * Makes a connection of a connected stream socket, whose descriptor is the driver's from now on.
   * @throws RingloomError `ERR_RINGLOOM_OVERLOADED` when every slot is taken; the descriptor then stays the caller's.
   */
  adopt(descriptor: number, owner: ConnectionOwner): number {
    return this.#own(this.driver.adopt(descriptor), owner, "adopt");
  }

  /** Starts to accept; see `Driver.listen`. `owner` hears of each connection. */
  async listen(target: Parameters<Driver["listen"]>[0], owner: ListenerOwner): Promise<Listening> {
    const listening = await this.driver.listen(target);
    this.#listeners.set(listening.listener, owner);
    return listening;
  }

  /** Calls `ended` at the end of each turn, before what was committed leaves. */
  onTurnEnd(ended: () => void): void {
    this.#turnEnds.push(ended);
  }

  accepted(slot: number, listener: number): void {
    const owner = this.#listeners.get(listener);
    if (owner === undefined) return this.driver.close(slot);
    this.#set(slot, undefined);
    try {
      this.#set(slot, owner.accepted(slot));
    } catch (error) {
      this.driver.close(slot);
      throw error;
    }
  }

  connected(slot: number, errno: number): void {
    this.#owners[slot]?.connected(slot, errno);
  }

  received(slot: number, bytes: Uint8Array, offset: number, length: number): void {
    this.#owners[slot]?.received(slot, bytes, offset, length);
  }

  ended(slot: number): void {
    this.#owners[slot]?.ended(slot);
  }

  drained(slot: number): void {
    this.#owners[slot]?.drained(slot);
  }

  closed(slot: number, errno: number): void {
    const owner = this.#owners[slot];
    this.#owners[slot] = undefined;
    owner?.closed(slot, errno);
  }

  listenerStopped(listener: number): void {
    const owner = this.#listeners.get(listener);
    this.#listeners.delete(listener);
    owner?.stopped();
  }

  turnEnded(): void {
    for (const ended of this.#turnEnds) ended();
  }

  #own(slot: number, owner: ConnectionOwner, operation: string): number {
    if (slot < 0)
      throw new RingloomError(
        "ERR_RINGLOOM_OVERLOADED",
        `Cannot ${operation}: the thread has as many connections as it may`,
        {
          operation,
        },
      );
    this.#set(slot, owner);
    return slot;
  }

  #set(slot: number, owner: ConnectionOwner | undefined): void {
    assert(this.#owners[slot] === undefined, "a slot that was free has no owner");
    while (this.#owners.length <= slot) this.#owners.push(undefined);
    this.#owners[slot] = owner;
  }
}
