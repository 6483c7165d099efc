/**
 * What the drivers on sockets of their own, `uring` and `epoll`, have in common: the life of a connection from its slot to `closed`, what a pause holds back, the ends of both sides, and the order of a turn. A driver
 * adds how bytes come and go, and how the kernel lets go of a socket.
 *
 * All state is in typed arrays by slot; the thread of the driver alone touches it. A process has one driver as a rule, so the calls from here into a driver have one target each and cost what a call within it would.
 */
import { errnoError } from "../errors.js";
import { checkNative, type NativeAddon, type NativeAddress } from "../native.js";
import { CONTROL, type LoopSource, PARKING, publishPulse, readWaitTimes, SPIN_MODES, startLoop } from "../ring/loop.js";
import { ECANCELED, SHUT_WR } from "../uapi.js";
import { checkDescriptor, checkListenTarget, closedError } from "./arguments.js";
import {
  ADOPTED,
  CLOSE_AFTER_FLUSH,
  CLOSING,
  CONNECTING,
  END_SENT,
  END_WANTED,
  FINISHING,
  HOLDING,
  LINGERING,
  PAUSED,
  PEER_ENDED,
  RELEASING,
  RESUMING,
  SENDABLE,
} from "./connection-flags.js";
import { ContainedEvents } from "./contained-events.js";
import type {
  Driver,
  DriverEvents,
  DriverName,
  DriverOptions,
  DriverStats,
  DriverWake,
  ListenAddress,
  Listening,
  ListenPath,
  Operations,
  ReleaseDone,
} from "./contract.js";
import { type DeferredOwner, DeferredWork } from "./deferred-work.js";
import { bellWords } from "./doorbell.js";
import { newDriverStats } from "./driver-stats.js";
import { HeldBytes } from "./held-bytes.js";
import { ipAddress } from "./ip-address.js";
import { LingerQueue } from "./linger-queue.js";
import { type Acceptor, Listeners, type ListenersOwner } from "./listeners.js";
import { Outbox, type OutboxOwner } from "./outbox.js";
import { reportError } from "./report-error.js";
import type { SlotTable } from "./slots.js";
import { WakeWatch } from "./wake-watch.js";
import type { WritePool } from "./write-pool.js";

/** No event but `closed` is delivered for a connection of this kind. */
const MUTE = CLOSING | CLOSE_AFTER_FLUSH | RELEASING;

const NO_BYTES = new Uint8Array(0);

/** What a driver is built on. */
export interface SocketDriverParts {
  readonly native: NativeAddon;
  readonly slots: SlotTable;
  readonly pool: WritePool;
  /** What the loop hook waits on, and the words that its records lie in. */
  readonly source: RecordSource;
  /** Whether it sleeps in libuv's place; see {@link mayInvert}. */
  readonly inverted: boolean;
  readonly acceptor: Acceptor;
  /** By slot, then by owned listener: the open descriptor, or -1. The addon closes what it finds here when the thread dies before a shutdown. */
  readonly descriptors: Int32Array;
}

interface RecordSource extends LoopSource {
  readonly words: Int32Array;
}

/** Operations that a shutdown can end. */
export interface ClosableOperations extends Operations {
  /** Cancels what is pending and refuses what comes. */
  close(): void;
}

/** The base of both drivers. The constructor of a driver ends with `start`. */
export abstract class SocketDriver implements Driver, OutboxOwner, ListenersOwner, DeferredOwner {
  abstract readonly name: DriverName;
  abstract readonly operations: ClosableOperations;
  readonly generations: Int32Array;
  readonly writeBytes: Uint8Array;

  protected readonly native: NativeAddon;
  protected readonly events: DriverEvents;
  protected readonly outbox: Outbox;
  protected readonly listeners: Listeners;
  protected readonly counters: DriverStats = newDriverStats();
  /** By slot: the descriptor, -1 for none. */
  protected readonly fd: Int32Array;
  /** By slot: `connection-flags.ts`. */
  protected readonly flags: Int32Array;

