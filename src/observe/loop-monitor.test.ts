import assert from "node:assert/strict";
import { test } from "node:test";
import { LoopMonitor, SAMPLE_MS } from "./loop-monitor.js";
import { createPulses, Pulses } from "./pulse.js";

/** A monitor on a clock that the test turns. */
function stage() {
  const state = { now: 1_000, asleepMs: 0, spinningMs: 0 };
  const pulses = new Pulses(createPulses(2));
  const monitor = new LoopMonitor({ shard: 1, pulses, waits: () => state, nowMs: () => state.now });
  monitor.sample();
  /** Lets `count` samples pass, each `late` ms late, with so much of the time asleep and spinning. */
  function pass(count: number, { late = 0, asleep = 0, spinning = 0 } = {}): void {
    for (let index = 0; index < count; index++) {
      const elapsed = SAMPLE_MS + late;
      state.now += elapsed;
      state.asleepMs += elapsed * asleep;
      state.spinningMs += elapsed * spinning;
      monitor.sample();
    }
  }
  return { monitor, pulses, pass, state };
}

test("LoopMonitor counts as busy what was neither asleep nor spinning, over one and over ten seconds", () => {
  const { monitor, pass } = stage();
  pass(200, { asleep: 1 });
  assert.deepEqual([monitor.stats().utilization1s, monitor.stats().utilization10s], [0, 0]);
  pass(20, { asleep: 0.25, spinning: 0.25 });
  const { utilization1s, utilization10s, spinning1s } = monitor.stats();
  assert.deepEqual([utilization1s, utilization10s, spinning1s], [0.5, 0.05, 0.25]);
  pass(400);
  assert.equal(monitor.stats().utilization10s, 1);
});

test("LoopMonitor knows the median, the 99th percentile and the largest lag of ten seconds, and forgets older ones", () => {
  const { monitor, pass } = stage();
  pass(190, { late: 1 });
  pass(1, { late: 300 });
  assert.deepEqual([monitor.stats().lagMsP50, monitor.stats().lagMsP99, monitor.stats().lagMsMax], [1, 1, 300]);
  pass(5, { late: 40 });
  assert.equal(monitor.stats().lagMsP99, 40);
  pass(250);
  assert.equal(monitor.stats().lagMsMax, 0);
});

test("LoopMonitor beats with each sample and rests when it stops", () => {
  const { monitor, pulses, pass, state } = stage();
  pass(1);
  assert.equal(pulses.lastBeatMs(1), state.now);
  assert.equal(pulses.lastBeatMs(0), 0);
  pulses.countBlocked(1);
  pulses.noteBlockedMs(1, 512.4);
  assert.deepEqual([monitor.stats().blockedCount, monitor.stats().blockedMsMax], [1, 512]);
  monitor.stop();
  assert.equal(pulses.lastBeatMs(1), 0);
});
