import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { MissedTicks } from "../time/interval.js";
import { useVirtualTime } from "../time/virtual-time.js";
import type { Tick } from "./room.js";
import { Ticker } from "./ticker.js";

/** Ticks every 100 ms of a time of the test's own, in which the thread does nothing from 250 to 700. */
async function ticks(missed: MissedTicks, catchUpMax: number): Promise<Tick[]> {
  const time = useVirtualTime();
  try {
    const seen: Tick[] = [];
    const run = (tick: Tick): Promise<unknown> => Promise.resolve(seen.push(tick));
    const ticker = new Ticker({ periodMs: 100, missed, catchUpMax, run });
    ticker.start();
    await time.advance(250);
    await time.jump(450);
    await time.advance(250);
    ticker.stop();
    await time.advance(1_000);
    assert.equal(time.isHeld, false);
    return seen;
  } finally {
    time.restore();
  }
}

describe("Ticker", () => {
  test("with skip, what was missed is left out, and the rhythm stays", async () => {
    const seen = await ticks("skip", 5);
    assert.deepEqual(
      seen.map(({ number, lateMs, missed }) => [number, lateMs, missed]),
      [
        [1, 0, 0],
        [2, 0, 0],
        [3, 400, 0],
        [4, 0, 4],
        [5, 0, 0],
      ],
    );
    assert.ok(seen.every(({ deltaMs }) => deltaMs === 100));
  });

  test("with burst, what was missed is made up for", async () => {
    const seen = await ticks("burst", 5);
    assert.deepEqual(
      seen.map(({ lateMs, missed }) => [lateMs, missed]),
      [
        [0, 0],
        [0, 0],
        [400, 0],
        [300, 0],
        [200, 0],
        [100, 0],
        [0, 0],
        [0, 0],
        [0, 0],
      ],
    );
  });

  test("with burst, more than catchUpMax is given up", async () => {
    const seen = await ticks("burst", 3);
    assert.deepEqual(
      seen.map(({ lateMs, missed }) => [lateMs, missed]),
      [
        [0, 0],
        [0, 0],
        [400, 4],
        [0, 0],
        [0, 0],
      ],
    );
  });

  test("with delay, the next tick comes a whole period later, and says how long it was", async () => {
    const seen = await ticks("delay", 5);
    assert.deepEqual(
      seen.map(({ deltaMs, lateMs }) => [deltaMs, lateMs]),
      [
        [100, 0],
        [100, 0],
        [100, 400],
        [500, 0],
        [100, 0],
      ],
    );
  });

  test("a tick that takes longer than a period holds the next one back", async () => {
    const time = useVirtualTime();
    try {
      let running = 0;
      let runningMax = 0;
      const finish: (() => void)[] = [];
      const run = async (): Promise<void> => {
        running += 1;
        runningMax = Math.max(runningMax, running);
        await new Promise<void>((resolve) => finish.push(resolve));
        running -= 1;
      };
      const ticker = new Ticker({ periodMs: 100, missed: "skip", catchUpMax: 5, run });
      ticker.start();
      await time.advance(350);
      assert.deepEqual([finish.length, runningMax], [1, 1]);
      finish[0]?.();
      await time.advance(0);
      assert.deepEqual([finish.length, runningMax], [2, 1]);
      ticker.stop();
    } finally {
      time.restore();
    }
  });
});