  readonly #source: RecordSource;
  readonly #control: Int32Array;
  readonly #slots: SlotTable;
  readonly #pool: WritePool;
  /** What `received` passes. */
  readonly #slab: Uint8Array;
  readonly #inverted: boolean;
  readonly #wakeOptions: DriverWake | undefined;
  #watch: WakeWatch | undefined;
  readonly #held = new HeldBytes();
  readonly #errno: Int32Array;
  /** By slot: who gets the descriptor. */
  readonly #releases = new Map<number, ReleaseDone>();
  readonly #deferred = new DeferredWork(this);
  readonly #lingering: LingerQueue;
  /** Where the record lies whose socket is being accepted; -1 for none. */
  #accepting = -1;
  #isInTurn = false;
  /** Somebody has found the write pool exhausted since a flush made room in it. */
  #hasRefused = false;
  #isRefWanted = true;
  #isKeptAlive = true;
  #onShutdown: (() => void) | undefined;
  #shutdown: Promise<void> | undefined;

  constructor(options: DriverOptions, events: DriverEvents, parts: SocketDriverParts) {
    const { native, slots, pool, source, descriptors } = parts;
    this.native = native;
    this.events = new ContainedEvents(events, (error) => this.handlerThrew(error));
    this.generations = slots.generations;
    this.writeBytes = pool.bytes;
    this.outbox = new Outbox(pool, slots.capacity, this);
    this.fd = descriptors.subarray(0, slots.capacity);
    this.flags = new Int32Array(slots.capacity);
    this.listeners = new Listeners(parts.acceptor, this, descriptors.subarray(slots.capacity));
    this.#source = source;
    this.#control = source.control;
    this.#slots = slots;
    this.#pool = pool;
    this.#slab = options.receiveSlab.bytes;
    this.#inverted = parts.inverted;
    this.#wakeOptions = options.wake;
    this.#errno = new Int32Array(slots.capacity);
    this.#lingering = new LingerQueue(this.generations, (slot) => this.closeWith(slot, 0));
    this.#control[CONTROL.spinMode] = SPIN_MODES[options.spin.mode];
    this.#control[CONTROL.spinMicros] = options.spin.microsMax;
  }

  // --- what each driver does its own way

  abstract connect(host: string, port: number): number;
  abstract connectPath(path: string): number;
  /** Hands bytes of the write pool to the kernel. */
  abstract startSend(slot: number, offset: number, length: number): void;
  /** Makes a descriptor that is not ours yet fit for this driver. Throws what is wrong with it. */
  protected abstract prepareAdopted(descriptor: number): void;
  /** The socket stands in the tables: makes it known to whatever brings its events. */
  protected abstract attach(slot: number): void;
  /** Begins to receive, unless the connection is paused, ended, closing or not connected. */
  protected abstract startReceiving(slot: number): void;
  protected abstract stopReceiving(slot: number): void;
  /** The connection is closing: ends what is in flight, and calls `finish` when nothing names the slot any more. */
  protected abstract letGo(slot: number): void;
  /** Closes the descriptor, if there is one, and takes it out of the table. */
  protected abstract closeSocket(slot: number, fd: number): void;
  /** Forgets the socket, which is somebody else's from now on. Nothing names it any more. */
  protected abstract forgetSocket(slot: number, fd: number): void;
  /** Runs the events of what the kernel has brought. */
  protected abstract runCompletions(): void;
  /** Passes on what this turn has committed. */
  protected abstract flush(): void;
  /** Watches libuv's own descriptor, for the inverted loop. */
  protected abstract watchBackend(): void;
  /** Watches the descriptor of a doorbell. */
  protected abstract watchDoorbell(fd: number): void;
  protected abstract fillStats(stats: DriverStats): void;

  // --- the contract

