/**
 * What every case of the contract suite stands on: a driver between guards. The guards check, in each case, what the contract says of
 * all cases: no event inside a call, no event out of order, each connection closed once, and nothing left behind.
 */
import assert from "node:assert/strict";
import { CONNECTIONS_MAX } from "../../src/constants.js";
import type {
  Driver,
  DriverEvents,
  DriverOptions,
  DriverWake,
  Operations,
  ReleaseDone,
} from "../../src/driver/contract.js";
import type { DriverUnderTest } from "../support/drivers.js";
import { Peer } from "../support/peer.js";
import { Signal, within } from "../support/signal.js";

/** What a case wants to do at an event, besides the bookkeeping. */
export type Handlers = {
  -readonly [Name in keyof DriverEvents]?: (...args: Parameters<DriverEvents[Name]>) => unknown;
};

export interface RigOptions {
  readonly connectionsMax?: number;
  readonly writePoolBytes?: number;
  readonly receiveSlabBytes?: number;
  readonly wake?: DriverWake;
}

/** One life of a connection as its events told it. */
export interface Life {
  readonly slot: number;
  readonly generation: number;
  /** `accepted`, `connected`, `received`, `ended`, `drained`, `closed`, in order; successive `received` count once. */
  readonly events: string[];
  readonly received: Buffer[];
  receivedBytes: number;
  wasPaused: boolean;
  isClosed: boolean;
  /** What `closed` said. */
  errno: number | undefined;
}

const DEFAULTS = { connectionsMax: 64, writePoolBytes: 4 * 1024 * 1024, receiveSlabBytes: 1024 * 1024 };

export class Rig {
  readonly driver: Driver;
  readonly signal = new Signal();
  /** Every connection so far, in the order of its first event. */
  readonly lives: Life[] = [];
  readonly stoppedListeners: number[] = [];
  /** A case fills in what it wants to do at an event. */
  readonly handlers: Handlers = {};
  readonly #current = new Map<number, Life>();
  readonly #paused = new Set<number>();
  /** Slots for which only `closed` may follow. */
  readonly #silenced = new Set<number>();
  readonly #violations: string[] = [];
  readonly #peers: Peer[] = [];
  readonly #slab: Uint8Array;
  readonly #receiveBuffersAtStart: number;
  /** Calls to the driver that have not returned. */
  #callDepth = 0;
  #eventDepth = 0;
  #isShutDown = false;
  port = 0;
  listener = -1;

