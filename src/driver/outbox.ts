/**
 * What waits to be sent, per connection: a chain of write blocks. Both drivers use it; they differ only in how a block is sent.
 *
 *     head → [sent | on its way to the kernel] → [committed] → [committed | room] ← tail
 *
 * `reserve` gives room at the end of the tail, or in a larger block into which the tail is moved, so that what one turn commits leaves in one send,
 * up to 64 KiB. A block that is being sent is never written again. What many connections send stands in the chain of each as a reference to one block (`shared-blocks.ts`).
 * One thread owns it.
 */
import { assert } from "../assert.js";
import { DRAIN_LOW_WATER_BYTES, WRITE_BLOCK_BYTES_MAX, WRITE_TIERS } from "../constants.js";
import { SharedBlocks } from "./shared-blocks.js";
import { tierBytes, tierFor, type WritePool } from "./write-pool.js";

const NONE = -1;
const UNIT_SHIFT = 9;

const SENDING = 1;
const DIRTY = 2;
const WANTS_DRAINED = 4;
/** Listed to be told, in a later turn, that it has drained. */
const DRAINED_DUE = 8;

/** What a driver does for its outbox. */
export interface OutboxOwner {
  /** Hand `length` bytes of the pool at `offset` to the kernel; `sent` or `drop` follows. */
  startSend(slot: number, offset: number, length: number): void;
  /** Everything committed for `slot` has been sent. */
  outboxEmptied(slot: number): void;
  /** `requestDrained` has its answer. Only {@link Outbox.deliverDrained} calls it. */
  outboxDrained(slot: number): void;
  /** The first connection of this turn has something to send, or is to be told that it has drained. */
  outboxDirty(): void;
}

/** The queues of bytes to send, one for each slot. */
export class Outbox {
  readonly #pool: WritePool;
  readonly #owner: OutboxOwner;
  readonly #shared: SharedBlocks;
  readonly #flags: Uint8Array;
  /** The tier that held the last burst of this connection: the next burst starts there. */
  readonly #tierHint: Uint8Array;
  readonly #head: Int32Array;
  readonly #tail: Int32Array;
  /** Bytes of the head block that the kernel has taken. */
  readonly #headSent: Int32Array;
  readonly #queued: Int32Array;
  /** By block: the next block of its chain, and how many bytes are committed in it. */
  readonly #blockNext: Int32Array;
  readonly #blockLength: Int32Array;
  #dirty: Int32Array;
  #dirtyCount = 0;
  #drained: number[] = [];
  #reservedSlot = NONE;
  #reservedSize = 0;

  constructor(pool: WritePool, slots: number, owner: OutboxOwner) {
    this.#pool = pool;
    this.#owner = owner;
    this.#flags = new Uint8Array(slots);
    this.#tierHint = new Uint8Array(slots);
    // Heads and tails are offsets plus one, so that fresh, untouched memory means "none".
    this.#head = new Int32Array(slots);
    this.#tail = new Int32Array(slots);
    this.#headSent = new Int32Array(slots);
    this.#queued = new Int32Array(slots);
    this.#shared = new SharedBlocks(pool);
    this.#blockNext = new Int32Array(this.#shared.units);
    this.#blockLength = new Int32Array(this.#shared.units);
    this.#dirty = new Int32Array(64);
  }

