import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { PERMIT_TICKS, type RateShape, RateTable, ratesLength } from "./rate-table.js";
import { SharedWords } from "./words.js";

function table(options: Partial<RateShape> = {}) {
  const shape: RateShape = { base: 0, threads: 2, keys: 4, burst: 3, intervalMs: 1, ...options };
  const words = new SharedWords(new SharedArrayBuffer(ratesLength(shape) * 4));
  const time = { now: 0 };
  return { rates: new RateTable(words, shape, () => time.now), time };
}

describe("RateTable", () => {
  test("take() gives a burst, then one permit each interval, and says when the next one comes", () => {
    const { rates, time } = table();
    for (const remaining of [2, 1, 0]) {
      const verdict = rates.take(0, 2, 1);
      assert.deepEqual([verdict.isAllowed, verdict.remaining], [true, remaining]);
    }
    const refused = rates.take(0, 2, 1);
    assert.deepEqual(refused, {
      isAllowed: false,
      remaining: 0,
      waitTicks: PERMIT_TICKS,
      resetTicks: 3 * PERMIT_TICKS,
      isCounted: true,
    });
    time.now += PERMIT_TICKS - 1;
    assert.equal(rates.take(0, 2, 1).isAllowed, false);
    time.now += 1;
    assert.equal(rates.take(0, 2, 1).isAllowed, true);
    assert.equal(rates.take(0, 2, 1).isAllowed, false);
  });

  test("take() of several permits gives all or none; of none it only looks", () => {
    const { rates } = table();
    assert.throws(() => rates.take(0, 2, 4), /no more permits are asked for/);
    assert.equal(rates.take(0, 2, 2).remaining, 1);
    assert.equal(rates.take(0, 2, 2).isAllowed, false);
    assert.equal(rates.take(0, 2, 0).remaining, 1);
    assert.equal(rates.take(0, 2, 1).isAllowed, true);
  });

  test("keys of one set do not share; the fifth that is in use is allowed and not counted, until another one is idle", () => {
    const { rates, time } = table({ burst: 1 });
    for (const tag of [2, 4, 6, 8]) assert.equal(rates.take(0, tag, 1).isAllowed, true);
    for (const tag of [2, 4, 6, 8]) assert.equal(rates.take(0, tag, 1).isAllowed, false);
    assert.deepEqual([rates.take(0, 10, 1).isAllowed, rates.take(0, 10, 1).isCounted], [true, false]);
    time.now += PERMIT_TICKS;
    assert.equal(rates.take(0, 10, 1).isCounted, true);
    assert.equal(rates.take(0, 10, 1).isAllowed, false);
  });

  test("times come round at 2^32 without anybody noticing", () => {
    const { rates, time } = table();
    for (const start of [2 ** 31 - 40, 2 ** 32 - 40]) {
      time.now = start;
      for (let permits = 0; permits < 3; permits++) assert.equal(rates.take(0, 2, 1).isAllowed, true);
      assert.equal(rates.take(0, 2, 1).isAllowed, false);
      time.now = (start + 3 * PERMIT_TICKS) % 2 ** 32;
      assert.equal(rates.take(0, 2, 1).remaining, 2);
      time.now = (start + 2 ** 30) % 2 ** 32;
    }
  });

  test("seed() is that of the first thread", () => {
    const { rates } = table();
    assert.equal(rates.seed(7), 7);
    assert.equal(rates.seed(9), 7);
  });

  test("never more than the burst and one permit an interval, whatever the times", () => {
    const takes = fc.array(fc.record({ after: fc.nat(3 * PERMIT_TICKS), permits: fc.integer({ min: 1, max: 3 }) }));
    fc.assert(
      fc.property(takes, (list) => {
        const { rates, time } = table();
        let given = 0;
        for (const { after, permits } of list) {
          time.now += after;
          if (rates.take(0, 2, permits).isAllowed) given += permits;
          assert.ok(given <= 3 + time.now / PERMIT_TICKS);
        }
      }),
    );
  });
});
