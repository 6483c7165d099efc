import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { randomRun } from "../../test/support/random-run.js";
import * as state from "./task-state.js";

const FLAGS = [state.CANCELLED, state.JOIN_INTEREST, state.PINNED, state.IDEMPOTENT, state.LOST, state.FAILED];
const flags = fc.subarray(FLAGS).map((some) => some.reduce((sum, flag) => sum | flag, 0));
const thread = fc.nat({ max: 63 });
const free = fc.nat({ max: state.TASK_GENERATIONS - 1 }).map(freeOf);

test("task state: each transition changes its fields and leaves the others alone", () => {
  fc.assert(
    fc.property(free, flags, thread, thread, (before, given, target, runner) => {
      const queued = state.queuedFrom(before, given, target);
      assert.deepEqual(fields(queued), [state.generationOf(before), given, target, state.QUEUED]);
      const running = state.runningFrom(queued, runner);
      assert.deepEqual(fields(running), [state.generationOf(before), given, runner, state.RUNNING]);
      const again = state.requeuedFrom(running);
      assert.deepEqual(fields(again), [state.generationOf(before), given, runner, state.QUEUED]);
      const done = state.doneFrom(running, state.FAILED);
      assert.deepEqual(fields(done), [state.generationOf(before), given | state.FAILED, runner, state.DONE]);
      assert.equal(state.sameGeneration(done), before);
      assert.equal(state.doneFrom(queued, 0) & 0b11, state.DONE);
    }),
    randomRun("task state", 300),
  );
});

test("task state: freeing gives the next generation, and the last one is followed by the first", () => {
  fc.assert(
    fc.property(free, flags, thread, (before, given, runner) => {
      const done = state.doneFrom(state.runningFrom(state.queuedFrom(before, given, 0), runner), 0);
      const next = (state.generationOf(before) + 1) % state.TASK_GENERATIONS;
      assert.deepEqual(fields(state.freeFrom(done)), [next, 0, 0, state.FREE]);
    }),
    randomRun("task state", 300),
  );
  assert.equal(state.freeFrom(freeOf(state.TASK_GENERATIONS - 1)), 0, "zero is a free slot");
});

test("describeState() names the phase, the thread and the flags", () => {
  const running = state.runningFrom(state.queuedFrom(freeOf(7), state.CANCELLED | state.PINNED, 0), 3);
  assert.equal(state.describeState(running), "RUNNING on 3, generation 7, CANCELLED, PINNED");
});

function freeOf(generation: number): number {
  return generation << 14;
}

function fields(word: number): number[] {
  return [state.generationOf(word), state.flagsOf(word), state.threadOf(word), state.phaseOf(word)];
}
