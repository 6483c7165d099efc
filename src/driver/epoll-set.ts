/**
 * The sockets of one thread on epoll, as the addon (`native/epoll.c`) and TypeScript share them. One call waits, accepts and receives
 * from every ready socket into the slab and leaves records; one call sends the list of a turn. Both are done by the thread that owns the set, so all words
 * are plain.
 *
 *     record, 4 words:   kind and slot, as in `user_data` | generation | result: count, descriptor or negative error | offset in the slab
 *     send, 4 words:     slot | offset in the write pool | length | result
 *     state, by slot:    WANTED, READABLE, ENDING, QUEUED, CONNECTING, BLOCKED
 *     backlog:           slots to receive from although no new event comes, a queue of as many entries as slots
 *
 * WHO WRITES WHAT. The addon fills records when there are none, and takes from the backlog; TypeScript empties the records in its turn. Both set bits of a
 * state and append to the backlog. The addon writes the results of sends.
 */
import { assert } from "../assert.js";
import { LISTENERS_MAX, RECEIVE_BUFFER_BYTES } from "../constants.js";
import { checkNative, type NativeAddon, type NativeEpoll } from "../native.js";
import type { LoopSource } from "../ring/loop.js";
import { KIND_ACCEPT, KIND_BELL, KIND_LOOP, KIND_RECV, packUserData } from "../ring/user-data.js";
import type { Acceptor } from "./listeners.js";

const RECORD_WORDS = 4;

/** Bits of a socket's state, as in `native/epoll.c`. */
const WANTED = 1;
const READABLE = 2;
const QUEUED = 8;
const CONNECTING = 16;
const BLOCKED = 32;

/** Words of `counts`. */
const RECORDS_NOW = 0;
const BACKLOG_TAIL = 2;
const STALE = 3;
const STARVED = 4;
const BATCHED = 5;

/** What an {@link EpollSet} works on. The arrays must not move. */
export interface EpollSetOptions {
  /** The generation of each slot; events of an older one are dropped. */
  readonly generations: Int32Array;
  /** Where received bytes go. */
  readonly slab: Uint8Array;
  /** Where sent bytes come from. */
  readonly pool: Uint8Array;
}

/** One epoll instance with its batches. */
export class EpollSet implements Acceptor, LoopSource {
  readonly native: NativeAddon;
  readonly handle: object;
  /** The words shared with the loop hook. */
  readonly control: Int32Array;
  readonly controlTimes: Float64Array;
  readonly isBlocking = false;
  /** By slot, then by owned listener: the open descriptor, or -1. The addon closes what it finds here when the thread dies. */
  readonly descriptors: Int32Array;
  isClosed = false;
  /** Entries of the send list. */
  sendsNow = 0;

  readonly #counts: Int32Array;
  /** All words; records and sends are read by index from their start. */
  readonly #words: Int32Array;
  readonly #records: number;
  readonly #sends: number;
  readonly #states: Int32Array;
  readonly #backlog: Int32Array;
  readonly #backlogMask: number;

  constructor(native: NativeAddon, options: EpollSetOptions) {
    const { generations, slab, pool } = options;
    const slots = generations.length;
    assert(slab.byteLength >= RECEIVE_BUFFER_BYTES, "the receive slab has room for a receive");
    const address = (bytes: Uint8Array | Int32Array): number =>
      native.addressOf(bytes.buffer as ArrayBuffer) + bytes.byteOffset;
    const set = checkNative<NativeEpoll>(
      native.setupEpoll(slots, LISTENERS_MAX, address(generations), address(slab), slab.byteLength, address(pool)),
      "set up an epoll instance",
    );
    this.native = native;
    this.handle = set.handle;
    this.control = new Int32Array(set.control);
    this.controlTimes = new Float64Array(set.control);
    this.#counts = new Int32Array(set.memory, 0, 16);
    this.#words = new Int32Array(set.memory);
    this.#records = set.records >>> 2;
    this.#sends = set.sends >>> 2;
    this.#states = new Int32Array(set.memory, set.states, slots);
    this.#backlog = new Int32Array(set.memory, set.backlog, set.backlogMask + 1);
    this.#backlogMask = set.backlogMask;
    const table = native.descriptorTable(this.handle, slots + LISTENERS_MAX);
    this.descriptors = new Int32Array(checkNative<ArrayBuffer>(table, "allocate the descriptor table"));
  }

