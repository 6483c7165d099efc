/**
 * The memory of a cache that all threads use at once: slots in buckets, and entries of any length in a ring for each segment. It knows neither keys nor values, only tags
 * and words; `src/keyed/shared-cache.ts` puts those in.
 *
 * Readers never wait and take no lock: they announce the entry that they read (hazard pointers: Maged Michael, *Hazard Pointers: Safe Memory Reclamation for Lock-Free
 * Objects*, 2004). Writers of one segment take turns by a word with the writer's id in it, which they look at a few times and do not wait for. What is evicted is chosen by CLOCK: the ring is the
 * order of arrival, and an entry that was read since the hand passed is moved to the front.
 *
 * Who writes each word:
 *
 * - *pin* of a thread: that thread, or the reaper when it is dead. It holds the first word of the entry that the thread reads, 0 for none.
 * - *lock*: 0 → thread + 1 by compare-and-swap, back to 0 by its holder; thread + 1 → {@link DIRTY} by the reaper of a dead holder; DIRTY → thread + 1 by the next writer, who empties the segment.
 * - *head*, *used* and the *ring*: plain, by the holder of the lock. *Stamps*: added to by whoever makes a key's value invalid.
 * - *slot*: set by the holder of the lock, to 0 by anybody (compare-and-swap).
 * - *mark*: 1 by readers, 0 by the holder of the lock. A hint.
 *
 * Why no reader sees a torn entry: a slot is set after its entry was written, which pairs with the reader's load of the slot. The reader stores its pin and then loads the slot again; the writer takes the entry out of its slot and then
 * loads all pins. Of two such pairs at least one load sees the other's store: the reader finds the slot changed and reads nothing, or the writer finds the pin and does not use the entry's room. A pin that is taken back
 * pairs with the writer's load of it, so what the reader read is before what the writer writes.
 *
 * A thread may die at any point. Of a dead reader the pin is left, and the reaper clears it. Of a dead writer the lock is left; its slots are whole, since setting one is one store behind the entry, but `head`, `used` and the ring may
 * not be, so the next writer forgets the segment: a cache may.
 */
import { assert } from "../assert.js";
import {
  CACHE_COUNTERS,
  type CacheShape,
  counterWord,
  pinWord,
  type SegmentLayout,
  segmentLayout,
  slotValue,
  tagOf,
  UNIT_WORDS,
  unitOf,
} from "./cache-layout.js";
import type { Words } from "./words.js";

/** In a lock: its holder died, and the segment may be damaged. */
export const DIRTY = -1;
/** How many entries a writer moves out of the hand's way before it takes what comes. */
const MOVES_MAX = 64;

/** A slot's place. */
export interface SlotPlace {
  readonly segment: number;
  readonly bucket: number;
  readonly way: number;
}

/** Room for an entry, while its segment is locked. */
export interface Room {
  readonly segment: number;
  readonly unit: number;
  readonly units: number;
  /** Its first word. */
  readonly word: number;
}

/** One thread's use of a cache's memory. See the top of the file. */
export class CacheTable {
  readonly shape: CacheShape;
  readonly #words: Words;
  readonly #thread: number;
  readonly #pin: number;
  readonly #segments: readonly SegmentLayout[];
  readonly #counters: number[];
  /** Entries that were evicted while they were live. */
  static readonly EVICTIONS: number = CACHE_COUNTERS - 1;

