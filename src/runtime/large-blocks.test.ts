import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { loadNative, nativeProblem } from "../native.js";
import { mmapThreshold } from "./large-blocks.js";

const MIB = 1_048_576;

test("the size from which blocks are mappings of their own follows the container's limit", () => {
  const of = (mib: number) => mmapThreshold({ limitBytes: mib * MIB, limitFrom: "cgroup v2" }, {});
  assert.equal(of(64), 128 * 1_024);
  assert.equal(of(128), 128 * 1_024);
  assert.equal(of(2_048), 2 * MIB);
  assert.equal(of(1_048_576), 32 * MIB);
});

test("nothing is set where no container limits the memory, or the environment says it", () => {
  assert.equal(mmapThreshold({ limitBytes: 128 * MIB, limitFrom: "machine" }, {}), undefined);
  const environment = { MALLOC_MMAP_THRESHOLD_: "1000000" };
  assert.equal(mmapThreshold({ limitBytes: 128 * MIB, limitFrom: "cgroup v1" }, environment), undefined);
});

test("the C library takes the size", { skip: nativeProblem() ?? false }, (t) => {
  const native = loadNative();
  const isGlibc = /libc\.so\.6/.test(readFileSync("/proc/self/maps", "utf8"));
  if (!isGlibc) return t.skip("the C library is not glibc");
  assert.equal(native?.setMmapThreshold(128 * 1_024), 0);
});
