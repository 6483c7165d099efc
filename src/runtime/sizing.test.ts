import assert from "node:assert/strict";
import { test } from "node:test";
import { CONNECTIONS_DEFAULT } from "../constants.js";
import { resolveRuntimeOptions } from "./options.js";
import { type MachineFacts, readLimit, readMachineFacts, type Sizing, sizeRuntime } from "./sizing.js";

const MIB = 1_048_576;
const GIB = 1_024 * MIB;

interface Machine {
  cpus?: number;
  quota?: number;
  limitBytes?: number;
  descriptors?: number;
  singleShardReason?: string;
}

function machine(given: Machine): MachineFacts {
  return {
    cpus: Array.from({ length: given.cpus ?? 4 }, (_, index) => index),
    cgroup: { cpuVersion: "v2", memoryVersion: "v2", cpuQuota: given.quota, memoryLimitBytes: given.limitBytes },
    memoryTotalBytes: 16 * GIB,
    descriptorsMax: given.descriptors ?? 1_048_576,
    singleShardReason: given.singleShardReason,
  };
}

function size(given: Machine, config: Record<string, unknown> = {}): Sizing {
  return sizeRuntime(machine(given), resolveRuntimeOptions({ config }), "uring");
}

const shardCases: [facts: Machine, shards: number, spin: string][] = [
  [{ cpus: 4 }, 4, "adaptive"],
  [{ cpus: 1 }, 1, "adaptive"],
  [{ cpus: 4, quota: 8 }, 4, "adaptive"],
  [{ cpus: 4, quota: 4 }, 4, "adaptive"],
  [{ cpus: 4, quota: 2 }, 2, "adaptive"],
  [{ cpus: 4, quota: 1.5 }, 2, "off"],
  [{ cpus: 4, quota: 0.25 }, 1, "off"],
  [{ cpus: 4, quota: 3.5 }, 4, "off"],
];

for (const [facts, shards, spin] of shardCases) {
  test(`sizeRuntime() gives ${shards} shards, spin ${spin}, when ${facts.cpus} CPUs have quota ${facts.quota ?? "none"}`, () => {
    const sizing = size(facts);
    assert.equal(sizing.shards, shards);
    assert.equal(sizing.spin.mode, spin);
  });
}

test("sizeRuntime() turns spinning off when more shards are asked for than there are CPUs, unless told", () => {
  assert.equal(size({ cpus: 2 }, { shards: 3 }).spin.mode, "off");
  assert.equal(size({ cpus: 2 }, { shards: 3, spin: "fixed" }).spin.mode, "fixed");
});

test("sizeRuntime() gives one shard with the reason when shards cannot share a port, and refuses more", () => {
  const sizing = size({ singleShardReason: "no sharing here" });
  assert.equal(sizing.shards, 1);
  assert.equal(sizing.shardsReason, "no sharing here");
  assert.throws(() => size({ singleShardReason: "no sharing here" }, { shards: 2 }), {
    code: "ERR_RINGLOOM_INVALID_OPTION",
    message: "Cannot start 2 shards: no sharing here.",
  });
});

test("sizeRuntime() starts fewer shards when the memory limit does not hold one for each CPU", () => {
  const sizing = size({ cpus: 8, limitBytes: 184 * MIB });
  assert.equal(sizing.shards, 2);
  assert.equal(sizing.shardsReason, "memory for no more: 184 MiB allowed");
  assert.equal(size({ cpus: 8, limitBytes: 128 * MIB }).shards, 1);
});

test("sizeRuntime() starts fewer threads for tasks when memory is tight, and none where it holds one shard alone", () => {
  assert.equal(size({ cpus: 8 }).compute, 4);
  assert.equal(size({ cpus: 8, quota: 2.5 }).compute, 1);
  const tight = size({ cpus: 8, limitBytes: 184 * MIB });
  assert.equal(tight.compute, 1);
  assert.equal(tight.computeReason, "memory for no more: 184 MiB allowed");
  assert.equal(size({ cpus: 8, limitBytes: 128 * MIB }).compute, 1);
  assert.deepEqual([size({ limitBytes: 96 * MIB }).shards, size({ limitBytes: 96 * MIB }).compute], [1, 0]);
  assert.equal(size({ cpus: 8, limitBytes: 184 * MIB }, { compute: 2 }).shards, 1);
  assert.throws(() => size({ limitBytes: 128 * MIB }, { compute: 2 }), { code: "ERR_RINGLOOM_MEMORY_LIMIT" });
});

test("sizeRuntime() takes the largest sizes when memory is ample", () => {
  const sizing = size({});
  assert.equal(sizing.memory.limitFrom, "machine");
  assert.equal(sizing.writePoolBytes, 64 * MIB);
  assert.equal(sizing.receiveSlabBytes, 64 * MIB);
  assert.equal(sizing.connectionsMax, CONNECTIONS_DEFAULT);
});

test("sizeRuntime() gives no receive slab when the driver is portable", () => {
  const sizing = sizeRuntime(machine({}), resolveRuntimeOptions({ config: { receiveSlabMib: 8 } }), "portable");
  assert.equal(sizing.receiveSlabBytes, 0);
});

test("sizeRuntime() keeps connections below the descriptor limit when that is tight", () => {
  assert.equal(size({ descriptors: 1_024 }).connectionsMax, 960);
});

test("sizeRuntime() takes explicit sizes as they are", () => {
  const sizing = size(
    {},
    { shards: 3, connections: 10, writePoolMib: 2, receiveSlabMib: 3, spin: "off", spinMicrosMax: 7 },
  );
  assert.equal(sizing.shards, 3);
  assert.equal(sizing.connectionsMax, 10);
  assert.equal(sizing.writePoolBytes, 2 * MIB);
  assert.equal(sizing.receiveSlabBytes, 3 * MIB);
  assert.deepEqual(sizing.spin, { mode: "off", microsMax: 7 });
});

test("readMachineFacts() reads affinity and descriptor limit when /proc has them", () => {
  const files: Record<string, string> = {
    "/proc/self/status": "Name:\tnode\nCpus_allowed_list:\t0-1,5\n",
    "/proc/self/limits": "Max open files            1024                 20000                files     \n",
  };
  const facts = readMachineFacts((path) => files[path], { isPossible: false, reason: "why" });
  assert.deepEqual(facts.cpus, [0, 1, 5]);
  assert.equal(facts.descriptorsMax, 20_000);
  assert.equal(facts.singleShardReason, "why");
});

test("readMachineFacts() falls back to Node's figures when there is no /proc", () => {
  const facts = readMachineFacts(() => undefined);
  assert.ok(facts.cpus.length >= 1);
  assert.equal(facts.descriptorsMax, Number.POSITIVE_INFINITY);
});

test("readLimit() reads unlimited as Infinity", () => {
  const limits = "Max locked memory         unlimited            8388608              bytes\n";
  assert.deepEqual(readLimit(limits, "Max locked memory"), { soft: Number.POSITIVE_INFINITY, hard: 8_388_608 });
});
