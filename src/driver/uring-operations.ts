/**
 * One-shot operations on the ring: a slot, a submission, a completion, a result. See `Operations` in the contract. What this kernel's ring does not know goes
 * through libuv's pool of threads, with a slot like any other.
 */
import { assert } from "../assert.js";
import { GENERATION_MAX, OPERATIONS_MAX } from "../constants.js";
import { CONTROL } from "../ring/loop.js";
import type { Ring } from "../ring/ring.js";
import { highWord, lowWord, submitCancel } from "../ring/submissions.js";
import { KIND_OPERATION, packUserData } from "../ring/user-data.js";
import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  AT_REMOVEDIR,
  AT_SYMLINK_NOFOLLOW,
  IORING_CQE_F_MORE,
  IORING_FSYNC_DATASYNC,
  IORING_OP_CLOSE,
  IORING_OP_FALLOCATE,
  IORING_OP_FSYNC,
  IORING_OP_FTRUNCATE,
  IORING_OP_LINKAT,
  IORING_OP_MKDIRAT,
  IORING_OP_NOP,
  IORING_OP_OPENAT,
  IORING_OP_READ,
  IORING_OP_READV,
  IORING_OP_RENAMEAT,
  IORING_OP_STATX,
  IORING_OP_SYMLINKAT,
  IORING_OP_TIMEOUT,
  IORING_OP_UNLINKAT,
  IORING_OP_WRITE,
  IORING_OP_WRITEV,
  IOSQE_CQE_SKIP_SUCCESS,
  O_CLOEXEC,
  STATX_BASIC_STATS,
  STATX_BTIME,
} from "../uapi.js";
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
import type {
  FilePath,
  OperationDone,
  Operations,
  PathRequest,
  StatDone,
  UnsafeDone,
  UnsafeSubmission,
} from "./contract.js";
import { STATX_BYTES, statFromStatx } from "./file-stat.js";
import { nameBytesMax, type PathRoom, PathRooms, writeName } from "./path-rooms.js";
import { poolAllocate, poolPath, poolStat, poolTruncate } from "./pool-files.js";

const ENTRY_WORDS = 16;
const TIMESPEC_WORDS = 4;
const IOVEC_WORDS = 4;
/** What the kernel transfers in one operation at most (`MAX_RW_COUNT`); the result tells how much it was. */
const TRANSFER_BYTES_MAX = 0x7fff_f000;

const PATH_OPCODES: Readonly<Record<PathRequest["call"], number>> = {
  open: IORING_OP_OPENAT,
  mkdir: IORING_OP_MKDIRAT,
  rmdir: IORING_OP_UNLINKAT,
  unlink: IORING_OP_UNLINKAT,
  rename: IORING_OP_RENAMEAT,
  link: IORING_OP_LINKAT,
  symlink: IORING_OP_SYMLINKAT,
};

/** What the operations need of their driver. */
export interface UringOperationsOwner {
  /** The first operation has started, or the last one has ended. */
  changed(): void;
  /** There must be a turn soon: an operation has ended outside of one. */
  wake(): void;
  /** Whether the kernel's ring has an opcode. Those that every ring of ours has are not asked for. */
  supports(opcode: number): boolean;
}

/** What stands in a submission, as far as operations differ. */
interface Submission {
  readonly opcode: number;
  readonly descriptor: number;
  readonly address?: number;
  readonly length?: number;
  /** The position in the file, or the second address. */
  readonly offset?: number;
  readonly flags?: number;
  /** What must stay where it is until the completion. */
  readonly kept?: unknown;
}

/** {@link Operations} on a ring. Callbacks run in the turn of their completion, those of the pool between turns. */
export class UringOperations implements Operations {
  /** Operations that have not completed, those in the pool included. */
  pendingNow = 0;
  readonly #ring: Ring;
  readonly #owner: UringOperationsOwner;
  readonly #rooms: PathRooms;
  readonly #done: (UnsafeDone | undefined)[] = [];
  /** Keeps a buffer from the collector while the kernel may write into it. */
  readonly #kept: unknown[] = [];
  /** By slot: 1 while the pool has it, which the ring cannot cancel. */
  readonly #isPooled = new Uint8Array(OPERATIONS_MAX);
  readonly #generations = new Int32Array(OPERATIONS_MAX).fill(1);
  readonly #free: number[] = [];
  readonly #entry = new Int32Array(ENTRY_WORDS);
  #onRing = 0;
  #isClosed = false;
  /** A kernel timespec for each slot. */
  readonly #times = new Int32Array(OPERATIONS_MAX * TIMESPEC_WORDS);
  readonly #timesAddress: number;

