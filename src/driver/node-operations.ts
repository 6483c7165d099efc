/**
 * One-shot operations over node:fs and Node's timers, for the drivers without a ring: files go through libuv's pool of threads. An operation is a slot and its generation, so that a stale id
 * cancels nothing. Completions that exist at once (a nop, a cancelled timeout) wait in a list for the next turn, because a completion
 * never runs inside the call that causes it.
 */
import { constants } from "node:os";
import { assert } from "../assert.js";
import { GENERATION_MAX, OPERATIONS_MAX } from "../constants.js";
import type { NativeAddon } from "../native.js";
import {
  checkBuffer,
  checkBuffers,
  checkDescriptor,
  checkLength,
  checkPathRequest,
  checkPosition,
  checkStatTarget,
  checkTimeout,
  checkTransfer,
  closedError,
  operationsTaken,
} from "./arguments.js";
import type { FilePath, OperationDone, Operations, PathRequest, StatDone } from "./contract.js";
import {
  poolAllocate,
  poolClose,
  poolPath,
  poolRead,
  poolReadVector,
  poolStat,
  poolSync,
  poolTruncate,
  poolWrite,
  poolWriteVector,
} from "./pool-files.js";

const ETIME = constants.errno.ETIME ?? 62;
const ECANCELED = constants.errno.ECANCELED ?? 125;
const EOPNOTSUPP = constants.errno.EOPNOTSUPP ?? 95;

/** What the operations need of their driver. */
export interface OperationsOwner {
  /** A completion has to be delivered, or has just been: there must be a turn soon. */
  scheduleTurn(): void;
  /** A completion callback threw. */
  handlerThrew(error: unknown): void;
  /** An operation completed and none is pending any more. */
  operationsIdle(): void;
}

/** {@link Operations} over Node's own calls. */
export class NodeOperations implements Operations {
  readonly #owner: OperationsOwner;
  readonly #native: NativeAddon | undefined;
  readonly #done: (OperationDone | undefined)[] = [];
  readonly #timers: (NodeJS.Timeout | undefined)[] = [];
  readonly #generations = new Int32Array(OPERATIONS_MAX).fill(1);
  readonly #free: number[] = [];
  /** Pairs of a slot and its result, to be delivered in the next turn. */
  #finished: number[] = [];
  #delivering: number[] = [];
  #pending = 0;
  #isClosed = false;
  #isReferenced = true;

  /** `native` reads from the page cache; undefined where there is no addon, or none is wanted. */
  constructor(owner: OperationsOwner, native?: NativeAddon) {
    this.#owner = owner;
    this.#native = native;
  }

  get pendingNow(): number {
    return this.#pending;
  }

  /** Something finished and waits for the next turn. */
  get hasFinished(): boolean {
    return this.#finished.length > 0;
  }

  nop(done: OperationDone): number {
    const slot = this.#acquire("nop", done);
    this.#finishLater(slot, 0);
    return this.#idOf(slot);
  }

