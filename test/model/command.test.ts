/** `npm run test:model` as one types it. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";

const MAIN = fileURLToPath(new URL("./main.js", import.meta.url));
const TIME_MS_MAX = 120_000;

function run(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [MAIN, ...args], { encoding: "utf8", timeout: TIME_MS_MAX });
}

describe("test/model/main", () => {
  test("prints for each program what it has explored, and ends with 0 when all is well", () => {
    const { status, stdout } = run("--only", "textbook");
    assert.equal(status, 0, stdout);
    assert.match(stdout, /^ok {5}textbook: two threads announce themselves, then look\n +exhaustive \(3 executions, /m);
    assert.match(stdout, /^ +planted bug found: lost wake-up: thread a waits for ever/m);
    assert.match(stdout, /^ +exhaustive \([\d,]+ executions, \d+ deaths, /m);
    assert.match(stdout, /^15 programs, 0 failed: [\d,]+ executions, [\d,]+ steps, /m);
  });

  test("lists programs without running them", () => {
    const { status, stdout } = run("--list", "--only", "textbook: two threads");
    assert.equal(status, 0);
    assert.deepEqual(stdout.split("\n").slice(0, 2), [
      "textbook: two threads announce themselves, then look",
      "textbook: two threads look, then announce themselves",
    ]);
  });

  test("replays a schedule step by step, and ends with 1 when it fails", () => {
    const name = "textbook: two threads look, then announce themselves";
    const failing = run("--replay", name, "a2b2a2b2");
    assert.equal(failing.status, 1, failing.stderr);
    assert.match(failing.stdout, /^ {3}2 thread a {3}load\(1\) = 0$/m);
    assert.match(failing.stdout, /^FAILED at the end: Error: both threads entered/m);
    const passing = run("--replay", name, "a4b3");
    assert.equal(passing.status, 0, passing.stderr);
    assert.match(passing.stdout, /^nothing failed$/m);
  });

  test("ends with 2 and says what is wrong when it is called wrongly", () => {
    const cases: [args: string[], message: RegExp][] = [
      [["--only", "no such program"], /^No program has "no such program" in its name/],
      [["--fast"], /Unknown option '--fast'/],
      [["--seconds", "soon"], /^--seconds must be a positive number, not soon/],
      [["injector"], /^Unknown argument injector/],
      [["--replay", "no such program", "a"], /^There is no program "no such program"/],
      [["--replay", "textbook: announce, recheck, sleep"], /^--replay needs a name and a schedule/],
      [["--replay", "textbook: announce, recheck, sleep", "a b"], /^Cannot replay "a b"/],
    ];
    for (const [args, message] of cases) {
      const { status, stderr } = run(...args);
      assert.equal(status, 2, args.join(" "));
      assert.match(stderr, message);
    }
  });
});
