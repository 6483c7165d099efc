import assert from "node:assert/strict";
import { test } from "node:test";
import { type CgroupLimits, readCgroupLimits } from "./cgroup.js";

const V2_MOUNT = "29 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
const V1_MOUNTS = [
  "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct",
  "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory",
  "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw",
].join("\n");
const V1_UNLIMITED = "9223372036854771712\n";

function read(files: Record<string, string>): CgroupLimits {
  return readCgroupLimits((path) => files[path]);
}

test("readCgroupLimits() finds nothing when there is no /proc", () => {
  assert.deepEqual(read({}), {
    cpuVersion: "none",
    memoryVersion: "none",
    cpuQuota: undefined,
    memoryLimitBytes: undefined,
  });
});

test("readCgroupLimits() reads cpu.max and memory.max when version 2 is mounted", () => {
  const limits = read({
    "/proc/self/cgroup": "0::/\n",
    "/proc/self/mountinfo": V2_MOUNT,
    "/sys/fs/cgroup/cpu.max": "150000 100000\n",
    "/sys/fs/cgroup/memory.max": "536870912\n",
  });
  assert.deepEqual(limits, { cpuVersion: "v2", memoryVersion: "v2", cpuQuota: 1.5, memoryLimitBytes: 536_870_912 });
});

test("readCgroupLimits() takes the tightest limit when groups of version 2 are nested", () => {
  const limits = read({
    "/proc/self/cgroup": "0::/machine.slice/app.service/worker\n",
    "/proc/self/mountinfo": V2_MOUNT,
    "/sys/fs/cgroup/machine.slice/cpu.max": "50000 100000\n",
    "/sys/fs/cgroup/machine.slice/memory.max": "max\n",
    "/sys/fs/cgroup/machine.slice/app.service/cpu.max": "400000 100000\n",
    "/sys/fs/cgroup/machine.slice/app.service/memory.max": "1073741824\n",
    "/sys/fs/cgroup/machine.slice/app.service/worker/cpu.max": "max 100000\n",
    "/sys/fs/cgroup/machine.slice/app.service/worker/memory.max": "2147483648\n",
  });
  assert.equal(limits.cpuQuota, 0.5);
  assert.equal(limits.memoryLimitBytes, 1_073_741_824);
});

test("readCgroupLimits() counts memory.high when it is tighter than memory.max", () => {
  const files = {
    "/proc/self/cgroup": "0::/\n",
    "/proc/self/mountinfo": V2_MOUNT,
    "/sys/fs/cgroup/memory.max": "1000\n",
  };
  assert.equal(read({ ...files, "/sys/fs/cgroup/memory.high": "900\n" }).memoryLimitBytes, 900);
  assert.equal(read({ ...files, "/sys/fs/cgroup/memory.high": "max\n" }).memoryLimitBytes, 1000);
});

test("readCgroupLimits() reads quota, period and limit when version 1 is mounted", () => {
  const limits = read({
    "/proc/self/cgroup": "4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n0::/docker/abc\n",
    "/proc/self/mountinfo": V1_MOUNTS,
    "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
    "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
    "/sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_quota_us": "250000\n",
    "/sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_period_us": "100000\n",
    "/sys/fs/cgroup/memory/memory.limit_in_bytes": V1_UNLIMITED,
    "/sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes": "268435456\n",
  });
  assert.deepEqual(limits, { cpuVersion: "v1", memoryVersion: "v1", cpuQuota: 2.5, memoryLimitBytes: 268_435_456 });
});

test("readCgroupLimits() finds no limit when version 1 says -1 and the largest number", () => {
  const limits = read({
    "/proc/self/cgroup": "4:memory:/\n3:cpu,cpuacct:/\n",
    "/proc/self/mountinfo": V1_MOUNTS,
    "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
    "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
    "/sys/fs/cgroup/memory/memory.limit_in_bytes": V1_UNLIMITED,
  });
  assert.equal(limits.cpuQuota, undefined);
  assert.equal(limits.memoryLimitBytes, undefined);
});

