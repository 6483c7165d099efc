/**
 * The `uring` driver: connections on one io_uring of this thread. A turn goes one way:
 *
 *     reap (see how many completions there are) → run (events) → release their entries → deferred work → turnEnded → flush
 *
 * and the loop hook then submits and waits in one system call. One multishot ACCEPT a listener, one multishot RECV with provided
 * buffers a connection, one SEND in flight a connection. All state is in typed arrays by slot; this thread alone touches it.
 *
 * A slot is released when no submission names it any more (`#pending` is 0), so that a completion of its old user cannot meet the
 * new one. The generation in `user_data` is the second line of defence.
 */
import { assert } from "../assert.js";
import { COMPLETIONS_PER_TURN_MAX, LISTENERS_MAX } from "../constants.js";
import { errnoError } from "../errors.js";
import { checkNative, type NativeAddon, type NativeAddress, requireNative } from "../native.js";
import { CONTROL, mayInvert, publishPulse, readWaitTimes, SPIN_MODES, startLoop } from "../ring/loop.js";
import { Ring } from "../ring/ring.js";
import {
  highWord,
  lowWord,
  submitCancel,
  submitCancelAll,
  submitClose,
  submitConnect,
  submitPoll,
  submitReceive,
  submitSend,
} from "../ring/submissions.js";
import {
  KIND_ACCEPT,
  KIND_CONNECT,
  KIND_LOOP,
  KIND_OPERATION,
  KIND_RECV,
  KIND_SEND,
  packUserData,
  userDataKind,
  userDataSlot,
} from "../ring/user-data.js";
import {
  AF_INET,
  AF_INET6,
  EAGAIN,
  ECANCELED,
  ENOBUFS,
  IORING_CQE_BUFFER_SHIFT,
  IORING_CQE_F_BUFFER,
  IORING_CQE_F_MORE,
  SHUT_WR,
} from "../uapi.js";
import { checkConnectTarget, checkDescriptor, checkListenTarget, closedError } from "./arguments.js";
import {
  CANCELLING_RECEIVE,
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
  RECEIVING,
  RESUMING,
  SENDABLE,
} from "./connection-flags.js";
import { ContainedEvents } from "./contained-events.js";
import type { Driver, DriverEvents, DriverOptions, DriverStats, ListenAddress, Listening } from "./contract.js";
import { type DeferredOwner, DeferredWork } from "./deferred-work.js";
import { newDriverStats } from "./driver-stats.js";
import { HeldBytes } from "./held-bytes.js";
import { LingerQueue } from "./linger-queue.js";
import { Listeners, type ListenersOwner } from "./listeners.js";
import { Outbox, type OutboxOwner } from "./outbox.js";
import { ReceiveBuffers } from "./receive-buffers.js";
import { reportError } from "./report-error.js";
import { SlotTable } from "./slots.js";
import { uringAcceptor } from "./uring-acceptor.js";
import { UringOperations } from "./uring-operations.js";
import { WritePool } from "./write-pool.js";

/**
 * Starts a `uring` driver on the calling thread. Throws the kernel's code where io_uring is denied, and
 * `ERR_RINGLOOM_DRIVER_UNAVAILABLE` where the addon is missing.
 * @experimental
 */
export function createUringDriver(options: DriverOptions, events: DriverEvents): Driver {
  return new UringDriver(requireNative(), options, events);
}

class UringDriver implements Driver, OutboxOwner, ListenersOwner, DeferredOwner {
  readonly name = "uring";
  readonly generations: Int32Array;
  readonly writeBytes: Uint8Array;
  readonly operations: UringOperations;

  readonly #native: NativeAddon;
  readonly #events: DriverEvents;
  readonly #ring: Ring;
  readonly #control: Int32Array;
  readonly #slots: SlotTable;
  readonly #pool: WritePool;
  readonly #outbox: Outbox;
  readonly #buffers: ReceiveBuffers;
  readonly #held = new HeldBytes();
  readonly #stats: DriverStats = newDriverStats();

  /** -1 for none. The addon closes what it finds here when the thread dies before the driver was shut down. */
  readonly #fd: Int32Array;
  readonly #flags: Int32Array;
  /** Submissions that name the slot and have not completed. */
  readonly #pending: Int32Array;
  readonly #errno: Int32Array;

  readonly #listeners: Listeners;
  readonly #deferred = new DeferredWork(this);
  readonly #lingering: LingerQueue;
  readonly #addresses = new Map<number, ArrayBuffer>();

