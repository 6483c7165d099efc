/**
 * A driver without a kernel, for requests without a socket (`app.request`) and for our own tests: connections are two byte queues, and whoever holds the
 * other end decides what arrives, in which pieces and when. It keeps the driver's contract with the real slot table, write pool and outbox, and
 * is stricter than a kernel in one way: what it lent during `received` is overwritten when the event returns, so that whoever
 * kept a reference reads rubbish and fails.
 */
import { constants } from "node:os";
import { setImmediate as nextTurn } from "node:timers/promises";
import { assert } from "../assert.js";
import { RECEIVE_BUFFER_BYTES } from "../constants.js";
import { RingloomError } from "../errors.js";
import type { Driver, DriverEvents, DriverOptions, Listening, Operations } from "./contract.js";
import { newDriverStats } from "./driver-stats.js";
import { Outbox, type OutboxOwner } from "./outbox.js";
import { SlotTable } from "./slots.js";
import { WritePool } from "./write-pool.js";

/** The largest chunk that node:net reads. */
const STREAM_CHUNK_BYTES = 65_536;
/** What lent bytes become after the event. */
const POISON = 0xdb;
const ECONNRESET = constants.errno.ECONNRESET ?? 104;
/** `settle` gives up after so many turns: something then goes round in circles. */
const TURNS_MAX = 10_000;

/** How a {@link MemoryDriver} behaves. */
export interface MemoryDriverTraits {
  /** Deliver through `receiveSlab`, as io_uring does, or as chunks of their own, as node:net does. */
  readonly inSlab: boolean;
  /** Called when there is something to do. Without it somebody calls `turn` or `settle`. */
  readonly wake?: () => void;
}

/** The client's end of a connection in memory. */
export class MemoryPeer {
  readonly slot: number;
  readonly received: Buffer[] = [];
  receivedBytes = 0;
  /** The server half-closed. */
  hasEnd = false;
  /** The connection is gone. */
  isClosed = false;
  /** While false, the server's kernel takes nothing: its bytes stay queued. */
  isReading = true;
  /** Called at the end of each turn in which the connection was alive, and when it is closed. */
  onTurn: (() => void) | undefined;
  readonly #driver: MemoryDriver;

  constructor(driver: MemoryDriver, slot: number) {
    this.#driver = driver;
    this.slot = slot;
  }

  /** Whether the server has taken all that was sent. */
  get isTaken(): boolean {
    return this.#driver.hasTaken(this);
  }

  /** Everything received so far. */
  get bytes(): Buffer {
    return Buffer.concat(this.received);
  }

  /** Puts bytes on the wire. One call is one `received`, unless it exceeds a receive buffer. */
  send(bytes: Uint8Array): void {
    this.#driver.peerSends(this, bytes);
  }

  /** Sends FIN. */
  end(): void {
    this.#driver.peerEnds(this);
  }

  /** Sends RST. */
  reset(): void {
    this.#driver.peerResets(this);
  }

  /** Whether it takes what the server sends. Takes effect in the next turn. */
  setReading(isReading: boolean): void {
    this.isReading = isReading;
    if (isReading) this.#driver.peerReads();
  }
}

interface Connection {
  readonly host: string;
  readonly peer: MemoryPeer;
  /** What has arrived and was not delivered; undefined is the end of the stream. */
  readonly inbound: (Uint8Array | undefined)[];
  isPaused: boolean;
  /** `end` or a close was called: no more reservations. */
  isEnding: boolean;
  /** `close` or `closeAfterFlush` was called: no more events but `closed`. */
  isSilent: boolean;
  /** The peer's FIN has arrived. */
  peerEnded: boolean;
  finSent: boolean;
  sending: { readonly offset: number; readonly length: number } | undefined;
  /** Set when the connection is to be closed in the next turn. */
  closing: number | undefined;
}

