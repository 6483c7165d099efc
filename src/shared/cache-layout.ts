/**
 * Where everything is in the memory of a shared cache, in words.
 *
 *     for each thread a line: [pin, counters …] | for each segment: [lock | head, used | stamps | slots | marks | ring]
 *
 * A *slot* is one word: 0, or the tag of a key and where its entry begins in the segment's ring: `tag << 20 | unit + 1`. An *entry* is a whole number of units of four words:
 * `[slot + 1, units, …]`, where slot 0 is filler up to the end of the ring; the rest is its user's.
 */
import { assert } from "../assert.js";

const LINE_WORDS = 16;
const UNIT_BITS = 20;
const UNIT_MASK = (1 << UNIT_BITS) - 1;

/** Words of one unit of the ring. */
export const UNIT_WORDS = 4;
/** Words at the start of an entry that are the table's. */
export const ENTRY_HEADER_WORDS = 2;
/** Counters that each thread has. */
export const CACHE_COUNTERS = 8;
/** The most units of one ring: 16 MiB. */
export const RING_UNITS_MAX = UNIT_MASK - 1;

/** How large a cache is. */
export interface CacheShape {
  readonly base: number;
  /** Threads that may use it at once. */
  readonly threads: number;
  readonly segments: number;
  /** Buckets of each segment. */
  readonly buckets: number;
  /** Slots of each bucket. */
  readonly ways: number;
  /** Units of each segment's ring. */
  readonly ringUnits: number;
  /** Units of each ring that are kept free, so that entries in use can be moved; at least what a usual entry takes. */
  readonly spareUnits: number;
  /** How often a thread looks again at what another one holds before it gives up. */
  readonly spins: number;
}

/** Where the parts of one segment are. */
export interface SegmentLayout {
  readonly lock: number;
  readonly head: number;
  readonly used: number;
  readonly stamps: number;
  readonly slots: number;
  readonly marks: number;
  readonly ring: number;
}

/** Words that a cache takes. */
export function cacheLength(shape: CacheShape): number {
  return shape.threads * LINE_WORDS + shape.segments * segmentLength(shape);
}

/** The word in which a thread says which entry it reads. */
export function pinWord(shape: CacheShape, thread: number): number {
  return shape.base + thread * LINE_WORDS;
}

/** The word of one of a thread's counters. */
export function counterWord(shape: CacheShape, thread: number, counter: number): number {
  assert(counter < CACHE_COUNTERS, "a thread has so many counters");
  return shape.base + thread * LINE_WORDS + 1 + counter;
}

/** Where the parts of a segment are. */
export function segmentLayout(shape: CacheShape, segment: number): SegmentLayout {
  const { buckets, ways } = shape;
  const lock = shape.base + shape.threads * LINE_WORDS + segment * segmentLength(shape);
  const stamps = lock + 2 * LINE_WORDS;
  const slots = stamps + toLines(buckets * ways);
  const marks = slots + toLines(buckets * ways);
  // What writers write under the lock is on a line of its own.
  return {
    lock,
    head: lock + LINE_WORDS,
    used: lock + LINE_WORDS + 1,
    stamps,
    slots,
    marks,
    ring: marks + toLines(buckets * ways),
  };
}

/** The word of a slot that refers to an entry. */
export function slotValue(tag: number, unit: number): number {
  return (tag << UNIT_BITS) | (unit + 1);
}

/** Where in the ring the entry of a slot begins; -1 if the slot is empty. */
export function unitOf(slot: number): number {
  return (slot & UNIT_MASK) - 1;
}

/** The tag of a slot's key, 12 bits. */
export function tagOf(slot: number): number {
  return slot >>> UNIT_BITS;
}

function segmentLength({ buckets, ways, ringUnits }: CacheShape): number {
  return 2 * LINE_WORDS + 3 * toLines(buckets * ways) + toLines(ringUnits * UNIT_WORDS);
}

function toLines(words: number): number {
  return Math.ceil(words / LINE_WORDS) * LINE_WORDS;
}
