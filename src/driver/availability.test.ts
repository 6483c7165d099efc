import assert from "node:assert/strict";
import { constants } from "node:os";
import { test } from "node:test";
import { type DriverEnvironment, epollAvailability, type UringVerdict, uringAvailability } from "./availability.js";
import { chooseDriver } from "./choose.js";
import { compareKernelReleases, KERNEL_LADDER, KERNEL_RELEASE_MIN } from "./kernel-ladder.js";

const { errno } = constants;

interface Machine {
  platform?: string;
  release?: string;
  addon?: boolean;
  errno?: number;
  enterErrno?: number;
  opcodes?: number[];
  files?: Record<string, string>;
}

const STATUS = "/proc/self/status";
const DISABLED = "/proc/sys/kernel/io_uring_disabled";
const GROUP = "/proc/sys/kernel/io_uring_group";

function machine(facts: Machine): DriverEnvironment {
  const opcodes = new Uint8Array(64);
  for (const opcode of facts.opcodes ?? [0, 13]) opcodes[opcode] = 1;
  const probe = () => ({ errno: facts.errno ?? 0, enterErrno: facts.enterErrno ?? 0, features: 0, opcodes });
  return {
    platform: facts.platform ?? "linux",
    kernelRelease: facts.release ?? "6.18.44",
    read: (path) => facts.files?.[path],
    probe: facts.addon === false ? undefined : probe,
    addonProblem: facts.addon === false ? "the addon is not built" : undefined,
    opcodesNeeded: { NOP: 0, ACCEPT: 13 },
  };
}

const cases: [name: string, facts: Machine, verdict: UringVerdict, reason: RegExp][] = [
  ["everything is there", {}, "available", /^Kernel 6\.18\.44 offers everything that uring needs\.$/],
  ["the platform is macOS", { platform: "darwin" }, "platform", /only on Linux, and this is darwin\.$/],
  ["the addon is missing", { addon: false }, "addon", /^The addon is not built\.$/],
  ["an old kernel has none", { release: "4.19.0", errno: errno.ENOSYS }, "no-io-uring", /4\.19\.0 has no io_uring/],
  ["the kernel was built without", { errno: errno.ENOSYS }, "no-io-uring", /built without io_uring/],
  [
    "a filter answers ENOSYS",
    { errno: errno.ENOSYS, files: { [DISABLED]: "0\n", [STATUS]: "Seccomp:\t2\n" } },
    "seccomp",
    /hides io_uring .* \(ENOSYS\)/,
  ],
  [
    "a filter answers EPERM",
    { errno: errno.EPERM, files: { [DISABLED]: "0\n", [STATUS]: "Seccomp:\t2\n" } },
    "seccomp",
    /denies io_uring .* \(EPERM\)/,
  ],
  ["the sysctl is 2", { errno: errno.EPERM, files: { [DISABLED]: "2\n" } }, "sysctl", /io_uring_disabled is 2/],
  [
    "the sysctl is 1 and the process is in no group",
    {
      errno: errno.EPERM,
      files: {
        [DISABLED]: "1\n",
        [GROUP]: "500\n",
        [STATUS]: "CapEff:\t0000000000000000\nGid:\t7 7 7 7\nGroups:\t7 8\n",
      },
    },
    "sysctl",
    /io_uring_group \(500\)/,
  ],
  [
    "the sysctl is 1, the process is exempt by its group, and a filter denies",
    {
      errno: errno.EPERM,
      files: {
        [DISABLED]: "1\n",
        [GROUP]: "8\n",
        [STATUS]: "CapEff:\t0000000000000000\nGid:\t7 7 7 7\nGroups:\t7 8\nSeccomp:\t2\n",
      },
    },
    "seccomp",
    /seccomp filter/,
  ],
  [
    "the sysctl is 1, the process has CAP_SYS_ADMIN, and a filter denies",
    { errno: errno.EPERM, files: { [DISABLED]: "1\n", [STATUS]: "CapEff:\t0000000000200000\nSeccomp:\t2\n" } },
    "seccomp",
    /seccomp filter/,
  ],
  [
    "neither sysctl nor seccomp explains EACCES",
    { errno: errno.EACCES, files: { [DISABLED]: "0\n", [STATUS]: "Seccomp:\t0\n" } },
    "security-module",
    /security module/,
  ],
  [
    "DEFER_TASKRUN is unknown",
    { release: "5.15.0", errno: errno.EINVAL },
    "kernel-too-old",
    /5\.15\.0 is too old: .* 6\.1/,
  ],
  ["an opcode is missing", { opcodes: [0] }, "opcodes", /lacks ACCEPT\.$/],
  ["only io_uring_register is denied", { opcodes: [] }, "seccomp", /io_uring_register/],
  ["only io_uring_enter is denied", { enterErrno: errno.EPERM }, "seccomp", /io_uring_enter .* \(EPERM\)/],
  ["locked memory is short", { errno: errno.ENOMEM }, "resources", /ENOMEM/],
  ["descriptors are short", { errno: errno.EMFILE }, "resources", /EMFILE/],
  ["the error is unheard of", { errno: errno.EXDEV }, "unknown", /EXDEV/],
];