  timeout(ms: number, done: OperationDone): number {
    checkTimeout(ms);
    const slot = this.#acquire("timeout", done);
    // Node rounds down to whole milliseconds; a timeout must not fire early.
    const timer = setTimeout(onTimeout, Math.ceil(ms), this, slot);
    if (!this.#isReferenced) timer.unref();
    this.#timers[slot] = timer;
    return this.#idOf(slot);
  }

  readAt(descriptor: number, buffer: Uint8Array, position: number, done: OperationDone): number {
    checkTransfer("readAt", descriptor, position);
    checkBuffer("readAt", buffer);
    const slot = this.#acquire("readAt", done);
    poolRead(descriptor, buffer, position, (result) => this.#complete(slot, result));
    return this.#idOf(slot);
  }

  writeAt(descriptor: number, buffer: Uint8Array, position: number, done: OperationDone): number {
    checkTransfer("writeAt", descriptor, position);
    checkBuffer("writeAt", buffer);
    const slot = this.#acquire("writeAt", done);
    poolWrite(descriptor, buffer, position, (result) => this.#complete(slot, result));
    return this.#idOf(slot);
  }

  readVector(descriptor: number, buffers: readonly Uint8Array[], position: number, done: OperationDone): number {
    checkTransfer("readVector", descriptor, position);
    checkBuffers("readVector", buffers);
    const slot = this.#acquire("readVector", done);
    poolReadVector(descriptor, buffers, position, (result) => this.#complete(slot, result));
    return this.#idOf(slot);
  }

  writeVector(descriptor: number, buffers: readonly Uint8Array[], position: number, done: OperationDone): number {
    checkTransfer("writeVector", descriptor, position);
    checkBuffers("writeVector", buffers);
    const slot = this.#acquire("writeVector", done);
    poolWriteVector(descriptor, buffers, position, (result) => this.#complete(slot, result));
    return this.#idOf(slot);
  }

  readNow(descriptor: number, buffer: Uint8Array, position: number): number {
    if (this.#native === undefined) return -EOPNOTSUPP;
    return this.#native.readNow(descriptor, buffer, position);
  }

  fsync(descriptor: number, dataOnly: boolean, done: OperationDone): number {
    checkDescriptor("fsync", descriptor);
    const slot = this.#acquire("fsync", done);
    poolSync(descriptor, dataOnly, (result) => this.#complete(slot, result));
    return this.#idOf(slot);
  }

  truncate(descriptor: number, length: number, done: OperationDone): number {
    checkDescriptor("truncate", descriptor);
    checkLength("truncate", length);
    const slot = this.#acquire("truncate", done);
    poolTruncate(descriptor, length, (result) => this.#complete(slot, result));
    return this.#idOf(slot);
  }

  allocate(descriptor: number, position: number, length: number, done: OperationDone): number {
    checkDescriptor("allocate", descriptor);
    checkPosition("allocate", position);
    checkLength("allocate", length);
    const slot = this.#acquire("allocate", done);
    poolAllocate(descriptor, position, length, (result) => this.#complete(slot, result));
    return this.#idOf(slot);
  }

  closeFile(descriptor: number, done: OperationDone): number {
    checkDescriptor("closeFile", descriptor);
    const slot = this.#acquire("closeFile", done);
    poolClose(descriptor, (result) => this.#complete(slot, result));
    return this.#idOf(slot);
  }

  path(request: PathRequest, done: OperationDone): number {
    checkPathRequest(request);
    const slot = this.#acquire(request.call, done);
    poolPath(request, (result) => this.#complete(slot, result));
    return this.#idOf(slot);
  }

  stat(target: FilePath | number, followLinks: boolean, done: StatDone): number {
    checkStatTarget(target);
    let found: Parameters<StatDone>[1];
    const slot = this.#acquire("stat", (result) => done(result, found));
    poolStat(target, followLinks, (result, stat) => {
      found = stat;
      this.#complete(slot, result);
    });
    return this.#idOf(slot);
  }

  /** A file operation that the thread pool has taken cannot be stopped any more; it completes with its own result. */
  cancel(operation: number): void {
    const slot = operation % OPERATIONS_MAX;
    if (this.#done[slot] === undefined || this.#idOf(slot) !== operation) return;
    this.#cancelTimer(slot);
  }

  /** Delivers what finished since the last turn. Operations that these completions start finish in a later one. */
  deliver(): void {
    if (this.#finished.length === 0) return;
    const batch = this.#finished;
    this.#finished = this.#delivering;
    for (let index = 0; index < batch.length; index += 2) this.#complete(batch[index]!, batch[index + 1]!);
    batch.length = 0;
    this.#delivering = batch;
  }

  /** Takes no more operations and cancels all that are pending; `operationsIdle` tells when the last has completed. */
  close(): void {
    this.#isClosed = true;
    for (let slot = 0; slot < this.#timers.length; slot++) this.#cancelTimer(slot);
  }

  setReferenced(isReferenced: boolean): void {
    this.#isReferenced = isReferenced;
    for (const timer of this.#timers) {
      if (isReferenced) timer?.ref();
      else timer?.unref();
    }
  }

  /** Only for {@link onTimeout}. */
  timerFired(slot: number): void {
    this.#timers[slot] = undefined;
    this.#complete(slot, -ETIME);
  }

  #acquire(operation: string, done: OperationDone): number {
    if (this.#isClosed) throw closedError(operation);
    if (this.#pending === OPERATIONS_MAX) throw operationsTaken(operation);
    const slot = this.#free.pop() ?? this.#done.length;
    assert(slot < OPERATIONS_MAX, "a free operation slot is within the table");
    this.#done[slot] = done;
    this.#pending += 1;
    return slot;
  }

  #idOf(slot: number): number {
    return this.#generations[slot]! * OPERATIONS_MAX + slot;
  }

  #finishLater(slot: number, result: number): void {
    this.#finished.push(slot, result);
    this.#owner.scheduleTurn();
  }

  #cancelTimer(slot: number): void {
    const timer = this.#timers[slot];
    if (timer === undefined) return;
    clearTimeout(timer);
    this.#timers[slot] = undefined;
    this.#finishLater(slot, -ECANCELED);
  }

  #complete(slot: number, result: number): void {
    const done = this.#done[slot];
    assert(done !== undefined, "an operation completes once");
    this.#done[slot] = undefined;
    const generation = this.#generations[slot]!;
    this.#generations[slot] = generation === GENERATION_MAX ? 1 : generation + 1;
    this.#free.push(slot);
    this.#pending -= 1;
    this.#owner.scheduleTurn();
    try {
      done(result);
    } catch (error) {
      this.#owner.handlerThrew(error);
    }
    if (this.#pending === 0) this.#owner.operationsIdle();
  }
}

/** One function for all timers: it comes with the operations and the slot as arguments, so that a timeout makes no closure. */
function onTimeout(operations: NodeOperations, slot: number): void {
  operations.timerFired(slot);
}