  constructor(ring: Ring, owner: UringOperationsOwner) {
    this.#ring = ring;
    this.#owner = owner;
    this.#rooms = new PathRooms(ring.native);
    this.#timesAddress = ring.native.addressOf(this.#times.buffer);
  }

  nop(done: OperationDone): number {
    return this.#submit("nop", { opcode: IORING_OP_NOP, descriptor: -1 }, done);
  }

  timeout(ms: number, done: OperationDone): number {
    checkTimeout(ms);
    const slot = this.#peekSlot("timeout");
    const at = slot * TIMESPEC_WORDS;
    this.#times[at] = Math.floor(ms / 1000);
    this.#times[at + 1] = 0;
    this.#times[at + 2] = Math.floor((ms % 1000) * 1e6);
    this.#times[at + 3] = 0;
    const address = this.#timesAddress + at * 4;
    return this.#submit("timeout", { opcode: IORING_OP_TIMEOUT, descriptor: -1, address, length: 1 }, done);
  }

  readAt(descriptor: number, buffer: Uint8Array, position: number, done: OperationDone): number {
    checkTransfer("readAt", descriptor, position);
    checkBuffer("readAt", buffer);
    return this.#transfer("readAt", IORING_OP_READ, { descriptor, buffer, position }, done);
  }

  writeAt(descriptor: number, buffer: Uint8Array, position: number, done: OperationDone): number {
    checkTransfer("writeAt", descriptor, position);
    checkBuffer("writeAt", buffer);
    return this.#transfer("writeAt", IORING_OP_WRITE, { descriptor, buffer, position }, done);
  }

  readVector(descriptor: number, buffers: readonly Uint8Array[], position: number, done: OperationDone): number {
    checkTransfer("readVector", descriptor, position);
    return this.#vector("readVector", IORING_OP_READV, { descriptor, buffers, position }, done);
  }

  writeVector(descriptor: number, buffers: readonly Uint8Array[], position: number, done: OperationDone): number {
    checkTransfer("writeVector", descriptor, position);
    return this.#vector("writeVector", IORING_OP_WRITEV, { descriptor, buffers, position }, done);
  }

  readNow(descriptor: number, buffer: Uint8Array, position: number): number {
    return this.#ring.native.readNow(descriptor, buffer, position);
  }

  fsync(descriptor: number, dataOnly: boolean, done: OperationDone): number {
    checkDescriptor("fsync", descriptor);
    const flags = dataOnly ? IORING_FSYNC_DATASYNC : 0;
    return this.#submit("fsync", { opcode: IORING_OP_FSYNC, descriptor, flags }, done);
  }

  truncate(descriptor: number, length: number, done: OperationDone): number {
    checkDescriptor("truncate", descriptor);
    checkLength("truncate", length);
    if (!this.#owner.supports(IORING_OP_FTRUNCATE))
      return this.#pool("truncate", done, (ended) => poolTruncate(descriptor, length, ended));
    return this.#submit("truncate", { opcode: IORING_OP_FTRUNCATE, descriptor, offset: length }, done);
  }

  allocate(descriptor: number, position: number, length: number, done: OperationDone): number {
    checkDescriptor("allocate", descriptor);
    checkPosition("allocate", position);
    checkLength("allocate", length);
    if (!this.#owner.supports(IORING_OP_FALLOCATE))
      return this.#pool("allocate", done, (ended) => poolAllocate(descriptor, position, length, ended));
    // The opcode has the length where others have an address, and the mode where they have the length.
    const entry = { opcode: IORING_OP_FALLOCATE, descriptor, offset: position, address: length };
    return this.#submit("allocate", entry, done);
  }

  closeFile(descriptor: number, done: OperationDone): number {
    checkDescriptor("closeFile", descriptor);
    return this.#submit("closeFile", { opcode: IORING_OP_CLOSE, descriptor }, done);
  }

  path(request: PathRequest, done: OperationDone): number {
    checkPathRequest(request);
    const { call, path, to } = request;
    const opcode = PATH_OPCODES[call];
    if (!this.#owner.supports(opcode)) return this.#pool(call, done, (ended) => poolPath(request, ended));
    this.#peekSlot(call);
    const room = this.#rooms.take(nameBytesMax(path) + (to === undefined ? 0 : nameBytesMax(to)));
    const second = writeName(room, path, STATX_BYTES);
    if (to !== undefined) writeName(room, to, second);
    const entry = pathEntry(request, room, second);
    return this.#submit(call, entry, (result) => {
      this.#rooms.release(room);
      done(result);
    });
  }

  stat(target: FilePath | number, followLinks: boolean, done: StatDone): number {
    checkStatTarget(target);
    if (!this.#owner.supports(IORING_OP_STATX)) return this.#statInPool(target, followLinks, done);
    this.#peekSlot("stat");
    const path = typeof target === "number" ? "" : target;
    const room = this.#rooms.take(nameBytesMax(path));
    writeName(room, path, STATX_BYTES);
    const entry: Submission = {
      opcode: IORING_OP_STATX,
      descriptor: typeof target === "number" ? target : AT_FDCWD,
      address: room.address + STATX_BYTES,
      length: STATX_BASIC_STATS | STATX_BTIME,
      offset: room.address,
      flags: typeof target === "number" ? AT_EMPTY_PATH : followLinks ? 0 : AT_SYMLINK_NOFOLLOW,
      kept: room,
    };
    return this.#submit("stat", entry, (result) => {
      const stat = result === 0 ? statFromStatx(room.view, 0) : undefined;
      this.#rooms.release(room);
      done(result, stat);
    });
  }