for (const [name, facts, verdict, reason] of cases) {
  test(`uringAvailability() says "${verdict}" when ${name}`, () => {
    const availability = uringAvailability(machine(facts));
    assert.equal(availability.verdict, verdict);
    assert.match(availability.reason, reason);
    assert.match(availability.reason, /^[A-Za-z].*\.$/, "the reason is a sentence");
    assert.equal(availability.fix === "", verdict === "available", "every problem names its remedy");
  });
}

test("epollAvailability() needs Linux and the addon, and nothing of io_uring", () => {
  const forbidden = machine({ errno: errno.EPERM, files: { [STATUS]: "Seccomp:\t2\n" } });
  assert.deepEqual(epollAvailability(forbidden), { isAvailable: true, reason: "", fix: "" });
  const mac = epollAvailability(machine({ platform: "darwin" }));
  assert.equal(mac.isAvailable, false);
  assert.match(mac.reason, /only on Linux, and this is darwin\.$/);
  const bare = epollAvailability(machine({ addon: false }));
  assert.equal(bare.isAvailable, false);
  assert.match(bare.reason, /^The addon is not built\.$/);
  assert.match(bare.fix, /npx ringloom build-addon/);
});

test("chooseDriver() falls from uring to epoll to portable, and says why in one line", () => {
  const choices: [facts: Machine, requested: string, name: string, reason: RegExp][] = [
    [{}, "auto", "uring", /everything/],
    [
      { errno: errno.EPERM, files: { [STATUS]: "Seccomp:\t2\n" } },
      "auto",
      "epoll",
      /^A seccomp filter denies io_uring to this process \(EPERM\); epoll needs no permission\.$/,
    ],
    [{ enterErrno: errno.EPERM }, "auto", "epoll", /io_uring_enter .*; epoll needs no permission\.$/],
    [{ release: "5.15.0", errno: errno.EINVAL }, "auto", "epoll", /^Kernel 5\.15\.0 .*; epoll runs on every Linux\.$/],
    [{ errno: errno.ENOMEM }, "auto", "epoll", /ENOMEM\); epoll needs no ring\.$/],
    [{ addon: false }, "auto", "portable", /^The addon is not built\.$/],
    [{ platform: "darwin" }, "auto", "portable", /darwin\.$/],
    [{}, "epoll", "epoll", /^It was asked for\.$/],
  ];
  for (const [facts, requested, name, reason] of choices) {
    const choice = chooseDriver(requested, machine(facts));
    assert.equal(choice.name, name);
    assert.match(choice.reason, reason);
  }
});

test("chooseDriver() throws when epoll is asked for and cannot be had", () => {
  assert.throws(() => chooseDriver("epoll", machine({ addon: false })), {
    code: "ERR_RINGLOOM_DRIVER_UNAVAILABLE",
    message: /^The epoll driver was asked for and cannot run\. The addon is not built\. Install a C compiler/,
  });
});

test("chooseDriver() tries no ring when another driver is asked for", () => {
  const environment = { ...machine({}), probe: () => assert.fail("a ring was tried") };
  assert.equal(chooseDriver("epoll", environment).name, "epoll");
  assert.equal(chooseDriver("portable", environment).name, "portable");
});

test("uringAvailability() lists the missing opcodes when some are missing", () => {
  assert.deepEqual(uringAvailability(machine({ opcodes: [1] })).opcodesMissing, ["NOP", "ACCEPT"]);
});

test("compareKernelReleases() orders by number when releases carry suffixes", () => {
  assert.ok(compareKernelReleases("6.1.0-13-amd64", "6.10.2") < 0);
  assert.ok(compareKernelReleases("6.10", "6.9.99") > 0);
  assert.equal(compareKernelReleases("6.1.9", "6.1"), 0);
});

test("KERNEL_LADDER is in order and contains the minimum when read from the top", () => {
  for (let step = 1; step < KERNEL_LADDER.length; step++) {
    const [before, after] = [KERNEL_LADDER[step - 1], KERNEL_LADDER[step]];
    assert.ok(before !== undefined && after !== undefined && compareKernelReleases(before.since, after.since) < 0);
  }
  assert.ok(KERNEL_LADDER.some((step) => step.since === KERNEL_RELEASE_MIN));
});
