import assert from "node:assert/strict";
import { test } from "node:test";
import { resolveHttpLimits } from "./limits.js";
import { poolLimitsFor } from "./pool-limits.js";

const MIB = 1_048_576;

test("poolLimitsFor() keeps the pools together within what the shard has for them when that is little", () => {
  for (const mib of [4, 8, 30, 100]) {
    const { headPoolBytesMax, pendingPoolBytesMax, largeBodyBlocksMax, largeBodyBlockBytes } = resolveHttpLimits(
      poolLimitsFor(mib * MIB),
    );
    const total = headPoolBytesMax + pendingPoolBytesMax + largeBodyBlocksMax * largeBodyBlockBytes;
    assert.ok(total <= mib * MIB && total > (mib * MIB) / 2, `${total} of ${mib} MiB`);
  }
});

test("poolLimitsFor() gives the usual defaults when memory is ample, and what one request needs when there is next to none", () => {
  assert.deepEqual(resolveHttpLimits(poolLimitsFor(1_024 * MIB)), resolveHttpLimits());
  const least = resolveHttpLimits(poolLimitsFor(0));
  assert.equal(least.largeBodyBlocksMax, 1);
  assert.ok(least.headPoolBytesMax >= least.headerBytesMax);
});
