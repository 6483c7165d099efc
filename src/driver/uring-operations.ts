/** One-shot operations on the ring: a slot, a submission, a completion, a result. See `Operations` in the contract. */
import { assert } from "../assert.js";
import { GENERATION_MAX, OPERATIONS_MAX } from "../constants.js";
import { RingloomError } from "../errors.js";
import { CONTROL } from "../ring/loop.js";
import type { Ring } from "../ring/ring.js";
import { highWord, lowWord, submitCancel } from "../ring/submissions.js";
import { KIND_OPERATION, packUserData } from "../ring/user-data.js";
import {
  IORING_FSYNC_DATASYNC,
  IORING_OP_FSYNC,
  IORING_OP_NOP,
  IORING_OP_READ,
  IORING_OP_TIMEOUT,
  IORING_OP_WRITE,
} from "../uapi.js";
import { checkDescriptor, checkPosition, checkTimeout, closedError } from "./arguments.js";
import type { OperationDone, Operations } from "./contract.js";

const TIMESPEC_WORDS = 4;
/** What the kernel transfers in one operation at most (`MAX_RW_COUNT`); the result tells how much it was. */
const TRANSFER_BYTES_MAX = 0x7fff_f000;

/** {@link Operations} on a ring. Callbacks run in the turn of their completion. */
export class UringOperations implements Operations {
  pendingNow = 0;
  readonly #ring: Ring;
  readonly #changed: () => void;
  readonly #done: (OperationDone | undefined)[] = [];
  /** Keeps a buffer from the collector while the kernel may write into it. */
  readonly #buffers: (Uint8Array | undefined)[] = [];
  readonly #generations = new Int32Array(OPERATIONS_MAX).fill(1);
  readonly #free: number[] = [];
  readonly #entry = new Int32Array(16);
  #isClosed = false;
  /** A kernel timespec for each slot. */
  readonly #times = new Int32Array(OPERATIONS_MAX * TIMESPEC_WORDS);
  readonly #timesAddress: number;

  /** `changed` is called when the first operation starts and when the last one ends. */
  constructor(ring: Ring, changed: () => void) {
    this.#ring = ring;
    this.#changed = changed;
    this.#timesAddress = ring.native.addressOf(this.#times.buffer);
  }

  nop(done: OperationDone): number {
    return this.#submit("nop", IORING_OP_NOP, -1, 0, 0, 0, 0, done, undefined);
  }

  timeout(ms: number, done: OperationDone): number {
    checkTimeout(ms);
    const slot = this.#peekSlot("timeout");
    const at = slot * TIMESPEC_WORDS;
    const seconds = Math.floor(ms / 1000);
    this.#times[at] = seconds;
    this.#times[at + 1] = 0;
    this.#times[at + 2] = Math.floor((ms % 1000) * 1e6);
    this.#times[at + 3] = 0;
    return this.#submit("timeout", IORING_OP_TIMEOUT, -1, this.#timesAddress + at * 4, 1, 0, 0, done, undefined);
  }

  readAt(descriptor: number, buffer: Uint8Array, position: number, done: OperationDone): number {
    return this.#transfer("readAt", IORING_OP_READ, descriptor, buffer, position, done);
  }

  writeAt(descriptor: number, buffer: Uint8Array, position: number, done: OperationDone): number {
    return this.#transfer("writeAt", IORING_OP_WRITE, descriptor, buffer, position, done);
  }

  fsync(descriptor: number, dataOnly: boolean, done: OperationDone): number {
    checkDescriptor("fsync", descriptor);
    const flags = dataOnly ? IORING_FSYNC_DATASYNC : 0;
    return this.#submit("fsync", IORING_OP_FSYNC, descriptor, 0, 0, 0, flags, done, undefined);
  }

  cancel(operation: number): void {
    const slot = operation % OPERATIONS_MAX;
    const generation = Math.floor(operation / OPERATIONS_MAX);
    if (this.#done[slot] === undefined || this.#generations[slot] !== generation) return;
    submitCancel(this.#ring, packUserData(KIND_OPERATION, slot), generation);
  }

  /** Cancels what is pending and refuses what comes. */
  close(): void {
    this.#isClosed = true;
    for (const [slot, done] of this.#done.entries())
      if (done !== undefined) this.cancel(this.#generations[slot]! * OPERATIONS_MAX + slot);
  }

  /** A completion of kind `KIND_OPERATION`. False when it is stale. */
  complete(slot: number, generation: number, result: number): boolean {
    const done = this.#done[slot];
    if (done === undefined || this.#generations[slot] !== generation) return false;
    this.#done[slot] = undefined;
    this.#buffers[slot] = undefined;
    this.#generations[slot] = generation === GENERATION_MAX ? 1 : generation + 1;
    this.#free.push(slot);
    this.#count(-1);
    if (this.pendingNow === 0) this.#changed();
    done(result);
    return true;
  }

  /** The addon waits for as many completions before the memory of a dying thread goes. */
  #count(change: number): void {
    this.pendingNow += change;
    this.#ring.control[CONTROL.operations] = this.pendingNow;
  }

  #transfer(
    name: string,
    opcode: number,
    descriptor: number,
    buffer: Uint8Array,
    position: number,
    done: OperationDone,
  ): number {
    if (!(buffer instanceof Uint8Array)) throw new TypeError(`Cannot ${name}: the buffer is not a Uint8Array`);
    checkDescriptor(name, descriptor);
    checkPosition(name, position);
    const address = this.#ring.native.addressOf(buffer.buffer as ArrayBuffer) + buffer.byteOffset;
    return this.#submit(name, opcode, descriptor, address, buffer.byteLength, position, 0, done, buffer);
  }

  /** The slot that the next `#submit` takes. */
  #peekSlot(name: string): number {
    if (this.#isClosed) throw closedError(name);
    if (this.pendingNow >= OPERATIONS_MAX)
      throw new RingloomError(
        "ERR_RINGLOOM_OVERLOADED",
        `Cannot start ${name}: ${OPERATIONS_MAX} operations are pending`,
        {
          operation: name,
        },
      );
    return this.#free.length > 0 ? this.#free[this.#free.length - 1]! : this.#done.length;
  }

  #submit(
    name: string,
    opcode: number,
    descriptor: number,
    address: number,
    length: number,
    position: number,
    operationFlags: number,
    done: OperationDone,
    buffer: Uint8Array | undefined,
  ): number {
    const slot = this.#peekSlot(name);
    if (this.#free.length > 0) this.#free.pop();
    assert(this.#done[slot] === undefined, "an operation slot was free");
    const generation = this.#generations[slot]!;
    this.#done[slot] = done;
    this.#buffers[slot] = buffer;
    const entry = this.#entry;
    entry[0] = opcode;
    entry[1] = descriptor;
    entry[2] = lowWord(position);
    entry[3] = highWord(position);
    entry[4] = lowWord(address);
    entry[5] = highWord(address);
    entry[6] = Math.min(length, TRANSFER_BYTES_MAX);
    entry[7] = operationFlags;
    entry[8] = packUserData(KIND_OPERATION, slot);
    entry[9] = generation;
    this.#ring.submitAt(entry);
    this.#count(1);
    if (this.pendingNow === 1) this.#changed();
    return generation * OPERATIONS_MAX + slot;
  }
}
