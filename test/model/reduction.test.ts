/** The reduction against a full enumeration: on random small programs both must see the very same executions, up to the order of steps that do not matter. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Words } from "../../src/shared/words.js";
import { Doorbell } from "./doorbell.js";
import { Explorer } from "./explorer.js";
import type { ModelProgram, ModelThread } from "./program.js";
import type { Death } from "./schedule.js";

const PROGRAMS = Number(process.env.RINGLOOM_FUZZ_RUNS ?? 150);
const STEPS_IN_ALL = 7;
const CONTROL_WORDS = 2;
const PAYLOAD_WORD = 2;
const seed = Number(process.env.RINGLOOM_SEED ?? Math.floor(Math.random() * 2 ** 31));

/** A generator of whole numbers (mulberry32): `random(n)` is below n. */
function randomFrom(start: number): (below: number) => number {
  let state = start >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

/** One step of a random thread: it takes what the step before gave, so that different executions do different things. */
type RandomStep = (words: Words, before: number) => number;

interface Recipe {
  readonly hasWaits: boolean;
  readonly hasPayload: boolean;
  readonly hasTimeouts: boolean;
  readonly stepsInAll?: number;
}

function randomStep(random: (below: number) => number, { hasWaits, hasPayload }: Recipe): RandomStep {
  const word = random(CONTROL_WORDS);
  const value = random(3);
  const kinds: RandomStep[] = [
    (words) => words.load(word),
    (words) => words.load(word),
    (words, before) => {
      words.store(word, value + (before & 1));
      return before;
    },
    (words) => words.add(word, value),
    (words, before) => words.or(word, before & 1),
    (words) => words.and(word, value),
    (words) => words.exchange(word, value),
    (words, before) => words.compareExchange(word, before & 1, value),
    (words) => words.compareExchange(word, 0, value),
  ];
  if (hasWaits) {
    kinds.push((words) => ["ok", "not-equal", "timed-out"].indexOf(words.wait(word, value & 1, 10)));
    kinds.push((words) => words.notify(word, 1));
    kinds.push((words) => words.notify(word));
    kinds.push((words, before) => {
      new Doorbell(words, word).ring();
      return before;
    });
  }
  if (hasPayload) {
    kinds.push((words) => words.read(PAYLOAD_WORD));
    kinds.push((words, before) => {
      words.write(PAYLOAD_WORD, value);
      return before;
    });
  }
  const chosen = kinds[random(kinds.length)]!;
  // Some steps are only made in some executions.
  return random(4) === 0 ? (words, before) => (before === value ? before : chosen(words, before)) : chosen;
}

function randomProgram(random: (below: number) => number, recipe: Recipe): ModelProgram {
  const threads = 2 + random(2);
  const perThread = Math.floor((recipe.stepsInAll ?? STEPS_IN_ALL) / threads);
  const makeThread = (): ModelThread => {
    const steps = Array.from({ length: 1 + random(perThread) }, () => randomStep(random, recipe));
    return (words) => {
      let before = 0;
      for (const step of steps) before = step(words, before);
    };
  };
  return {
    name: "random",
    length: CONTROL_WORDS + 1,
    threads: Array.from({ length: threads }, makeThread),
    // Two steps on two words, so that it matters which of two reapers comes first, and what happens in between.
    reaper: (words, killed) => void words.store(0, 7 + killed + words.add(1, 2)),
    hasTimeouts: recipe.hasTimeouts,
    finish: () => {},
  };
}

/** All executions as texts that do not depend on the order of steps of different threads, and whether one of them fails. */
function explore(program: ModelProgram, isReduced: boolean, deaths: readonly Death[]) {
  const found: string[] = [];
  const { failure, isFinished } = new Explorer(program, {
    isReduced,
    deaths,
    onExecution: (explorer) => {
      const lines = explorer.steps.map(({ thread, step }) => [thread, ...Object.values(step)].join(" "));
      // Sorting by thread is stable, so each thread's own order stays.
      lines.sort((one, other) => one.charCodeAt(0) - other.charCodeAt(0));
      found.push(`${lines.join(";")} | ${explorer.memory.join(" ")}`);
    },
  }).run();
  return { found: new Set(found), count: found.length, hasFailed: failure !== undefined, isFinished };
}

/** Whether programs of this kind may race, or wait for ever. */
function canFail({ hasPayload, hasWaits, hasTimeouts }: Recipe): boolean {
  return hasPayload || (hasWaits && !hasTimeouts);
}

interface Comparison {
  naive: number;
  reduced: number;
  failing: number;
}

function compare(program: ModelProgram, deaths: readonly Death[], sums: Comparison): void {
  const naive = explore(program, false, deaths);
  const reduced = explore(program, true, deaths);
  assert.equal(reduced.hasFailed, naive.hasFailed);
  if (naive.hasFailed) {
    sums.failing++;
    return;
  }
  assert.ok(naive.isFinished && reduced.isFinished);
  assert.deepEqual([...reduced.found].sort(), [...naive.found].sort());
  sums.naive += naive.count;
  sums.reduced += reduced.count;
}

describe(`Explorer with reduction (RINGLOOM_SEED=${seed})`, () => {
  const recipes: Record<string, Recipe> = {
    "atomics alone": { hasWaits: false, hasPayload: false, hasTimeouts: false },
    "waits that time out or are notified": { hasWaits: true, hasPayload: false, hasTimeouts: true },
    "waits that are notified or lost": { hasWaits: true, hasPayload: false, hasTimeouts: false },
    "payload that races or does not": { hasWaits: false, hasPayload: true, hasTimeouts: false },
  };
  for (const [name, recipe] of Object.entries(recipes)) {
    test(`run() sees the same executions as a full enumeration when programs have ${name}`, () => {
      const random = randomFrom(seed);
      const sums: Comparison = { naive: 0, reduced: 0, failing: 0 };
      for (let count = 0; count < PROGRAMS; count++) compare(randomProgram(random, recipe), [], sums);
      assert.ok(sums.reduced < sums.naive);
      assert.equal(sums.failing > 0, canFail(recipe));
    });

    test(`run() sees the same executions as a full enumeration when a thread dies and programs have ${name}`, () => {
      const random = randomFrom(seed + 1);
      const sums: Comparison = { naive: 0, reduced: 0, failing: 0 };
      for (let count = 0; count < PROGRAMS; count++) {
        compare(randomProgram(random, recipe), [{ thread: 0, position: 1 + random(4) }], sums);
      }
      assert.ok(sums.reduced < sums.naive);
      if (!canFail(recipe)) assert.equal(sums.failing, 0);
    });

    test(`run() sees the same executions as a full enumeration when two threads die and programs have ${name}`, () => {
      const random = randomFrom(seed + 2);
      const sums: Comparison = { naive: 0, reduced: 0, failing: 0 };
      for (let count = 0; count < PROGRAMS; count++) {
        const deaths = [0, 1].map((thread) => ({ thread, position: 1 + random(3) }));
        compare(randomProgram(random, { ...recipe, stepsInAll: 5 }), deaths, sums);
      }
      assert.ok(sums.reduced < sums.naive);
      if (!canFail(recipe)) assert.equal(sums.failing, 0);
    });
  }
});