  constructor(under: DriverUnderTest, options: RigOptions) {
    const { connectionsMax, writePoolBytes, receiveSlabBytes } = { ...DEFAULTS, ...options };
    assert.ok(connectionsMax <= CONNECTIONS_MAX);
    this.#slab = new Uint8Array(receiveSlabBytes);
    const driverOptions: DriverOptions = {
      connectionsMax,
      writePoolBytes,
      receiveSlab: { bytes: this.#slab, offset: 0, length: receiveSlabBytes },
      ringEntries: 256,
      spin: { mode: "off", microsMax: 0 },
      loop: "inverted",
      wake: options.wake,
    };
    this.driver = this.#guard(under.create(driverOptions, this.#recorder()));
    this.#receiveBuffersAtStart = this.driver.stats.receiveBuffersNow;
  }

  /** A rig that listens on a free port. */
  static async listening(under: DriverUnderTest, options: RigOptions): Promise<Rig> {
    const rig = new Rig(under, options);
    const { listener, port } = await rig.driver.listen({ host: "127.0.0.1", port: 0, backlog: 511, reusePort: false });
    rig.listener = listener;
    rig.port = port;
    return rig;
  }

  /** A connected peer and the life of its connection. */
  async open(): Promise<{ peer: Peer; life: Life }> {
    const count = this.lives.length;
    const peer = this.start();
    await this.signal.until("a connection to be accepted", () => this.lives.length > count);
    await peer.signal.until("the peer to connect", () => peer.isConnected);
    return { peer, life: this.lives[count]! };
  }

  /** A peer that has begun to connect. */
  start(): Peer {
    const peer = Peer.start(this.port);
    this.#peers.push(peer);
    return peer;
  }

  /** Commits `bytes` in pieces of at most `pieceBytes`, and returns how many the write pool had room for. */
  send(slot: number, bytes: Uint8Array | string, pieceBytes = 65536): number {
    const whole = typeof bytes === "string" ? Buffer.from(bytes, "latin1") : bytes;
    let sent = 0;
    while (sent < whole.length) {
      const length = Math.min(pieceBytes, whole.length - sent);
      const offset = this.driver.reserve(slot, length);
      if (offset === -1) break;
      this.driver.writeBytes.set(whole.subarray(sent, sent + length), offset);
      this.driver.commit(slot, length);
      sent += length;
    }
    return sent;
  }

  closedLife(life: Life): Promise<void> {
    return this.signal.until(`connection ${life.slot} to close`, () => life.isClosed);
  }

  receivedBytes(life: Life, count: number): Promise<void> {
    return this.signal.until(`connection ${life.slot} to receive ${count} bytes`, () => life.receivedBytes >= count);
  }

  hasEvent(life: Life, event: string): Promise<void> {
    return this.signal.until(`event ${event} of connection ${life.slot}`, () => life.events.includes(event));
  }

  /** Ends the peers, waits until every pool is full again, shuts the driver down and reports every broken rule. */
  async finish(): Promise<void> {
    try {
      for (const peer of this.#peers) peer.socket.destroy();
      if (!this.#isShutDown) {
        for (const slot of this.#current.keys()) this.driver.close(slot);
        await this.signal.until(
          "all connections to close",
          () => this.#current.size === 0 && this.driver.stats.connectionsNow === 0,
        );
        this.assertEmpty();
      }
    } finally {
      await this.shutdown();
    }
    assert.deepEqual(this.#violations, []);
  }

  /** Ends everything after a failed case without a check: the case's own error is the one worth reading. */
  async abandon(): Promise<void> {
    for (const peer of this.#peers) peer.socket.destroy();
    await within("the driver to shut down", this.driver.shutdown());
  }

  async shutdown(): Promise<void> {
    this.#isShutDown = true;
    await within("the driver to shut down", this.driver.shutdown());
    this.assertEmpty();
    assert.equal(this.#current.size, 0, "every connection has been closed");
  }

  assertEmpty(): void {
    const { connectionsNow, writeBlocksNow, receiveBuffersNow } = this.driver.stats;
    const { pendingNow } = this.driver.operations;
    const now = { connectionsNow, writeBlocksNow, receiveBuffersNow, pendingNow };
    assert.deepEqual(now, {
      connectionsNow: 0,
      writeBlocksNow: 0,
      receiveBuffersNow: this.#receiveBuffersAtStart,
      pendingNow: 0,
    });
  }

  #recorder(): DriverEvents {
    return {
      accepted: (slot, listener) =>
        this.#event(() => {
          this.#begin(slot, "accepted");
          this.handlers.accepted?.(slot, listener);
        }),
      connected: (slot, errno) =>
        this.#event(() => {
          this.#begin(slot, "connected");
          this.handlers.connected?.(slot, errno);
        }),
      received: (slot, bytes, offset, length) =>
        this.#event(() => {
          this.#receive(slot, bytes, offset, length);
          this.handlers.received?.(slot, bytes, offset, length);
        }),
      ended: (slot) =>
        this.#event(() => {
          if (this.#paused.has(slot)) this.#violations.push(`ended while paused: slot ${slot}`);
          this.#continue(slot, "ended");
          this.handlers.ended?.(slot);
        }),
      drained: (slot) =>
        this.#event(() => {
          this.#continue(slot, "drained");
          this.handlers.drained?.(slot);
        }),
      closed: (slot, errno) => this.#event(() => this.#close(slot, errno)),
      listenerStopped: (listener) =>
        this.#event(() => {
          this.stoppedListeners.push(listener);
          this.handlers.listenerStopped?.(listener);
        }),
      turnEnded: () => this.#event(() => this.handlers.turnEnded?.()),
    };
  }

  #event(run: () => void): void {
    if (this.#callDepth > 0) this.#violations.push("an event was delivered inside a call to the driver");
    if (this.#eventDepth > 0) this.#violations.push("an event was delivered inside another event");
    this.#eventDepth += 1;
    try {
      run();
    } finally {
      this.#eventDepth -= 1;
    }
    this.signal.notify();
  }

  #begin(slot: number, event: string): void {
    const known = this.#current.get(slot);
    if (this.#silenced.has(slot) && known !== undefined)
      this.#violations.push(`${event} after a call to close: slot ${slot}`);
    if (known !== undefined && !(event === "connected" && known.events.length === 0))
      this.#violations.push(`${event} for the live slot ${slot}`);
    const life = known ?? this.track(slot);
    life.events.push(event);
  }

  /** Begins the life of a connection that this side opened: its slot is taken before its first event. */
  track(slot: number): Life {
    const life: Life = {
      slot,
      generation: this.driver.generations[slot]!,
      events: [],
      received: [],
      receivedBytes: 0,
      wasPaused: false,
      isClosed: false,
      errno: undefined,
    };
    this.#current.set(slot, life);
    this.#paused.delete(slot);
    this.#silenced.delete(slot);
    this.lives.push(life);
    return life;
  }

  #receive(slot: number, bytes: Uint8Array, offset: number, length: number): void {
    const life = this.#continue(slot, "received");
    if (life === undefined) return;
    if (this.#paused.has(slot)) this.#violations.push(`received while paused: slot ${slot}`);
    if (life.events.includes("ended")) this.#violations.push(`received after ended: slot ${slot}`);
    if (
      this.driver.name !== "portable" &&
      !life.wasPaused &&
      (bytes !== this.#slab || offset + length > this.#slab.length)
    ) {
      this.#violations.push(`received bytes outside the receive slab: slot ${slot}`);
    }
    if (length <= 0 || offset + length > bytes.length)
      this.#violations.push(`received a range that is not in its bytes: slot ${slot}`);
    life.received.push(Buffer.from(bytes.subarray(offset, offset + length)));
    life.receivedBytes += length;
  }

  #continue(slot: number, event: string): Life | undefined {
    const life = this.#current.get(slot);
    if (life === undefined) {
      this.#violations.push(`${event} for the free slot ${slot}`);
      return undefined;
    }
    if (life.generation !== this.driver.generations[slot])
      this.#violations.push(`${event} with another generation: slot ${slot}`);
    if (event !== "closed" && this.#silenced.has(slot))
      this.#violations.push(`${event} after a call to close: slot ${slot}`);
    if (event === "ended" && life.events.includes("ended")) this.#violations.push(`ended twice: slot ${slot}`);
    if (life.events.at(-1) !== "received" || event !== "received") life.events.push(event);
    return life;
  }

  #close(slot: number, errno: number): void {
    const life = this.#continue(slot, "closed");
    if (errno < 0 || !Number.isInteger(errno)) this.#violations.push(`closed with errno ${errno}: slot ${slot}`);
    this.#current.delete(slot);
    try {
      this.handlers.closed?.(slot, errno);
    } finally {
      if (life !== undefined) {
        life.isClosed = true;
        life.errno = errno;
      }
    }
  }

  /** The driver with every method wrapped, so that an event inside a call is noticed. */
  #guard(driver: Driver): Driver {
    return this.#wrap(driver, {
      operations: this.#wrap<Operations>(driver.operations, {}),
      release: (slot: number, done: ReleaseDone) => {
        const isBegun = driver.release(slot, done);
        if (isBegun) this.#silenced.add(slot);
        return isBegun;
      },
      pause: (slot: number) => {
        const life = this.#current.get(slot);
        if (life !== undefined) life.wasPaused = true;
        this.#paused.add(slot);
        this.#call(() => driver.pause(slot));
      },
      close: (slot: number) => {
        if (this.#current.has(slot)) this.#silenced.add(slot);
        this.#call(() => driver.close(slot));
      },
      closeAfterFlush: (slot: number) => {
        if (this.#current.has(slot)) this.#silenced.add(slot);
        this.#call(() => driver.closeAfterFlush(slot));
      },
      resume: (slot: number) => {
        this.#paused.delete(slot);
        this.#call(() => driver.resume(slot));
      },
    });
  }

  #call<T>(run: () => T): T {
    this.#callDepth += 1;
    try {
      return run();
    } finally {
      this.#callDepth -= 1;
    }
  }

  #wrap<T extends object>(target: T, replacements: Partial<Record<keyof T, unknown>>): T {
    return new Proxy(target, {
      get: (_, key) => {
        const value: unknown = key in replacements ? replacements[key as keyof T] : Reflect.get(target, key, target);
        if (typeof value !== "function" || key in replacements) return value;
        return (...args: unknown[]): unknown => this.#call(() => Reflect.apply(value, target, args));
      },
    });
  }
}

/** Runs `body` with a rig that listens, and checks what the contract says of every case. */
export async function withRig(
  under: DriverUnderTest,
  options: RigOptions,
  body: (rig: Rig) => Promise<void>,
): Promise<void> {
  const rig = await Rig.listening(under, options);
  let isDone = false;
  try {
    await body(rig);
    isDone = true;
  } finally {
    if (isDone) await rig.finish();
    else await rig.abandon();
  }
}

/** Bytes that differ at each position and for each seed, so that a lost, doubled or foreign byte is noticed. */
export function pattern(seed: number, start: number, length: number): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  for (let index = 0; index < length; index++) bytes[index] = patternAt(seed, start + index);
  return bytes;
}

export function patternAt(seed: number, position: number): number {
  return (position * 31 + (position >>> 8) * 7 + seed * 17) & 0xff;
}
