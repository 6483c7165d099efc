/** Rolling restarts and rollouts, in short; `npm run test:ops` runs the same trials a hundred times. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { serveModule } from "../../src/http/serve-module.js";
import { portSharing } from "../../src/runtime/listeners.js";
import { run, withServe } from "../cli/ringloom.js";
import { driversUnderTest } from "../support/drivers.js";
import { Peer } from "../support/peer.js";
import { ask } from "./service-process.js";
import { killedShards, rollingRestarts, rollouts, SERVICE } from "./trials.js";

const { isPossible, reason } = portSharing();
const TWO_SHARDS = { skip: isPossible ? false : reason };

for (const { name: driver, skip } of driversUnderTest) {
  describe(`operations on the ${driver} driver`, { skip }, () => {
    const shards = isPossible ? 2 : 1;

    test("rolling restarts under load lose no request and mix up no context", TWO_SHARDS, async () => {
      const { problems, figures } = await rollingRestarts({ driver, shards, count: 2 });
      assert.deepEqual(problems, [], JSON.stringify(figures));
    });

    test("rollouts under load, the new process before the old one stops, lose no request", TWO_SHARDS, async () => {
      const { problems, figures } = await rollouts({ driver, shards, count: 2 });
      assert.deepEqual(problems, [], JSON.stringify(figures));
    });

    test(
      "killed shards under load leave no request hanging and close no connection but their own",
      TWO_SHARDS,
      async () => {
        const { problems, figures } = await killedShards({ driver, shards, count: 4, everyMs: 300 });
        assert.deepEqual(problems, [], JSON.stringify(figures));
      },
    );

    test("SIGHUP loads the module anew, and a module that cannot be loaded changes nothing", TWO_SHARDS, async () => {
      const folder = mkdtempSync(join(tmpdir(), "ringloom-restart-"));
      const module = join(folder, "app.mjs");
      const answer = (text: string) =>
        writeFileSync(module, `export default { fetch: () => new Response("${text}") };\n`);
      try {
        answer("first");
        await withServe([module, "--port", "0", "--driver", driver, "--shards", "2"], {}, async (server, url) => {
          assert.equal(await (await fetch(url)).text(), "first");
          answer("second");
          server.child.kill("SIGHUP");
          await server.said(/^restarted: 2 shards in \d+ ms, \d+ requests? finished by the old ones, 0 cut$/m);
          for (let request = 0; request < 8; request++) {
            assert.equal(await (await fetch(url, { headers: { connection: "close" } })).text(), "second");
          }
          writeFileSync(module, "throw new Error('a bad rollout');\n");
          server.child.kill("SIGHUP");
          await server.complained(/the restart failed; shards that were not restarted go on[\s\S]*a bad rollout/);
          for (let request = 0; request < 8; request++) {
            assert.equal(await (await fetch(url, { headers: { connection: "close" } })).text(), "second");
          }
          assert.equal(await server.stop(), 0);
        });
      } finally {
        rmSync(folder, { recursive: true });
      }
    });

    test("a request that runs during a rolling restart is finished by the thread that began it", async () => {
      const server = await serveModule(SERVICE, { port: 0, driver, shards: 1, drainGraceMs: 0 });
      const peer = await Peer.open(server.port);
      try {
        const before = JSON.parse(await ask(peer, "/who"));
        const slow = ask(peer, "/slow/300");
        const restarts = [server.restart(), server.restart(), server.restart()];
        assert.deepEqual([before.generation, JSON.parse(await slow).generation], [1, 1]);
        const [first, second, third] = await Promise.all(restarts);
        assert.equal(first?.shards, 1);
        assert.equal(second, third, "requests that come during a restart become one");
        assert.equal(server.health.shards[0]?.generation, 3);
        assert.equal(server.health.shards[0]?.restarts, 0, "nothing has died");
        const after = await (await fetch(`${server.url}/who`)).json();
        assert.equal((after as { generation: number }).generation, 3);
      } finally {
        peer.socket.destroy();
        assert.equal((await server.stop()).exitCode, 0);
        await assert.rejects(server.restart(), { code: "ERR_RINGLOOM_CLOSED" });
      }
    });
  });
}

test("a second server joins a port only when it is told to", TWO_SHARDS, async () => {
  await withServe([SERVICE, "--port", "0", "--reuse-port", "on"], {}, async (_, url) => {
    const { port } = new URL(url);
    const stranger = await run(["serve", SERVICE, "--port", port]);
    assert.match(stranger.stderr, /EADDRINUSE/);
    await withServe([SERVICE, "--port", port, "--reuse-port", "on"], {}, async (second) => {
      assert.equal(await second.stop(), 0);
    });
    assert.equal((await fetch(`${url}/who`)).status, 200);
  });
});
