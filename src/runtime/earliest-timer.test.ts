import assert from "node:assert/strict";
import { describe, mock, test } from "node:test";
import { EarliestTimer } from "./earliest-timer.js";

/** Runs with a clock that stands still unless it is told. */
function withClock(run: (passMs: (ms: number) => void) => void): void {
  let nowMs = 0;
  mock.timers.enable({ apis: ["setTimeout"] });
  const now = mock.method(performance, "now", () => nowMs);
  try {
    run((ms) => {
      nowMs += ms;
      mock.timers.tick(ms);
    });
  } finally {
    now.mock.restore();
    mock.timers.reset();
  }
}

describe("EarliestTimer", () => {
  test("fires once, at the earliest time that was asked for", () =>
    withClock((passMs) => {
      let count = 0;
      const timer = new EarliestTimer(() => {
        count += 1;
      });
      timer.within(100);
      timer.arm();
      passMs(10);
      timer.within(50);
      timer.within(500);
      passMs(49);
      assert.equal(count, 0);
      passMs(1);
      assert.equal(count, 1);
      passMs(1_000);
      assert.equal(count, 1);
    }));

  test("fires when it is armed if its time is over by then, and not before", () =>
    withClock((passMs) => {
      let count = 0;
      const timer = new EarliestTimer(() => {
        count += 1;
      });
      timer.within(5);
      passMs(20);
      assert.equal(count, 0);
      timer.arm();
      passMs(1);
      assert.equal(count, 1);
    }));

  test("never fires after clear(), whatever is asked for", () =>
    withClock((passMs) => {
      const timer = new EarliestTimer(() => assert.fail("it fired"));
      timer.within(5);
      timer.arm();
      timer.clear();
      timer.within(1);
      passMs(100);
    }));
});
