import assert from "node:assert/strict";
import { test } from "node:test";
import { createHeartbeat, Heart, Pulse } from "../observe/heartbeat.js";
import { SAMPLE_MS } from "../observe/loop-monitor.js";
import { IDLE_SAMPLE_MS, ShardSampler } from "./shard-sampler.js";

/** A sampler whose timer the test is. */
function stage({ driverBeats = true, beatMs = 250 } = {}) {
  const state = { workedMs: 0, turns: 0, publications: 0, planned: [] as (number | undefined)[] };
  const buffer = createHeartbeat();
  const sampler = new ShardSampler({
    monitor: {
      sample(plannedMs) {
        state.planned.push(plannedMs);
        return state.workedMs;
      },
    },
    heart: new Heart(buffer),
    beatMs,
    driverBeats,
    publish: () => void (state.publications += 1),
    turns: () => state.turns,
  });
  sampler.start();
  const pulse = new Pulse(buffer);
  /** Takes samples and returns the pauses behind them. */
  function pauses(count: number): number[] {
    return Array.from({ length: count }, () => {
      sampler.tick();
      return sampler.delayMs;
    });
  }
  return { sampler, state, pulse, pauses };
}

test("ShardSampler slows down while nothing happens and is fast again with the first turn or work", () => {
  const { sampler, state, pauses } = stage();
  assert.deepEqual(pauses(6), [100, 200, 400, 800, IDLE_SAMPLE_MS, IDLE_SAMPLE_MS]);
  state.turns += 1;
  assert.deepEqual(pauses(2), [SAMPLE_MS, 100]);
  state.workedMs = 90;
  assert.deepEqual(pauses(3), [SAMPLE_MS, SAMPLE_MS, SAMPLE_MS]);
  assert.deepEqual(
    state.planned.slice(0, 5),
    [undefined, SAMPLE_MS, 100, 200, 400],
    "each sample knows when it was to come",
  );
  sampler.stop();
});

test("ShardSampler publishes with every second sample while busy, with every one while idle, and as soon as work begins", () => {
  const { sampler, state, pauses } = stage();
  assert.equal(state.publications, 1, "at the start");
  pauses(5);
  assert.equal(state.publications, 6);
  state.turns += 1;
  pauses(1);
  assert.equal(state.publications, 7);
  state.workedMs = 50;
  pauses(10);
  assert.equal(state.publications, 12);
  sampler.stop();
});

test("ShardSampler leaves the pulse to a driver that publishes it", () => {
  const { sampler, pulse, pauses } = stage();
  pauses(3);
  sampler.stop();
  assert.equal(pulse.now, 0);
});

test("ShardSampler beats where no driver does, in time, and rests when it stops", () => {
  const { sampler, pulse, pauses } = stage({ driverBeats: false, beatMs: 125 });
  let seen = pulse.now;
  assert.equal(seen & 1, 1, "it beats at the start");
  for (const delayMs of pauses(8)) assert.ok(delayMs <= 125);
  assert.notEqual(pulse.now, seen);
  seen = pulse.now;
  sampler.stop();
  assert.equal(pulse.now & 1, 0);
});