  /** Offset of room for `size` bytes (at most 64 KiB), or -1 when the pool is exhausted. */
  reserve(slot: number, size: number): number {
    assert(this.#reservedSlot === NONE, "one reservation is open at a time");
    assert(size > 0 && size <= WRITE_BLOCK_BYTES_MAX, "a reservation is 1 byte to 64 KiB");
    const tail = this.#tail[slot]! - 1;
    let offset: number;
    if (tail === NONE) {
      offset = this.#append(slot, Math.max(tierFor(size), this.#tierHint[slot]!), size);
    } else {
      const length = this.#blockLength[tail >>> UNIT_SHIFT]!;
      const isSending = (this.#flags[slot]! & SENDING) !== 0 && tail === this.#head[slot]! - 1;
      const isFull = isSending || this.#shared.isReference(tail);
      if (!isFull && length + size <= this.#pool.sizeOf(tail)) offset = tail + length;
      else if (!isFull && length + size <= WRITE_BLOCK_BYTES_MAX) offset = this.#enlarge(slot, tail, length, size);
      else offset = this.#append(slot, tierFor(size), size);
    }
    if (offset === NONE) return NONE;
    this.#reservedSlot = slot;
    this.#reservedSize = size;
    return offset;
  }

  /** Queues the first `length` bytes of the open reservation. */
  commit(slot: number, length: number): void {
    assert(this.#reservedSlot === slot, "commit closes the reservation of its own slot");
    assert(length >= 0 && length <= this.#reservedSize, "a commit is not longer than its reservation");
    this.#reservedSlot = NONE;
    if (length === 0) return this.#dropEmptyTail(slot);
    const unit = (this.#tail[slot]! - 1) >>> UNIT_SHIFT;
    this.#blockLength[unit] = this.#blockLength[unit]! + length;
    this.#addQueued(slot, length);
  }

  /** See `Driver.shareBytes`. */
  share(bytes: Uint8Array): number {
    return this.#shared.share(bytes);
  }

  /** See `Driver.unshareBytes`. */
  unshare(shared: number): void {
    this.#shared.unshare(shared);
  }

  /** Queues the whole of what was shared. False when too many references wait. */
  commitShared(slot: number, shared: number): boolean {
    assert(this.#reservedSlot === NONE, "one reservation is open at a time");
    const reference = this.#shared.refer(shared);
    if (reference === NONE) return false;
    const length = this.#shared.lengthOf(shared);
    this.#link(slot, reference, length);
    this.#addQueued(slot, length);
    return true;
  }

  #addQueued(slot: number, length: number): void {
    this.#queued[slot] = this.#queued[slot]! + length;
    const flags = this.#flags[slot]!;
    if ((flags & DIRTY) === 0) this.#markDirty(slot, flags);
  }

  /** Gives the open reservation up. */
  abort(slot: number): void {
    assert(this.#reservedSlot === slot, "abort closes the reservation of its own slot");
    this.#reservedSlot = NONE;
    this.#dropEmptyTail(slot);
  }

  /** Gives up the open reservation, if there is one: the event that made it has thrown. */
  abandonAny(): void {
    if (this.#reservedSlot !== NONE) this.abort(this.#reservedSlot);
  }

  /** Gives up the reservation of `slot`, if one is open. */
  abandon(slot: number): void {
    if (this.#reservedSlot === slot) this.abort(slot);
  }

  /** Bytes committed that the kernel has not taken. */
  queuedBytes(slot: number): number {
    return this.#queued[slot]!;
  }

  /** The slot whose reservation is open, or -1. */
  get reservedSlot(): number {
    return this.#reservedSlot;
  }

  isSending(slot: number): boolean {
    return (this.#flags[slot]! & SENDING) !== 0;
  }

  /** Asks for one `outboxDrained`, due from this flush on if little enough is queued already. */
  requestDrained(slot: number): void {
    const flags = this.#flags[slot]! | WANTS_DRAINED;
    this.#flags[slot] = flags;
    if ((flags & DIRTY) === 0) this.#markDirty(slot, flags);
  }

  /** Starts a send for each connection that has something new. Called once, at the end of a turn. */
  flush(): void {
    for (let index = 0; index < this.#dirtyCount; index++) {
      const slot = this.#dirty[index]!;
      const flags = this.#flags[slot]! & ~DIRTY;
      this.#flags[slot] = flags;
      if ((flags & SENDING) !== 0) continue;
      if (this.#queued[slot]! > 0) this.#startHead(slot);
      else if ((flags & WANTS_DRAINED) !== 0) this.#drainedDue(slot);
    }
    this.#dirtyCount = 0;
  }

  /**
   * Tells those that have drained since the last call. Once a turn, and never while the lists are walked: somebody who finds the write pool exhausted and asks again at
   * once would be told again at once, and the thread would do nothing else.
   */
  deliverDrained(): void {
    if (this.#drained.length === 0) return;
    const due = this.#drained;
    this.#drained = [];
    for (const slot of due) {
      const flags = this.#flags[slot]!;
      if ((flags & DRAINED_DUE) === 0) continue; // Dropped meanwhile.
      this.#flags[slot] = flags & ~DRAINED_DUE;
      // More may have been committed since.
      if (this.#queued[slot]! > DRAIN_LOW_WATER_BYTES) this.requestDrained(slot);
      else this.#owner.outboxDrained(slot);
    }
  }

  /** A flush has something to send, or to look at. */
  get hasDirty(): boolean {
    return this.#dirtyCount !== 0;
  }

  /** Somebody is to be told by {@link deliverDrained}. */
  get hasDrained(): boolean {
    return this.#drained.length !== 0;
  }

  /** The kernel took `count` bytes of the head block. What is left of it, or the next block, leaves with the next flush. */
  sent(slot: number, count: number): void {
    assert((this.#flags[slot]! & SENDING) !== 0, "only a send under way can complete");
    this.#flags[slot] = this.#flags[slot]! & ~SENDING;
    const head = this.#head[slot]! - 1;
    const length = this.#blockLength[head >>> UNIT_SHIFT]!;
    const sent = this.#headSent[slot]! + count;
    assert(sent <= length, "the kernel sends no more than it was given");
    const queued = this.#queued[slot]! - count;
    this.#queued[slot] = queued;
    if (sent < length) {
      this.#headSent[slot] = sent;
    } else {
      this.#headSent[slot] = 0;
      if (!this.#shared.isReference(head)) this.#tierHint[slot] = tierFor(length);
      this.#releaseHead(slot, head);
    }
    const flags = this.#flags[slot]!;
    if (queued > 0 && (flags & DIRTY) === 0) this.#markDirty(slot, flags);
    if ((flags & WANTS_DRAINED) !== 0 && queued <= DRAIN_LOW_WATER_BYTES) this.#drainedDue(slot);
    if (this.#queued[slot] === 0) this.#owner.outboxEmptied(slot);
  }

  /** Forgets everything queued. The driver calls it when no send is under way, or when the kernel has let go of it. */
  drop(slot: number): void {
    for (let block = this.#head[slot]! - 1; block !== NONE; ) {
      const next = this.#blockNext[block >>> UNIT_SHIFT]! - 1;
      this.#release(block);
      block = next;
    }
    if (this.#reservedSlot === slot) this.#reservedSlot = NONE;
    this.#head[slot] = 0;
    this.#tail[slot] = 0;
    this.#headSent[slot] = 0;
    this.#queued[slot] = 0;
    // A slot that is still in the dirty list keeps that flag, else it could be listed twice.
    this.#flags[slot] = this.#flags[slot]! & DIRTY;
  }

  #startHead(slot: number): void {
    const head = this.#head[slot]! - 1;
    const sent = this.#headSent[slot]!;
    this.#flags[slot] = this.#flags[slot]! | SENDING;
    const start = this.#shared.isReference(head) ? this.#shared.blockOf(head) : head;
    this.#owner.startSend(slot, start + sent, this.#blockLength[head >>> UNIT_SHIFT]! - sent);
  }

  #drainedDue(slot: number): void {
    const flags = this.#flags[slot]!;
    this.#flags[slot] = (flags & ~WANTS_DRAINED) | DRAINED_DUE;
    if ((flags & DRAINED_DUE) !== 0) return;
    this.#drained.push(slot);
    if (this.#drained.length === 1) this.#owner.outboxDirty();
  }

  #append(slot: number, tier: number, size: number): number {
    let block = this.#pool.acquire(tier);
    if (block === NONE && tier > tierFor(size)) block = this.#pool.acquire(tierFor(size));
    if (block !== NONE) this.#link(slot, block, 0);
    return block;
  }

  /** Puts a block or a reference at the end of a chain. */
  #link(slot: number, block: number, length: number): void {
    const tail = this.#tail[slot]! - 1;
    this.#blockNext[block >>> UNIT_SHIFT] = 0;
    this.#blockLength[block >>> UNIT_SHIFT] = length;
    if (tail === NONE) this.#head[slot] = block + 1;
    else this.#blockNext[tail >>> UNIT_SHIFT] = block + 1;
    this.#tail[slot] = block + 1;
  }

  #release(block: number): void {
    if (this.#shared.isReference(block)) this.#shared.release(block);
    else this.#pool.release(block);
  }

  /** Moves the tail into a block with room for `size` more, at least twice as large, and returns the offset of the room. */
  #enlarge(slot: number, tail: number, length: number, size: number): number {
    const tier = Math.min(tierFor(length + size) + 1, WRITE_TIERS - 1);
    const block = this.#pool.acquire(tier);
    if (block === NONE) return this.#append(slot, tierFor(size), size);
    assert(length + size <= tierBytes(tier), "an enlarged block has the room it was taken for");
    this.#pool.bytes.copyWithin(block, tail, tail + length);
    this.#blockNext[block >>> UNIT_SHIFT] = 0;
    this.#blockLength[block >>> UNIT_SHIFT] = length;
    this.#replaceTail(slot, tail, block);
    return block + length;
  }

  #replaceTail(slot: number, tail: number, block: number): void {
    const head = this.#head[slot]! - 1;
    if (head === tail) {
      this.#head[slot] = block + 1;
    } else {
      let before = head;
      while (this.#blockNext[before >>> UNIT_SHIFT]! - 1 !== tail) before = this.#blockNext[before >>> UNIT_SHIFT]! - 1;
      this.#blockNext[before >>> UNIT_SHIFT] = block + 1;
    }
    this.#tail[slot] = block + 1;
    this.#pool.release(tail);
  }

  #releaseHead(slot: number, head: number): void {
    const next = this.#blockNext[head >>> UNIT_SHIFT]!;
    this.#head[slot] = next;
    if (next === 0) this.#tail[slot] = 0;
    this.#release(head);
  }

  /** A reservation that opened a block and committed nothing must not leave an empty block behind. */
  #dropEmptyTail(slot: number): void {
    const tail = this.#tail[slot]! - 1;
    if (tail === NONE || this.#blockLength[tail >>> UNIT_SHIFT]! > 0) return;
    const head = this.#head[slot]! - 1;
    if (head === tail) {
      this.#head[slot] = 0;
      this.#tail[slot] = 0;
    } else {
      let before = head;
      while (this.#blockNext[before >>> UNIT_SHIFT]! - 1 !== tail) before = this.#blockNext[before >>> UNIT_SHIFT]! - 1;
      this.#blockNext[before >>> UNIT_SHIFT] = 0;
      this.#tail[slot] = before + 1;
    }
    this.#pool.release(tail);
  }

  #markDirty(slot: number, flags: number): void {
    this.#flags[slot] = flags | DIRTY;
    if (this.#dirtyCount === this.#dirty.length) {
      const larger = new Int32Array(this.#dirty.length * 2);
      larger.set(this.#dirty);
      this.#dirty = larger;
    }
    this.#dirty[this.#dirtyCount] = slot;
    this.#dirtyCount += 1;
    if (this.#dirtyCount === 1) this.#owner.outboxDirty();
  }
}
