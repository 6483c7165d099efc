/** The shared cache's memory: readers that never wait against writers that use room again, and the death of either at every step. A ring of two or three entries of one unit. */
import {
  type CacheShape,
  cacheLength,
  ENTRY_HEADER_WORDS,
  pinWord,
  segmentLayout,
  UNIT_WORDS,
  unitOf,
} from "../../../src/shared/cache-layout.js";
import { buryCacheThread, CacheTable, type SlotPlace } from "../../../src/shared/cache-table.js";
import type { Words } from "../../../src/shared/words.js";
import type { ModelProgram, ModelThread } from "../program.js";

const SHAPE: CacheShape = {
  base: 0,
  threads: 3,
  segments: 1,
  buckets: 1,
  ways: 1,
  ringUnits: 2,
  spareUnits: 0,
  spins: 1,
};
const TWO_KEYS: CacheShape = { ...SHAPE, ways: 2, ringUnits: 3, spareUnits: 1 };
const LENGTH = cacheLength(TWO_KEYS);
const PLACE: SlotPlace = { segment: 0, bucket: 0, way: 0 };
const OTHER: SlotPlace = { ...PLACE, way: 1 };
const TAG = 5;

/** Writes an entry whose two words are both `value`, as the cache does: under the lock, behind the table's words. */
function set(table: CacheTable, words: Words, value: number, place: SlotPlace = PLACE): boolean {
  if (!table.lock(0)) return false;
  const room = table.reserve(0, 1);
  if (room !== undefined) {
    words.write(room.word + ENTRY_HEADER_WORDS, value);
    words.write(room.word + ENTRY_HEADER_WORDS + 1, value);
    table.publish(place, TAG, room);
  }
  table.unlock(0);
  return room !== undefined;
}

/** What the slot's entry holds, 0 if there is none. Throws when the entry is torn. */
function get(table: CacheTable, words: Words, place: SlotPlace = PLACE): number {
  const entry = table.pin(place, TAG);
  if (entry === 0) return 0;
  const value = whole(words, entry);
  table.mark(place);
  table.unpin();
  return value;
}

function whole(words: Words, entry: number): number {
  const first = words.read(entry + ENTRY_HEADER_WORDS);
  const second = words.read(entry + ENTRY_HEADER_WORDS + 1);
  if (first !== second || first === 0) throw new Error(`torn: ${first} and ${second}`);
  return first;
}

function writing(thread: number, values: readonly number[], shape = SHAPE, place = PLACE): ModelThread {
  return (words) => {
    const table = new CacheTable(words, shape, thread);
    for (const value of values) set(table, words, value, place);
  };
}

function reading(thread: number, times: number, shape = SHAPE, place = PLACE): ModelThread {
  return (words) => {
    const table = new CacheTable(words, shape, thread);
    for (let time = 0; time < times; time++) get(table, words, place);
  };
}

/** Takes the entry out of its slot, after a look at it. */
function removing(thread: number, shape = SHAPE, place = PLACE, isRepeated = true): ModelThread {
  return (words) => {
    const table = new CacheTable(words, shape, thread);
    for (let isGone = false; !isGone; isGone ||= !isRepeated) {
      const entry = table.pin(place, TAG);
      if (entry === 0) return;
      whole(words, entry);
      isGone = table.remove(place, entry);
      table.unpin();
    }
  };
}

/** Two keys, of which the second was wanted, so that the next writers move it. */
function wanted(words: Words): void {
  holding([1, 2], TWO_KEYS)(words);
  get(new CacheTable(words, TWO_KEYS, 2), words, OTHER);
}

/** Nobody sets the other key again, so it is gone for good. */
function otherIsGone(words: Words): void {
  if (get(new CacheTable(words, TWO_KEYS, 2), words, OTHER) !== 0) throw new Error("what was removed is still there");
  usable(TWO_KEYS)(words, []);
}

function holding(values: readonly number[], shape = SHAPE): (words: Words) => void {
  return (words) => {
    const table = new CacheTable(words, shape, 2);
    for (const [n, value] of values.entries()) set(table, words, value, n === 1 ? OTHER : PLACE);
  };
}

/** Whoever comes afterwards can write and read: nothing is stuck, and what is there is whole. */
function usable(shape = SHAPE): (words: Words, killed: readonly number[]) => void {
  return (words) => {
    const table = new CacheTable(words, shape, 2);
    get(table, words);
    for (let thread = 0; thread < shape.threads; thread++) {
      if (words.load(pinWord(shape, thread)) !== 0) throw new Error(`the pin of ${thread} is left`);
    }
    for (const value of [90, 91, 92]) {
      if (!set(table, words, value)) throw new Error("the segment is stuck");
      if (get(table, words) !== value) throw new Error("what was set is not there");
    }
  };
}

function reaper(shape = SHAPE): (words: Words, killed: number) => void {
  return (words, killed) => buryCacheThread(words, shape, killed);
}

/** A reader that does not look again behind its pin. */
function readingBlindly(words: Words): void {
  const { slots, ring } = segmentLayout(SHAPE, 0);
  const found = words.load(slots);
  if (found === 0) return;
  const entry = ring + unitOf(found) * UNIT_WORDS;
  words.store(pinWord(SHAPE, 1), entry);
  whole(words, entry);
  words.store(pinWord(SHAPE, 1), 0);
}

