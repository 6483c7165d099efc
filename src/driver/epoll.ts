/**
 * The `epoll` driver: connections on one epoll instance of this thread, for Linux where io_uring is denied or too old. A turn goes one way:
 *
 *     records (the addon has waited, accepted and received) → events → deferred work → turnEnded → flush (the addon sends the list)
 *
 * Every system call on a socket has ended when it returns, so the kernel holds no memory of a connection between two calls: what is queued can be dropped at
 * once, and a slot is released in the turn that closes it. Files go through libuv's pool of threads, because epoll has no file operations. `socket-driver.ts`
 * has what both native drivers do alike.
 */

import { assert } from "../assert.js";
import { errnoError } from "../errors.js";
import { checkNative, type NativeAddon, requireNative } from "../native.js";
import { mayInvert } from "../ring/loop.js";
import { KIND_ACCEPT, KIND_CONNECT, KIND_RECV, KIND_SEND, userDataKind, userDataSlot } from "../ring/user-data.js";
import { EAGAIN, EINVAL } from "../uapi.js";
import { checkConnectTarget, checkSocketPath } from "./arguments.js";
import { ADOPTED, CLOSING, CONNECTING, PAUSED, PEER_ENDED, RELEASING } from "./connection-flags.js";
import type { Driver, DriverEvents, DriverOptions, DriverStats } from "./contract.js";
import { checkDoorbell } from "./doorbell.js";
import { EpollSet } from "./epoll-set.js";
import { NodeOperations, type OperationsOwner } from "./node-operations.js";
import { SlotTable } from "./slots.js";
import { SocketDriver } from "./socket-driver.js";
import { WritePool } from "./write-pool.js";

/** Blocks of up to 64 KiB that one connection may send in one turn, so that a large answer does not hold up the others. */
const SENDS_PER_TURN_MAX = 8;

/**
 * Starts an `epoll` driver on the calling thread. Throws `ERR_RINGLOOM_DRIVER_UNAVAILABLE` where the addon is missing.
 * `ringEntries` has no meaning here.
 * @experimental
 */
export function createEpollDriver(options: DriverOptions, events: DriverEvents): Driver {
  checkDoorbell("epoll", options.wake);
  return new EpollDriver(requireNative(), options, events);
}

class EpollDriver extends SocketDriver implements OperationsOwner {
  readonly name = "epoll";
  readonly operations: NodeOperations;

  readonly #set: EpollSet;
  /** Where our part of the slab starts. */
  readonly #slabOffset: number;

  constructor(native: NativeAddon, options: DriverOptions, events: DriverEvents) {
    const slots = new SlotTable(options.connectionsMax);
    const pool = new WritePool(options.writePoolBytes);
    const { bytes, offset, length } = options.receiveSlab;
    const slab = bytes.subarray(offset, offset + length);
    const set = new EpollSet(native, { generations: slots.generations, slab, pool: pool.bytes });
    const inverted = mayInvert(native, options.loop);
    super(options, events, { native, slots, pool, inverted, source: set, acceptor: set, descriptors: set.descriptors });
    this.#set = set;
    this.#slabOffset = offset;
    this.operations = new NodeOperations(this, native);
    this.start();
  }

  protected fillStats(stats: DriverStats): void {
    stats.staleCompletions = this.#set.stale;
    stats.receiveStarved = this.#set.starved;
    stats.batched = this.#set.batched;
  }

  override ref(): void {
    this.operations.setReferenced(true);
    super.ref();
  }

  override unref(): void {
    this.operations.setReferenced(false);
    super.unref();
  }

  // --- what the operations ask for

  scheduleTurn(): void {
    this.wake();
    // A nop is nothing that Node itself would wait for.
    this.updateKeepAlive();
  }

  operationsIdle(): void {
    this.updateKeepAlive();
  }

  // --- opening

  connect(host: string, port: number): number {
    checkConnectTarget(host, port);
    return this.#connect(host, port);
  }

  connectPath(path: string): number {
    checkSocketPath("connect", path);
    return this.#connect(path, -1);
  }

  #connect(host: string, port: number): number {
    this.assertOpen("connect");
    const slot = this.takeSlot();
    if (slot < 0) return -1;
    // Straight into the table, from which the addon closes what a killed thread leaves behind.
    const result = (this.fd[slot] = this.native.connectSocket(host, port));
    this.updateKeepAlive();
    if (result >= 0) this.open(slot, result, CONNECTING);
    else {
      this.flags[slot] = CONNECTING;
      this.later(() => this.#connectEnded(slot, result));
    }
    return slot;
  }

