/**
 * The `uring` driver: connections on one io_uring of this thread. A turn goes one way:
 *
 *     reap (see how many completions there are) → run (events) → release their entries → deferred work → turnEnded → flush
 *
 * and the loop hook then submits and waits in one system call. One multishot ACCEPT a listener, one multishot RECV with provided
 * buffers a connection, one SEND in flight a connection. `socket-driver.ts` has the rest.
 *
 * A slot is released when no submission names it any more (`#pending` is 0), so that a completion of its old user cannot meet the
 * new one. The generation in `user_data` is the second line of defence.
 */
import { release } from "node:os";
import { assert } from "../assert.js";
import { COMPLETIONS_PER_TURN_MAX, LISTENERS_MAX } from "../constants.js";
import { checkNative, type NativeAddon, requireNative } from "../native.js";
import { CONTROL, mayInvert } from "../ring/loop.js";
import { Ring } from "../ring/ring.js";
import {
  highWord,
  lowWord,
  submitCancel,
  submitCancelAll,
  submitClose,
  submitConnect,
  submitPoll,
  submitPollMultishot,
  submitReceive,
  submitRingMessage,
  submitSend,
} from "../ring/submissions.js";
import {
  KIND_ACCEPT,
  KIND_BELL,
  KIND_CONNECT,
  KIND_IGNORED,
  KIND_LOOP,
  KIND_OPERATION,
  KIND_RECV,
  KIND_SEND,
  KIND_TOLD,
  KIND_UNTOLD,
  packUserData,
  userDataKind,
  userDataSlot,
} from "../ring/user-data.js";
import {
  AF_INET,
  AF_INET6,
  AF_UNIX,
  EAGAIN,
  ECANCELED,
  ENOBUFS,
  IORING_CQE_BUFFER_SHIFT,
  IORING_CQE_F_BUFFER,
  IORING_CQE_F_MORE,
  SOCK_STREAM,
} from "../uapi.js";
import { checkConnectTarget, checkSocketPath } from "./arguments.js";
import {
  CANCELLING_RECEIVE,
  CLOSING,
  CONNECTING,
  FINISHING,
  PAUSED,
  PEER_ENDED,
  RECEIVING,
  RELEASING,
} from "./connection-flags.js";
import type { Driver, DriverEvents, DriverOptions, DriverStats, DriverWake } from "./contract.js";
import { bellOf, checkDoorbell } from "./doorbell.js";
import { compareKernelReleases, RING_MESSAGES_RELEASE_MIN } from "./kernel-ladder.js";
import { ReceiveBuffers } from "./receive-buffers.js";
import { ringHasOpcode } from "./ring-opcodes.js";
import { SlotTable } from "./slots.js";
import { SocketDriver } from "./socket-driver.js";
import { uringAcceptor } from "./uring-acceptor.js";
import { UringOperations } from "./uring-operations.js";
import { WritePool } from "./write-pool.js";

const TELLS_RINGS = compareKernelReleases(release(), RING_MESSAGES_RELEASE_MIN) >= 0;

/**
 * Starts a `uring` driver on the calling thread. Throws the kernel's code where io_uring is denied, and
 * `ERR_RINGLOOM_DRIVER_UNAVAILABLE` where the addon is missing.
 * @experimental
 */
export function createUringDriver(options: DriverOptions, events: DriverEvents): Driver {
  checkDoorbell("uring", options.wake);
  return new UringDriver(requireNative(), options, events);
}

class UringDriver extends SocketDriver {
  readonly name = "uring";
  readonly operations: UringOperations;

  readonly ringDescriptor: number;

  readonly #ring: Ring;
  readonly #wake: DriverWake | undefined;
  readonly #buffers: ReceiveBuffers;
  /** Submissions that name the slot and have not completed. */
  readonly #pending: Int32Array;
  /** By slot: the sockaddr of a CONNECT under way. */
  readonly #addresses = new Map<number, ArrayBuffer>();
  readonly #writeLow: number;
  readonly #writeHigh: number;
  /** From this offset on, the lower half of a write address has wrapped. */
  readonly #writeCarryFrom: number;

  constructor(native: NativeAddon, options: DriverOptions, events: DriverEvents) {
    const inverted = mayInvert(native, options.loop);
    const ring = new Ring(native, { entries: options.ringEntries, inverted });
    const slots = new SlotTable(options.connectionsMax);
    const pool = new WritePool(options.writePoolBytes);
    const table = native.descriptorTable(ring.handle, options.connectionsMax + LISTENERS_MAX);
    const descriptors = new Int32Array(checkNative<ArrayBuffer>(table, "allocate the descriptor table"));
    super(options, events, { native, slots, pool, inverted, source: ring, acceptor: uringAcceptor(ring), descriptors });
    this.#ring = ring;
    this.ringDescriptor = ring.descriptor;
    this.#wake = options.wake;
    this.#pending = new Int32Array(options.connectionsMax);
    this.operations = new UringOperations(ring, {
      changed: () => this.updateKeepAlive(),
      wake: () => this.wake(),
      supports: (opcode) => ringHasOpcode(native, opcode),
    });
    this.#buffers = new ReceiveBuffers(ring, options.receiveSlab);
    const writeAddress = native.addressOf(this.writeBytes.buffer as ArrayBuffer);
    this.#writeLow = lowWord(writeAddress);
    this.#writeHigh = highWord(writeAddress);
    this.#writeCarryFrom = 0x1_0000_0000 - (lowWord(writeAddress) >>> 0);
    this.start();
  }