/** A reader that only looks again when it has read, as at a sequence lock, without a pin. */
function readingUnpinned(words: Words): void {
  const { slots, ring } = segmentLayout(SHAPE, 0);
  const found = words.load(slots);
  if (found === 0) return;
  const entry = ring + unitOf(found) * UNIT_WORDS;
  const first = words.read(entry + ENTRY_HEADER_WORDS);
  const second = words.read(entry + ENTRY_HEADER_WORDS + 1);
  if (words.load(slots) === found && first !== second) throw new Error("torn");
}

/** A writer that sets the slot before it has written the entry. */
function publishingFirst(words: Words): void {
  const table = new CacheTable(words, SHAPE, 0);
  if (!table.lock(0)) return;
  const room = table.reserve(0, 1);
  if (room === undefined) throw new Error("no reader is in the way");
  table.publish(PLACE, TAG, room);
  words.write(room.word + ENTRY_HEADER_WORDS, 2);
  words.write(room.word + ENTRY_HEADER_WORDS + 1, 2);
  table.unlock(0);
}

/** A reaper that gives the lock of a dead writer back as if nothing had happened. */
function trusting(words: Words, killed: number): void {
  words.store(pinWord(SHAPE, killed), 0);
  words.compareExchange(segmentLayout(SHAPE, 0).lock, killed + 1, 0);
}

/** A reaper that forgets pins. */
function forgettingPins(words: Words, killed: number): void {
  words.compareExchange(segmentLayout(SHAPE, 0).lock, killed + 1, -1);
}

const programs: readonly ModelProgram[] = [
  {
    name: "cache: a reader against a writer that uses room again",
    length: LENGTH,
    setup: holding([1]),
    threads: [writing(0, [2, 3]), reading(1, 2)],
    finish: usable(),
  },
  {
    name: "cache: two readers against a writer",
    length: LENGTH,
    setup: holding([1]),
    threads: [writing(0, [2, 3]), reading(1, 1), reading(2, 1)],
    finish: usable(),
  },
  {
    name: "cache: two keys, one of which is wanted and moved",
    length: LENGTH,
    setup: holding([1, 2], TWO_KEYS),
    threads: [writing(0, [3, 4, 5], TWO_KEYS), reading(1, 2, TWO_KEYS, OTHER)],
    finish: usable(TWO_KEYS),
  },
  {
    name: "cache: two writers and a reader, one writer may die",
    length: LENGTH,
    setup: holding([1]),
    threads: [writing(0, [2]), writing(1, [3]), reading(2, 1)],
    mortal: [0],
    reaper: reaper(),
    finish: usable(),
  },
  {
    name: "cache: a reader that may die against a writer",
    length: LENGTH,
    setup: holding([1]),
    threads: [writing(0, [2, 3]), reading(1, 1)],
    mortal: [1],
    reaper: reaper(),
    finish: usable(),
  },
  {
    name: "cache: removal against a writer, either may die",
    length: LENGTH,
    setup: holding([1]),
    threads: [writing(0, [2, 3]), removing(1)],
    mortal: [0, 1],
    reaper: reaper(),
    finish: usable(),
  },
  {
    name: "cache: removal of a key that is being moved",
    length: LENGTH,
    setup: wanted,
    threads: [writing(0, [3, 4], TWO_KEYS), removing(1, TWO_KEYS, OTHER)],
    finish: otherIsGone,
  },
  {
    name: "cache: a removal that gives up when the entry was moved",
    length: LENGTH,
    setup: wanted,
    threads: [writing(0, [3, 4], TWO_KEYS), removing(1, TWO_KEYS, OTHER, false)],
    finish: otherIsGone,
    mustFail: /still there/,
  },
  {
    name: "cache: a reader that does not look again behind its pin",
    length: LENGTH,
    setup: holding([1]),
    threads: [writing(0, [2, 3]), readingBlindly],
    finish: usable(),
    mustFail: /data race|torn/,
  },
  {
    name: "cache: a reader without a pin",
    length: LENGTH,
    setup: holding([1]),
    threads: [writing(0, [2, 3]), readingUnpinned],
    finish: usable(),
    mustFail: /data race|torn/,
  },
  {
    name: "cache: a slot that is set before its entry is written",
    length: LENGTH,
    setup: holding([1]),
    threads: [publishingFirst, reading(1, 1)],
    finish: usable(),
    mustFail: /data race|torn/,
  },
  {
    name: "cache: the lock of a dead writer is given back as if nothing had happened",
    length: LENGTH,
    setup: holding([1]),
    threads: [writing(0, [2]), writing(1, [3]), reading(2, 1)],
    mortal: [0],
    reaper: trusting,
    finish: usable(),
    mustFail: /torn|stuck|not there|data race/,
  },
  {
    name: "cache: the pin of a dead reader is left",
    length: LENGTH,
    setup: holding([1]),
    threads: [writing(0, [2]), reading(1, 1)],
    mortal: [1],
    reaper: forgettingPins,
    finish: usable(),
    mustFail: /pin of 1 is left|stuck/,
  },
];

export default programs;
