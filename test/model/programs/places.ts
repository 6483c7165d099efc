/** A task is queued for a place while another thread takes the place over, or nobody does: the spawner looks again behind its hint, and the supervisor says who serves before the reaper looks. */
import { addPinnedHint } from "../../../src/scheduler/pinned-hint.js";
import { NOBODY, Places, placesLength } from "../../../src/scheduler/places.js";
import { layoutOf } from "../../../src/shared/layout.js";
import { Reaper } from "../../../src/shared/reaper.js";
import { Segment } from "../../../src/shared/segment.js";
import {
  DONE,
  generationOf,
  IDEMPOTENT,
  JOIN_INTEREST,
  PINNED,
  phaseOf,
  QUEUED,
  threadOf,
} from "../../../src/shared/task-state.js";
import type { Words } from "../../../src/shared/words.js";
import type { ModelProgram, ModelThread } from "../program.js";

const SPAWNER = 0;
const OLD = 1;
const SUCCESSOR = 2;
const SUPERVISOR = 3;
const PLACE = 0;
const SLOT = 0;
const LAYOUT = layoutOf({ threads: 4, slotsPerThread: 1, queueCapacity: 2, lifoSlots: 0 });
const LENGTH = LAYOUT.length + placesLength(1);

function placesOf(words: Words): Places {
  return new Places(words, LAYOUT.length, 1);
}

function setup(words: Words): void {
  placesOf(words).assign(PLACE, OLD);
}

function spawner(flags = 0, looksAgain = true): ModelThread {
  return (words) => {
    const segment = new Segment(words, LAYOUT, SPAWNER);
    const places = placesOf(words);
    const origin = segment.openOrigin();
    const slot = origin.open();
    const thread = places.holderOf(PLACE);
    if (thread === NOBODY) return;
    segment.table.setCall(slot, 1, 0);
    const state = origin.publish(slot, PINNED | JOIN_INTEREST | flags, thread);
    if (!looksAgain) {
      segment.inboxes[thread]!.insert(slot);
      return;
    }
    const isServed = addPinnedHint(segment, places, { slot, place: PLACE, state, told: () => undefined });
    if (!isServed) origin.cancel(slot, generationOf(state));
  };
}

/** The old thread has ended. */
function supervisor(successor: number, isInOrder = true): ModelThread {
  return (words) => {
    const reaper = new Reaper(new Segment(words, LAYOUT, SUPERVISOR));
    const options = successor === NOBODY ? { isReplaced: false } : { isReplaced: false, successor };
    if (isInOrder) placesOf(words).assign(PLACE, successor);
    reaper.reap(OLD, options);
    if (!isInOrder) placesOf(words).assign(PLACE, successor);
  };
}

/** The old thread runs the task and dies in it. */
function runsAndDies(words: Words): void {
  const segment = new Segment(words, LAYOUT, OLD);
  const slot = segment.inboxes[OLD]!.take();
  if (slot !== -1) segment.table.claim(slot, OLD);
  supervisor(SUCCESSOR)(words);
}

function mustReachSuccessor(words: Words): void {
  const { table, inboxes } = new Segment(words, LAYOUT, SUCCESSOR);
  const state = table.stateOf(SLOT);
  if (phaseOf(state) !== QUEUED || threadOf(state) !== SUCCESSOR)
    throw new Error("the task waits for a thread that is gone");
  while (true) {
    const hint = inboxes[SUCCESSOR]!.take();
    if (hint === SLOT) return;
    if (hint === -1) throw new Error("the successor has no hint of the task");
  }
}

function mustBeOver(words: Words): void {
  const state = new Segment(words, LAYOUT, SUPERVISOR).table.stateOf(SLOT);
  if (phaseOf(state) === QUEUED) throw new Error("the task waits for a thread that is gone");
  if (phaseOf(state) !== DONE && state !== 0) throw new Error("the task has an outcome or never was");
}

function mustBeReachedOrLost(words: Words): void {
  const state = new Segment(words, LAYOUT, SUPERVISOR).table.stateOf(SLOT);
  if (phaseOf(state) !== DONE) mustReachSuccessor(words);
}

const programs: readonly ModelProgram[] = [
  {
    name: "places: a task is queued while another thread takes the place over",
    length: LENGTH,
    setup,
    threads: [spawner(), supervisor(SUCCESSOR)],
    finish: mustReachSuccessor,
  },
  {
    name: "places: a task is queued, and begun, while its thread dies and another one takes the place over",
    length: LENGTH,
    setup,
    threads: [spawner(IDEMPOTENT), runsAndDies],
    finish: mustReachSuccessor,
  },
  {
    name: "places: a task that cannot run again is queued, and begun, while its thread dies",
    length: LENGTH,
    setup,
    threads: [spawner(), runsAndDies],
    finish: mustBeReachedOrLost,
  },
  {
    name: "places: a task is queued while its place is given up",
    length: LENGTH,
    setup,
    threads: [spawner(), supervisor(NOBODY)],
    finish: mustBeOver,
  },
  {
    name: "places: planted bug: the spawner does not look again",
    length: LENGTH,
    setup,
    threads: [spawner(0, false), supervisor(SUCCESSOR)],
    finish: mustReachSuccessor,
    mustFail: /gone/,
  },
  {
    name: "places: planted bug: the reaper looks before the place is given to another thread",
    length: LENGTH,
    setup,
    threads: [spawner(), supervisor(SUCCESSOR, false)],
    finish: mustReachSuccessor,
    mustFail: /gone|hint/,
  },
];

export default programs;
