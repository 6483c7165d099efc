/** The set of slots and the injector made of such sets: inserts against takes, summary bits against both, and death in the middle. */
import { Injector, injectorLength } from "../../../src/shared/injector.js";
import { SlotSet, slotSetLength } from "../../../src/shared/slot-set.js";
import type { Words } from "../../../src/shared/words.js";
import type { ModelProgram, ModelThread } from "../program.js";
import { mustBeEachOnce, notedBy, TakeLog } from "../take-log.js";

/** Two words of two slots each below a root. */
const SET = { base: 0, capacity: 4, wordShift: 1 };
const INJECTOR = { base: slotSetLength(4, 1), capacity: 2, shards: 2, wordShift: 1 };
const LOG = { base: INJECTOR.base + injectorLength(INJECTOR), entries: 4 };
const LENGTH = LOG.base + 4 * LOG.entries;
/** An injector whose one shard has a root above its words. */
const DEEP = { base: 0, capacity: 4, shards: 1, wordShift: 1 };
const DEEP_LOG = { base: injectorLength(DEEP), entries: 4 };

function inserter(...slots: readonly number[]): ModelThread {
  return (words) => {
    const set = new SlotSet(words, SET);
    for (const slot of slots) set.insert(slot);
  };
}

/** What the reaper does for each queued task. */
function restorer(...slots: readonly number[]): (words: Words) => void {
  return (words) => {
    const set = new SlotSet(words, SET);
    for (const slot of slots) set.insert(slot);
  };
}

function taker(thread: number, times = 1): ModelThread {
  return (words) => {
    const set = new SlotSet(words, SET);
    const log = new TakeLog(words, LOG, thread);
    for (let n = 0; n < times; n++) log.note(set.take());
  };
}

function batchTaker(thread: number): ModelThread {
  return (words) => {
    const into = new Int32Array(2);
    const log = new TakeLog(words, LOG, thread);
    const count = new SlotSet(words, SET).takeMany(into, 2);
    for (const slot of into.subarray(0, count)) log.note(slot);
  };
}

/** What the threads have left is found by whoever comes after them. */
function finish(count: number): (words: Words) => void {
  return (words) => {
    const slots = notedBy(words, LOG, 3);
    const set = new SlotSet(words, SET);
    for (let slot = set.take(); slot !== -1; slot = set.take()) slots.push(slot);
    mustBeEachOnce(slots, count);
  };
}

function finishInjector(count: number): (words: Words) => void {
  return (words) => {
    const slots = notedBy(words, LOG, 3);
    const injector = new Injector(words, INJECTOR, 0);
    for (let slot = injector.take(); slot !== -1; slot = injector.take()) slots.push(slot);
    mustBeEachOnce(slots, count);
  };
}

/** As {@link finish} when the slots are those of the second word. */
function finishSecondWord(words: Words): void {
  const slots = notedBy(words, LOG, 3);
  const set = new SlotSet(words, SET);
  for (let slot = set.take(); slot !== -1; slot = set.take()) slots.push(slot);
  mustBeEachOnce(
    slots.map((slot) => slot - 2),
    2,
  );
}

/** After a death a hint may be there again, but none may be hidden: a thread that died has not noted what it took. */
function finishDeath(words: Words, killed: readonly number[]): void {
  const set = new SlotSet(words, SET);
  const left = new Set<number>();
  for (let slot = set.take(); slot !== -1; slot = set.take()) left.add(slot);
  const noted = notedBy(words, LOG, 3);
  for (const slot of [2, 3]) {
    if (killed.length > 0 && !left.has(slot) && !noted.includes(slot)) throw new Error(`slot ${slot} is hidden`);
    const times = noted.filter((other) => other === slot).length + (left.has(slot) ? 1 : 0);
    if (killed.length === 0 && times !== 1) throw new Error(`slot ${slot} is there ${times} times`);
  }
}