  constructor(words: Words, shape: CacheShape, thread: number) {
    assert(thread < shape.threads, "the thread has a pin");
    this.shape = shape;
    this.#words = words;
    this.#thread = thread;
    this.#pin = pinWord(shape, thread);
    this.#segments = Array.from({ length: shape.segments }, (_, segment) => segmentLayout(shape, segment));
    this.#counters = Array.from({ length: CACHE_COUNTERS }, (_, counter) =>
      words.load(counterWord(shape, thread, counter)),
    );
  }

  // --- reading, by any thread

  /** The entry's first word if the slot has that tag; then it stays as it is until {@link unpin}. 0 if not. */
  pin(place: SlotPlace, tag: number): number {
    const { slots, ring } = this.#at(place.segment);
    const slot = slots + this.#indexOf(place);
    // Each further turn means that a writer has got on.
    for (;;) {
      const found = this.#words.load(slot);
      if (found === 0 || tagOf(found) !== tag) return 0;
      const entry = ring + unitOf(found) * UNIT_WORDS;
      this.#words.store(this.#pin, entry);
      if (this.#words.load(slot) === found) return entry;
      this.#words.store(this.#pin, 0);
    }
  }

  unpin(): void {
    this.#words.store(this.#pin, 0);
  }

  /** Notes that the pinned entry of the slot was wanted. */
  mark(place: SlotPlace): void {
    const mark = this.#at(place.segment).marks + this.#indexOf(place);
    if (this.#words.load(mark) === 0) this.#words.store(mark, 1);
  }

  /** Takes the pinned entry out of its slot. False if the slot has another one meanwhile: somebody has removed it, set the key anew, or moved the entry. */
  remove(place: SlotPlace, entry: number): boolean {
    const { slots, ring } = this.#at(place.segment);
    const slot = slots + this.#indexOf(place);
    const found = this.#words.load(slot);
    if (ring + unitOf(found) * UNIT_WORDS !== entry) return false;
    return this.#words.compareExchange(slot, found, 0) === found;
  }

  /** Empties a slot, whatever is in it. */
  clear(place: SlotPlace): void {
    this.#words.store(this.#at(place.segment).slots + this.#indexOf(place), 0);
  }

  isTaken(place: SlotPlace): boolean {
    return this.#words.load(this.#at(place.segment).slots + this.#indexOf(place)) !== 0;
  }

  /** A number that changes whenever a value of a key of this place's number is made invalid. There are as many numbers as slots, so another key has the same one seldom. */
  stampOf(place: SlotPlace): number {
    return this.#words.load(this.#at(place.segment).stamps + this.#indexOf(place));
  }

  /** Makes invalid what was read from elsewhere for keys of this place's number. */
  stamp(place: SlotPlace): void {
    this.#words.add(this.#at(place.segment).stamps + this.#indexOf(place), 1);
  }

  // --- writing, one thread at a time in each segment

  /** Locks a segment. False if another thread holds it and does not let go. */
  lock(segment: number): boolean {
    const { lock } = this.#at(segment);
    for (let spin = 0; spin < this.shape.spins; spin++) {
      const holder = this.#words.compareExchange(lock, 0, this.#thread + 1);
      if (holder === 0) return true;
      if (holder !== DIRTY) continue;
      if (this.#words.compareExchange(lock, DIRTY, this.#thread + 1) !== DIRTY) continue;
      if (this.#forget(segment)) return true;
      this.#words.store(lock, DIRTY);
      return false;
    }
    return false;
  }

  unlock(segment: number): void {
    this.#words.store(this.#at(segment).lock, 0);
  }

  /** Finds room for an entry in a segment that this thread has locked; evicts for it. Undefined when a reader is in the way. */
  reserve(segment: number, units: number): Room | undefined {
    const layout = this.#at(segment);
    let moves = MOVES_MAX;
    for (;;) {
      const unit = this.#front(layout, units, this.shape.spareUnits);
      if (unit >= 0) return { segment, unit, units, word: layout.ring + unit * UNIT_WORDS };
      const moved = this.#advance(layout, moves > 0);
      if (moved === undefined) return undefined;
      if (moved) moves -= 1;
    }
  }

  /** Makes a written entry the one of its slot, in place of what was there. The segment is locked. */
  publish(place: SlotPlace, tag: number, room: Room): void {
    const layout = this.#at(place.segment);
    const index = this.#indexOf(place);
    this.#words.write(room.word, index + 1);
    this.#words.write(room.word + 1, room.units);
    this.#take(layout, room);
    this.#words.store(layout.marks + index, 0);
    this.#words.store(layout.slots + index, slotValue(tag, room.unit));
  }

  /** Which slot of a bucket to use for another key: an empty one, else one that nobody wanted of late. The segment is locked. */
  victim(segment: number, bucket: number): SlotPlace {
    const { ways } = this.shape;
    const layout = this.#at(segment);
    const first = bucket * ways;
    for (let way = 0; way < ways; way++) {
      if (this.#words.load(layout.slots + first + way) === 0) return { segment, bucket, way };
    }
    this.count(CacheTable.EVICTIONS);
    // Where the ring's next entry goes is as good as random here, so that not the same one pays each time.
    const start = this.#words.read(layout.head) % ways;
    for (let turn = 0; turn < ways; turn++) {
      const way = (start + turn) % ways;
      if (this.#words.exchange(layout.marks + first + way, 0) === 0) return { segment, bucket, way };
    }
    return { segment, bucket, way: start };
  }

  // --- figures

  /** Adds one to a counter of this thread. */
  count(counter: number): void {
    const value = ((this.#counters[counter] ?? 0) + 1) | 0;
    this.#counters[counter] = value;
    this.#words.store(counterWord(this.shape, this.#thread, counter), value);
  }

  /** A counter over all threads. It wraps at 2 ** 32. */
  total(counter: number): number {
    let sum = 0;
    for (let thread = 0; thread < this.shape.threads; thread++) {
      sum += this.#words.load(counterWord(this.shape, thread, counter)) >>> 0;
    }
    return sum;
  }

  #at(segment: number): SegmentLayout {
    const layout = this.#segments[segment];
    assert(layout !== undefined, "only existing segments are asked for");
    return layout;
  }

  #indexOf({ bucket, way }: SlotPlace): number {
    return bucket * this.shape.ways + way;
  }

  /** Where the next entry of that length goes, if that leaves `spareUnits` free; else -1. An entry does not go round the end: what is left there is filled. */
  #front(layout: SegmentLayout, units: number, spareUnits: number): number {
    const { ringUnits } = this.shape;
    const used = this.#words.read(layout.used);
    // An empty ring begins anew, so that the longest entry fits wherever the front was.
    if (used === 0) this.#words.write(layout.head, 0);
    const head = this.#words.read(layout.head);
    const toEnd = ringUnits - head;
    if (units <= toEnd) return used === 0 || ringUnits - used >= units + spareUnits ? head : -1;
    if (ringUnits - used < toEnd + units + spareUnits) return -1;
    const word = layout.ring + head * UNIT_WORDS;
    this.#words.write(word, 0);
    this.#words.write(word + 1, toEnd);
    this.#words.write(layout.used, used + toEnd);
    this.#words.write(layout.head, 0);
    return 0;
  }

  #take(layout: SegmentLayout, { unit, units }: Pick<Room, "unit" | "units">): void {
    this.#words.write(layout.head, (unit + units) % this.shape.ringUnits);
    this.#words.write(layout.used, this.#words.read(layout.used) + units);
  }

  /** Gives the oldest entry's room back; true if the entry was moved to the front, undefined when a reader is in the way. */
  #advance(layout: SegmentLayout, mayMove: boolean): boolean | undefined {
    const { ringUnits } = this.shape;
    const head = this.#words.read(layout.head);
    const used = this.#words.read(layout.used);
    const tail = (head - used + ringUnits) % ringUnits;
    const word = layout.ring + tail * UNIT_WORDS;
    const owner = this.#words.read(word);
    const units = this.#words.read(word + 1);
    let moved = false;
    if (owner > 0) {
      moved = mayMove && this.#move(layout, owner - 1, { unit: tail, units });
      if (!moved) this.#evict(layout, owner - 1, tail);
      if (!this.#isLeft(word)) return undefined;
    }
    this.#words.write(layout.used, this.#words.read(layout.used) - units);
    return moved;
  }

  /** Copies an entry that was wanted to the front of the ring, if there is room. */
  #move(layout: SegmentLayout, index: number, { unit, units }: Pick<Room, "unit" | "units">): boolean {
    const slot = layout.slots + index;
    const found = this.#words.load(slot);
    if (unitOf(found) !== unit || this.#words.load(layout.marks + index) === 0) return false;
    const head = this.#front(layout, units, 0);
    if (head < 0) return false;
    for (let offset = 0; offset < units * UNIT_WORDS; offset++) {
      this.#words.write(
        layout.ring + head * UNIT_WORDS + offset,
        this.#words.read(layout.ring + unit * UNIT_WORDS + offset),
      );
    }
    this.#take(layout, { unit: head, units });
    this.#words.store(layout.marks + index, 0);
    // Somebody may have removed it meanwhile; then the copy is nobody's, and its room comes back in its turn.
    this.#words.compareExchange(slot, found, slotValue(tagOf(found), head));
    return true;
  }

  #evict(layout: SegmentLayout, index: number, unit: number): void {
    const slot = layout.slots + index;
    const found = this.#words.load(slot);
    if (unitOf(found) !== unit) return;
    if (this.#words.compareExchange(slot, found, 0) === found) this.count(CacheTable.EVICTIONS);
  }

  /** Whether each thread was seen not to read the entry, since it was taken out of its slot. */
  #isLeft(word: number): boolean {
    for (let thread = 0; thread < this.shape.threads; thread++) {
      const pin = pinWord(this.shape, thread);
      let spins = this.shape.spins;
      while (this.#words.load(pin) === word) if (--spins <= 0) return false;
    }
    return true;
  }

  /** Empties a segment whose writer died. False when a reader is still in it. */
  #forget(segment: number): boolean {
    const layout = this.#at(segment);
    const { buckets, ways, ringUnits, threads } = this.shape;
    for (let index = 0; index < buckets * ways; index++) this.#words.store(layout.slots + index, 0);
    for (let thread = 0; thread < threads; thread++) {
      const pin = this.#words.load(pinWord(this.shape, thread));
      if (pin >= layout.ring && pin < layout.ring + ringUnits * UNIT_WORDS) return false;
    }
    this.#words.write(layout.head, 0);
    this.#words.write(layout.used, 0);
    return true;
  }
}

/** What the reaper does when a thread is gone: its pin and its locks are given up. No step of this may come before the thread's last one. */
export function buryCacheThread(words: Words, shape: CacheShape, thread: number): void {
  words.store(pinWord(shape, thread), 0);
  for (let segment = 0; segment < shape.segments; segment++) {
    words.compareExchange(segmentLayout(shape, segment).lock, thread + 1, DIRTY);
  }
}
