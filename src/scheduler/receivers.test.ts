import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { pinned, stealable } from "./placement.js";
import { NOBODY, Places } from "./places.js";
import { Receivers } from "./receivers.js";
import type { Ringer } from "./ringer.js";
import { createSchedulerWords, viewScheduler } from "./scheduler-memory.js";

const PLACES = 3;
const SELF = PLACES;
const FIRST_BLOCKING = PLACES + 1;
const BLOCKING = 4;

/** Threads that run tasks, the one that spawns, and threads for tasks that block; those of `alive` are there, and awake. */
function rig({ alive = [0, 1, 2] }: { readonly alive?: readonly number[] } = {}) {
  const buffer = createSchedulerWords({ threads: FIRST_BLOCKING + BLOCKING, slotsPerThread: 16 });
  const view = viewScheduler(buffer, SELF);
  const { words, segment, slab } = view;
  const places = new Places(words, view.places, PLACES);
  for (let place = 0; place < PLACES; place++) places.assign(place, place);
  for (const thread of alive) words.store(slab.lives + thread, 1);
  const kept: number[] = [];
  // Only this of it is called.
  const ringer = { keepBlocking: (thread: number) => kept.push(thread) > 0 } as unknown as Ringer;
  const parts = { segment, words, lives: slab.lives, places, ringer };
  const receivers = new Receivers({ ...parts, firstBlocking: FIRST_BLOCKING, blocking: BLOCKING });
  return { receivers, places, segment, kept, slot: (n: number) => segment.table.firstOf(SELF) + n };
}

describe("Receivers.placeFor()", () => {
  test("is the preferred place, as long as its thread is there", () => {
    const { receivers, places } = rig({ alive: [0, 1] });
    assert.equal(receivers.placeFor(stealable(1)), 1);
    assert.notEqual(receivers.placeFor(stealable(2)), 2, "it has not started");
    places.assign(1, NOBODY);
    for (let n = 0; n < PLACES; n++) assert.equal(receivers.placeFor(stealable(1)), 0, "it was given up");
  });

  test("is one whose thread sleeps, else the next in turn", () => {
    const { receivers, segment } = rig();
    const turns = Array.from({ length: 6 }, () => receivers.placeFor(undefined));
    assert.deepEqual(turns, [1, 2, 0, 1, 2, 0]);
    segment.parkers.announce(2, "word");
    assert.deepEqual([receivers.placeFor(stealable()), receivers.placeFor(stealable())], [2, 2]);
  });

  test("is any when none has started", () => {
    const { receivers } = rig({ alive: [] });
    assert.deepEqual(new Set(Array.from({ length: 3 }, () => receivers.placeFor(pinned(0)))), new Set([0, 1, 2]));
  });
});

test("Receivers.nextPlace() passes over places that nobody serves", () => {
  const { receivers, places } = rig();
  places.assign(1, NOBODY);
  assert.deepEqual(
    Array.from({ length: 4 }, () => receivers.nextPlace()),
    [2, 0, 2, 0],
  );
});

describe("Receivers.blockingThread()", () => {
  test("shares out a burst, and never takes the first one", () => {
    const { receivers, slot, kept } = rig();
    const chosen = Array.from({ length: 6 }, (_, n) => {
      const thread = receivers.blockingThread();
      receivers.sent(slot(n), thread);
      return thread - FIRST_BLOCKING;
    });
    assert.deepEqual(chosen, [1, 2, 3, 1, 2, 3]);
    assert.equal(kept.length, 6, "none of them ends just now");
  });

  test("prefers who has the fewest, and who is not busy", () => {
    const { receivers, slot } = rig({ alive: [0, FIRST_BLOCKING + 1] });
    // The first of them is awake, so it is busy.
    for (const [n, thread] of [2, 3].entries()) {
      assert.equal(receivers.blockingThread(), FIRST_BLOCKING + thread);
      receivers.sent(slot(n), FIRST_BLOCKING + thread);
    }
    assert.equal(receivers.threadOf(slot(1)), FIRST_BLOCKING + 3);
    receivers.ended(slot(1));
    assert.equal(receivers.threadOf(slot(1)), -1);
    assert.equal(receivers.blockingThread(), FIRST_BLOCKING + 3);
  });
});
