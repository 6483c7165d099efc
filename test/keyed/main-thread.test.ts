/** What shards share by a name, and the main thread of the program that serves them: the same things. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { serveModule } from "../../src/http/serve-module.js";
import { once, sharedCache } from "../../src/index.js";
import { sharedBarrier } from "../../src/sync/index.js";

const OPTIONS = { port: 0, shards: 1, compute: 0, connections: 256, receiveSlabMib: 1, writePoolMib: 1 } as const;

test("a program beside its server has the server's caches, structures and values that were made once", async () => {
  const made = await once("made by the main thread", () => 7);
  const server = await serveModule(new URL("./fixtures/main-thread-app.js", import.meta.url), OPTIONS);
  try {
    const call = (name: string): Promise<unknown> => server.invokeOnShard(name, { shard: 0 });
    const cache = sharedCache<string>("beside", { maxBytes: 65_536 });
    assert.equal(cache.set("key", "from the main thread"), true);
    assert.equal(await call("cached"), "from the main thread");
    assert.equal(await call("once"), made);
    const [here, there] = await Promise.all([sharedBarrier("beside", 2).wait({ timeoutMs: 20_000 }), call("meet")]);
    assert.notEqual(here.isLast, there);
  } finally {
    await server.stop();
  }
});