  get stats(): DriverStats {
    const stats = this.counters;
    stats.connectionsNow = this.#slots.count;
    stats.writeBlocksNow = this.#pool.blocksNow;
    stats.receiveBuffersNow = this.#held.chunksNow;
    stats.enters = this.#control[CONTROL.enters]! >>> 0;
    readWaitTimes(this.#source, stats);
    this.fillStats(stats);
    return stats;
  }

  async listen(target: number | ListenAddress | ListenPath): Promise<Listening> {
    checkListenTarget(target);
    this.assertOpen("listen");
    const listening = this.listeners.open(target);
    this.updateKeepAlive();
    return listening;
  }

  stopListening(listener: number): void {
    this.listeners.stop(listener);
    this.updateKeepAlive();
  }

  adopt(descriptor: number): number {
    checkDescriptor("adopt", descriptor);
    this.assertOpen("adopt");
    this.prepareAdopted(descriptor);
    const slot = this.takeSlot();
    if (slot < 0) return -1;
    this.open(slot, descriptor, SENDABLE | ADOPTED);
    this.startReceiving(slot);
    this.updateKeepAlive();
    return slot;
  }

  release(slot: number, done: ReleaseDone): boolean {
    const flags = this.flags[slot]!;
    if (!this.isAudible(slot) || (flags & SENDABLE) === 0) return false;
    this.outbox.abandon(slot);
    // Paused: what the peer sends while queued bytes leave stays in the kernel, for whoever gets the descriptor.
    this.flags[slot] = (flags & ~SENDABLE) | RELEASING | PAUSED;
    this.#releases.set(slot, done);
    if (this.outbox.queuedBytes(slot) === 0) this.#beginRelease(slot);
    else this.stopReceiving(slot);
    return true;
  }

  reserve(slot: number, size: number): number {
    if ((this.flags[slot]! & SENDABLE) === 0) return -1;
    const offset = this.outbox.reserve(slot, size);
    if (offset < 0) this.#refused();
    return offset;
  }

  #refused(): void {
    this.counters.writeStarved += 1;
    this.#hasRefused = true;
  }

  get writeRoomBytes(): number {
    return this.#pool.roomBytes;
  }

  commit(slot: number, length: number): void {
    if ((this.flags[slot]! & SENDABLE) !== 0) this.outbox.commit(slot, length);
  }

  abort(slot: number): void {
    if ((this.flags[slot]! & SENDABLE) !== 0) this.outbox.abort(slot);
  }

  queuedBytes(slot: number): number {
    const isOpen = this.#slots.isLive(slot) && (this.flags[slot]! & CLOSING) === 0;
    return isOpen ? this.outbox.queuedBytes(slot) : 0;
  }

  requestDrained(slot: number): void {
    if (this.isAudible(slot)) this.outbox.requestDrained(slot);
  }

  shareBytes(bytes: Uint8Array): number {
    const shared = this.outbox.share(bytes);
    if (shared < 0) this.#refused();
    return shared;
  }

  commitShared(slot: number, shared: number): boolean {
    return (this.flags[slot]! & SENDABLE) !== 0 && this.outbox.commitShared(slot, shared);
  }

  unshareBytes(shared: number): void {
    this.outbox.unshare(shared);
  }

  pause(slot: number): void {
    const flags = this.flags[slot]!;
    if (!this.isAudible(slot) || (flags & PAUSED) !== 0) return;
    this.flags[slot] = flags | PAUSED;
    this.stopReceiving(slot);
  }

  resume(slot: number): void {
    const flags = this.flags[slot]!;
    if (!this.isAudible(slot) || (flags & PAUSED) === 0) return;
    this.flags[slot] = flags & ~PAUSED;
    // Held bytes come first, and never inside this call.
    if ((flags & HOLDING) === 0) return this.startReceiving(slot);
    if ((flags & RESUMING) !== 0) return;
    this.flags[slot] = this.flags[slot]! | RESUMING;
    this.#deferred.resume(slot);
  }

