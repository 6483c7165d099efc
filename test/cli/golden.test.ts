/**
 * What `serve` and `doctor` say on machines that these tests make up, held against files in `golden/`. What depends on the machine that runs
 * the test (Node, compiler, addon, kernel) is replaced by named placeholders. `UPDATE_GOLDEN=1` writes the files anew.
 */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { constants, release } from "node:os";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { examine, reportLines } from "../../src/cli/doctor.js";
import { startTable } from "../../src/cli/start-table.js";
import type { Terminal } from "../../src/cli/terminal.js";
import type { DriverEnvironment } from "../../src/driver/availability.js";
import { chooseDriver, URING_OPCODES } from "../../src/driver/choose.js";
import { RingloomError } from "../../src/errors.js";
import { resolveRuntimeOptions } from "../../src/runtime/options.js";
import { type MachineFacts, readMachineFacts, sizeRuntime } from "../../src/runtime/sizing.js";
import { describeTaskThreads, taskThreads } from "../../src/scheduler/topology.js";

const GIB = 1_024 ** 3;
const PLAIN: Terminal = { out: () => undefined, error: () => undefined, colors: false };

const BASE: Readonly<Record<string, string>> = {
  "/proc/self/status": "Name:\tnode\nSeccomp:\t0\nCpus_allowed_list:\t0-3\n",
  "/proc/self/limits":
    "Max open files            1048576              1048576              files     \nMax locked memory         8388608              8388608              bytes     \n",
  "/proc/sys/net/core/somaxconn": "4096\n",
  "/proc/sys/kernel/io_uring_disabled": "0\n",
  "/proc/self/cgroup": "0::/\n",
  "/proc/self/mountinfo": "29 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
};
const V1 = {
  "/proc/self/cgroup": "4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n0::/\n",
  "/proc/self/mountinfo":
    "32 31 0:29 /docker/abc /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n35 31 0:32 /docker/abc /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n",
};

interface Machine {
  readonly name: string;
  readonly files?: Readonly<Record<string, string>>;
  /** With which error the kernel refuses a ring. */
  readonly ringErrno?: number;
}

const MACHINES: readonly Machine[] = [
  { name: "normal" },
  {
    name: "io-uring-denied",
    files: { "/proc/self/status": "Name:\tnode\nSeccomp:\t2\nCpus_allowed_list:\t0-3\n" },
    ringErrno: constants.errno.EPERM,
  },
  { name: "half-a-cpu", files: { "/sys/fs/cgroup/cpu.max": "50000 100000\n" } },
  { name: "128-mib", files: { "/sys/fs/cgroup/memory.max": "134217728\n" } },
  {
    name: "128-mib-half-a-cpu-v1",
    files: {
      ...V1,
      "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "50000\n",
      "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
      "/sys/fs/cgroup/memory/memory.limit_in_bytes": "134217728\n",
    },
  },
  { name: "64-mib", files: { "/sys/fs/cgroup/memory.max": "67108864\n" } },
];

function stage({ files = {}, ringErrno = 0 }: Machine): {
  environment: DriverEnvironment;
  facts: MachineFacts;
  read: DriverEnvironment["read"];
} {
  const all: Readonly<Record<string, string>> = { ...BASE, ...files };
  const read = (path: string): string | undefined => all[path];
  const facts = readMachineFacts(read, { isPossible: true, reason: "" });
  return {
    read,
    facts: { ...facts, memoryTotalBytes: 16 * GIB },
    environment: {
      platform: "linux",
      kernelRelease: "6.18.44",
      read,
      probe: () => ({
        errno: ringErrno,
        enterErrno: 0,
        features: 0,
        opcodes: new Uint8Array(64).fill(ringErrno === 0 ? 1 : 0),
      }),
      addonProblem: undefined,
      opcodesNeeded: URING_OPCODES,
    },
  };
}

/** What `serve` prints before its `listening` line, or why it does not start. */
function startText(machine: Machine): string {
  const { environment, facts } = stage(machine);
  const choice = chooseDriver("auto", environment);
  try {
    const options = resolveRuntimeOptions({});
    const sizing = sizeRuntime(facts, options, choice.name);
    const tasks = describeTaskThreads(taskThreads(options, sizing), options.computeNice, sizing.computeReason);
    const facets = { url: "http://127.0.0.1:9090", host: "127.0.0.1", choice, sizing, tasks, pid: 1 };
    return startTable(facets, PLAIN).join("\n");
  } catch (error) {
    assert.ok(error instanceof RingloomError);
    return `${error.message} [${error.code}]`;
  }
}

function doctorText(machine: Machine): string {
  const lines = reportLines(examine({ ...stage(machine), driver: "auto" }), PLAIN);
  return normalise(lines.join("\n"));
}

function normalise(text: string): string {
  return text
    .replace(/^( {2}).. {2}(node +)v.*$/m, "$1ok  $2<node>")
    .replace(/^( {2}).. {2}(compiler +).*\n( +change: Install one .*\n)?/m, "$1--  $2<compiler>\n")
    .replace(/^( {2}).. {2}(addon +).*\n( +change: .*\n)?/m, "$1--  $2<addon>\n")
    .replaceAll(release(), "<kernel>");
}

for (const machine of MACHINES) {
  test(`serve and doctor say what golden/${machine.name}.txt holds`, () => {
    const actual = `serve\n${startText(machine)}\n\ndoctor\n${doctorText(machine)}\n`;
    const path = fileURLToPath(new URL(`../../../test/cli/golden/${machine.name}.txt`, import.meta.url));
    if (process.env.UPDATE_GOLDEN === "1") writeFileSync(path, actual);
    assert.equal(actual, readFileSync(path, "utf8"));
  });
}
