/** The hooks of a shard's module and of the process: their order, their failures, their time. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, beforeEach, test } from "node:test";
import { fileURLToPath } from "node:url";
import { run } from "../cli/ringloom.js";
import { ServiceProcess } from "./service-process.js";
import { SERVICE } from "./trials.js";

const PROCESS_HOOKS = fileURLToPath(new URL("./fixtures/process-hooks.js", import.meta.url));
const BOTH = ["--shards", "1", "--supervisor-module", PROCESS_HOOKS];

let folder = "";
let journal = "";

before(() => {
  folder = mkdtempSync(join(tmpdir(), "ringloom-hooks-"));
  journal = join(folder, "journal");
});
beforeEach(() => writeFileSync(journal, ""));
after(() => rmSync(folder, { recursive: true }));

function noted(): string[] {
  return readFileSync(journal, "utf8").trim().split("\n");
}

test("hooks run in order: the process around the shards, each shard around its requests", async () => {
  await ServiceProcess.with(
    BOTH,
    async (service) => {
      assert.equal(await service.server.stop(), 0);
    },
    { environment: { RINGLOOM_TEST_HOOKS: journal } },
  );
  const all = noted();
  assert.deepEqual(all.slice(0, 2), ["start process", "start 0"]);
  assert.deepEqual(
    all.filter((line) => line.endsWith(" 0")),
    ["start 0", "ready 0", "drain 0", "close 0"],
  );
  assert.deepEqual(
    all.filter((line) => line.endsWith(" process")),
    ["start process", "ready process", "drain process", "close process"],
  );
  assert.equal(all.at(-1), "close process", "the process's last hook is the last of all");
});

test("hooks of a shard run again on the thread that takes over in a rolling restart", async () => {
  await ServiceProcess.with(
    BOTH,
    async (service) => {
      service.server.child.kill("SIGHUP");
      const { shards } = await service.event("restarted");
      assert.equal(shards, 1);
      assert.equal(await service.server.stop(), 0);
    },
    { environment: { RINGLOOM_TEST_HOOKS: journal } },
  );
  const ofShard = noted().filter((line) => line.endsWith(" 0"));
  assert.deepEqual(ofShard.slice(0, 4), ["start 0", "ready 0", "start 0", "drain 0"]);
  assert.deepEqual(ofShard.slice(4, 6).sort(), ["close 0", "ready 0"]);
  assert.deepEqual(ofShard.slice(6), ["drain 0", "close 0"]);
});

for (const [variable, what] of [
  ["RINGLOOM_TEST_HOOK_FAILS", "of a shard"],
  ["RINGLOOM_TEST_PROCESS_HOOK_FAILS", "of the process"],
] as const) {
  test(`a start hook ${what} that throws fails the start with its error`, async () => {
    const { code, stderr } = await run(["serve", SERVICE, "--port", "0", ...BOTH], {
      environment: { [variable]: "start" },
    });
    assert.match(
      stderr,
      /The module's "start" hook threw Error: the .*start hook was asked to fail\. \[ERR_RINGLOOM_HOOK_FAILED\]/,
    );
    assert.match(stderr, /Error: the .*start hook was asked to fail\n[\s\S]* at note /);
    assert.equal(code, 1);
  });

  for (const hook of ["drain", "close"]) {
    test(`a ${hook} hook ${what} that throws is reported, and the exit code is 1`, async () => {
      await ServiceProcess.with(
        BOTH,
        async (service) => {
          assert.equal(await service.server.stop(), 1);
          const stopped = await service.event("stopped");
          const [failure, ...more] = stopped.hookFailures as {
            hook: string;
            shard?: number;
            error: { code: string };
          }[];
          assert.equal(more.length, 0);
          assert.deepEqual([failure?.hook, failure?.error.code], [hook, "ERR_RINGLOOM_HOOK_FAILED"]);
          assert.equal(failure?.shard, what === "of a shard" ? 0 : undefined);
          assert.equal(stopped.shardsDrained, 1, "everything else went on as usual");
        },
        { environment: { [variable]: hook } },
      );
    });
  }
}

test("a ready hook of a shard that throws is reported, and the shard serves", async () => {
  await ServiceProcess.with(
    BOTH,
    async (service) => {
      const trouble = await service.event("trouble");
      assert.equal(trouble.kind, "hook");
      assert.equal((await service.who()).generation, 1);
      assert.equal(await service.server.stop(), 0);
    },
    { environment: { RINGLOOM_TEST_HOOK_FAILS: "ready" } },
  );
});

test("a ready hook of the process that throws ends the start", async () => {
  const environment = { RINGLOOM_TEST_PROCESS_HOOK_FAILS: "ready" };
  const { code, stderr } = await run(["serve", SERVICE, "--port", "0", ...BOTH], { environment });
  assert.match(stderr, /"ready" hook threw/);
  assert.equal(code, 1);
});

test("a hook that takes longer than --hook-ms is reported, and its signal aborts", async () => {
  await ServiceProcess.with(
    [...BOTH, "--hook-ms", "200"],
    async (service) => {
      assert.equal(await service.server.stop(), 1);
      const [failure] = (await service.event("stopped")).hookFailures as { hook: string; error: { code: string } }[];
      assert.deepEqual([failure?.hook, failure?.error.code], ["drain", "ERR_RINGLOOM_TIMEOUT"]);
    },
    { environment: { RINGLOOM_TEST_HOOK_FAILS: "drain-hangs" } },
  );
});

test("a lifecycle export that is wrong stops the start with what is allowed", async () => {
  for (const [text, message] of [
    ["{ stop() {} }", /"stop" is not one of start, ready, drain, close/],
    ["{ start: 1 }", /its "start" is not a function/],
    ["7", /it is 7, not an object/],
  ] as const) {
    const module = join(folder, "app.mjs");
    writeFileSync(module, `export default { fetch: () => new Response("x") };\nexport const lifecycle = ${text};\n`);
    const { code, stderr } = await run(["serve", module, "--port", "0", "--shards", "1"]);
    assert.match(stderr, message);
    assert.match(stderr, /ERR_RINGLOOM_INVALID_OPTION/);
    assert.notEqual(code, 0);
  }
});