  end(slot: number): void {
    if ((this.flags[slot]! & CONNECTING) !== 0) this.flags[slot] = this.flags[slot]! | END_WANTED;
    if ((this.flags[slot]! & SENDABLE) === 0) return;
    this.outbox.abandon(slot);
    this.flags[slot] = (this.flags[slot]! & ~SENDABLE) | END_WANTED;
    if (this.outbox.queuedBytes(slot) === 0) this.#sendEnd(slot);
  }

  close(slot: number): void {
    this.closeWith(slot, 0);
  }

  closeAfterFlush(slot: number): void {
    const flags = this.flags[slot]!;
    if (!this.isAudible(slot)) return;
    if ((flags & CONNECTING) !== 0) return this.closeWith(slot, 0);
    this.outbox.abandon(slot);
    this.flags[slot] = (flags & ~SENDABLE) | CLOSE_AFTER_FLUSH;
    if (this.outbox.queuedBytes(slot) === 0) this.#linger(slot);
  }

  peerAddress(slot: number): NativeAddress | undefined {
    return this.#hasSocket(slot) ? ipAddress(this.native.peerName(this.fd[slot]!)) : undefined;
  }

  localAddress(slot: number): NativeAddress | undefined {
    return this.#hasSocket(slot) ? ipAddress(this.native.socketName(this.fd[slot]!)) : undefined;
  }

