import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import type { ModuleServer } from "../../src/http/serve-module.js";
import type { SharedCacheFigures, SharedCacheStats } from "../../src/index.js";
import type { Making } from "./fixtures/once-app.js";
import { persistently, SHARDS, shardNumbers, withShards } from "./rig.js";

const skip = SHARDS > 1 ? false : "several shards cannot share a port here";

interface Seen {
  readonly hits: number;
  readonly refused: number;
  readonly torn: readonly string[];
}

function counter(): Int32Array {
  return new Int32Array(new SharedArrayBuffer(4));
}

function load(server: ModuleServer, shard: number, making: Making): Promise<unknown> {
  return server.invokeOnShard("load", { shard }, making);
}

/** Sets and gets on every shard: nothing is stuck. */
async function assertUsable(server: ModuleServer): Promise<void> {
  for (const shard of shardNumbers()) {
    for (let n = 0; n < 40; n++) {
      const isIn = await persistently(() => server.invokeOnShard("set", { shard }, `after${n}`, { n, shard }));
      assert.equal(isIn, true);
      const found = await persistently(() => server.invokeOnShard("get", { shard: (shard + 1) % SHARDS }, `after${n}`));
      assert.deepEqual(found, { n, shard });
    }
  }
}

describe("sharedCache()", () => {
  test("is one cache for all shards, and stays in a rolling restart", async () => {
    await withShards("cache-app", async (server) => {
      await assertUsable(server);
      assert.equal(await server.invokeOnShard("delete", { shard: 0 }, "after1"), true);
      assert.equal(await server.invokeOnShard("get", { shard: SHARDS - 1 }, "after1"), undefined);
      const stats = (await server.invokeOnShard("stats", { shard: 0 })) as SharedCacheStats;
      assert.equal(stats.entries, 39);
      assert.equal(stats.sets, 40 * SHARDS);
      assert.equal(stats.misses, 1);
      const figures = (await server.invokeOnShard("figures", { shard: 0 })) as Record<string, SharedCacheFigures>;
      const { entries: _, ...counts } = stats;
      const { bytes, ...shown } = figures.things ?? { bytes: 0 };
      assert.deepEqual(shown, counts);
      assert.ok(bytes >= 64 * 1_024);
      if (SHARDS === 1) return;
      await server.restart();
      const kept = await server.invokeOnShard("get", { shard: 0 }, "after2");
      assert.deepEqual(kept, { n: 2, shard: SHARDS - 1 });
    });
  });

  test("getOrLoad() loads once in all shards", async () => {
    await withShards("cache-app", async (server) => {
      const runs = counter();
      const making: Making = { key: "loaded", ms: 100, end: "return", runs };
      const shards = [...shardNumbers(), ...shardNumbers()];
      const values = await Promise.all(shards.map((shard) => load(server, shard, making)));
      assert.equal(runs[0], 1);
      assert.ok(values.every((value) => JSON.stringify(value) === JSON.stringify(values[0])));
      assert.deepEqual(await server.invokeOnShard("get", { shard: 0 }, "loaded"), values[0]);
      await load(server, 0, making);
      assert.equal(runs[0], 1);
    });
  });

  test("getOrLoad() loads on another shard when the one that loads dies", { skip }, async () => {
    await withShards("cache-app", async (server) => {
      const runs = counter();
      const making: Making = { key: "fragile", ms: 300, end: "exit-first", runs };
      const results = await Promise.allSettled(shardNumbers().map((shard) => load(server, shard, making)));
      assert.equal(results.filter((result) => result.status === "rejected").length, 1);
      assert.equal(runs[0], 2);
    });
  });

  test("gives no torn value and is not stuck while threads that use it are killed", async (t) => {
    await withShards("cache-app", async (server) => {
      const go = counter();
      go[0] = 1;
      const [victim, ...others] = shardNumbers().reverse();
      assert.ok(victim !== undefined);
      const hammers = others.map(
        (shard) => server.invokeOnShard("hammer", { shard, timeoutMs: 0 }, go) as Promise<Seen>,
      );
      let lost = 0;
      for (let death = 0; death < 4; death++) {
        await persistently(() => server.invokeOnShard("stats", { shard: victim }));
        const hammer = server.invokeOnShard("hammer", { shard: victim, timeoutMs: 0 }, go).catch(() => {
          lost += 1;
        });
        await sleep(20 + death * 15);
        server.terminateShard(victim);
        await hammer;
      }
      assert.equal(lost, 4, "each of them died");
      Atomics.store(go, 0, 0);
      const seen = await Promise.all(hammers);
      t.diagnostic(JSON.stringify(seen));
      for (const { torn, hits } of seen) {
        assert.deepEqual(torn, []);
        assert.ok(hits > 0);
      }
      await assertUsable(server);
    });
  });

  test("cannot be opened on a thread that belongs to no server", async () => {
    const index = JSON.stringify(new URL("../../src/index.js", import.meta.url).href);
    const thread = new Worker(
      `import(${index}).then(({ sharedCache }) => sharedCache("x")).catch((error) => require("node:worker_threads").parentPort.postMessage(error.code));`,
      { eval: true },
    );
    const code = await new Promise((resolve) => thread.once("message", resolve));
    assert.equal(code, "ERR_RINGLOOM_WRONG_THREAD");
    await thread.terminate();
  });
});