  protected fillStats(stats: DriverStats): void {
    stats.submissionQueueFull = this.#ring.submissionQueueFull;
    stats.completionOverflows = this.#ring.completionOverflows;
  }

  // --- opening

  connect(host: string, port: number): number {
    checkConnectTarget(host, port);
    this.assertOpen("connect");
    const address = checkNative<ArrayBuffer>(this.native.socketAddress(host, port), "connect", { host, port });
    return this.#connect(host.includes(":") ? AF_INET6 : AF_INET, address);
  }

  connectPath(path: string): number {
    checkSocketPath("connect", path);
    this.assertOpen("connect");
    return this.#connect(AF_UNIX, checkNative<ArrayBuffer>(this.native.socketAddress(path, -1), "connect", { path }));
  }

  #connect(family: number, address: ArrayBuffer): number {
    const slot = this.takeSlot();
    if (slot < 0) return -1;
    // Straight into the table: a thread can be killed at any call, and the addon closes only what it finds there.
    const fd = (this.fd[slot] = this.native.openSocket(family, SOCK_STREAM));
    this.open(slot, fd, CONNECTING);
    this.updateKeepAlive();
    if (fd < 0) {
      this.later(() => this.#connectCompleted(slot, fd));
      return slot;
    }
    this.#addresses.set(slot, address);
    this.#pending[slot] = 1;
    const userData = packUserData(KIND_CONNECT, slot);
    const start = this.native.addressOf(address);
    submitConnect(this.#ring, fd, start, address.byteLength, userData, this.generations[slot]!);
    return slot;
  }

  #connectCompleted(slot: number, result: number): void {
    this.#addresses.delete(slot);
    if ((this.flags[slot]! & CLOSING) !== 0) this.#release(slot);
    else this.connected(slot, result);
  }

  protected prepareAdopted(descriptor: number): void {
    checkNative(this.native.setBlocking(descriptor, 1), "adopt", { descriptor });
  }

