import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { randomRun } from "../../test/support/random-run.js";
import { coprimeSteps, StealOrder } from "./steal-order.js";

test("StealOrder meets every other thread exactly once, the last good victim first", () => {
  const sizes = fc
    .integer({ min: 1, max: 64 })
    .chain((threads) => fc.tuple(fc.constant(threads), fc.nat({ max: threads - 1 })));
  fc.assert(
    fc.property(
      sizes,
      fc.infiniteStream(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })),
      ([threads, self], draws) => {
        const order = new StealOrder({ self, threads, random: () => draws.next().value as number });
        const others = Array.from({ length: threads }, (_, n) => n).filter((n) => n !== self);
        const first = walk(order);
        assert.deepEqual(
          first.toSorted((a, b) => a - b),
          others,
        );
        if (threads === 1) return;
        const good = first.at(-1)!;
        order.succeeded(good);
        const second = walk(order);
        assert.equal(second[0], good);
        assert.deepEqual(
          second.toSorted((a, b) => a - b),
          others,
        );
        order.failed(good);
        assert.deepEqual(
          walk(order).toSorted((a, b) => a - b),
          others,
        );
      },
    ),
    randomRun("StealOrder", 200),
  );
});

test("coprimeSteps() gives steps of at least half the threads, never one less than all", () => {
  for (let threads = 1; threads <= 64; threads++) {
    for (const step of coprimeSteps(threads)) {
      if (step === 1) assert.ok(coprimeSteps(threads).length === 1);
      else assert.ok(step >= threads / 2 && step < threads - 1);
    }
  }
  assert.deepEqual(coprimeSteps(8), [5]);
  assert.deepEqual(coprimeSteps(16), [9, 11, 13]);
  assert.deepEqual(coprimeSteps(4), [1], "few threads have no such step");
});

function walk(order: StealOrder): number[] {
  const met: number[] = [];
  order.begin();
  for (let victim = order.next(); victim !== -1; victim = order.next()) met.push(victim);
  return met;
}
