import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type PendingBytes, PendingPool } from "./pending-bytes.js";
import { HttpStats } from "./stats.js";

test("PendingPool.append() keeps bytes in order while they are taken from the front", () => {
  const step = fc.record({ add: fc.integer({ min: 1, max: 6000 }), take: fc.integer({ min: 0, max: 6000 }) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 20 }), (steps) => {
      const pool = new PendingPool(1 << 20, new HttpStats());
      let pending: PendingBytes | undefined;
      let next = 0;
      let expected: number[] = [];
      for (const { add, take } of steps) {
        const bytes = Buffer.from(Array.from({ length: add }, () => next++ & 0xff));
        pending = pool.append(pending, bytes, 0, add);
        assert.ok(pending !== undefined);
        expected.push(...bytes);
        const count = Math.min(take, pending.length - 1);
        assert.deepEqual([...pending.buffer.subarray(pending.start, pending.start + count)], expected.slice(0, count));
        pending.start += count;
        expected = expected.slice(count);
        assert.equal(pending.length, expected.length);
      }
    }),
    { numRuns: 30 },
  );
});

test("PendingPool.append() returns undefined without room, and what was there stays", () => {
  const stats = new HttpStats();
  const pool = new PendingPool(10_000, stats);
  const first = pool.append(undefined, Buffer.alloc(4000, 1), 0, 4000);
  assert.ok(first !== undefined);
  assert.equal(pool.append(first, Buffer.alloc(9000), 0, 9000), undefined);
  assert.equal(first.length, 4000);
  assert.equal(pool.append(undefined, Buffer.alloc(7000), 0, 7000), undefined);
  assert.equal(stats.pendingBuffersNow, 1);
  pool.release(first);
  assert.equal(stats.pendingBuffersNow, 0);
  const again = pool.append(undefined, Buffer.alloc(9000), 0, 9000);
  assert.equal(again?.length, 9000);
});
