import assert from "node:assert/strict";
import { test } from "node:test";
import { restartOnHangup, SIGNAL_ECHO_MS, stopOnSignals } from "./signals.js";
import type { StopReport } from "./stop-report.js";

function setup() {
  const calls: string[] = [];
  const clock = { nowMs: 1_000 };
  const stopped = new Promise<StopReport>(() => undefined);
  const supervisor = {
    stopped,
    readyDelayMs: 700,
    stop: (options: { readyDelayMs?: number } = {}) => {
      calls.push(`stop after ${options.readyDelayMs} ms`);
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
  assert.deepEqual(calls, ["SIGTERM true", "stop after 700 ms", "SIGINT false", "cut"]);
  release();
});

test("stopOnSignals() takes the same signal for an echo when it comes again at once, and for a second one later", () => {
  const { calls, clock, release } = setup();
  process.emit("SIGINT", "SIGINT");
  clock.nowMs += SIGNAL_ECHO_MS;
  process.emit("SIGINT", "SIGINT");
  assert.deepEqual(calls, ["SIGINT true", "stop after 0 ms"]);
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

test("restartOnHangup() restarts, or stops when the terminal that there was is gone", async () => {
  for (const [before, now, expected] of [
    [false, false, "restart"],
    [true, true, "restart"],
    [true, false, "stop"],
  ] as const) {
    const calls: string[] = [];
    let isTerminal = before as boolean;
    let end: (report: StopReport) => void = () => undefined;
    const stopped = new Promise<StopReport>((resolve) => (end = resolve));
    const listeners = process.listenerCount("SIGHUP");
    const supervisor = {
      stopped,
      stop: () => {
        calls.push("stop");
        return stopped;
      },
      restart: () => {
        calls.push("restart");
        return Promise.reject(new Error("as asked"));
      },
    };
    const events = {
      heard: (hasTerminal: boolean) => calls.push(String(hasTerminal)),
      restarted: () => calls.push("restarted"),
      failed: (error: unknown) => calls.push((error as Error).message),
    };
    restartOnHangup(supervisor, events, () => isTerminal);
    isTerminal = now;
    process.emit("SIGHUP", "SIGHUP");
    await new Promise((resolve) => setImmediate(resolve));
    const isStop = expected === "stop";
    assert.deepEqual(calls, isStop ? ["false", "stop"] : ["true", "restart", "as asked"]);
    end({} as StopReport);
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(process.listenerCount("SIGHUP"), listeners, "the handler goes with the server");
  }
});
