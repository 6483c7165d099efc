import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { uringAvailability } from "../../src/driver/availability.js";
import { systemEnvironment } from "../../src/driver/choose.js";
import { run, withServe } from "../cli/ringloom.js";
import { buildLauncher, readProfile, without } from "../support/seccomp-profile.js";

const EXAMPLE = fileURLToPath(new URL("../../../examples/container/", import.meta.url));
const APP = join(EXAMPLE, "app.mjs");
const IO_URING = ["io_uring_setup", "io_uring_enter", "io_uring_register"];
const AUTO = { RINGLOOM_DRIVER: undefined };

const profile = readProfile(join(EXAMPLE, "seccomp.json"));
const folder = mkdtempSync(join(tmpdir(), "ringloom-seccomp-"));
const allowing = process.platform === "linux" ? buildLauncher(profile, folder, "allowing") : undefined;
const denying = process.platform === "linux" ? buildLauncher(without(profile, IO_URING), folder, "denying") : undefined;
const skip = allowing === undefined ? "needs Linux and a C compiler" : false;
const isAvailable = uringAvailability(systemEnvironment()).verdict === "available";

after(() => rmSync(folder, { recursive: true, force: true }));

interface Report {
  readonly driver: string;
  readonly driverReason: string;
  readonly uring: { readonly verdict: string };
}

/** Runs a program under the profile and returns what it printed. */
function under(launcher: string | undefined, program: string, args: readonly string[]) {
  return spawnSync(launcher ?? "", [program, ...args], { encoding: "utf8" });
}

describe("examples/container/seccomp.json", { skip }, () => {
  test("names no system call twice, but for rules about arguments", () => {
    const plain = profile.syscalls.filter((rule) => rule.args === undefined).flatMap((rule) => rule.names);
    assert.equal(new Set(plain).size, plain.length);
  });

  test("lets doctor choose the driver that it chooses without a profile", async () => {
    const { code, stdout } = await run(["doctor", "--json"], { launcher: [allowing ?? ""], environment: AUTO });
    const report: Report = JSON.parse(stdout);
    assert.equal(code, 0);
    assert.equal(report.uring.verdict, isAvailable ? "available" : report.uring.verdict);
    assert.equal(report.driver === "uring", isAvailable);
  });

  test("lets serve answer requests and stop in order", async () => {
    await withServe([APP, "--port", "0"], { launcher: [allowing ?? ""], environment: AUTO }, async (server, url) => {
      assert.equal(server.stdout.includes("uring:"), isAvailable, server.stdout);
      assert.equal(await (await fetch(url)).text(), "hello from a container\n");
      assert.deepEqual(await (await fetch(`${url}/slow/5`)).json(), { waitedMs: 5 });
      assert.equal(await server.stop(), 0);
    });
  });

  test("without its io_uring rules, as default profiles are, serve says why another driver serves", async () => {
    await withServe([APP, "--port", "0"], { launcher: [denying ?? ""], environment: AUTO }, async (server, url) => {
      assert.doesNotMatch(server.stdout, /^ +driver +uring:/m);
      assert.match(server.stdout, /^ +driver +\w+: .*(seccomp|denie|EPERM)/m);
      assert.equal(await (await fetch(url)).text(), "hello from a container\n");
      assert.equal(await server.stop(), 0);
    });
    if (!isAvailable) return;
    const { stdout } = await run(["doctor", "--json"], { launcher: [denying ?? ""], environment: AUTO });
    assert.equal((JSON.parse(stdout) as Report).uring.verdict, "seccomp");
  });

  test("lets a module start a process and a thread, and use files and sockets", () => {
    const script = `
      const { execFileSync } = require("node:child_process");
      const { Worker } = require("node:worker_threads");
      const { mkdtempSync, writeFileSync, readFileSync, rmSync } = require("node:fs");
      const folder = mkdtempSync(require("node:os").tmpdir() + "/profile-");
      writeFileSync(folder + "/file", execFileSync("/bin/echo", ["from a process"]));
      new Worker("require('node:worker_threads').parentPort.postMessage('from a thread')", { eval: true }).on("message", (text) => {
        console.log(readFileSync(folder + "/file", "utf8") + text);
        rmSync(folder, { recursive: true });
        require("node:dns").lookup("localhost", (error) => console.log(error === null ? "name found" : error.code));
      });`;
    const { status, stdout, stderr } = under(allowing, process.execPath, ["-e", script]);
    assert.equal(status, 0, stderr);
    assert.equal(stdout, "from a process\nfrom a thread\nname found\n");
  });

  const hasPython = spawnSync("python3", ["--version"]).status === 0;
  test("refuses what reaches out of a container", { skip: hasPython ? false : "needs python3" }, () => {
    const probe = (code: string) =>
      under(allowing, "python3", ["-c", `import ctypes,os\nlibc=ctypes.CDLL(None,use_errno=True)\n${code}`]);
    assert.equal(probe("pass").status, 0);
    const errnoOf = (call: string) => probe(`r=libc.${call}\nprint(r, ctypes.get_errno())`).stdout.trim();
    const CLONE_NEWUSER = 0x1000_0000;
    for (const call of [
      `unshare(${CLONE_NEWUSER})`,
      'mount(b"none",b"/mnt",b"tmpfs",0,None)',
      "ptrace(0,0,0,0)",
      "setns(0,0)",
    ]) {
      assert.equal(errnoOf(call), "-1 1", call);
    }
    assert.equal(errnoOf("socket(40,1,0)"), "-1 1", "AF_VSOCK");
  });
});
