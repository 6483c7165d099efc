/** Operations that belong to no thread: a task issues them, and the shard that has the least to do carries them out. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { type ModuleServer, serveModule } from "../../src/http/serve-module.js";
import { portSharing } from "../../src/runtime/listeners.js";
import { TOPOLOGIES, type Topology } from "../../src/scheduler/topology.js";
import { driversUnderTest } from "../support/drivers.js";
import { within } from "../support/signal.js";
import type { Answer } from "./fixtures/unbound-functions.js";

const APP = new URL("./fixtures/unbound-app.js", import.meta.url);
const SHARDS = portSharing().isPossible ? 2 : 1;
const folder = mkdtempSync(join(tmpdir(), "ringloom-unbound-"));
after(() => rmSync(folder, { recursive: true, force: true }));
const path = join(folder, "file");
writeFileSync(path, "contents");

interface Reads {
  readonly threadId: number;
  readonly pending: readonly number[];
  readonly answers: readonly Answer[];
}

async function withServer(
  { topology = "io+compute", driver }: { readonly topology?: Topology; readonly driver: string },
  use: (server: ModuleServer) => Promise<void>,
): Promise<void> {
  const server = await serveModule(APP, {
    port: 0,
    shards: SHARDS,
    driver: driver as "uring",
    topology,
    ...(topology === "io+compute" ? { compute: 1 } : {}),
    connections: 256,
    receiveSlabMib: 1,
    writePoolMib: 1,
    logLevel: "silent",
  });
  try {
    await within("the body of the test", use(server));
  } finally {
    await server.stop();
  }
}

const call = (server: ModuleServer, name: string, ...args: unknown[]): Promise<unknown> =>
  server.invokeOnShard(name, { shard: 0, timeoutMs: 0 }, ...args);

for (const { name: driver, skip } of driversUnderTest) {
  describe(`invokeOnShard() from tasks, ${driver}`, { skip, timeout: 60_000 }, () => {
    test("spreads operations over the shards by what is pending, and brings their results to the task", async () => {
      await withServer({ driver }, async (server) => {
        for (const blocking of [false, true]) {
          const { threadId, pending, answers } = (await call(server, "readMany", path, 8, blocking)) as Reads;
          assert.deepEqual(pending, SHARDS === 1 ? [8] : [4, 4]);
          assert.ok(answers.every(({ text }) => text === "contents"));
          assert.deepEqual([...new Set(answers.map(({ shard }) => shard))].sort(), [0, 1].slice(0, SHARDS));
          assert.ok(!answers.some((answer) => answer.threadId === threadId), "the task ran on a thread of its own");
        }
      });
    });

    test("a call that the task gives up is given up on the shard", async () => {
      await withServer({ driver }, async (server) => {
        assert.deepEqual(await call(server, "giveUpThere", SHARDS - 1), {
          code: "ERR_RINGLOOM_ABORTED",
          seen: "ERR_RINGLOOM_ABORTED",
        });
      });
    });
  });
}

const [plain] = driversUnderTest.filter(({ skip }) => skip === false);
const driver = plain?.name ?? "portable";

test("invokeOnShard() from tasks under every topology", { timeout: 60_000 }, async () => {
  for (const topology of TOPOLOGIES)
    await withServer({ topology, driver }, async (server) => {
      const { answers } = (await call(server, "readMany", path, 4, false)) as Reads;
      assert.equal(answers.length, 4);
    });
});

test("tasks that call shards lose nothing in a rolling restart", { timeout: 60_000 }, async () => {
  await withServer({ driver }, async (server) => {
    let isOver = false;
    const restart = server.restart().finally(() => {
      isOver = true;
    });
    while (!isOver) {
      const { answers } = (await call(server, "readMany", path, 4, false)) as Reads;
      assert.equal(answers.length, 4);
    }
    await restart;
  });
});