  cancel(operation: number): void {
    const slot = operation % OPERATIONS_MAX;
    const generation = Math.floor(operation / OPERATIONS_MAX);
    if (this.#done[slot] === undefined || this.#generations[slot] !== generation) return;
    if (this.#isPooled[slot] === 1) return;
    submitCancel(this.#ring, packUserData(KIND_OPERATION, slot), generation);
  }

  /** Cancels what is pending and refuses what comes. */
  close(): void {
    this.#isClosed = true;
    for (const [slot, done] of this.#done.entries())
      if (done !== undefined) this.cancel(this.#generations[slot]! * OPERATIONS_MAX + slot);
  }

  unsafeSubmit({ entry, buffers = [] }: UnsafeSubmission, done: UnsafeDone): number {
    checkUnsafeEntry(entry);
    for (const { word, bytes } of buffers) {
      checkBuffer("unsafeSubmit", bytes);
      if (!Number.isInteger(word) || word < 2 || word > 14 || (word >= 7 && word <= 9))
        throw new RangeError(`Cannot unsafeSubmit: word ${word} of an entry holds no address`);
    }
    const slot = this.#takeSlot("unsafeSubmit", done);
    const generation = this.#generations[slot]!;
    const own = entry.slice();
    for (const { word, bytes } of buffers) {
      const address = this.#ring.native.addressOf(bytes);
      own[word] = lowWord(address);
      own[word + 1] = highWord(address);
    }
    own[8] = packUserData(KIND_OPERATION, slot);
    own[9] = generation;
    this.#kept[slot] = buffers.map(({ bytes }) => bytes);
    this.#ring.submitAt(own);
    this.#count(1);
    return generation * OPERATIONS_MAX + slot;
  }

  /** A completion of kind `KIND_OPERATION`. False when it is stale. */
  complete(slot: number, generation: number, result: number, flags: number): boolean {
    const done = this.#done[slot];
    if (done === undefined || this.#generations[slot] !== generation) return false;
    if ((flags & IORING_CQE_F_MORE) === 0) {
      this.#release(slot);
      this.#count(-1);
    }
    done(result, flags);
    return true;
  }

  #release(slot: number): void {
    const generation = this.#generations[slot]!;
    this.#done[slot] = undefined;
    this.#kept[slot] = undefined;
    this.#generations[slot] = generation === GENERATION_MAX ? 1 : generation + 1;
    this.#free.push(slot);
    this.pendingNow -= 1;
    if (this.pendingNow === 0) this.#owner.changed();
  }

  /** The addon waits for as many completions before the memory of a dying thread goes. What the pool has is Node's to wait for. */
  #count(change: number): void {
    this.#onRing += change;
    this.#ring.control[CONTROL.operations] = this.#onRing;
  }

  #transfer(
    name: string,
    opcode: number,
    { descriptor, buffer, position }: { descriptor: number; buffer: Uint8Array; position: number },
    done: OperationDone,
  ): number {
    const address = this.#ring.native.addressOf(buffer);
    const length = Math.min(buffer.byteLength, TRANSFER_BYTES_MAX);
    return this.#submit(name, { opcode, descriptor, address, length, offset: position, kept: buffer }, done);
  }

  #vector(
    name: string,
    opcode: number,
    { descriptor, buffers, position }: { descriptor: number; buffers: readonly Uint8Array[]; position: number },
    done: OperationDone,
  ): number {
    checkBuffers(name, buffers);
    const { native } = this.#ring;
    const vector = new Int32Array(buffers.length * IOVEC_WORDS);
    for (const [index, buffer] of buffers.entries()) {
      const address = native.addressOf(buffer);
      const at = index * IOVEC_WORDS;
      vector[at] = lowWord(address);
      vector[at + 1] = highWord(address);
      vector[at + 2] = lowWord(buffer.byteLength);
      vector[at + 3] = highWord(buffer.byteLength);
    }
    const entry: Submission = {
      opcode,
      descriptor,
      address: native.addressOf(vector.buffer),
      length: buffers.length,
      offset: position,
      kept: [vector, ...buffers],
    };
    return this.#submit(name, entry, done);
  }

  #statInPool(target: FilePath | number, followLinks: boolean, done: StatDone): number {
    let found: Parameters<StatDone>[1];
    return this.#pool(
      "stat",
      (result) => done(result, found),
      (ended) =>
        poolStat(target, followLinks, (result, stat) => {
          found = stat;
          ended(result);
        }),
    );
  }

