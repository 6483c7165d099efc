/** A rate limit that threads count together: no permit is given twice, and a death leaves nothing half done. */
import { PERMIT_TICKS, type RateShape, RateTable, ratesLength } from "../../../src/shared/rate-table.js";
import type { Words } from "../../../src/shared/words.js";
import type { ModelProgram, ModelThread } from "../program.js";

const SHAPE: RateShape = { base: 0, threads: 1, keys: 4, burst: 2, intervalMs: 1 };
const SINGLE: RateShape = { ...SHAPE, burst: 1 };
/** By key: permits that were given. */
const GIVEN = ratesLength(SHAPE);
const LENGTH = GIVEN + 3;
const [ADA, GRACE] = [0, 1];

/** Time stands still: what is given is the burst. */
function atZero(words: Words, shape: RateShape, now = 0): RateTable {
  return new RateTable(words, shape, () => now);
}

function tagOf(key: number): number {
  return 2 * key + 1;
}

/** Takes a permit of each of these keys. */
function taker(keys: readonly number[], shape = SHAPE): ModelThread {
  return (words) => {
    const rates = atZero(words, shape);
    for (const key of keys) if (rates.take(0, tagOf(key), 1).isAllowed) words.add(GIVEN + key, 1);
  };
}

/** What was given is at most `burst`; exactly that when nobody died and so many asked. */
function given(key: number, burst: number): (words: Words, killed: readonly number[]) => void {
  return (words, killed) => {
    const count = words.load(GIVEN + key);
    if (count > burst) throw new Error(`${count} permits were given of ${burst}`);
    if (count < burst && killed.length === 0) throw new Error("a permit was not given to anybody");
  };
}

/** Looks, and then moves the time in a second step. */
function careless(words: Words): void {
  const slot = ratesLength(SINGLE) - SINGLE.keys * 2;
  words.compareExchange(slot, 0, tagOf(ADA));
  const isFree = words.load(slot + 1) === 0;
  if (isFree) words.store(slot + 1, PERMIT_TICKS);
  if (isFree) words.add(GIVEN + ADA, 1);
}

const programs: readonly ModelProgram[] = [
  {
    name: "rate table: three threads, a key with two permits",
    length: LENGTH,
    threads: [taker([ADA]), taker([ADA]), taker([ADA])],
    finish: given(ADA, 2),
  },
  {
    name: "rate table: two threads, two keys that are new to their set, one may die",
    length: LENGTH,
    threads: [taker([ADA, GRACE], SINGLE), taker([GRACE, ADA], SINGLE)],
    mortal: [0],
    finish: (words, killed) => {
      given(ADA, 1)(words, killed);
      given(GRACE, 1)(words, killed);
    },
  },
  {
    // Each thread may have found another slot whose key was idle: the table says so.
    name: "rate table: a key that is new to a set whose keys are idle has its burst twice at most",
    length: LENGTH,
    setup: (words) => {
      for (const key of [10, 11, 12, 13]) atZero(words, SINGLE, -PERMIT_TICKS).take(0, tagOf(key), 1);
    },
    threads: [taker([ADA, ADA], SINGLE), taker([ADA, ADA], SINGLE)],
    mortal: [1],
    finish: (words, killed) => {
      const count = words.load(GIVEN + ADA);
      if (count > 2) throw new Error(`${count} permits were given of 1`);
      if (count === 0 && killed.length === 0) throw new Error("a permit was not given to anybody");
    },
  },
  {
    name: "rate table, planted: a permit is taken in two steps",
    length: LENGTH,
    threads: [careless, careless],
    finish: given(ADA, 1),
    mustFail: /2 permits were given of 1/,
  },
];

export default programs;
