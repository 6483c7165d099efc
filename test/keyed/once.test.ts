import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Worker } from "node:worker_threads";
import type { ModuleServer } from "../../src/http/serve-module.js";
import { once } from "../../src/index.js";
import type { Making } from "./fixtures/once-app.js";
import { persistently, SHARDS, shardNumbers, withShards } from "./rig.js";

const skip = SHARDS > 1 ? false : "several shards cannot share a port here";

interface Made {
  readonly shard: number;
  readonly shared: Int32Array;
}

function counter(): Int32Array {
  return new Int32Array(new SharedArrayBuffer(4));
}

function ask(server: ModuleServer, shard: number, making: Making): Promise<Made> {
  return server.invokeOnShard("once", { shard }, making) as Promise<Made>;
}

describe("once()", () => {
  test("runs on one shard when all ask, and gives all the value, with its SharedArrayBuffers shared", async () => {
    await withShards("once-app", async (server) => {
      const runs = counter();
      const making: Making = { key: "table", ms: 50, end: "return", runs };
      const shards = [...shardNumbers(), ...shardNumbers()];
      const values = await Promise.all(shards.map((shard) => ask(server, shard, making)));
      assert.equal(runs[0], 1);
      assert.equal(new Set(values.map((value) => value.shard)).size, 1);
      Atomics.store(values[0]!.shared, 0, 99);
      assert.ok(values.every((value) => value.shared[0] === 99));
      await ask(server, 0, { ...making, key: "another" });
      assert.equal(runs[0], 2);
    });
  });

  test("rejects all that wait when it throws, and the next caller tries again", async () => {
    await withShards("once-app", async (server) => {
      const runs = counter();
      const making: Making = { key: "bad", ms: 300, end: "throw-first", runs };
      const results = await Promise.allSettled(shardNumbers().map((shard) => ask(server, shard, making)));
      const tries = runs[0]!;
      for (const result of results) {
        if (tries > 1) break;
        assert.equal(result.status, "rejected");
        assert.equal(result.reason.cause.code, "ERR_RINGLOOM_CALL_FAILED");
        assert.equal(result.reason.cause.cause.code, "E_MADE");
      }
      const values = await Promise.all(shardNumbers().map((shard) => ask(server, shard, making)));
      assert.equal(runs[0], 2, "one more run made it");
      assert.equal(new Set(values.map((value) => value.shard)).size, 1);
      await assert.rejects(
        ask(server, 0, { key: "function", ms: 0, end: "uncloneable", runs }),
        (error: Error & { cause: { code: string } }) => error.cause.code === "ERR_RINGLOOM_NOT_CLONEABLE",
      );
    });
  });

  test("runs on another shard when the one that makes the value dies", { skip }, async () => {
    await withShards("once-app", async (server) => {
      const runs = counter();
      const making: Making = { key: "fragile", ms: 300, end: "exit-first", runs };
      const results = await Promise.allSettled(shardNumbers().map((shard) => ask(server, shard, making)));
      const lost = results.filter((result) => result.status === "rejected");
      assert.equal(lost.length, 1, "only who asked the shard that died does not get it");
      assert.equal(lost[0]?.reason.code, "ERR_RINGLOOM_THREAD_LOST");
      assert.equal(runs[0], 2);
      const values = await Promise.all(shardNumbers().map((shard) => persistently(() => ask(server, shard, making))));
      assert.equal(runs[0], 2, "the successor was given the value");
      assert.equal(new Set(values.map((value) => value.shard)).size, 1);
    });
  });

  test("can be made anew when nobody waited for what a dead shard was making", async () => {
    await withShards("once-app", async (server) => {
      const runs = counter();
      const making: Making = { key: "alone", ms: 0, end: "exit-first", runs };
      await assert.rejects(ask(server, 0, making), { code: "ERR_RINGLOOM_THREAD_LOST" });
      const value = await persistently(() => ask(server, 0, making));
      assert.equal(value.shard, 0);
      assert.equal(runs[0], 2);
    });
  });

  test("lets one caller give up, and makes the value all the same", async () => {
    await withShards("once-app", async (server) => {
      const runs = counter();
      const making: Making = { key: "slow", ms: 500, end: "return", runs };
      await assert.rejects(
        ask(server, 0, { ...making, timeoutMs: 20 }),
        (error: Error & { cause: { code: string } }) => {
          assert.equal(error.cause.code, "ERR_RINGLOOM_TIMEOUT");
          return true;
        },
      );
      await ask(server, 0, making);
      assert.equal(runs[0], 1);
    });
  });

  test("runs on the main thread of a program without shards, and rejects bad arguments", async () => {
    let runs = 0;
    const make = (): number => ++runs;
    assert.deepEqual(await Promise.all([once("here", make), once("here", make)]), [1, 1]);
    await assert.rejects(once("aborted", make, { signal: AbortSignal.abort() }), { code: "ERR_RINGLOOM_ABORTED" });
    await assert.rejects(once("negative", make, { timeoutMs: -1 }), { code: "ERR_RINGLOOM_INVALID_OPTION" });
    await assert.rejects(once(1 as never, make), TypeError);
    await assert.rejects(once("nothing", 1 as never), TypeError);
    assert.equal(runs, 1);
  });

  test("rejects on a thread that belongs to no server", async () => {
    const index = JSON.stringify(new URL("../../src/index.js", import.meta.url).href);
    const thread = new Worker(
      `import(${index}).then(({ once }) => once("x", () => 1)).catch((error) => require("node:worker_threads").parentPort.postMessage(error.code));`,
      { eval: true },
    );
    const code = await new Promise((resolve) => thread.once("message", resolve));
    assert.equal(code, "ERR_RINGLOOM_WRONG_THREAD");
    await thread.terminate();
  });
});
