import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { uringAvailability } from "../../src/driver/availability.js";
import { systemEnvironment } from "../../src/driver/choose.js";
import { loadNative } from "../../src/native.js";
import { DEMO, run, withServe } from "./ringloom.js";

interface Report {
  verdict: string;
  driver: string | null;
  driverReason: string;
  uring: { verdict: string; reason: string };
  epoll: { isAvailable: boolean; reason: string; fix: string };
  checks: { name: string; status: string; text: string; fix: string }[];
  sizing: { shards: number };
}

const isAvailable = uringAvailability(systemEnvironment()).verdict === "available";
/** What serves here where io_uring cannot. */
const without = loadNative() === undefined ? "portable" : "epoll";
const AUTO = { RINGLOOM_DRIVER: undefined };

test("ringloom doctor says which driver serves here, and every check it ran", async () => {
  const { code, stdout, stderr } = await run(["doctor"], { environment: AUTO });
  assert.equal(code, 0);
  assert.equal(stderr, "");
  for (const name of [
    "node",
    "kernel",
    "addon",
    "compiler",
    "io_uring",
    "opcodes",
    "epoll",
    "sysctl",
    "seccomp",
    "open files",
    "CPUs",
    "memory",
  ]) {
    assert.match(stdout, new RegExp(`^ {2}(ok|--|!!|no) {2}${name} `, "m"));
  }
  const driver = isAvailable ? "uring" : without;
  assert.match(stdout, new RegExp(`^ +driver +${driver}: .+\\.$`, "m"));
  assert.match(stdout, new RegExp(`\\nverdict: servers run,? on the ${driver} driver.*\\.\\n$`));
  assert.ok(!stdout.includes("\u001b["), "no colours outside of a terminal");
});

test("ringloom doctor --json prints one object that says the same", async () => {
  const { code, stdout } = await run(["doctor", "--json"], { environment: AUTO });
  const report: Report = JSON.parse(stdout);
  assert.equal(code, 0);
  assert.equal(report.driver, isAvailable ? "uring" : without);
  assert.ok(report.sizing.shards >= 1);
  assert.ok(report.checks.every((check) => check.text !== "" && (check.status === "problem") <= (check.fix !== "")));
});

test("ringloom doctor says that uring would be available when the portable driver is forced", async () => {
  const { code, stdout } = await run(["doctor"], { environment: { RINGLOOM_DRIVER: "portable" } });
  assert.equal(code, 0);
  assert.match(stdout, /driver +portable: It was asked for\.$/m);
});

test("ringloom doctor says that servers run on epoll when it is forced", {
  skip: loadNative() === undefined && "the addon is not built",
}, async () => {
  const { code, stdout } = await run(["doctor"], { environment: { RINGLOOM_DRIVER: "epoll" } });
  assert.equal(code, 0);
  assert.match(stdout, /driver +epoll: It was asked for\.$/m);
  const better = isAvailable ? "; uring would be available" : "";
  assert.ok(stdout.endsWith(`verdict: servers run on the epoll driver, as asked${better}.\n`), stdout);
});

test("ringloom doctor exits with code 1 when RINGLOOM_DRIVER cannot be had", async () => {
  const { code, stdout } = await run(["doctor"], { environment: { RINGLOOM_DRIVER: "kqueue" } });
  assert.equal(code, 1);
  assert.match(stdout, /^verdict: servers do not start with RINGLOOM_DRIVER=kqueue: Invalid driver: "kqueue"\./m);
});

const compiler = process.platform === "linux" ? findCompiler() : undefined;
const skip =
  process.platform !== "linux"
    ? "seccomp exists only on Linux"
    : compiler === undefined
      ? "no C compiler for the launcher"
      : loadNative() === undefined
        ? "the addon is not built, so io_uring is not even tried"
        : false;

