import assert from "node:assert/strict";
import { test } from "node:test";
import { createHeartbeat, Heart, Pulse } from "./heartbeat.js";
import { LoopMonitor, SAMPLE_MS } from "./loop-monitor.js";

/** A monitor on a clock that the test turns. */
function stage() {
  const state = { now: 1_000, asleepMs: 0, spinningMs: 0, longestTurnMs: 0 };
  const buffer = createHeartbeat();
  const monitor = new LoopMonitor({
    heart: new Heart(buffer),
    waits: () => state,
    takeLongestTurnMs() {
      const ms = state.longestTurnMs;
      state.longestTurnMs = 0;
      return ms;
    },
    nowMs: () => state.now,
  });
  monitor.sample();
  /** Lets `count` samples pass, each `late` ms late, with so much of the time asleep and spinning. */
  function pass(count: number, { late = 0, asleep = 0, spinning = 0, planned = SAMPLE_MS } = {}): void {
    for (let index = 0; index < count; index++) {
      const elapsed = planned + late;
      state.now += elapsed;
      state.asleepMs += elapsed * asleep;
      state.spinningMs += elapsed * spinning;
      monitor.sample(planned);
    }
  }
  return { monitor, pulse: new Pulse(buffer), pass, state };
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

test("LoopMonitor lets a sample count for the time that it stands for", () => {
  const { monitor, pass } = stage();
  pass(9, { planned: 1_000, late: 0.5, asleep: 1 });
  pass(10, { late: 30 });
  const { lagMsP50, lagMsP99, lagMsMax } = monitor.stats();
  // Half a second of ten is 5 %: by number of samples the late ones would be more than half.
  assert.deepEqual([lagMsP50, lagMsP99, lagMsMax], [0.5, 30, 30]);
  assert.deepEqual(monitor.stats().utilization10s, 0.08);
});

test("LoopMonitor knows the longest turn of the loop that fell between two samples, not the one before the first", () => {
  const { monitor, pass, state } = stage();
  state.longestTurnMs = 300;
  pass(1, { planned: 1_000 });
  assert.equal(monitor.stats().lagMsMax, 300);
  pass(11, { planned: 1_000 });
  assert.equal(monitor.stats().lagMsMax, 0);
});

test("LoopMonitor.sample() returns how long the thread worked", () => {
  const { monitor, state } = stage();
  Object.assign(state, { now: 1_100, asleepMs: 60, spinningMs: 30 });
  assert.equal(Math.round(monitor.sample(100)), 10);
});

test("LoopMonitor says what the watchdog found", () => {
  const { monitor, pulse } = stage();
  pulse.countBlocked();
  pulse.noteBlockedMs(512.4);
  assert.deepEqual([monitor.stats().blockedCount, monitor.stats().blockedMsMax], [1, 512]);
});
