import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { computeHeapLimits, heapLimits, type MemoryBudget, memoryNeeded, planMemory } from "./memory-plan.js";
import { type RuntimeOptions, resolveRuntimeOptions } from "./options.js";

const MIB = 1_048_576;

interface Case {
  limitMib: number;
  shards?: number;
  compute?: number;
  blocking?: number;
  hasSlab?: boolean;
  config?: Partial<RuntimeOptions>;
}

function plan({ limitMib, shards = 1, compute = 0, blocking = 0, hasSlab = true, config = {} }: Case) {
  return planMemory({
    limitBytes: limitMib * MIB,
    limitFrom: "cgroup v2",
    shards,
    compute,
    blocking,
    hasSlab,
    connectionsMax: 65_536,
    options: resolveRuntimeOptions({ config }),
  });
}

/** The sum of all rows but the headroom. */
function rows(budget: MemoryBudget): number {
  const perShard =
    budget.baseBytesPerShard +
    budget.slotBytesPerShard +
    budget.writePoolBytesPerShard +
    budget.receiveSlabBytesPerShard +
    budget.servicePoolBytesPerShard +
    budget.youngHeapBytesPerShard +
    budget.heapBytesPerShard;
  const perCompute = budget.baseBytesPerCompute + budget.youngHeapBytesPerCompute + budget.heapBytesPerCompute;
  return budget.processBytes + perShard * budget.shards + perCompute * budget.compute;
}

test("planMemory() keeps every row together under the limit, with a tenth to spare, for every limit that it accepts", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 64 }),
      fc.integer({ min: 0, max: 32 }),
      fc.double({ min: 1, max: 400, noNaN: true }),
      fc.boolean(),
      (shards, compute, factor, hasSlab) => {
        const limitMib = Math.ceil((memoryNeeded(shards, hasSlab, compute) / MIB) * factor);
        const { budget, connectionsMax } = plan({ limitMib, shards, compute, hasSlab });
        assert.ok(compute === 0 || budget.heapBytesPerCompute >= 12 * MIB);
        assert.equal(rows(budget) + budget.headroomBytes, limitMib * MIB);
        assert.ok(budget.headroomBytes >= (limitMib * MIB) / 10 - 1, `${budget.headroomBytes}`);
        assert.ok(budget.heapBytesPerShard >= 16 * MIB);
        assert.ok(connectionsMax >= 256);
        assert.equal(budget.writePoolBytesPerShard % 65_536, 0);
        assert.equal(budget.receiveSlabBytesPerShard % 4_096, 0);
      },
    ),
  );
});

test("planMemory() divides 128 MiB so that most of it is heap, and buffers are small", () => {
  const { budget, connectionsMax } = plan({ limitMib: 128 });
  assert.equal(budget.heapBytesPerShard / MIB, 36);
  assert.equal(budget.youngHeapBytesPerShard / MIB, 4);
  assert.equal(budget.writePoolBytesPerShard / MIB, 8);
  assert.equal(budget.receiveSlabBytesPerShard / MIB, 8);
  assert.equal(budget.servicePoolBytesPerShard / MIB, 8);
  assert.ok(connectionsMax > 8_000 && connectionsMax < 9_000, String(connectionsMax));
  assert.deepEqual(heapLimits(budget), { maxOldGenerationSizeMb: 36, maxYoungGenerationSizeMb: 4 });
});

test("planMemory() gives the largest pools and leaves the heap to V8 when memory is ample", () => {
  const { budget, connectionsMax } = plan({ limitMib: 64 * 1_024, shards: 4 });
  assert.equal(budget.writePoolBytesPerShard, 64 * MIB);
  assert.equal(budget.receiveSlabBytesPerShard, 64 * MIB);
  assert.equal(connectionsMax, 65_536);
  assert.deepEqual(heapLimits(budget), {});
});

test("planMemory() refuses with what to change when a heap does not fit", () => {
  assert.throws(() => plan({ limitMib: 64, shards: 2 }), {
    code: "ERR_RINGLOOM_MEMORY_LIMIT",
    message:
      "Cannot start 2 shards in 64 MiB (cgroup v2): a heap of 16 MiB a shard does not fit. To change: raise the memory limit to 134 MiB or more, start fewer shards (--shards), or set --heap-mib and take the risk.",
  });
  assert.throws(() => plan({ limitMib: 128, config: { writePoolMib: 60 } }), {
    code: "ERR_RINGLOOM_MEMORY_LIMIT",
    message: /lower --connections, --write-pool-mib or --receive-slab-mib/,
  });
});

test("planMemory() divides 128 MiB between a shard and a thread for tasks", () => {
  const { budget } = plan({ limitMib: 128, compute: 1 });
  assert.equal(budget.heapBytesPerShard / MIB, 24);
  assert.equal(budget.heapBytesPerCompute / MIB, 13);
  assert.deepEqual(computeHeapLimits(budget), { maxOldGenerationSizeMb: 13, maxYoungGenerationSizeMb: 1 });
  assert.deepEqual(computeHeapLimits(plan({ limitMib: 64 * 1_024, compute: 2 }).budget), {});
});

test("planMemory() takes the heap of threads for tasks as it is asked for, and leaves the rest to the shards", () => {
  const { budget } = plan({ limitMib: 256, compute: 2, config: { computeHeapMib: 32 } });
  assert.equal(budget.heapBytesPerCompute / MIB, 32);
  assert.equal(budget.youngHeapBytesPerCompute / MIB, 4);
  assert.ok(budget.headroomBytes >= 25 * MIB);
  assert.throws(() => plan({ limitMib: 128, compute: 2, config: { computeHeapMib: 32 } }), {
    code: "ERR_RINGLOOM_MEMORY_LIMIT",
    message: /Cannot start 1 shard and 2 threads for tasks in 128 MiB .*start fewer threads for tasks \(--compute\)/,
  });
});

test("planMemory() lets messages take a quarter of what is to spare, and at least room for one large value of each thread", () => {
  const small = plan({ limitMib: 128 }).budget;
  assert.ok(small.messageBytes <= small.headroomBytes / 4, `${small.messageBytes} of ${small.headroomBytes}`);
  assert.ok(small.messageBytes > 3 * 256 * 1_024);
  const large = plan({ limitMib: 64 * 1_024, shards: 4 }).budget;
  // 16 chunks of 256 KiB for each of 3 threads of 4 shards, and the lanes.
  assert.ok(large.messageBytes > 4 * 3 * 16 * 256 * 1_024);
  const none = plan({ limitMib: 128, config: { heapMib: 512 } }).budget;
  assert.ok(none.headroomBytes < 0 && none.messageBytes > 3 * 256 * 1_024);
});

test("planMemory() says what threads for tasks that block may take besides", () => {
  const { budget } = plan({ limitMib: 256, compute: 1, blocking: 4 });
  assert.equal(budget.blockingMax, 4);
  assert.equal(
    budget.bytesPerBlocking,
    budget.baseBytesPerCompute + budget.youngHeapBytesPerCompute + budget.heapBytesPerCompute,
  );
});

test("planMemory() takes an explicit heap as it is, and says that the rows exceed the limit", () => {
  const { budget } = plan({ limitMib: 128, config: { heapMib: 512 } });
  assert.equal(budget.heapBytesPerShard, 512 * MIB);
  assert.ok(budget.headroomBytes < 0);
  assert.deepEqual(heapLimits(budget).maxOldGenerationSizeMb, 512);
});