describe("where a seccomp filter denies io_uring", { skip }, () => {
  let folder = "";
  let launcher = "";
  before(() => {
    folder = mkdtempSync(join(tmpdir(), "ringloom-seccomp-"));
    launcher = join(folder, "deny-io-uring");
    const source = fileURLToPath(new URL("../../../test/tools/deny-io-uring.c", import.meta.url));
    const built = spawnSync(compiler ?? "cc", ["-O1", "-Wall", "-Wextra", "-Werror", "-o", launcher, source], {
      encoding: "utf8",
    });
    assert.equal(built.status, 0, built.stderr);
  });
  after(() => rmSync(folder, { recursive: true }));

  for (const [flags, reason] of [
    [[], "A seccomp filter denies io_uring to this process (EPERM)"],
    [["--enosys"], "A seccomp filter hides io_uring from this process (ENOSYS)"],
    [["--enter-only"], "A seccomp filter denies io_uring_enter to this process (EPERM)"],
  ] as const) {
    test(`ringloom doctor names seccomp and the remedy (${flags[0] ?? "EPERM"})`, async (t) => {
      if (!nodeRunsUnder(launcher, flags))
        return t.skip("libuv of this Node uses io_uring, and ends when only enter is denied");
      const settings = { environment: AUTO, launcher: [launcher, ...flags] };
      const { code, stdout } = await run(["doctor"], settings);
      assert.equal(code, 0, "the epoll driver serves");
      assert.ok(stdout.includes(`  no  io_uring       ${reason}.\n`), stdout);
      assert.match(stdout, /change: Allow io_uring_setup, io_uring_enter and io_uring_register/);
      assert.match(stdout, /^ {2}no {2}seccomp +a filter is installed, and it denies io_uring$/m);
      assert.ok(stdout.endsWith(`verdict: servers run, on the epoll driver: ${reason}; epoll needs no permission.\n`));
      const report: Report = JSON.parse((await run(["doctor", "--json"], settings)).stdout);
      assert.equal(report.driver, "epoll");
      assert.equal(report.uring.verdict, "seccomp");
      assert.deepEqual(report.epoll, { isAvailable: true, reason: "", fix: "" });
    });

    test(`ringloom serve serves on the epoll driver and says why (${flags[0] ?? "EPERM"})`, async (t) => {
      if (!nodeRunsUnder(launcher, flags))
        return t.skip("libuv of this Node uses io_uring, and ends when only enter is denied");
      const settings = { environment: AUTO, launcher: [launcher, ...flags] };
      await withServe([DEMO, "--port", "0", "--shards", "2"], settings, async (server, url) => {
        assert.ok(server.stdout.includes(`driver  epoll: ${reason}; epoll needs no permission.\n`), server.stdout);
        assert.equal(await (await fetch(`${url}/hello/ada`)).text(), "hello ada");
        assert.equal(await server.stop(), 0);
      });
    });
  }

  test("ringloom serve --driver uring refuses with the reason", async () => {
    const { code, stderr } = await run(["serve", DEMO, "--port", "0", "--driver", "uring"], { launcher: [launcher] });
    assert.equal(code, 1);
    assert.match(
      stderr,
      /The uring driver was asked for and cannot run\. A seccomp filter denies io_uring .* \[ERR_RINGLOOM_DRIVER_UNAVAILABLE\]/,
    );
    assert.match(stderr, /Run "ringloom doctor" for details\./);
  });

  test("ringloom doctor exits with code 1 when RINGLOOM_DRIVER=uring", async () => {
    const { code, stdout } = await run(["doctor"], { environment: { RINGLOOM_DRIVER: "uring" }, launcher: [launcher] });
    assert.equal(code, 1);
    assert.match(stdout, /^verdict: servers do not start with RINGLOOM_DRIVER=uring: .*seccomp/m);
  });
});

function findCompiler(): string | undefined {
  return ["cc", "gcc", "clang"].find((name) => spawnSync(name, ["--version"]).status === 0);
}

/** Node 26 makes a ring for itself where it can, and aborts when it cannot enter it. */
function nodeRunsUnder(launcher: string, flags: readonly string[]): boolean {
  return spawnSync(launcher, [...flags, process.execPath, "-e", ""]).status === 0;
}
