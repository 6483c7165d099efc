import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { type ModuleServer, serveModule } from "../../src/http/serve-module.js";

async function untilGeneration(server: ModuleServer, generation: number): Promise<void> {
  for (let tries = 0; server.health.shards[0]?.generation !== generation; tries++) {
    assert.ok(tries < 2_000, `thread ${generation} of the shard is started in the end`);
    await sleep(10);
  }
}

test("terminateShard() ends a thread that starts and does not come up, and the next one serves", async () => {
  const folder = mkdtempSync(join(tmpdir(), "ringloom-gate-"));
  const gate = join(folder, "gate");
  process.env.RINGLOOM_TEST_GATE = gate;
  const server = await serveModule(new URL("./fixtures/gated-app.js", import.meta.url), {
    port: 0,
    shards: 1,
    compute: 0,
    connections: 256,
    receiveSlabMib: 1,
    writePoolMib: 1,
    restartBackoffMs: 1,
    logLevel: "silent",
  });
  try {
    writeFileSync(gate, "");
    server.terminateShard(0);
    await untilGeneration(server, 2);
    // It may not have read its module yet: the gate goes when it has been seen, by the one that is ended or by none.
    await sleep(100);
    rmSync(gate);
    server.terminateShard(0);
    await untilGeneration(server, 3);
    for (let tries = 0; !server.health.isReady; tries++) {
      assert.ok(tries < 2_000, "the third thread serves in the end");
      await sleep(10);
    }
  } finally {
    await server.stop();
    delete process.env.RINGLOOM_TEST_GATE;
    rmSync(folder, { recursive: true, force: true });
  }
});