test("readCgroupLimits() reads the mount's top when a container without a cgroup namespace sees its outer path", () => {
  const limits = read({
    "/proc/self/cgroup": "4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n",
    "/proc/self/mountinfo": V1_MOUNTS.replaceAll(" / /sys", " /docker/abc /sys"),
    "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "100000\n",
    "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
    "/sys/fs/cgroup/memory/memory.limit_in_bytes": "1048576\n",
  });
  assert.equal(limits.cpuQuota, 1);
  assert.equal(limits.memoryLimitBytes, 1_048_576);
});

test("readCgroupLimits() reads the mount's top when the group lies outside of the namespace", () => {
  const limits = read({
    "/proc/self/cgroup": "0::/../../system.slice/x\n",
    "/proc/self/mountinfo": V2_MOUNT,
    "/sys/fs/cgroup/cpu.max": "100000 50000\n",
  });
  assert.equal(limits.cpuQuota, 2);
});

test("readCgroupLimits() uses version 2 for a controller that version 1 does not have", () => {
  const limits = read({
    "/proc/self/cgroup": "4:memory:/a\n0::/b\n",
    "/proc/self/mountinfo": V1_MOUNTS.split("\n").slice(1).join("\n"),
    "/sys/fs/cgroup/unified/b/cpu.max": "100000 100000\n",
    "/sys/fs/cgroup/memory/a/memory.limit_in_bytes": "4096\n",
  });
  assert.deepEqual(limits, { cpuVersion: "v2", memoryVersion: "v1", cpuQuota: 1, memoryLimitBytes: 4096 });
});

test("readCgroupLimits() unescapes mount points when they contain spaces", () => {
  const limits = read({
    "/proc/self/cgroup": "0::/\n",
    "/proc/self/mountinfo": V2_MOUNT.replace("/sys/fs/cgroup", "/my\\040groups"),
    "/my groups/memory.max": "77\n",
  });
  assert.equal(limits.memoryLimitBytes, 77);
});

test("readCgroupLimits() ignores nonsense when files hold no numbers", () => {
  const limits = read({
    "/proc/self/cgroup": "garbage\n0::/\n",
    "/proc/self/mountinfo": `short\n${V2_MOUNT}`,
    "/sys/fs/cgroup/cpu.max": "many 100000\n",
    "/sys/fs/cgroup/memory.max": "\n",
  });
  assert.equal(limits.cpuQuota, undefined);
  assert.equal(limits.memoryLimitBytes, undefined);
});

test("readCgroupLimits() counts the limit of a group of version 1 that a container cannot see", () => {
  const limits = read({
    "/proc/self/cgroup": "4:memory:/docker/abc\n",
    "/proc/self/mountinfo": V1_MOUNTS.replaceAll(" / /sys", " /docker/abc /sys"),
    "/sys/fs/cgroup/memory/memory.limit_in_bytes": V1_UNLIMITED,
    "/sys/fs/cgroup/memory/memory.stat": "cache 0\nhierarchical_memory_limit 134217728\nhierarchical_memsw_limit 1\n",
  });
  assert.equal(limits.memoryLimitBytes, 134_217_728);
});

test("readCgroupLimits() reads the mount that shows its group when a hierarchy is mounted twice", () => {
  const limits = read({
    "/proc/self/cgroup": "0::/pod/b\n",
    "/proc/self/mountinfo": [
      "28 23 0:26 /pod/a /other rw - cgroup2 cgroup2 rw",
      "29 23 0:26 /pod/b /mine rw - cgroup2 cgroup2 rw",
    ].join("\n"),
    "/other/memory.max": "1\n",
    "/mine/memory.max": "4096\n",
  });
  assert.equal(limits.memoryLimitBytes, 4096);
});

test("readCgroupLimits() does not take a group whose name begins with two dots for a way out", () => {
  const limits = read({
    "/proc/self/cgroup": "0::/..hidden\n",
    "/proc/self/mountinfo": V2_MOUNT,
    "/sys/fs/cgroup/..hidden/memory.max": "4096\n",
  });
  assert.equal(limits.memoryLimitBytes, 4096);
});

test("readCgroupLimits() takes the inner limit when it is the tighter one", () => {
  const limits = read({
    "/proc/self/cgroup": "0::/a/b\n",
    "/proc/self/mountinfo": V2_MOUNT,
    "/sys/fs/cgroup/a/memory.max": "8192\n",
    "/sys/fs/cgroup/a/b/memory.max": "4096\n",
  });
  assert.equal(limits.memoryLimitBytes, 4096);
});
