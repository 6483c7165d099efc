/** Structures that shards share, while shards are killed at any step. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { type ModuleServer, serveModule } from "../../src/http/serve-module.js";
import { portSharing } from "../../src/runtime/listeners.js";
import { type Notes, RECEIVERS, VALUES_MAX } from "./fixtures/shared-app.js";

const SHARDS = portSharing().isPossible ? 3 : 1;
const skip = SHARDS > 1 ? false : "several shards cannot share a port here";
const DEATHS = 4;
const SENDERS = SHARDS + DEATHS;
const APP = new URL("./fixtures/shared-app.js", import.meta.url);

interface Rest {
  readonly lost: number;
  readonly left: number;
  readonly wasFree: boolean;
  readonly abandoned: number;
}

function words(length: number): Int32Array {
  return new Int32Array(new SharedArrayBuffer(4 * length));
}

async function withShards(use: (server: ModuleServer) => Promise<void>): Promise<void> {
  const server = await serveModule(APP, {
    port: 0,
    shards: SHARDS,
    connections: 256,
    receiveSlabMib: 1,
    writePoolMib: 1,
    restartsMax: 100,
  });
  try {
    await use(server);
  } finally {
    await server.stop();
  }
}

/** Asks a shard that may be between two threads, until one answers. */
async function persistently<Value>(ask: () => Promise<Value>): Promise<Value> {
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if ((error as { code?: string }).code !== "ERR_RINGLOOM_THREAD_LOST") throw error;
      await sleep(20);
    }
  }
}

/** What of the values that senders were told are in was received other than once. */
function judge({ sent, seen }: Notes): { missing: number; doubled: number; received: number } {
  let [missing, doubled, received] = [0, 0, 0];
  for (let from = 0; from < SENDERS; from++) {
    for (let n = 0; n < VALUES_MAX; n++) {
      const times = seen[from * VALUES_MAX + n]!;
      received += times;
      if (times > 1) doubled += 1;
      if (times === 0 && n < sent[from]!) missing += 1;
    }
  }
  return { missing, doubled, received };
}

describe("structures that shards share", { skip }, () => {
  test("while shards are killed, no value comes twice or is lost but with the dead, and nobody is inside with another one", async (t) => {
    await withShards(async (server) => {
      const notes: Notes = {
        go: words(1).fill(1),
        sent: words(SENDERS),
        seen: words(SENDERS * VALUES_MAX),
        inside: words(1),
        counts: words(3),
      };
      const victim = SHARDS - 1;
      const hammers = Array.from({ length: victim }, (_, shard) =>
        server.invokeOnShard("hammer", { shard, timeoutMs: 0 }, shard, notes),
      );
      for (let death = 0; death < DEATHS; death++) {
        await persistently(() => server.invokeOnShard("here", { shard: victim }));
        const dying = server
          .invokeOnShard("hammer", { shard: victim, timeoutMs: 0 }, victim + death, notes)
          .catch((error: Error) => error);
        await sleep(30 + death * 17);
        server.terminateShard(victim);
        await dying;
      }
      Atomics.store(notes.go, 0, 0);
      await Promise.all(hammers);
      const rest = (await server.invokeOnShard("drain", { shard: 0 }, notes)) as Rest;
      const { missing, doubled, received } = judge(notes);
      const [together, told, entered] = notes.counts;
      t.diagnostic(JSON.stringify({ missing, doubled, received, together, told, entered, rest }));
      assert.equal(doubled, 0);
      assert.ok(missing <= DEATHS * RECEIVERS, `${missing} values are missing`);
      assert.equal(together, 0);
      assert.ok(rest.abandoned <= DEATHS && told! <= rest.abandoned);
      assert.deepEqual([rest.left, rest.wasFree], [0, true]);
      assert.ok(received > 0 && entered! > 0);
    });
  });

  test("shards meet at a barrier, and a new thread of a shard takes part", async () => {
    await withShards(async (server) => {
      for (let round = 0; round < 2; round++) {
        const last = await Promise.all(
          Array.from({ length: SHARDS }, (_, shard) =>
            persistently(() => server.invokeOnShard("meet", { shard }, "round", SHARDS)),
          ),
        );
        assert.equal(last.filter(Boolean).length, 1);
        if (round === 0) await server.restart();
      }
    });
  });
});
