/**
 * The `epoll` driver: connections on one epoll instance of this thread, for Linux where io_uring is denied or too old. A turn goes one way:
 *
 *     records (the addon has waited, accepted and received) → events → deferred work → turnEnded → flush (the addon sends the list)
 *
 * Every system call on a socket has ended when it returns, so the kernel holds no memory of a connection between two calls: what is queued can be dropped at
 * once, and a slot is released in the turn that closes it. Files go through libuv's pool of threads, because epoll has no file operations.
 */

import { assert } from "../assert.js";
import { DRAIN_LOW_WATER_BYTES } from "../constants.js";
import { errnoError } from "../errors.js";
import { checkNative, type NativeAddon, type NativeAddress, requireNative } from "../native.js";
import { CONTROL, mayInvert, publishPulse, readWaitTimes, SPIN_MODES, startLoop } from "../ring/loop.js";
import { KIND_ACCEPT, KIND_CONNECT, KIND_RECV, KIND_SEND, userDataKind, userDataSlot } from "../ring/user-data.js";
import { EAGAIN, ECANCELED, EINVAL, SHUT_WR } from "../uapi.js";
import { checkConnectTarget, checkDescriptor, checkListenTarget, closedError } from "./arguments.js";
import {
  ADOPTED,
  CLOSE_AFTER_FLUSH,
  CLOSING,
  CONNECTING,
  END_SENT,
  END_WANTED,
  HOLDING,
  LINGERING,
  PAUSED,
  PEER_ENDED,
  RESUMING,
  SENDABLE,
} from "./connection-flags.js";
import { ContainedEvents } from "./contained-events.js";
import type { Driver, DriverEvents, DriverOptions, DriverStats, ListenAddress, Listening } from "./contract.js";
import { type DeferredOwner, DeferredWork } from "./deferred-work.js";
import { newDriverStats } from "./driver-stats.js";
import { EpollSet } from "./epoll-set.js";
import { HeldBytes } from "./held-bytes.js";
import { LingerQueue } from "./linger-queue.js";
import { Listeners, type ListenersOwner } from "./listeners.js";
import { NodeOperations, type OperationsOwner } from "./node-operations.js";
import { Outbox, type OutboxOwner } from "./outbox.js";
import { reportError } from "./report-error.js";
import { SlotTable } from "./slots.js";
import { WritePool } from "./write-pool.js";

/** Blocks of up to 64 KiB that one connection may send in one turn, so that a large answer does not hold up the others. */
const SENDS_PER_TURN_MAX = 8;

/**
 * Starts an `epoll` driver on the calling thread. Throws `ERR_RINGLOOM_DRIVER_UNAVAILABLE` where the addon is missing.
 * `ringEntries` has no meaning here.
 * @experimental
 */
export function createEpollDriver(options: DriverOptions, events: DriverEvents): Driver {
  return new EpollDriver(requireNative(), options, events);
}

class EpollDriver implements Driver, OutboxOwner, ListenersOwner, DeferredOwner, OperationsOwner {
  readonly name = "epoll";
  readonly generations: Int32Array;
  readonly writeBytes: Uint8Array;
  readonly operations: NodeOperations;

  readonly #native: NativeAddon;
  readonly #events: DriverEvents;
  readonly #set: EpollSet;
  readonly #control: Int32Array;
  readonly #slots: SlotTable;
  readonly #pool: WritePool;
  readonly #outbox: Outbox;
  /** The whole array that `received` passes, and where our part of it starts. */
  readonly #slab: Uint8Array;
  readonly #slabOffset: number;
  readonly #held = new HeldBytes();
  readonly #stats: DriverStats = newDriverStats();

  /** -1 for none; the set's own table. */
  readonly #fd: Int32Array;
  readonly #flags: Int32Array;
  readonly #errno: Int32Array;

  readonly #listeners: Listeners;
  readonly #deferred = new DeferredWork(this);
  readonly #lingering: LingerQueue;
  /** Pairs of a slot and its generation for which `drained` is due in the next turn. */
  #drained: number[] = [];
  /** The record whose descriptor is being taken over, or -1. */
  #accepting = -1;
  #isInTurn = false;
  #isRefWanted = true;
  #isKeptAlive = true;
  #onShutdown: (() => void) | undefined;
  #shutdown: Promise<void> | undefined;