  readonly #writeLow: number;
  readonly #writeHigh: number;
  /** From this offset on, the lower half of a write address has wrapped. */
  readonly #writeCarryFrom: number;
  #isInTurn = false;
  #isRefWanted = true;
  #isKeptAlive = true;
  #onShutdown: (() => void) | undefined;
  #shutdown: Promise<void> | undefined;

  constructor(native: NativeAddon, options: DriverOptions, events: DriverEvents) {
    const inverted = mayInvert(native, options.loop);
    this.#native = native;
    this.#events = new ContainedEvents(events, (error) => this.#threw(error));
    this.#ring = new Ring(native, { entries: options.ringEntries, inverted });
    this.#control = this.#ring.control;
    this.#control[CONTROL.spinMode] = SPIN_MODES[options.spin.mode];
    this.#control[CONTROL.spinMicros] = options.spin.microsMax;
    this.#slots = new SlotTable(options.connectionsMax);
    this.generations = this.#slots.generations;
    this.#pool = new WritePool(options.writePoolBytes);
    this.writeBytes = this.#pool.bytes;
    this.#outbox = new Outbox(this.#pool, options.connectionsMax, this);
    const table = native.descriptorTable(this.#ring.handle, options.connectionsMax + LISTENERS_MAX);
    const descriptors = checkNative<ArrayBuffer>(table, "allocate the descriptor table");
    this.#fd = new Int32Array(descriptors, 0, options.connectionsMax);
    this.#flags = new Int32Array(options.connectionsMax);
    this.#pending = new Int32Array(options.connectionsMax);
    this.#errno = new Int32Array(options.connectionsMax);
    this.operations = new UringOperations(this.#ring, () => this.#updateKeepAlive());
    this.#lingering = new LingerQueue(this.generations, (slot) => this.#closeWith(slot, 0));
    const owned = new Int32Array(descriptors, options.connectionsMax * 4);
    this.#listeners = new Listeners(uringAcceptor(this.#ring), this, owned);
    this.#buffers = new ReceiveBuffers(this.#ring, options.receiveSlab);
    const writeAddress = native.addressOf(this.writeBytes.buffer as ArrayBuffer);
    this.#writeLow = lowWord(writeAddress);
    this.#writeHigh = highWord(writeAddress);
    this.#writeCarryFrom = 0x1_0000_0000 - (lowWord(writeAddress) >>> 0);
    startLoop(this.#ring, () => this.#turn(), inverted);
    if (inverted) this.#watchBackend();
    this.#updateKeepAlive();
  }

  get stats(): DriverStats {
    const stats = this.#stats;
    stats.connectionsNow = this.#slots.count;
    stats.writeBlocksNow = this.#pool.blocksNow;
    stats.receiveBuffersNow = this.#held.chunksNow;
    stats.submissionQueueFull = this.#ring.submissionQueueFull;
    stats.completionOverflows = this.#ring.completionOverflows;
    stats.enters = this.#control[CONTROL.enters]! >>> 0;
    readWaitTimes(this.#ring, stats);
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
    const address = checkNative<ArrayBuffer>(this.#native.socketAddress(host, port), "connect", { host, port });
    const slot = this.#slots.acquire();
    if (slot < 0) {
      this.#stats.rejected += 1;
      return -1;
    }
    const fd = this.#native.streamSocket(host.includes(":") ? AF_INET6 : AF_INET);
    this.#open(slot, fd, CONNECTING);
    this.#updateKeepAlive();
    if (fd < 0) {
      this.later(() => this.#connected(slot, fd));
      return slot;
    }
    this.#addresses.set(slot, address);
    this.#pending[slot] = 1;
    const userData = packUserData(KIND_CONNECT, slot);
    submitConnect(
      this.#ring,
      fd,
      this.#native.addressOf(address),
      address.byteLength,
      userData,
      this.generations[slot]!,
    );
    return slot;
  }

  adopt(descriptor: number): number {
    checkDescriptor("adopt", descriptor);
    this.#assertOpen("adopt");
    checkNative(this.#native.setBlocking(descriptor, 1), "adopt", { descriptor });
    const slot = this.#slots.acquire();
    if (slot < 0) {
      this.#stats.rejected += 1;
      return -1;
    }
    this.#open(slot, descriptor, SENDABLE);
    this.#armReceive(slot);
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
    this.#cancelReceive(slot);
  }

  resume(slot: number): void {
    const flags = this.#flags[slot]!;
    if (!this.#isAudible(slot) || (flags & PAUSED) === 0) return;
    this.#flags[slot] = flags & ~PAUSED;
    // Held bytes come first, and never inside this call.
    if ((flags & HOLDING) === 0) return this.#armReceive(slot);
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
    if (!this.#slots.isLive(slot) || (flags & (CLOSING | CLOSE_AFTER_FLUSH)) !== 0) return;
    if ((flags & CONNECTING) !== 0) return this.#closeWith(slot, 0);
    this.#outbox.abandon(slot);
    this.#flags[slot] = (flags & ~SENDABLE) | CLOSE_AFTER_FLUSH;
    if (this.#outbox.queuedBytes(slot) === 0) this.#linger(slot);
  }

  peerAddress(slot: number): NativeAddress | undefined {
    const isKnown = this.#slots.isLive(slot) && (this.#flags[slot]! & FINISHING) === 0;
    const name = isKnown ? this.#native.peerName(this.#fd[slot]!) : undefined;
    return typeof name === "number" ? undefined : name;
  }

  publishPulse(words: Int32Array): (() => number) | undefined {
    return publishPulse(this.#ring, words);
  }

  ref(): void {
    this.#isRefWanted = true;
    this.#updateKeepAlive();
  }

  unref(): void {
    this.#isRefWanted = false;
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
    this.#pending[slot] = this.#pending[slot]! + 1;
    const low = (this.#writeLow + offset) | 0;
    const high = offset < this.#writeCarryFrom ? this.#writeHigh : this.#writeHigh + 1;
    const userData = packUserData(KIND_SEND, slot);
    submitSend(this.#ring, this.#fd[slot]!, low, high, length, userData, this.generations[slot]!);
  }

  outboxEmptied(slot: number): void {
    const flags = this.#flags[slot]!;
    if ((flags & (CLOSE_AFTER_FLUSH | END_WANTED)) === 0) return;
    if ((flags & CLOSE_AFTER_FLUSH) !== 0) this.#linger(slot);
    else this.#sendEnd(slot);
  }

  outboxDrained(slot: number): void {
    if (this.#isAudible(slot)) this.#events.drained(slot);
  }

  outboxDirty(): void {
    if (!this.#isInTurn) this.#wake();
  }

  deferred(): void {
    if (!this.#isInTurn) this.#wake();
  }

  // --- one turn

  #turn(): void {
    this.#control[CONTROL.dirty] = 0;
    this.#takeLoopError();
    if (this.#ring.isClosed) return;
    this.#isInTurn = true;
    this.#stats.turns += 1;
    const count = this.#ring.reap(COMPLETIONS_PER_TURN_MAX);
    for (let index = 0; index < count; ) index = this.#runFrom(index, count);
    this.#ring.release(count);
    this.#deferred.run();
    this.#events.turnEnded();
    this.#outbox.flush();
    if (!this.#deferred.isEmpty) this.#wake();
    this.#ring.retryWaiting();
    this.#buffers.publish();
    this.#isInTurn = false;
    if (this.#onShutdown !== undefined) this.#tryShutdown();
  }

  /** Runs completions until a callback of an operation throws; the error is reported and the next call goes on behind it. */
  #runFrom(start: number, count: number): number {
    let index = start;
    try {
      const ring = this.#ring;
      const words = ring.words;
      while (index < count) {
        const at = ring.completionAt(index);
        index += 1;
        const low = words[at]!;
        if (userDataKind(low) === KIND_ACCEPT) this.#runAccept(at);
        else this.#run(low, words[at + 1]!, words[at + 2]!, words[at + 3]!);
      }
    } catch (error) {
      this.#threw(error);
    }
    return index;
  }

  #run(low: number, generation: number, result: number, flags: number): void {
    const slot = userDataSlot(low);
    switch (userDataKind(low)) {
      case KIND_RECV:
        if (this.generations[slot] === generation) this.#receiveCompleted(slot, result, flags);
        else this.#stale(flags);
        return;
      case KIND_SEND:
        if (this.generations[slot] === generation) this.#sent(slot, result);
        else this.#stale(flags);
        return;
      case KIND_CONNECT:
        if (this.generations[slot] !== generation) return this.#stale(flags);
        this.#pending[slot] = this.#pending[slot]! - 1;
        this.#connected(slot, result);
        return;
      case KIND_OPERATION:
        if (!this.operations.complete(slot, generation, result)) this.#stale(flags);
        return;
      case KIND_LOOP:
        // The poll leaves with the next submission, which is after libuv has had its turn.
        this.#control[CONTROL.backendReady] = 1;
        this.#watchBackend();
        return;
      default:
        return;
    }
  }

  /** An accepted socket is named by its completion or by the descriptor table, so that the addon finds it should the thread be killed. */
  #runAccept(at: number): void {
    const words = this.#ring.words;
    const result = words[at + 2]!;
    words[at + 2] = -ECANCELED;
    this.#listeners.completed(userDataSlot(words[at]!), words[at + 1]!, result, words[at + 3]! & IORING_CQE_F_MORE);
  }

  /** A handler threw: the error is reported, and a reservation that it left open is given up. */
  #threw(error: unknown): void {
    this.#outbox.abandonAny();
    reportError(error);
  }

  /** A completion of somebody who is gone; a buffer that came with it goes back. */
  #stale(flags: number): void {
    this.#stats.staleCompletions += 1;
    if ((flags & IORING_CQE_F_BUFFER) !== 0) this.#buffers.give(flags >>> IORING_CQE_BUFFER_SHIFT);
  }

  // --- what the listeners ask for

  acceptedSocket(listener: number, fd: number): void {
    const slot = this.#shutdown === undefined ? this.#slots.acquire() : -1;
    if (slot < 0) {
      this.#stats.rejected += 1;
      this.#native.closeDescriptor(fd);
      return;
    }
    this.#stats.accepted += 1;
    this.#open(slot, fd, SENDABLE);
    this.#armReceive(slot);
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

  #connected(slot: number, result: number): void {
    this.#addresses.delete(slot);
    const flags = this.#flags[slot]! & ~CONNECTING;
    this.#flags[slot] = flags;
    if ((flags & CLOSING) !== 0) return this.#release(slot);
    if (result >= 0) {
      const isEnding = (flags & END_WANTED) !== 0;
      if (!isEnding) this.#flags[slot] = flags | SENDABLE;
      this.#armReceive(slot);
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
    assert(this.#pending[slot] === 0, "a fresh slot has nothing in flight");
  }

  // --- receiving

  #armReceive(slot: number): void {
    const flags = this.#flags[slot]!;
    if ((flags & (RECEIVING | PAUSED | PEER_ENDED | CLOSING | CONNECTING)) !== 0) return;
    this.#flags[slot] = flags | RECEIVING;
    this.#pending[slot] = this.#pending[slot]! + 1;
    submitReceive(this.#ring, this.#fd[slot]!, packUserData(KIND_RECV, slot), this.generations[slot]!);
  }

  #cancelReceive(slot: number): void {
    const flags = this.#flags[slot]!;
    if ((flags & (RECEIVING | CANCELLING_RECEIVE)) !== RECEIVING) return;
    this.#flags[slot] = flags | CANCELLING_RECEIVE;
    submitCancel(this.#ring, packUserData(KIND_RECV, slot), this.generations[slot]!);
  }

  #receiveCompleted(slot: number, result: number, cqeFlags: number): void {
    let flags = this.#flags[slot]!;
    if ((cqeFlags & IORING_CQE_F_MORE) === 0) {
      flags &= ~(RECEIVING | CANCELLING_RECEIVE);
      this.#flags[slot] = flags;
      this.#pending[slot] = this.#pending[slot]! - 1;
    }
    if (result > 0) {
      const buffer = cqeFlags >>> IORING_CQE_BUFFER_SHIFT;
      this.#stats.receivedBytes += result;
      const offset = this.#buffers.offsetOf(buffer);
      if ((flags & (PAUSED | HOLDING | CLOSING | CLOSE_AFTER_FLUSH)) === 0) {
        this.#events.received(slot, this.#buffers.bytes, offset, result);
      } else if ((flags & (CLOSING | CLOSE_AFTER_FLUSH)) === 0) {
        this.#hold(slot, offset, result);
      }
      this.#buffers.give(buffer);
    }
    if ((cqeFlags & IORING_CQE_F_MORE) === 0) this.#receiveStopped(slot, result);
  }

  #receiveStopped(slot: number, result: number): void {
    const flags = this.#flags[slot]!;
    if ((flags & CLOSING) !== 0) return this.#release(slot);
    if (result > 0 || result === -ECANCELED || result === -EAGAIN) {
      this.#armReceive(slot);
    } else if (result === 0) {
      this.#peerEnded(slot);
    } else if (result === -ENOBUFS) {
      this.#stats.receiveStarved += 1;
      this.#buffers.grow();
      this.#armReceive(slot);
    } else {
      this.#closeWith(slot, -result);
    }
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

  #hold(slot: number, offset: number, length: number): void {
    this.#flags[slot] = this.#flags[slot]! | HOLDING;
    this.#held.add(slot, this.#buffers.bytes.slice(offset, offset + length));
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
    if ((flags & PEER_ENDED) === 0) this.#armReceive(slot);
    else this.#deliverEnd(slot);
  }

  // --- sending

  /** Events other than `closed` are still to be delivered. */
  #isAudible(slot: number): boolean {
    return this.#slots.isLive(slot) && (this.#flags[slot]! & (CLOSING | CLOSE_AFTER_FLUSH)) === 0;
  }

  #sent(slot: number, result: number): void {
    this.#pending[slot] = this.#pending[slot]! - 1;
    if (result < 0) {
      if ((this.#flags[slot]! & CLOSING) !== 0) return this.#release(slot);
      if (result === -EAGAIN) return this.#outbox.sent(slot, 0);
      return this.#closeWith(slot, -result);
    }
    this.#stats.sentBytes += result;
    if ((this.#flags[slot]! & CLOSING) !== 0) return this.#release(slot);
    this.#outbox.sent(slot, result);
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
    this.#armReceive(slot);
    this.#lingering.add(slot);
  }

  #closeWith(slot: number, errno: number): void {
    const flags = this.#flags[slot]!;
    if (!this.#slots.isLive(slot) || (flags & CLOSING) !== 0) return;
    this.#outbox.abandon(slot);
    this.#flags[slot] = (flags & ~SENDABLE) | CLOSING;
    this.#errno[slot] = errno;
    this.#held.drop(slot);
    if (!this.#outbox.isSending(slot)) this.#outbox.drop(slot);
    if (this.#pending[slot] === 0) this.#release(slot);
    else submitCancelAll(this.#ring, this.#fd[slot]!);
  }

  /** The last submission that named the slot may have completed: then its end is put in line. */
  #release(slot: number): void {
    const flags = this.#flags[slot]!;
    if (this.#pending[slot]! > 0 || (flags & FINISHING) !== 0) return;
    this.#flags[slot] = flags | FINISHING;
    this.#deferred.finish(slot);
  }

  finishSlot(slot: number): void {
    assert(this.#pending[slot] === 0, "a finished slot has nothing in flight");
    const fd = this.#fd[slot]!;
    this.#fd[slot] = -1;
    // A submission that has to wait for room in the queue would be lost with the thread.
    if (fd >= 0 && this.#ring.waitingNow > 0) this.#native.closeDescriptor(fd);
    else if (fd >= 0) submitClose(this.#ring, fd);
    this.#outbox.drop(slot);
    this.#events.closed(slot, this.#errno[slot]!);
    this.#flags[slot] = 0;
    this.#slots.release(slot);
    this.#updateKeepAlive();
  }

  #watchBackend(): void {
    submitPoll(this.#ring, this.#native.backendFd(), packUserData(KIND_LOOP, 0));
  }

  /** Asks the loop hook for a turn before it sleeps. */
  #wake(): void {
    this.#control[CONTROL.dirty] = 1;
  }

  #takeLoopError(): void {
    const errno = this.#control[CONTROL.error]!;
    if (errno === 0) return;
    this.#control[CONTROL.error] = 0;
    reportError(errnoError("enter the ring", errno));
  }

  #updateKeepAlive(): void {
    const isBusy = this.#slots.count > 0 || this.operations.pendingNow > 0 || this.#listeners.count > 0;
    // A shutdown needs one more turn, even where nothing else keeps the event loop alive.
    const keep = (this.#isRefWanted && isBusy) || this.#onShutdown !== undefined;
    if (keep === this.#isKeptAlive) return;
    this.#isKeptAlive = keep;
    this.#native.keepAlive(this.#ring.handle, keep ? 1 : 0);
  }

  #tryShutdown(): void {
    if (this.#slots.count > 0 || this.#listeners.count > 0 || this.operations.pendingNow > 0) return;
    const resolve = this.#onShutdown;
    this.#onShutdown = undefined;
    this.#lingering.clear();
    this.#ring.closed();
    this.#native.stopLoop(this.#ring.handle);
    resolve?.();
  }

  #assertOpen(operation: string): void {
    if (this.#shutdown === undefined) return;
    throw closedError(operation);
  }
}