/** Takes slot 2 out of the second word and clears the bit above, without looking again. */
function hastyTaker(words: Words): void {
  const [root, second] = [SET.base, SET.base + 17];
  const before = words.and(second, ~1);
  if ((before & 1) !== 0) new TakeLog(words, LOG, 1).note(2);
  if ((before & ~1) === 0) words.and(root, ~2);
}

const programs: readonly ModelProgram[] = [
  {
    name: "slot set: inserts into one word against two takers",
    length: LENGTH,
    setup: inserter(0),
    threads: [inserter(1), taker(1), taker(2)],
    finish: finish(2),
  },
  {
    name: "slot set: inserts into a word that the sweep comes to later, against two takers",
    length: LENGTH,
    setup: inserter(2),
    threads: [inserter(3), taker(1), taker(2)],
    finish: finishSecondWord,
  },
  {
    name: "slot set: two inserters against a taker that empties words",
    length: LENGTH,
    setup: inserter(0),
    threads: [inserter(1), inserter(2), taker(2, 2)],
    finish: finish(3),
  },
  {
    name: "slot set: a batch is taken while a slot of its word comes and another taker looks",
    length: LENGTH,
    setup: inserter(0, 2),
    threads: [inserter(1), batchTaker(1), taker(2)],
    finish: finish(3),
  },
  {
    name: "slot set: an inserter or a taker dies or both, the reaper adds everything again",
    length: LENGTH,
    setup: inserter(2),
    threads: [inserter(3), taker(1)],
    mortal: [0, 1],
    deathsMax: 2,
    reaper: restorer(2, 3),
    finish: finishDeath,
  },
  {
    name: "slot set: who is first in a word dies within its insert, and another one follows",
    length: LENGTH,
    threads: [inserter(2), inserter(3), taker(1)],
    mortal: [0, 2],
    reaper: restorer(2, 3),
    finish: finishDeath,
  },
  {
    name: "injector: two shards, a push against two takers",
    length: LENGTH,
    setup: (words) => new Injector(words, INJECTOR, 1).insert(1),
    threads: [
      (words) => new Injector(words, INJECTOR, 0).insert(0),
      (words) => new TakeLog(words, LOG, 1).note(new Injector(words, INJECTOR, 1).take()),
      (words) => new TakeLog(words, LOG, 2).note(new Injector(words, INJECTOR, 0).take()),
    ],
    finish: finishInjector(2),
  },
  {
    name: "injector: a shard is emptied while it is filled",
    length: LENGTH,
    setup: (words) => new Injector(words, INJECTOR, 0).insert(1),
    threads: [
      (words) => new Injector(words, INJECTOR, 0).insert(0),
      (words) => new TakeLog(words, LOG, 1).note(new Injector(words, INJECTOR, 0).take()),
      (words) => new TakeLog(words, LOG, 2).note(new Injector(words, INJECTOR, 1).take()),
    ],
    finish: finishInjector(2),
  },
  {
    name: "injector: a shard of two words is emptied by two while it is filled",
    length: DEEP_LOG.base + 4 * DEEP_LOG.entries,
    setup: (words) => new Injector(words, DEEP, 0).insert(1),
    threads: [
      (words) => new Injector(words, DEEP, 0).insert(0),
      (words) => new TakeLog(words, DEEP_LOG, 1).note(new Injector(words, DEEP, 0).take()),
      (words) => new TakeLog(words, DEEP_LOG, 2).note(new Injector(words, DEEP, 0).take()),
    ],
    finish: (words) => {
      const slots = notedBy(words, DEEP_LOG, 3);
      const injector = new Injector(words, DEEP, 0);
      for (let slot = injector.take(); slot !== -1; slot = injector.take()) slots.push(slot);
      mustBeEachOnce(slots, 2);
    },
  },
  {
    name: "slot set, planted: a summary bit cleared without looking again",
    length: LENGTH,
    setup: inserter(2),
    threads: [inserter(3), hastyTaker],
    finish: finishSecondWord,
    mustFail: /slot 1 was lost/,
  },
];

export default programs;