  #connectEnded(slot: number, result: number): void {
    if ((this.flags[slot]! & CLOSING) === 0) this.connected(slot, result);
  }

  protected prepareAdopted(descriptor: number): void {
    checkNative(this.native.setBlocking(descriptor, 0), "adopt", { descriptor });
    // A socket that does not listen: the only thing whose reads and writes are receives and sends.
    const listening = this.native.isListening(descriptor);
    if (listening !== -EINVAL) throw errnoError("adopt", listening === 0 ? EINVAL : -listening, { descriptor });
  }

  protected attach(slot: number): void {
    const result = this.#set.add(slot, this.generations[slot]!, (this.flags[slot]! & CONNECTING) !== 0);
    // Not a socket, or no memory for one more: its owner hears of it as of any other failure.
    if (result < 0) this.later(() => this.#failed(slot, -result));
  }

  #failed(slot: number, errno: number): void {
    if ((this.flags[slot]! & CONNECTING) !== 0) this.#connectEnded(slot, -errno);
    else this.closeWith(slot, errno);
  }

  /** Out of descriptors the listener would be reported ready again and again, so it is taken out until it tries again. */
  #accepted(at: number, index: number, id: number, result: number): void {
    if (result >= 0) return this.acceptCompleted(at, index, id, 1);
    this.listeners.failed(index, id);
  }

  // --- receiving

  protected startReceiving(slot: number): void {
    if ((this.flags[slot]! & (PAUSED | PEER_ENDED | CLOSING | CONNECTING)) === 0) this.#set.want(slot);
  }

  /** All of a turn is received before its first event, so bytes can still come for a connection that an event pauses. */
  protected stopReceiving(slot: number): void {
    this.#set.unwant(slot);
  }

  #receiveEnded(slot: number, result: number, offset: number): void {
    const flags = this.flags[slot]! & (CLOSING | RELEASING);
    if (flags === CLOSING) return;
    if (result > 0) this.received(slot, this.#slabOffset + offset, result);
    else if (flags !== 0 && result < 0) this.releaseFailed(slot, -result);
    else if (result === 0) this.peerEnded(slot);
    else this.closeWith(slot, -result);
  }

  // --- sending

  startSend(slot: number, offset: number, length: number): void {
    this.#set.addSend(slot, offset, length);
  }

  #sendEnded(slot: number, result: number): void {
    if (result >= 0) {
      this.counters.sentBytes += result;
      this.outbox.sent(slot, result);
    } else if (result === -EAGAIN) this.#set.awaitRoom(slot);
    else this.closeWith(slot, -result);
  }

  // --- closing

  protected letGo(slot: number): void {
    this.outbox.drop(slot);
    this.#set.forget(slot);
    this.finish(slot);
  }

  protected forgetSocket(slot: number, fd: number): void {
    this.#set.remove(fd);
    this.fd[slot] = -1;
  }

  protected closeSocket(slot: number, fd: number): void {
    if ((this.flags[slot]! & ADOPTED) !== 0) this.#set.remove(fd);
    this.fd[slot] = -1;
    if (fd >= 0) this.native.closeDescriptor(fd);
  }

  // --- one turn

  protected runCompletions(): void {
    this.#runRecords();
    this.#set.emptyRecords();
    this.operations.deliver();
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
          this.#receiveEnded(slot, result, words[at + 3]!);
          break;
        case KIND_SEND:
          // There is room again; the flush of this turn tries. Its end may have been taken off meanwhile.
          if (this.outbox.isSending(slot)) this.outbox.sent(slot, 0);
          break;
        case KIND_ACCEPT:
          this.#accepted(at, slot, words[at + 1]!, result);
          break;
        case KIND_CONNECT:
          this.#connectEnded(slot, result);
          break;
        default:
          assert(false, "a record has one of four kinds");
      }
    }
  }

  protected flush(): void {
    for (let round = 0; round < SENDS_PER_TURN_MAX && this.outbox.hasDirty; round++) {
      this.outbox.flush();
      const count = this.#set.send();
      for (let index = 0; index < count; index++)
        this.#sendEnded(this.#set.sendSlot(index), this.#set.sendResult(index));
    }
  }

  protected watchBackend(): void {
    this.#set.watchBackend();
  }

  protected watchDoorbell(fd: number): void {
    this.#set.watchDoorbell(fd);
  }
}