/** The driver itself. */
export class MemoryDriver implements Driver, OutboxOwner {
  readonly name = "portable";
  readonly operations = new NoOperations();
  readonly stats = newDriverStats();
  readonly generations: Int32Array;
  readonly writeBytes: Uint8Array;
  readonly #events: DriverEvents;
  readonly #options: DriverOptions;
  readonly #inSlab: boolean;
  readonly #wake: () => void;
  readonly #slots: SlotTable;
  readonly #pool: WritePool;
  readonly #outbox: Outbox;
  readonly #connections = new Map<number, Connection>();
  readonly #accepted: Connection[] = [];
  #isListening = false;
  #stopped = false;
  #inEvent = false;

  constructor(options: DriverOptions, events: DriverEvents, traits: MemoryDriverTraits) {
    this.#options = options;
    this.#events = events;
    this.#inSlab = traits.inSlab;
    this.#wake = traits.wake ?? (() => undefined);
    this.#slots = new SlotTable(options.connectionsMax);
    this.#pool = new WritePool(options.writePoolBytes);
    this.#outbox = new Outbox(this.#pool, options.connectionsMax, this);
    this.generations = this.#slots.generations;
    this.writeBytes = this.#pool.bytes;
  }

  /** A client connects, from `host` if that is told. Returns undefined where no slot is free. */
  open(host = "127.0.0.1"): MemoryPeer | undefined {
    assert(this.#isListening, "a client can connect once the server listens");
    const slot = this.#slots.acquire();
    if (slot < 0) {
      this.stats.rejected += 1;
      return undefined;
    }
    const peer = new MemoryPeer(this, slot);
    const connection: Connection = {
      peer,
      host,
      inbound: [],
      isPaused: false,
      isEnding: false,
      isSilent: false,
      peerEnded: false,
      finSent: false,
      sending: undefined,
      closing: undefined,
    };
    this.#connections.set(slot, connection);
    this.#accepted.push(connection);
    this.#count();
    this.#wake();
    return peer;
  }

  /** Runs one turn and tells whether anything happened in it. */
  turn(): boolean {
    this.stats.turns += 1;
    let isBusy = false;
    for (const connection of this.#accepted.splice(0))
      isBusy = this.#emit(() => this.#events.accepted(connection.peer.slot, 0));
    for (const connection of [...this.#connections.values()]) isBusy = this.#turnOf(connection) || isBusy;
    isBusy ||= this.#outbox.hasDrained;
    this.#outbox.deliverDrained();
    if (this.#stopped) {
      this.#stopped = false;
      isBusy = this.#emit(() => this.#events.listenerStopped(0));
    }
    this.#emit(() => this.#events.turnEnded());
    const isDirty = this.#outbox.hasDirty;
    this.#outbox.flush();
    this.#count();
    for (const { peer } of [...this.#connections.values()]) peer.onTurn?.();
    return isBusy || isDirty;
  }

  /** Runs turns, and lets promises and immediates run between them, until nothing moves any more. */
  async settle(): Promise<void> {
    let quietTurns = 0;
    for (let count = 0; quietTurns < 3; count++) {
      assert(count < TURNS_MAX, "the server comes to rest");
      quietTurns = this.turn() ? 0 : quietTurns + 1;
      if (quietTurns > 0) await nextTurn();
      else await Promise.resolve();
    }
  }

  listen(): Promise<Listening> {
    this.#isListening = true;
    return Promise.resolve({ listener: 0, host: "memory", port: 1 });
  }

  stopListening(): void {
    this.#isListening = false;
    this.#stopped = true;
    this.#wake();
  }

  connect(): number {
    throw unsupported("connect");
  }

  connectPath(): number {
    throw unsupported("connect");
  }

  adopt(): number {
    throw unsupported("adopt");
  }

  reserve(slot: number, size: number): number {
    if (this.#connections.get(slot)?.isEnding !== false) return -1;
    const offset = this.#outbox.reserve(slot, size);
    if (offset < 0) this.stats.writeStarved += 1;
    return offset;
  }

  get writeRoomBytes(): number {
    return this.#pool.roomBytes;
  }

  commit(slot: number, length: number): void {
    if (this.#connections.get(slot)?.isEnding === false) this.#outbox.commit(slot, length);
  }

  abort(slot: number): void {
    if (this.#connections.get(slot)?.isEnding === false) this.#outbox.abort(slot);
  }

  shareBytes(bytes: Uint8Array): number {
    const shared = this.#outbox.share(bytes);
    if (shared < 0) this.stats.writeStarved += 1;
    return shared;
  }

  commitShared(slot: number, shared: number): boolean {
    return this.#connections.get(slot)?.isEnding === false && this.#outbox.commitShared(slot, shared);
  }

  unshareBytes(shared: number): void {
    this.#outbox.unshare(shared);
  }

  queuedBytes(slot: number): number {
    return this.#outbox.queuedBytes(slot);
  }

  requestDrained(slot: number): void {
    if (this.#connections.get(slot)?.isSilent === false) this.#outbox.requestDrained(slot);
  }

  pause(slot: number): void {
    const connection = this.#connections.get(slot);
    if (connection !== undefined) connection.isPaused = true;
  }

  resume(slot: number): void {
    const connection = this.#connections.get(slot);
    if (connection === undefined) return;
    connection.isPaused = false;
    this.#wake();
  }

  end(slot: number): void {
    const connection = this.#connections.get(slot);
    if (connection === undefined) return;
    this.#stopSending(connection);
    this.#wake();
  }

  close(slot: number): void {
    const connection = this.#connections.get(slot);
    if (connection === undefined) return;
    this.#stopSending(connection);
    connection.isSilent = true;
    connection.closing = 0;
    this.#wake();
  }

  closeAfterFlush(slot: number): void {
    const connection = this.#connections.get(slot);
    if (connection === undefined || connection.isSilent) return;
    this.#stopSending(connection);
    connection.isSilent = true;
    this.#wake();
  }

  localAddress(): undefined {}

  /** There are no sockets here. */
  release(): boolean {
    return false;
  }

  setNoDelay(): void {}

  setKeepAlive(): void {}

  setReferenced(): void {}

  peerAddress(slot: number): { host: string; port: number } | undefined {
    const connection = this.#connections.get(slot);
    return connection === undefined ? undefined : { host: connection.host, port: 1000 + slot };
  }

  ref(): void {}

  unref(): void {}

  async shutdown(): Promise<void> {
    this.#isListening = false;
    for (const slot of [...this.#connections.keys()]) this.close(slot);
    await this.settle();
  }

  peerSends(peer: MemoryPeer, bytes: Uint8Array): void {
    const connection = this.#own(peer);
    const room = this.#inSlab ? RECEIVE_BUFFER_BYTES : STREAM_CHUNK_BYTES;
    for (let at = 0; connection !== undefined && at < bytes.length; at += room)
      connection.inbound.push(bytes.slice(at, at + room));
    this.#wake();
  }

  peerEnds(peer: MemoryPeer): void {
    this.#own(peer)?.inbound.push(undefined);
    this.#wake();
  }

  peerResets(peer: MemoryPeer): void {
    const connection = this.#own(peer);
    if (connection === undefined) return;
    connection.closing = ECONNRESET;
    this.#wake();
  }

  /** The peer reads again. */
  peerReads(): void {
    this.#wake();
  }

  hasTaken(peer: MemoryPeer): boolean {
    const connection = this.#own(peer);
    return connection === undefined || connection.inbound.length === 0;
  }

  startSend(slot: number, offset: number, length: number): void {
    const connection = this.#connections.get(slot);
    assert(
      connection !== undefined && connection.sending === undefined,
      "one send at a time, and only for a live connection",
    );
    connection.sending = { offset, length };
  }

  outboxEmptied(): void {}

  outboxDrained(slot: number): void {
    if (this.#connections.get(slot)?.isSilent === false) this.#emit(() => this.#events.drained(slot));
  }

  outboxDirty(): void {
    this.#wake();
  }

  #turnOf(connection: Connection): boolean {
    const { slot } = connection.peer;
    if (connection.closing !== undefined) return this.#finish(connection, connection.closing);
    let isBusy = this.#completeSend(connection);
    if (connection.inbound.length > 0 && (!connection.isPaused || connection.isSilent)) {
      isBusy = true;
      const chunk = connection.inbound.shift();
      if (chunk === undefined) connection.peerEnded = true;
      if (!connection.isSilent) this.#deliver(slot, chunk);
    }
    if (connection.isEnding && !connection.finSent && this.#outbox.queuedBytes(slot) === 0) {
      isBusy = true;
      connection.finSent = true;
      connection.peer.hasEnd = true;
    }
    const isOver = connection.finSent && connection.peerEnded;
    if (isOver && connection.closing === undefined) connection.closing = 0;
    return isBusy || isOver;
  }

  #deliver(slot: number, chunk: Uint8Array | undefined): void {
    if (chunk === undefined) {
      this.#emit(() => this.#events.ended(slot));
      return;
    }
    this.stats.receivedBytes += chunk.length;
    const { receiveSlab } = this.#options;
    const bytes = this.#inSlab ? receiveSlab.bytes : Buffer.from(chunk);
    const offset = this.#inSlab ? receiveSlab.offset : 0;
    if (this.#inSlab) bytes.set(chunk, offset);
    this.#emit(() => this.#events.received(slot, bytes, offset, chunk.length));
    bytes.fill(POISON, offset, offset + chunk.length);
  }

  #completeSend(connection: Connection): boolean {
    const { sending, peer } = connection;
    if (sending === undefined || !peer.isReading) return false;
    connection.sending = undefined;
    peer.received.push(Buffer.from(this.writeBytes.subarray(sending.offset, sending.offset + sending.length)));
    peer.receivedBytes += sending.length;
    this.stats.sentBytes += sending.length;
    this.#outbox.sent(peer.slot, sending.length);
    return true;
  }

  #stopSending(connection: Connection): void {
    if (connection.isEnding) return;
    if (this.#outbox.reservedSlot === connection.peer.slot) this.#outbox.abort(connection.peer.slot);
    connection.isEnding = true;
  }

  #finish(connection: Connection, errno: number): boolean {
    const { slot } = connection.peer;
    connection.peer.isClosed = true;
    connection.isEnding = true;
    this.#outbox.drop(slot);
    this.#emit(() => this.#events.closed(slot, errno));
    this.#connections.delete(slot);
    this.#slots.release(slot);
    connection.peer.onTurn?.();
    return true;
  }

  #emit(event: () => void): true {
    assert(!this.#inEvent, "events run one at a time");
    this.#inEvent = true;
    try {
      event();
    } finally {
      this.#inEvent = false;
    }
    return true;
  }

  #own(peer: MemoryPeer): Connection | undefined {
    const connection = this.#connections.get(peer.slot);
    return connection?.peer === peer ? connection : undefined;
  }

  #count(): void {
    this.stats.connectionsNow = this.#slots.count;
    this.stats.writeBlocksNow = this.#pool.blocksNow;
  }
}

function unsupported(operation: string): RingloomError {
  return new RingloomError(
    "ERR_RINGLOOM_DRIVER_UNAVAILABLE",
    `Cannot ${operation}: this driver has only connections in memory`,
    {
      operation,
    },
  );
}

class NoOperations implements Operations {
  readonly pendingNow = 0;

  nop(): number {
    throw unsupported("run an operation");
  }

  timeout(): number {
    return this.nop();
  }

  readAt(): number {
    return this.nop();
  }

  writeAt(): number {
    return this.nop();
  }

  readVector(): number {
    return this.nop();
  }

  writeVector(): number {
    return this.nop();
  }

  readNow(): number {
    return this.nop();
  }

  fsync(): number {
    return this.nop();
  }

  truncate(): number {
    return this.nop();
  }

  allocate(): number {
    return this.nop();
  }

  closeFile(): number {
    return this.nop();
  }

  path(): number {
    return this.nop();
  }

  stat(): number {
    return this.nop();
  }

  cancel(): void {}
}
