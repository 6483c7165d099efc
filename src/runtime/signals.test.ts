import assert from "node:assert/strict";
import { test } from "node:test";
import type { StopReport } from "./shard-group.js";
import { SIGNAL_ECHO_MS, stopOnSignals } from "./signals.js";

function setup() {
  const calls: string[] = [];
  const clock = { nowMs: 1_000 };
  const stopped = new Promise<StopReport>(() => undefined);
  const supervisor = {
    stopped,
    stop: () => {
      calls.push("stop");
      return stopped;
    },
    cut: () => void calls.push("cut"),
  };
  const release = stopOnSignals(
    supervisor,
    (signal, isFirst) => calls.push(`${signal} ${isFirst}`),
    () => clock.nowMs,
  );
  return { calls, clock, release };
}

test("stopOnSignals() stops at the first signal, and cuts at another one at once", () => {
  const { calls, release } = setup();
  process.emit("SIGTERM", "SIGTERM");
  process.emit("SIGINT", "SIGINT");
  assert.deepEqual(calls, ["SIGTERM true", "stop", "SIGINT false", "cut"]);
  release();
});

test("stopOnSignals() takes the same signal for an echo when it comes again at once, and for a second one later", () => {
  const { calls, clock, release } = setup();
  process.emit("SIGINT", "SIGINT");
  clock.nowMs += SIGNAL_ECHO_MS;
  process.emit("SIGINT", "SIGINT");
  assert.deepEqual(calls, ["SIGINT true", "stop"]);
  clock.nowMs += 1;
  process.emit("SIGINT", "SIGINT");
  assert.deepEqual(calls.slice(2), ["SIGINT false", "cut"]);
  release();
});

test("stopOnSignals() hears nothing any more when it was released", () => {
  const before = process.listenerCount("SIGTERM");
  const { release } = setup();
  assert.equal(process.listenerCount("SIGTERM"), before + 1);
  release();
  assert.equal(process.listenerCount("SIGTERM"), before);
});
