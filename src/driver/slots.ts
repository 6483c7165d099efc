/**
 * The table of connection slots: which are taken, by which generation, and a dense list of those alive. Every operation is O(1) and
 * allocates nothing. One thread, the shard's, owns it.
 */
import { assert } from "../assert.js";
import { CONNECTIONS_MAX, GENERATION_MAX } from "../constants.js";

/** Slots of one driver's connections, each with its generation. */
export class SlotTable {
  readonly capacity: number;
  /** The generation of each slot: it changes when the slot is released, so that what was kept of the old user no longer matches. */
  readonly generations: Int32Array;
  /** The taken slots are `live[0]` to `live[count - 1]`, in no order. */
  readonly live: Int32Array;
  count = 0;

  /** Index into `live`, plus one; 0 for a free slot. */
  readonly #livePosition: Int32Array;
  /** Next free slot, plus one. */
  readonly #nextFree: Int32Array;
  readonly #unreferenced = new Set<number>();
  #freeHead = 0;
  /** Slots from here on were never used. Their memory has not been touched yet. */
  #untouched = 0;

  constructor(capacity: number) {
    assert(capacity >= 1 && capacity <= CONNECTIONS_MAX, "slot capacity fits the slot bits");
    this.capacity = capacity;
    this.generations = new Int32Array(capacity);
    this.live = new Int32Array(capacity);
    this.#livePosition = new Int32Array(capacity);
    this.#nextFree = new Int32Array(capacity);
  }

  /** Takes a slot, the one released last. Returns -1 when all are taken. */
  acquire(): number {
    let slot: number;
    if (this.#freeHead !== 0) {
      slot = this.#freeHead - 1;
      this.#freeHead = this.#nextFree[slot]!;
    } else if (this.#untouched < this.capacity) {
      slot = this.#untouched++;
      this.generations[slot] = 1;
    } else {
      return -1;
    }
    assert(this.#livePosition[slot] === 0, "an acquired slot was free");
    this.live[this.count] = slot;
    this.count += 1;
    this.#livePosition[slot] = this.count;
    return slot;
  }

  /** Gives a slot back and ends its generation. */
  release(slot: number): void {
    const position = this.#livePosition[slot]!;
    assert(position > 0, "a released slot was taken");
    const last = this.live[this.count - 1]!;
    this.live[position - 1] = last;
    this.#livePosition[last] = position;
    this.#livePosition[slot] = 0;
    this.count -= 1;
    if (this.#unreferenced.size > 0) this.#unreferenced.delete(slot);
    const generation = this.generations[slot]!;
    this.generations[slot] = generation === GENERATION_MAX ? 1 : generation + 1;
    this.#nextFree[slot] = this.#freeHead;
    this.#freeHead = slot + 1;
  }

  /** Whether the slot counts in {@link referencedCount}, as it does from the start. A slot that is free is ignored. */
  setReferenced(slot: number, isReferenced: boolean): void {
    if (isReferenced) this.#unreferenced.delete(slot);
    else if (this.isLive(slot)) this.#unreferenced.add(slot);
  }

  isReferenced(slot: number): boolean {
    return !this.#unreferenced.has(slot);
  }

  /** How many slots are taken and referenced. */
  get referencedCount(): number {
    return this.count - this.#unreferenced.size;
  }

  isLive(slot: number): boolean {
    return this.#livePosition[slot]! > 0;
  }
}