  /** The slot that the next operation takes. */
  #peekSlot(name: string): number {
    if (this.#isClosed) throw closedError(name);
    if (this.pendingNow >= OPERATIONS_MAX) throw operationsTaken(name);
    return this.#free.length > 0 ? this.#free[this.#free.length - 1]! : this.#done.length;
  }

  #takeSlot(name: string, done: UnsafeDone): number {
    const slot = this.#peekSlot(name);
    if (this.#free.length > 0) this.#free.pop();
    assert(this.#done[slot] === undefined, "an operation slot was free");
    this.#done[slot] = done;
    this.pendingNow += 1;
    if (this.pendingNow === 1) this.#owner.changed();
    return slot;
  }

  #submit(name: string, submission: Submission, done: OperationDone): number {
    const slot = this.#takeSlot(name, done);
    const generation = this.#generations[slot]!;
    const { address = 0, offset = 0 } = submission;
    this.#kept[slot] = submission.kept;
    const entry = this.#entry;
    entry[0] = submission.opcode;
    entry[1] = submission.descriptor;
    entry[2] = lowWord(offset);
    entry[3] = highWord(offset);
    entry[4] = lowWord(address);
    entry[5] = highWord(address);
    entry[6] = submission.length ?? 0;
    entry[7] = submission.flags ?? 0;
    entry[8] = packUserData(KIND_OPERATION, slot);
    entry[9] = generation;
    this.#ring.submitAt(entry);
    this.#count(1);
    return generation * OPERATIONS_MAX + slot;
  }

  #pool(name: string, done: OperationDone, start: (ended: OperationDone) => void): number {
    const slot = this.#takeSlot(name, done);
    const generation = this.#generations[slot]!;
    this.#isPooled[slot] = 1;
    start((result) => {
      assert(this.#done[slot] === done && this.#generations[slot] === generation, "an operation completes once");
      this.#isPooled[slot] = 0;
      this.#release(slot);
      // What the callback commits leaves with the next turn, and a shutdown looks in one whether this was the last.
      this.#owner.wake();
      done(result);
    });
    return generation * OPERATIONS_MAX + slot;
  }
}

/** Where the kernel finds the names of a request: in `room`, the second one from `second` on. */
function pathEntry({ call, flags = 0, mode }: PathRequest, room: PathRoom, second: number): Submission {
  const entry = {
    opcode: PATH_OPCODES[call],
    descriptor: AT_FDCWD,
    address: room.address + STATX_BYTES,
    kept: room,
  };
  const to = room.address + second;
  switch (call) {
    case "open":
      return { ...entry, length: mode ?? 0o666, flags: flags | O_CLOEXEC };
    case "mkdir":
      return { ...entry, length: mode ?? 0o777 };
    case "rmdir":
      return { ...entry, flags: AT_REMOVEDIR };
    case "unlink":
      return entry;
    case "rename":
    case "link":
      return { ...entry, length: AT_FDCWD, offset: to };
    case "symlink":
      return { ...entry, offset: to };
  }
}

function checkUnsafeEntry(entry: Int32Array): void {
  if (!(entry instanceof Int32Array)) throw new TypeError("Cannot unsafeSubmit: the entry is not an Int32Array");
  if (entry.length !== ENTRY_WORDS)
    throw new RangeError(`Cannot unsafeSubmit: an entry of this ring has ${ENTRY_WORDS} words, not ${entry.length}`);
  if (((entry[0]! >>> 8) & IOSQE_CQE_SKIP_SUCCESS) !== 0)
    throw new RangeError(
      "Cannot unsafeSubmit: with IOSQE_CQE_SKIP_SUCCESS nobody would know when the buffers are free",
    );
}