  setNoDelay(slot: number, on: boolean): void {
    if (this.#hasSocket(slot)) this.native.setNoDelay(this.fd[slot]!, on ? 1 : 0);
  }

  setKeepAlive(slot: number, on: boolean, idleSeconds: number): void {
    if (this.#hasSocket(slot)) this.native.setKeepAlive(this.fd[slot]!, on ? 1 : 0, idleSeconds);
  }

  setReferenced(slot: number, isReferenced: boolean): void {
    this.#slots.setReferenced(slot, isReferenced);
    this.updateKeepAlive();
  }

  unacknowledgedBytes(slot: number): number {
    return this.#hasSocket(slot) ? Math.max(0, this.native.sendQueueBytes(this.fd[slot]!)) : 0;
  }

  #hasSocket(slot: number): boolean {
    return this.#slots.isLive(slot) && (this.flags[slot]! & FINISHING) === 0 && this.fd[slot]! >= 0;
  }

  publishPulse(words: Int32Array): (() => number) | undefined {
    return publishPulse(this.#source, words);
  }

  ref(): void {
    this.#isRefWanted = true;
    this.updateKeepAlive();
  }

  unref(): void {
    this.#isRefWanted = false;
    this.updateKeepAlive();
  }

  shutdown(): Promise<void> {
    this.#shutdown ??= new Promise((resolve) => {
      this.#onShutdown = resolve;
      this.listeners.stopAll();
      this.operations.close();
      for (let index = this.#slots.count - 1; index >= 0; index--) this.closeWith(this.#slots.live[index]!, 0);
      this.wake();
      this.updateKeepAlive();
    });
    return this.#shutdown;
  }

  // --- what the outbox, the listeners and the deferred work ask for

  outboxEmptied(slot: number): void {
    const flags = this.flags[slot]!;
    if ((flags & (CLOSE_AFTER_FLUSH | END_WANTED | RELEASING)) === 0) return;
    if ((flags & RELEASING) !== 0) this.#beginRelease(slot);
    else if ((flags & CLOSE_AFTER_FLUSH) !== 0) this.#linger(slot);
    else this.#sendEnd(slot);
  }

  outboxDrained(slot: number): void {
    if (this.isAudible(slot)) this.events.drained(slot);
  }

  outboxDirty(): void {
    if (!this.#isInTurn) this.wake();
  }

  /** Runs the record of an accept: word 2 at `at` is its result. The listener may go on by itself if `more` is not 0. */
  protected acceptCompleted(at: number, index: number, id: number, more: number): void {
    this.#accepting = at;
    try {
      this.listeners.completed(index, id, this.#source.words[at + 2]!, more);
    } finally {
      this.#accepting = -1;
    }
  }

  /**
   * An accepted descriptor now stands in the table, or is about to be closed: its record is void. A thread can be killed at any call, and the
   * addon then closes what records and the table name. So the table comes first, and the addon recognises what is in both.
   */
  #claimAccepted(): void {
    if (this.#accepting >= 0) this.#source.words[this.#accepting + 2] = -ECANCELED;
  }

  acceptedSocket(listener: number, fd: number): void {
    const slot = this.#shutdown === undefined ? this.#slots.acquire() : -1;
    if (slot < 0) {
      this.counters.rejected += 1;
      this.#claimAccepted();
      this.native.closeDescriptor(fd);
      return;
    }
    this.counters.accepted += 1;
    this.open(slot, fd, SENDABLE);
    this.#claimAccepted();
    this.updateKeepAlive();
    this.events.accepted(slot, listener);
    // A connection that its owner pauses or passes on at once is never received from.
    this.startReceiving(slot);
  }

  acceptStarved(): void {
    this.counters.rejected += 1;
  }

  listenerStopped(listener: number): void {
    this.updateKeepAlive();
    this.events.listenerStopped(listener);
  }

  later(work: () => void): void {
    this.#deferred.later(work);
  }

  deferred(): void {
    if (!this.#isInTurn) this.wake();
  }

  deliverHeld(slot: number): void {
    this.flags[slot] = this.flags[slot]! & ~RESUMING;
    const generation = this.generations[slot];
    for (;;) {
      const flags = this.flags[slot]!;
      if (this.generations[slot] !== generation || (flags & (PAUSED | MUTE)) !== 0) return;
      const bytes = this.#held.take(slot);
      if (bytes === undefined) break;
      this.events.received(slot, bytes, 0, bytes.length);
    }
    const flags = this.flags[slot]! & ~HOLDING;
    this.flags[slot] = flags;
    if ((flags & PEER_ENDED) === 0) this.startReceiving(slot);
    else this.#deliverEnd(slot);
  }

  finishSlot(slot: number): void {
    if ((this.flags[slot]! & RELEASING) === 0) this.closeSocket(slot, this.fd[slot]!);
    if (this.#releases.size > 0) this.#endRelease(slot);
    this.outbox.drop(slot);
    this.events.closed(slot, this.#errno[slot]!);
    this.flags[slot] = 0;
    this.#slots.release(slot);
    this.updateKeepAlive();
  }

  /** A handler threw: the error is reported, and a reservation that it left open is given up. */
  handlerThrew(error: unknown): void {
    this.outbox.abandonAny();
    reportError(error);
  }

  // --- for the drivers: opening

  /** From now on turns run. */
  protected start(): void {
    const wake = this.#wakeOptions;
    if (wake === undefined) startLoop(this.#source, () => this.#turn(), this.#inverted);
    else this.#startWithWake(wake, this.#inverted);
    if (this.#inverted) this.watchBackend();
    this.updateKeepAlive();
  }

  #startWithWake(wake: DriverWake, isInverted: boolean): void {
    const { doorbell, idle } = wake;
    const watch = new WakeWatch(wake, (error) => this.handlerThrew(error));
    const result = this.native.watchBell(this.#source.handle, bellWords(doorbell));
    checkNative(result, "watch the doorbell");
    if (doorbell.kind === "eventfd") this.watchDoorbell(doorbell.fd);
    startLoop(this.#source, () => this.#turnOrPark(watch), isInverted);
    this.#watch = watch;
    this.#control[CONTROL.asksToPark] = idle !== undefined && isInverted ? 1 : 0;
    watch.begin(!isInverted);
  }

  /** A slot for a new connection, or -1. */
  protected takeSlot(): number {
    const slot = this.#slots.acquire();
    if (slot < 0) this.counters.rejected += 1;
    return slot;
  }

  protected open(slot: number, fd: number, flags: number): void {
    this.fd[slot] = fd;
    this.flags[slot] = flags;
    this.#errno[slot] = 0;
    this.attach(slot);
  }

  /** The attempt to connect has ended, and nobody has closed the connection meanwhile. */
  protected connected(slot: number, result: number): void {
    const flags = this.flags[slot]! & ~CONNECTING;
    this.flags[slot] = flags;
    if (result >= 0) {
      const isEnding = (flags & END_WANTED) !== 0;
      if (!isEnding) this.flags[slot] = flags | SENDABLE;
      this.startReceiving(slot);
      this.events.connected(slot, 0);
      if (isEnding && this.isAudible(slot)) this.#sendEnd(slot);
    } else {
      this.closeWith(slot, -result);
      this.events.connected(slot, -result);
    }
  }

  // --- for the drivers: receiving

  /** `length` bytes lie at `offset` in the slab. */
  protected received(slot: number, offset: number, length: number): void {
    const flags = this.flags[slot]!;
    this.counters.receivedBytes += length;
    if ((flags & (PAUSED | HOLDING | MUTE)) === 0) this.events.received(slot, this.#slab, offset, length);
    else if ((flags & MUTE) === 0 || (flags & RELEASING) !== 0) this.#hold(slot, offset, length);
  }

  protected peerEnded(slot: number): void {
    const flags = this.flags[slot]! | PEER_ENDED;
    this.flags[slot] = flags;
    if ((flags & LINGERING) !== 0) this.closeWith(slot, 0);
    else if ((flags & (CLOSE_AFTER_FLUSH | RELEASING)) !== 0) return;
    else if ((flags & (PAUSED | HOLDING)) !== 0) this.flags[slot] = flags | HOLDING;
    else this.#deliverEnd(slot);
  }

  /** Events other than `closed` are still to be delivered. */
  protected isAudible(slot: number): boolean {
    return this.#slots.isLive(slot) && (this.flags[slot]! & MUTE) === 0;
  }

  // --- for the drivers: closing

  protected closeWith(slot: number, errno: number): void {
    const flags = this.flags[slot]!;
    if (!this.#slots.isLive(slot) || (flags & CLOSING) !== 0) return;
    this.outbox.abandon(slot);
    this.flags[slot] = (flags & ~(SENDABLE | RELEASING)) | CLOSING;
    this.#errno[slot] = errno;
    this.#held.drop(slot);
    this.letGo(slot);
  }

  /** What a connection that is being released hears last: an error goes to whoever wanted it. */
  protected releaseFailed(slot: number, errno: number): void {
    this.flags[slot] = this.flags[slot]! & ~RELEASING;
    this.#errno[slot] = errno;
  }

  /** Nothing names the slot any more: puts its end in line. */
  protected finish(slot: number): void {
    this.#deferred.finish(slot);
  }

  // --- for the drivers: the loop

  /** Asks the loop hook for a turn before it sleeps. */
  protected wake(): void {
    this.#control[CONTROL.dirty] = 1;
  }

  protected updateKeepAlive(): void {
    const isBusy = this.#slots.referencedCount > 0 || this.operations.pendingNow > 0 || this.listeners.count > 0;
    // What is being ended needs more turns, even where nothing else keeps the event loop alive.
    const isEnding = this.#onShutdown !== undefined || this.listeners.stoppingCount > 0;
    const keep = (this.#isRefWanted && isBusy) || isEnding;
    if (keep === this.#isKeptAlive) return;
    this.#isKeptAlive = keep;
    this.native.keepAlive(this.#source.handle, keep ? 1 : 0);
  }

  protected get isShutDown(): boolean {
    return this.#shutdown !== undefined;
  }

  protected assertOpen(operation: string): void {
    if (this.#shutdown === undefined) return;
    throw closedError(operation);
  }

  // --- one turn

  #turnOrPark(watch: WakeWatch): void {
    if (this.#control[CONTROL.parking] === PARKING.asked) {
      if (!watch.agreesToPark(this.#control)) this.wake();
      return;
    }
    watch.resume(this.#control);
    this.#turn();
  }

  #turn(): void {
    this.#control[CONTROL.dirty] = 0;
    this.#takeLoopError();
    if (this.#source.isClosed) return;
    this.#isInTurn = true;
    this.counters.turns += 1;
    this.runCompletions();
    this.outbox.deliverDrained();
    this.#watch?.deliver(this.counters);
    this.#deferred.run();
    this.events.turnEnded();
    const { sentBytes } = this.counters;
    this.flush();
    this.#isInTurn = false;
    // Whoever found the write pool exhausted looks again at the end of a turn, and `epoll` makes room behind that.
    const hasNews = this.#hasRefused && this.counters.sentBytes !== sentBytes;
    if (hasNews) this.#hasRefused = false;
    if (hasNews || !this.#deferred.isEmpty || this.outbox.hasDirty || this.outbox.hasDrained) this.wake();
    if (this.#onShutdown !== undefined) this.#tryShutdown();
  }

  #takeLoopError(): void {
    const errno = this.#control[CONTROL.error]!;
    if (errno === 0) return;
    this.#control[CONTROL.error] = 0;
    reportError(errnoError("wait for events", errno));
  }

  #tryShutdown(): void {
    if (this.#slots.count > 0 || this.listeners.count > 0 || this.operations.pendingNow > 0) return;
    const resolve = this.#onShutdown;
    this.#onShutdown = undefined;
    this.#lingering.clear();
    this.#watch?.end();
    this.#source.closed();
    this.native.stopLoop(this.#source.handle);
    resolve?.();
  }

  // --- the ends of a connection

  #hold(slot: number, offset: number, length: number): void {
    this.flags[slot] = this.flags[slot]! | HOLDING;
    this.#held.add(slot, this.#slab.slice(offset, offset + length));
  }

  #beginRelease(slot: number): void {
    this.flags[slot] = this.flags[slot]! | CLOSING;
    this.letGo(slot);
  }

  /** A connection that was to be released has ended, with its socket or without. */
  #endRelease(slot: number): void {
    const done = this.#releases.get(slot);
    if (done === undefined) return;
    this.#releases.delete(slot);
    const fd = this.fd[slot]!;
    const isReleased = (this.flags[slot]! & RELEASING) !== 0;
    if (isReleased) this.forgetSocket(slot, fd);
    try {
      if (isReleased) done(fd, this.#held.takeAll(slot));
      else done(-(this.#errno[slot] || ECANCELED), NO_BYTES);
    } catch (error) {
      this.handlerThrew(error);
    }
  }

  #deliverEnd(slot: number): void {
    this.events.ended(slot);
    if (this.#slots.isLive(slot) && (this.flags[slot]! & END_SENT) !== 0) this.closeWith(slot, 0);
  }

  #sendEnd(slot: number): void {
    const flags = this.flags[slot]!;
    if ((flags & (END_SENT | CLOSING)) !== 0) return;
    this.flags[slot] = flags | END_SENT;
    this.native.shutdownSocket(this.fd[slot]!, SHUT_WR);
    // Both sides have ended: nothing can happen on this connection any more.
    if ((flags & (PEER_ENDED | HOLDING)) === PEER_ENDED) this.closeWith(slot, 0);
  }

  /** Everything is sent: half-close, discard what still comes, and close when the peer ends or the time is over. */
  #linger(slot: number): void {
    const flags = this.flags[slot]!;
    if ((flags & (LINGERING | CLOSING)) !== 0) return;
    if ((flags & PEER_ENDED) !== 0) return this.closeWith(slot, 0);
    this.flags[slot] = (flags | LINGERING | END_SENT) & ~PAUSED;
    if ((flags & END_SENT) === 0) this.native.shutdownSocket(this.fd[slot]!, SHUT_WR);
    this.#held.drop(slot);
    this.startReceiving(slot);
    this.#lingering.add(slot);
  }
}