  constructor(native: NativeAddon, options: DriverOptions, events: DriverEvents) {
    const inverted = mayInvert(native, options.loop);
    const { bytes, offset, length } = options.receiveSlab;
    this.#native = native;
    this.#events = new ContainedEvents(events, (error) => this.handlerThrew(error));
    this.#slots = new SlotTable(options.connectionsMax);
    this.generations = this.#slots.generations;
    this.#pool = new WritePool(options.writePoolBytes);
    this.writeBytes = this.#pool.bytes;
    this.#outbox = new Outbox(this.#pool, options.connectionsMax, this);
    this.#slab = bytes;
    this.#slabOffset = offset;
    const slab = bytes.subarray(offset, offset + length);
    this.#set = new EpollSet(native, { generations: this.generations, slab, pool: this.writeBytes });
    this.#control = this.#set.control;
    this.#control[CONTROL.spinMode] = SPIN_MODES[options.spin.mode];
    this.#control[CONTROL.spinMicros] = options.spin.microsMax;
    this.#fd = this.#set.descriptors.subarray(0, options.connectionsMax);
    this.#flags = new Int32Array(options.connectionsMax);
    this.#errno = new Int32Array(options.connectionsMax);
    this.operations = new NodeOperations(this);
    this.#lingering = new LingerQueue(this.generations, (slot) => this.#closeWith(slot, 0));
    this.#listeners = new Listeners(this.#set, this, this.#set.descriptors.subarray(options.connectionsMax));
    startLoop(this.#set, () => this.#turn(), inverted);
    if (inverted) this.#set.watchBackend();
    this.#updateKeepAlive();
  }

  get stats(): DriverStats {
    const stats = this.#stats;
    stats.connectionsNow = this.#slots.count;
    stats.writeBlocksNow = this.#pool.blocksNow;
    stats.receiveBuffersNow = this.#held.chunksNow;
    stats.staleCompletions = this.#set.stale;
    stats.receiveStarved = this.#set.starved;
    stats.enters = this.#set.waits;
    readWaitTimes(this.#set, stats);
    return stats;
  }

  async listen(target: number | ListenAddress): Promise<Listening> {
    checkListenTarget(target);
    this.#assertOpen("listen");
    const listening = this.#listeners.open(target);
    this.#updateKeepAlive();
    return listening;
  }

  stopListening(listener: number): void {
    this.#listeners.stop(listener);
  }

  connect(host: string, port: number): number {
    checkConnectTarget(host, port);
    this.#assertOpen("connect");
    const slot = this.#slots.acquire();
    if (slot < 0) {
      this.#stats.rejected += 1;
      return -1;
    }
    // Straight into the table, from which the addon closes what a killed thread leaves behind.
    const result = (this.#fd[slot] = this.#native.connectSocket(host, port));
    this.#updateKeepAlive();
    if (result >= 0) this.#open(slot, result, CONNECTING);
    else {
      this.#flags[slot] = CONNECTING;
      this.later(() => this.#connected(slot, result));
    }
    return slot;
  }

  adopt(descriptor: number): number {
    checkDescriptor("adopt", descriptor);
    this.#assertOpen("adopt");
    checkNative(this.#native.setBlocking(descriptor, 0), "adopt", { descriptor });
    // A socket that does not listen: the only thing whose reads and writes are receives and sends.
    const listening = this.#native.isListening(descriptor);
    if (listening !== -EINVAL) throw errnoError("adopt", listening === 0 ? EINVAL : -listening, { descriptor });
    const slot = this.#slots.acquire();
    if (slot < 0) {
      this.#stats.rejected += 1;
      return -1;
    }
    this.#open(slot, descriptor, SENDABLE | ADOPTED);
    this.#receive(slot);
    this.#updateKeepAlive();
    return slot;
  }

  reserve(slot: number, size: number): number {
    if ((this.#flags[slot]! & SENDABLE) === 0) return -1;
    const offset = this.#outbox.reserve(slot, size);
    if (offset < 0) this.#stats.writeStarved += 1;
    return offset;
  }

  commit(slot: number, length: number): void {
    if ((this.#flags[slot]! & SENDABLE) !== 0) this.#outbox.commit(slot, length);
  }

  abort(slot: number): void {
    if ((this.#flags[slot]! & SENDABLE) !== 0) this.#outbox.abort(slot);
  }

  queuedBytes(slot: number): number {
    return this.#isAudible(slot) ? this.#outbox.queuedBytes(slot) : 0;
  }

  requestDrained(slot: number): void {
    if (this.#isAudible(slot)) this.#outbox.requestDrained(slot);
  }

  pause(slot: number): void {
    const flags = this.#flags[slot]!;
    if (!this.#isAudible(slot) || (flags & PAUSED) !== 0) return;
    this.#flags[slot] = flags | PAUSED;
    this.#set.unwant(slot);
  }

  resume(slot: number): void {
    const flags = this.#flags[slot]!;
    if (!this.#isAudible(slot) || (flags & PAUSED) === 0) return;
    this.#flags[slot] = flags & ~PAUSED;
    // Held bytes come first, and never inside this call.
    if ((flags & HOLDING) === 0) return this.#receive(slot);
    if ((flags & RESUMING) !== 0) return;
    this.#flags[slot] = this.#flags[slot]! | RESUMING;
    this.#deferred.resume(slot);
  }

  end(slot: number): void {
    if ((this.#flags[slot]! & CONNECTING) !== 0) this.#flags[slot] = this.#flags[slot]! | END_WANTED;
    if ((this.#flags[slot]! & SENDABLE) === 0) return;
    this.#outbox.abandon(slot);
    this.#flags[slot] = (this.#flags[slot]! & ~SENDABLE) | END_WANTED;
    if (this.#outbox.queuedBytes(slot) === 0) this.#sendEnd(slot);
  }

  close(slot: number): void {
    this.#closeWith(slot, 0);
  }

  closeAfterFlush(slot: number): void {
    const flags = this.#flags[slot]!;
    if (!this.#isAudible(slot)) return;
    if ((flags & CONNECTING) !== 0) return this.#closeWith(slot, 0);
    this.#outbox.abandon(slot);
    this.#flags[slot] = (flags & ~SENDABLE) | CLOSE_AFTER_FLUSH;
    if (this.#outbox.queuedBytes(slot) === 0) this.#linger(slot);
  }

  peerAddress(slot: number): NativeAddress | undefined {
    if (!this.#slots.isLive(slot) || this.#fd[slot]! < 0) return undefined;
    const name = this.#native.peerName(this.#fd[slot]!);
    return typeof name === "number" ? undefined : name;
  }

  publishPulse(words: Int32Array): (() => number) | undefined {
    return publishPulse(this.#set, words);
  }

  ref(): void {
    this.#isRefWanted = true;
    this.operations.setReferenced(true);
    this.#updateKeepAlive();
  }

  unref(): void {
    this.#isRefWanted = false;
    this.operations.setReferenced(false);
    this.#updateKeepAlive();
  }

  shutdown(): Promise<void> {
    this.#shutdown ??= new Promise((resolve) => {
      this.#onShutdown = resolve;
      this.#listeners.stopAll();
      this.operations.close();
      for (let index = this.#slots.count - 1; index >= 0; index--) this.#closeWith(this.#slots.live[index]!, 0);
      this.#wake();
      this.#updateKeepAlive();
    });
    return this.#shutdown;
  }

  // --- what the outbox asks for

  startSend(slot: number, offset: number, length: number): void {
    this.#set.addSend(slot, offset, length);
  }

  outboxEmptied(slot: number): void {
    const flags = this.#flags[slot]!;
    if ((flags & (CLOSE_AFTER_FLUSH | END_WANTED)) === 0) return;
    if ((flags & CLOSE_AFTER_FLUSH) !== 0) this.#linger(slot);
    else this.#sendEnd(slot);
  }

  /** The flush finds out about it, after this turn's events: so the event is one of the next turn. */
  outboxDrained(slot: number): void {
    this.#drained.push(slot, this.generations[slot]!);
  }

  outboxDirty(): void {
    if (!this.#isInTurn) this.#wake();
  }

  deferred(): void {
    if (!this.#isInTurn) this.#wake();
  }

  // --- what the operations ask for

  scheduleTurn(): void {
    this.#wake();
    // A nop is nothing that Node itself would wait for.
    this.#updateKeepAlive();
  }

  /** A handler threw: the error is reported, and a reservation that it left open is given up. */
  handlerThrew(error: unknown): void {
    this.#outbox.abandonAny();
    reportError(error);
  }

  operationsIdle(): void {
    this.#updateKeepAlive();
  }

  // --- one turn

  #turn(): void {
    this.#control[CONTROL.dirty] = 0;
    this.#takeLoopError();
    if (this.#set.isClosed) return;
    this.#isInTurn = true;
    this.#stats.turns += 1;
    this.#runRecords();
    this.#set.emptyRecords();
    this.operations.deliver();
    this.#deliverDrained();
    this.#deferred.run();
    this.#events.turnEnded();
    this.#flush();
    this.#isInTurn = false;
    if (!this.#deferred.isEmpty || this.#outbox.hasDirty || this.#drained.length > 0) this.#wake();
    if (this.#onShutdown !== undefined) this.#tryShutdown();
  }

  /** Handlers' exceptions are contained, so that each record is run. */
  #runRecords(): void {
    const set = this.#set;
    const words = set.words;
    const count = set.recordsNow;
    for (let index = 0; index < count; index++) {
      const at = set.recordAt(index);
      const low = words[at]!;
      const slot = userDataSlot(low);
      const result = words[at + 2]!;
      switch (userDataKind(low)) {
        case KIND_RECV:
          this.#received(slot, result, words[at + 3]!);
          break;
        case KIND_SEND:
          // There is room again; the flush of this turn tries. Its end may have been taken off meanwhile.
          if (this.#outbox.isSending(slot)) this.#outbox.sent(slot, 0);
          break;
        case KIND_ACCEPT:
          this.#accepting = at;
          this.#accepted(slot, words[at + 1]!, result);
          this.#accepting = -1;
          break;
        case KIND_CONNECT:
          this.#connected(slot, result);
          break;
        default:
          assert(false, "a record has one of four kinds");
      }
    }
  }

  #flush(): void {
    for (let round = 0; round < SENDS_PER_TURN_MAX && this.#outbox.hasDirty; round++) {
      this.#outbox.flush();
      const count = this.#set.send();
      for (let index = 0; index < count; index++) this.#sent(this.#set.sendSlot(index), this.#set.sendResult(index));
    }
  }

  #deliverDrained(): void {
    if (this.#drained.length === 0) return;
    const due = this.#drained;
    this.#drained = [];
    for (let index = 0; index < due.length; index += 2) {
      const slot = due[index]!;
      if (this.generations[slot] !== due[index + 1] || !this.#isAudible(slot)) continue;
      // More may have been committed since.
      if (this.#outbox.queuedBytes(slot) > DRAIN_LOW_WATER_BYTES) this.#outbox.requestDrained(slot);
      else this.#events.drained(slot);
    }
  }

  // --- what the listeners ask for

  acceptedSocket(listener: number, fd: number): void {
    const slot = this.#shutdown === undefined ? this.#slots.acquire() : -1;
    if (slot < 0) {
      this.#stats.rejected += 1;
      this.#claimAccepted();
      this.#native.closeDescriptor(fd);
      return;
    }
    this.#stats.accepted += 1;
    this.#open(slot, fd, SENDABLE);
    this.#claimAccepted();
    this.#receive(slot);
    this.#updateKeepAlive();
    this.#events.accepted(slot, listener);
  }

  acceptStarved(): void {
    this.#stats.rejected += 1;
  }

  listenerStopped(listener: number): void {
    this.#updateKeepAlive();
    this.#events.listenerStopped(listener);
  }

  later(work: () => void): void {
    this.#deferred.later(work);
  }

  // --- opening

  /** Out of descriptors the listener would be reported ready again and again, so it is taken out until it tries again. */
  #accepted(index: number, id: number, result: number): void {
    if (result >= 0) return this.#listeners.completed(index, id, result, 1);
    this.#listeners.failed(index, id);
  }

  /**
   * A thread can be killed at any call. Its addon then closes what records and the table name, so an accepted descriptor is at each moment
   * in one of them, or in both, which the addon recognises.
   */
  #claimAccepted(): void {
    if (this.#accepting >= 0) this.#set.words[this.#accepting + 2] = -ECANCELED;
  }

  #connected(slot: number, result: number): void {
    const flags = this.#flags[slot]! & ~CONNECTING;
    if ((flags & CLOSING) !== 0) return;
    this.#flags[slot] = flags;
    if (result >= 0) {
      const isEnding = (flags & END_WANTED) !== 0;
      if (!isEnding) this.#flags[slot] = flags | SENDABLE;
      this.#receive(slot);
      this.#events.connected(slot, 0);
      if (isEnding && this.#isAudible(slot)) this.#sendEnd(slot);
    } else {
      this.#closeWith(slot, -result);
      this.#events.connected(slot, -result);
    }
  }

  #open(slot: number, fd: number, flags: number): void {
    this.#fd[slot] = fd;
    this.#flags[slot] = flags;
    this.#errno[slot] = 0;
    const result = this.#set.add(slot, this.generations[slot]!, (flags & CONNECTING) !== 0);
    // Not a socket, or no memory for one more: its owner hears of it as of any other failure.
    if (result < 0) this.later(() => this.#failed(slot, -result));
  }

  #failed(slot: number, errno: number): void {
    if ((this.#flags[slot]! & CONNECTING) !== 0) this.#connected(slot, -errno);
    else this.#closeWith(slot, errno);
  }

  // --- receiving

  #receive(slot: number): void {
    if ((this.#flags[slot]! & (PAUSED | PEER_ENDED | CLOSING | CONNECTING)) === 0) this.#set.want(slot);
  }

  #received(slot: number, result: number, offset: number): void {
    const flags = this.#flags[slot]!;
    if ((flags & CLOSING) !== 0) return;
    if (result > 0) {
      this.#stats.receivedBytes += result;
      const at = this.#slabOffset + offset;
      if ((flags & (PAUSED | HOLDING | CLOSE_AFTER_FLUSH)) === 0) this.#events.received(slot, this.#slab, at, result);
      else if ((flags & CLOSE_AFTER_FLUSH) === 0) this.#hold(slot, at, result);
    } else if (result === 0) this.#peerEnded(slot);
    else this.#closeWith(slot, -result);
  }

  #peerEnded(slot: number): void {
    const flags = this.#flags[slot]! | PEER_ENDED;
    this.#flags[slot] = flags;
    if ((flags & LINGERING) !== 0) this.#closeWith(slot, 0);
    else if ((flags & CLOSE_AFTER_FLUSH) !== 0) return;
    else if ((flags & (PAUSED | HOLDING)) !== 0) this.#flags[slot] = flags | HOLDING;
    else this.#deliverEnd(slot);
  }

  #deliverEnd(slot: number): void {
    this.#events.ended(slot);
    if (this.#slots.isLive(slot) && (this.#flags[slot]! & END_SENT) !== 0) this.#closeWith(slot, 0);
  }

  /** All of a turn is received before its first event, so bytes can be there for a connection that an event has paused. */
  #hold(slot: number, offset: number, length: number): void {
    this.#flags[slot] = this.#flags[slot]! | HOLDING;
    this.#held.add(slot, this.#slab.slice(offset, offset + length));
  }

  deliverHeld(slot: number): void {
    this.#flags[slot] = this.#flags[slot]! & ~RESUMING;
    const generation = this.generations[slot];
    for (;;) {
      const flags = this.#flags[slot]!;
      if (this.generations[slot] !== generation || (flags & (PAUSED | CLOSING | CLOSE_AFTER_FLUSH)) !== 0) return;
      const bytes = this.#held.take(slot);
      if (bytes === undefined) break;
      this.#events.received(slot, bytes, 0, bytes.length);
    }
    const flags = this.#flags[slot]! & ~HOLDING;
    this.#flags[slot] = flags;
    if ((flags & PEER_ENDED) === 0) this.#receive(slot);
    else this.#deliverEnd(slot);
  }

  // --- sending

  /** Events other than `closed` are still to be delivered. */
  #isAudible(slot: number): boolean {
    return this.#slots.isLive(slot) && (this.#flags[slot]! & (CLOSING | CLOSE_AFTER_FLUSH)) === 0;
  }

  #sent(slot: number, result: number): void {
    if (result >= 0) {
      this.#stats.sentBytes += result;
      this.#outbox.sent(slot, result);
    } else if (result === -EAGAIN) this.#set.awaitRoom(slot);
    else this.#closeWith(slot, -result);
  }

  #sendEnd(slot: number): void {
    const flags = this.#flags[slot]!;
    if ((flags & (END_SENT | CLOSING)) !== 0) return;
    this.#flags[slot] = flags | END_SENT;
    this.#native.shutdownSocket(this.#fd[slot]!, SHUT_WR);
    // Both sides have ended: nothing can happen on this connection any more.
    if ((flags & (PEER_ENDED | HOLDING)) === PEER_ENDED) this.#closeWith(slot, 0);
  }

  // --- closing

  /** Everything is sent: half-close, discard what still comes, and close when the peer ends or the time is over. */
  #linger(slot: number): void {
    const flags = this.#flags[slot]!;
    if ((flags & (LINGERING | CLOSING)) !== 0) return;
    if ((flags & PEER_ENDED) !== 0) return this.#closeWith(slot, 0);
    this.#flags[slot] = (flags | LINGERING | END_SENT) & ~PAUSED;
    if ((flags & END_SENT) === 0) this.#native.shutdownSocket(this.#fd[slot]!, SHUT_WR);
    this.#held.drop(slot);
    this.#receive(slot);
    this.#lingering.add(slot);
  }

  #closeWith(slot: number, errno: number): void {
    const flags = this.#flags[slot]!;
    if (!this.#slots.isLive(slot) || (flags & CLOSING) !== 0) return;
    this.#outbox.abandon(slot);
    this.#flags[slot] = (flags & ~SENDABLE) | CLOSING;
    this.#errno[slot] = errno;
    this.#held.drop(slot);
    this.#outbox.drop(slot);
    this.#set.forget(slot);
    this.#deferred.finish(slot);
  }

  finishSlot(slot: number): void {
    const fd = this.#fd[slot]!;
    if ((this.#flags[slot]! & ADOPTED) !== 0) this.#set.remove(fd);
    this.#fd[slot] = -1;
    if (fd >= 0) this.#native.closeDescriptor(fd);
    this.#events.closed(slot, this.#errno[slot]!);
    this.#flags[slot] = 0;
    this.#slots.release(slot);
    this.#updateKeepAlive();
  }

  /** Asks the loop hook for a turn before it sleeps. */
  #wake(): void {
    this.#control[CONTROL.dirty] = 1;
  }

  #takeLoopError(): void {
    const errno = this.#control[CONTROL.error]!;
    if (errno === 0) return;
    this.#control[CONTROL.error] = 0;
    reportError(errnoError("wait for events", errno));
  }

  #updateKeepAlive(): void {
    const isBusy = this.#slots.count > 0 || this.operations.pendingNow > 0 || this.#listeners.count > 0;
    // A shutdown needs one more turn, even where nothing else keeps the event loop alive.
    const keep = (this.#isRefWanted && isBusy) || this.#onShutdown !== undefined;
    if (keep === this.#isKeptAlive) return;
    this.#isKeptAlive = keep;
    this.#native.keepAlive(this.#set.handle, keep ? 1 : 0);
  }

  #tryShutdown(): void {
    if (this.#slots.count > 0 || this.#listeners.count > 0 || this.operations.pendingNow > 0) return;
    const resolve = this.#onShutdown;
    this.#onShutdown = undefined;
    this.#lingering.clear();
    this.#set.isClosed = true;
    this.#native.stopLoop(this.#set.handle);
    resolve?.();
  }

  #assertOpen(operation: string): void {
    if (this.#shutdown === undefined) return;
    throw closedError(operation);
  }
}