  /** Lets the set watch libuv's own descriptor, for the inverted loop. */
  watchBackend(): void {
    const result = this.native.epollAdd(this.handle, this.native.backendFd(), packUserData(KIND_LOOP, 0), 0);
    checkNative(result, "watch the event loop");
  }

  /** Lets a doorbell's descriptor end a wait. */
  watchDoorbell(fd: number): void {
    checkNative(this.native.epollAdd(this.handle, fd, packUserData(KIND_BELL, 0), 0), "watch the doorbell");
  }

  /** Records of this turn: `wordAt(index, 0..3)`. They stay until `emptyRecords`. */
  get recordsNow(): number {
    return this.#counts[RECORDS_NOW]!;
  }

  /** The words that records lie in. */
  get words(): Int32Array {
    return this.#words;
  }

  /** Index in `words` of the first word of a record. */
  recordAt(index: number): number {
    return this.#records + index * RECORD_WORDS;
  }

  /** The turn has run them all; the slab is free again. */
  emptyRecords(): void {
    this.#counts[RECORDS_NOW] = 0;
  }

  /** Watches the socket of `slot`, whose descriptor stands in the table. Returns 0, or a negative error number. */
  add(slot: number, generation: number, isConnecting: boolean): number {
    this.#states[slot] = (this.#states[slot]! & QUEUED) | (isConnecting ? CONNECTING : 0);
    return this.native.epollAdd(this.handle, this.descriptors[slot]!, packUserData(KIND_RECV, slot), generation);
  }

  /** Takes a socket out whose descriptor others may have copies of; closing would not. */
  remove(fd: number): void {
    this.native.epollRemove(this.handle, fd);
  }

  /** Nothing more is delivered for `slot`. Its descriptor is closed by the caller. */
  forget(slot: number): void {
    this.#states[slot] = this.#states[slot]! & QUEUED;
  }

  /** From now on what arrives for `slot` is delivered, beginning with what the kernel holds already. */
  want(slot: number): void {
    const state = this.#states[slot]! | WANTED;
    this.#states[slot] = state;
    if ((state & (READABLE | QUEUED)) !== READABLE) return;
    this.#states[slot] = state | QUEUED;
    const tail = this.#counts[BACKLOG_TAIL]!;
    this.#backlog[tail & this.#backlogMask] = slot;
    this.#counts[BACKLOG_TAIL] = (tail + 1) | 0;
  }

  unwant(slot: number): void {
    this.#states[slot] = this.#states[slot]! & ~WANTED;
  }

  /** Puts `length` bytes of the pool at `offset` on the list of the next `send`. */
  addSend(slot: number, offset: number, length: number): void {
    const words = this.#words;
    const at = this.#sends + this.sendsNow * RECORD_WORDS;
    words[at] = slot;
    words[at + 1] = offset;
    words[at + 2] = length;
    this.sendsNow += 1;
    assert(this.sendsNow <= this.#states.length, "a slot has one send at a time");
  }

  /** Sends the list, each entry as far as the kernel takes it now; the results are in `sendResult` until the next `addSend`. Returns how many. */
  send(): number {
    const count = this.sendsNow;
    this.sendsNow = 0;
    if (count > 0) this.native.epollSend(this.handle, count);
    return count;
  }

  sendSlot(index: number): number {
    return this.#words[this.#sends + index * RECORD_WORDS]!;
  }

  /** How many bytes the kernel took, or a negative error number. */
  sendResult(index: number): number {
    return this.#words[this.#sends + index * RECORD_WORDS + 3]!;
  }

  /** The kernel took no more: a record of kind `KIND_SEND` tells when it does. */
  awaitRoom(slot: number): void {
    this.#states[slot] = this.#states[slot]! | BLOCKED;
  }

  /** Events of a slot's earlier user, dropped. */
  get stale(): number {
    return this.#counts[STALE]!;
  }

  /** Times that a ready socket had to wait for room in the slab. */
  get starved(): number {
    return this.#counts[STARVED]!;
  }

  /** Receives and sends that left in a batch. */
  get batched(): number {
    return this.#counts[BATCHED]! >>> 0;
  }

  closed(): void {
    this.isClosed = true;
  }

  // --- as an Acceptor

  start(fd: number, index: number, id: number): void {
    checkNative(this.native.epollAdd(this.handle, fd, packUserData(KIND_ACCEPT, index), id), "accept", {
      descriptor: fd,
    });
  }

  stop(fd: number): boolean {
    this.remove(fd);
    return false;
  }
}