  protected attach(slot: number): void {
    assert(this.#pending[slot] === 0, "a fresh slot has nothing in flight");
  }

  // --- receiving

  protected startReceiving(slot: number): void {
    const flags = this.flags[slot]!;
    if ((flags & (RECEIVING | PAUSED | PEER_ENDED | CLOSING | CONNECTING)) !== 0) return;
    this.flags[slot] = flags | RECEIVING;
    this.#pending[slot] = this.#pending[slot]! + 1;
    submitReceive(this.#ring, this.fd[slot]!, packUserData(KIND_RECV, slot), this.generations[slot]!);
  }

  protected stopReceiving(slot: number): void {
    const flags = this.flags[slot]!;
    if ((flags & (RECEIVING | CANCELLING_RECEIVE)) !== RECEIVING) return;
    this.flags[slot] = flags | CANCELLING_RECEIVE;
    submitCancel(this.#ring, packUserData(KIND_RECV, slot), this.generations[slot]!);
  }

  #receiveCompleted(slot: number, result: number, cqeFlags: number): void {
    if ((cqeFlags & IORING_CQE_F_MORE) === 0) {
      this.flags[slot] = this.flags[slot]! & ~(RECEIVING | CANCELLING_RECEIVE);
      this.#pending[slot] = this.#pending[slot]! - 1;
    }
    if (result > 0) {
      const buffer = cqeFlags >>> IORING_CQE_BUFFER_SHIFT;
      this.received(slot, this.#buffers.offsetOf(buffer), result);
      this.#buffers.give(buffer);
    }
    if ((cqeFlags & IORING_CQE_F_MORE) === 0) this.#receiveStopped(slot, result);
  }

  #receiveStopped(slot: number, result: number): void {
    const flags = this.flags[slot]!;
    if ((flags & CLOSING) !== 0) {
      const isBroken = result < 0 && result !== -ECANCELED && result !== -ENOBUFS;
      if (isBroken && (flags & RELEASING) !== 0) this.releaseFailed(slot, -result);
      return this.#release(slot);
    }
    if (result > 0 || result === -ECANCELED || result === -EAGAIN) {
      this.startReceiving(slot);
    } else if (result === 0) {
      this.peerEnded(slot);
    } else if (result === -ENOBUFS) {
      this.counters.receiveStarved += 1;
      this.#buffers.grow();
      this.startReceiving(slot);
    } else {
      this.closeWith(slot, -result);
    }
  }

  // --- sending

  startSend(slot: number, offset: number, length: number): void {
    this.#pending[slot] = this.#pending[slot]! + 1;
    const low = (this.#writeLow + offset) | 0;
    const high = offset < this.#writeCarryFrom ? this.#writeHigh : this.#writeHigh + 1;
    const userData = packUserData(KIND_SEND, slot);
    submitSend(this.#ring, this.fd[slot]!, low, high, length, userData, this.generations[slot]!);
  }

  #sendCompleted(slot: number, result: number): void {
    this.#pending[slot] = this.#pending[slot]! - 1;
    if (result > 0) this.counters.sentBytes += result;
    if ((this.flags[slot]! & CLOSING) !== 0) return this.#release(slot);
    if (result >= 0) return this.outbox.sent(slot, result);
    if (result === -EAGAIN) return this.outbox.sent(slot, 0);
    this.closeWith(slot, -result);
  }

  // --- closing

  protected letGo(slot: number): void {
    // What the kernel is sending must stay where it is until the completion.
    if (!this.outbox.isSending(slot)) this.outbox.drop(slot);
    if (this.#pending[slot] === 0) this.#release(slot);
    else submitCancelAll(this.#ring, this.fd[slot]!);
  }

  /** The last submission that named the slot may have completed. */
  #release(slot: number): void {
    const flags = this.flags[slot]!;
    if (this.#pending[slot]! > 0 || (flags & FINISHING) !== 0) return;
    this.flags[slot] = flags | FINISHING;
    this.finish(slot);
  }

  protected forgetSocket(slot: number): void {
    assert(this.#pending[slot] === 0, "a socket that is given away has nothing in flight");
    this.fd[slot] = -1;
  }

  protected closeSocket(slot: number, fd: number): void {
    assert(this.#pending[slot] === 0, "a finished slot has nothing in flight");
    // A submission that has to wait for room in the queue would be lost with the thread.
    const isQueued = fd >= 0 && this.#ring.waitingNow === 0;
    // Should the thread be killed here, the descriptor is in the queue as well as in the table, which the addon recognises.
    if (isQueued) submitClose(this.#ring, fd);
    this.fd[slot] = -1;
    if (fd >= 0 && !isQueued) this.native.closeDescriptor(fd);
  }

  // --- other threads' rings

  tellRing(descriptor: number, number: number): boolean {
    if (this.isShutDown || !TELLS_RINGS) return false;
    submitRingMessage(this.#ring, descriptor, packUserData(KIND_UNTOLD, number));
    return true;
  }

  // --- one turn

  protected runCompletions(): void {
    const count = this.#ring.reap(COMPLETIONS_PER_TURN_MAX);
    for (let index = 0; index < count; ) index = this.#runFrom(index, count);
    this.#ring.release(count);
  }

  protected flush(): void {
    this.outbox.flush();
    this.#ring.retryWaiting();
    this.#buffers.publish();
  }

  protected watchBackend(): void {
    submitPoll(this.#ring, this.native.backendFd(), packUserData(KIND_LOOP, 0));
  }

  /** Each write to the descriptor is a completion of its own, so nobody needs to read the count back. The upper word carries the descriptor. */
  protected watchDoorbell(fd: number): void {
    submitPollMultishot(this.#ring, fd, packUserData(KIND_BELL, 0), fd);
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
        const kind = userDataKind(low);
        // Should the thread be killed from here on, the addon counts which operations have ended among completions that are still there; ours counts this one itself.
        if (kind === KIND_OPERATION) words[at] = packUserData(KIND_IGNORED, 0);
        if (kind === KIND_ACCEPT)
          this.acceptCompleted(at, userDataSlot(low), words[at + 1]!, words[at + 3]! & IORING_CQE_F_MORE);
        else this.#run(low, words[at + 1]!, words[at + 2]!, words[at + 3]!);
      }
    } catch (error) {
      this.handlerThrew(error);
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
        if (this.generations[slot] === generation) this.#sendCompleted(slot, result);
        else this.#stale(flags);
        return;
      case KIND_CONNECT:
        if (this.generations[slot] !== generation) return this.#stale(flags);
        this.#pending[slot] = this.#pending[slot]! - 1;
        this.#connectCompleted(slot, result);
        return;
      case KIND_OPERATION:
        if (!this.operations.complete(slot, generation, result, flags)) this.#stale(flags);
        return;
      case KIND_LOOP:
        // The poll leaves with the next submission, which is after libuv has had its turn.
        this.#ring.control[CONTROL.backendReady] = 1;
        this.watchBackend();
        return;
      case KIND_BELL:
        // The ring rang; all that is to do is to watch on, should the kernel have stopped for want of room.
        if ((flags & IORING_CQE_F_MORE) === 0 && result >= 0) this.watchDoorbell(generation);
        return;
      case KIND_TOLD:
        // The turn then finds the doorbell rung, as if somebody had written to it.
        if (this.#wake !== undefined) bellOf(this.#wake.doorbell).ring();
        return;
      case KIND_UNTOLD:
        this.#wake?.untold?.(slot);
        return;
      default:
        return;
    }
  }

  /** A completion of somebody who is gone; a buffer that came with it goes back. */
  #stale(flags: number): void {
    this.counters.staleCompletions += 1;
    if ((flags & IORING_CQE_F_BUFFER) !== 0) this.#buffers.give(flags >>> IORING_CQE_BUFFER_SHIFT);
  }
}
