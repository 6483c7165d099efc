import assert from "node:assert/strict";
import { test } from "node:test";
import { type ModuleServer, serveModule } from "../../src/http/serve-module.js";
import { invokeOnShard, shardFunction } from "../../src/index.js";
import { portSharing } from "../../src/runtime/listeners.js";
import { SERVICE } from "../ops/trials.js";

const SHARDS = portSharing().isPossible ? 2 : 1;

async function withServer(use: (server: ModuleServer) => Promise<void>): Promise<void> {
  const server = await serveModule(SERVICE, {
    port: 0,
    shards: SHARDS,
    connections: 1_024,
    receiveSlabMib: 2,
    writePoolMib: 2,
  });
  try {
    await use(server);
  } finally {
    await server.stop();
  }
}

test("invokeOnShard() runs a registered function on the shard that is asked for, from the main thread and from each shard", async () => {
  await withServer(async (server) => {
    for (let shard = 0; shard < SHARDS; shard++) {
      assert.deepEqual(await server.invokeOnShard("add", { shard }, 1, 2), { sum: 3, shard, generation: 1 });
      for (let request = 0; request < 8; request++) {
        const response = await fetch(`${server.url}/ask/${shard}`, { headers: { connection: "close" } });
        assert.deepEqual(await response.json(), { sum: 42, shard, generation: 1 });
      }
    }
  });
});

test("invokeOnShard() rejects with what went wrong: in the function, on the way, or because there is none", async () => {
  await withServer(async (server) => {
    const shard = 0;
    await assert.rejects(
      server.invokeOnShard("fail", { shard }),
      (error: Error & { code: string; cause: Error & { code: string } }) => {
        assert.equal(error.code, "ERR_RINGLOOM_CALL_FAILED");
        assert.equal(error.cause.code, "E_THERE");
        assert.match(error.cause.stack ?? "", /service\.js/);
        return true;
      },
    );
    await assert.rejects(server.invokeOnShard("uncloneable", { shard }), { code: "ERR_RINGLOOM_NOT_CLONEABLE" });
    await assert.rejects(
      server.invokeOnShard("add", { shard }, () => 1, 2),
      { code: "ERR_RINGLOOM_NOT_CLONEABLE" },
    );
    await assert.rejects(server.invokeOnShard("nothing", { shard }), {
      code: "ERR_RINGLOOM_NO_SUCH_FUNCTION",
      message: /known: add, fail, /,
    });
    await assert.rejects(server.invokeOnShard("add", { shard: SHARDS }), { code: "ERR_RINGLOOM_INVALID_OPTION" });
    await assert.rejects(server.invokeOnShard("add", { shard, timeoutMs: -1 }), {
      code: "ERR_RINGLOOM_INVALID_OPTION",
    });
    assert.equal(server.health.shards[0]?.generation, 1, "no failure has cost the shard its life");
  });
});

test("invokeOnShard() gives up when its time is over or its signal aborts", async () => {
  await withServer(async (server) => {
    const shard = 0;
    await assert.rejects(server.invokeOnShard("never", { shard, timeoutMs: 30 }), { code: "ERR_RINGLOOM_TIMEOUT" });
    const controller = new AbortController();
    const call = server.invokeOnShard("never", { shard, signal: controller.signal });
    controller.abort(new Error("no longer wanted"));
    await assert.rejects(call, { code: "ERR_RINGLOOM_ABORTED" });
    await assert.rejects(server.invokeOnShard("add", { shard, signal: AbortSignal.abort() }), {
      code: "ERR_RINGLOOM_ABORTED",
    });
    server.terminateShard(shard);
  });
});

test("invokeOnShard() settles every call once when the shard dies, and reaches its successor afterwards", async () => {
  await withServer(async (server) => {
    const shard = 0;
    const calls = Array.from({ length: 20 }, () => server.invokeOnShard("never", { shard, timeoutMs: 0 }));
    const dying = server.invokeOnShard("die", { shard }, "exit");
    for (const call of [...calls, dying]) await assert.rejects(call, { code: "ERR_RINGLOOM_THREAD_LOST" });
    let answer: unknown;
    // Until the successor has its seat a call finds nobody there.
    while (answer === undefined) {
      answer = await server.invokeOnShard("add", { shard }, 1, 1).catch((error: { code: string }) => {
        assert.equal(error.code, "ERR_RINGLOOM_THREAD_LOST");
      });
    }
    assert.deepEqual(answer, { sum: 2, shard, generation: 2 });
  });
});

test("invokeOnShard() asks the new thread as soon as it serves, and waits for what the old one has begun", async () => {
  await withServer(async (server) => {
    const shard = 0;
    await server.invokeOnShard("add", { shard }, 1, 1);
    const slow = server.invokeOnShard("slow", { shard }, 1_500);
    const restart = server.restart();
    while (server.health.shards[shard]?.generation !== 2) await new Promise((resolve) => setTimeout(resolve, 10));
    let answer: unknown;
    // The old thread serves until the new one has loaded.
    do answer = await server.invokeOnShard("add", { shard }, 1, 1);
    while ((answer as { generation: number }).generation === 1);
    assert.deepEqual(answer, { sum: 2, shard, generation: 2 });
    let isRestartOver = false;
    void restart.then(() => (isRestartOver = true));
    assert.deepEqual(await slow, { shard, generation: 1 });
    assert.equal(isRestartOver, false, "the old thread was still there");
    await restart;
  });
});

test("invokeOnShard() rejects where no shard runs, and shardFunction() a name that is taken", async () => {
  const here = shardFunction("here", () => 1);
  await assert.rejects(invokeOnShard(here, { shard: 0 }), { code: "ERR_RINGLOOM_WRONG_THREAD" });
  assert.throws(() => shardFunction("here", () => 2), { code: "ERR_RINGLOOM_INVALID_OPTION" });
});
