/** The table of docs/operations.md: everything that a module can do wrong, and what becomes of its shard, the others and the process. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { serveModule } from "../../src/http/serve-module.js";
import { portSharing } from "../../src/runtime/listeners.js";
import { driversUnderTest } from "../support/drivers.js";
import { ask, ServiceProcess } from "./service-process.js";
import { SERVICE } from "./trials.js";

const PROCESS_HOOKS = fileURLToPath(new URL("./fixtures/process-hooks.js", import.meta.url));
const { isPossible } = portSharing();

/** Ways to lose a shard: the request that does it, how the end is reported, and the error's text. */
const DEATHS: readonly [what: string, path: string, kind: string, error: RegExp | undefined][] = [
  ["a rejection is not handled", "/reject", "died", /rejected and never handled/],
  ["an error is thrown outside of a request", "/uncaught", "died", /thrown outside of a request/],
  ["the module calls process.exit", "/exit/5", "exited", undefined],
  ["the heap limit is reached", "/fill-heap", "died", /memory/],
];

for (const { name: driver, skip } of driversUnderTest) {
  const shards = isPossible ? 2 : 1;
  describe(`a server on the ${driver} driver`, { skip }, () => {
    const ALONE = ["--driver", driver, "--heap-mib", "48"];
    const ARGS = [...ALONE, "--shards", String(shards)];

    test("answers 500 and loses nothing when a handler throws", async () => {
      await ServiceProcess.with(ARGS, async (service) => {
        const [entry] = (await service.peers(1)).values();
        assert.ok(entry !== undefined);
        const before = entry.peer.text.length;
        entry.peer.send("GET /throw HTTP/1.1\r\nhost: test\r\n\r\n");
        await entry.peer.signal.until("the answer", () => entry.peer.text.length > before);
        assert.match(entry.peer.text.slice(before), /^HTTP\/1\.1 500 /);
        assert.equal((await service.who()).generation, 1);
        assert.equal(await service.server.stop(), 0);
      });
    });

    for (const [what, path, kind, error] of DEATHS) {
      test(`closes the connections of the shard, keeps all others and replaces it when ${what}`, async () => {
        await ServiceProcess.with(ARGS, async (service) => {
          const peers = await service.peers(shards);
          const victim = peers.get(0);
          assert.ok(victim !== undefined);
          victim.peer.send(`GET ${path} HTTP/1.1\r\nhost: test\r\n\r\n`);
          await victim.peer.ended();
          const lost = await service.event("shard-lost");
          assert.equal(lost.kind, kind);
          assert.equal(lost.ofShard, 0);
          if (error !== undefined) assert.match((lost.error as { message: string }).message, error);
          if (path === "/exit/5") assert.equal(lost.exitCode, 5);
          const replaced = await service.event("shard-replaced");
          assert.deepEqual([replaced.ofShard, replaced.generation], [0, 2]);
          const other = peers.get(1);
          if (other !== undefined) assert.deepEqual(JSON.parse(await ask(other.peer, "/who")), other.who);
          const successor = (await service.peers(shards)).get(0);
          assert.equal(successor?.who.generation, 2);
          const stats = JSON.parse((await service.get("/stats")).text) as {
            shards: { restarts: number; condition: string }[];
          };
          assert.equal(stats.shards[0]?.restarts, 1);
          assert.equal(stats.shards[0]?.condition, "serving");
          assert.equal(await service.server.stop(), 0);
        });
      });
    }

    test("answers whoever connects while its only shard is being replaced", async () => {
      await ServiceProcess.with([...ALONE, "--shards", "1"], async (service) => {
        await service.get("/exit/0").catch(() => undefined);
        const answers = await Promise.all(Array.from({ length: 20 }, () => service.who()));
        assert.deepEqual([...new Set(answers.map(({ generation }) => generation))], [2]);
        assert.equal(await service.server.stop(), 0);
      });
    });

    test("goes on when a rejection is not handled under the policy report, and tells", async () => {
      await ServiceProcess.with([...ARGS, "--unhandled-rejections", "report"], async (service) => {
        assert.equal((await service.get("/reject")).status, 200);
        const trouble = await service.event("trouble");
        assert.equal(trouble.kind, "unhandled-rejection");
        assert.match((trouble.error as { message: string }).message, /rejected and never handled/);
        assert.equal((await service.who()).generation, 1);
        assert.equal(await service.server.stop(), 0);
      });
    });

    test("drains and ends with the module's code when it calls process.exit under the policy stop", async () => {
      await ServiceProcess.with([...ARGS, "--shard-exit", "stop"], async (service) => {
        await service.get("/exit/9").catch(() => undefined);
        assert.equal(await service.server.ended(), 9);
        const stopped = await service.event("stopped");
        assert.equal(stopped.cause, "shard-exit");
        assert.equal(stopped.shardsDrained, shards - 1);
      });
    });

    test("drains and ends with code 3 when shards die more often than the budget allows", async () => {
      await ServiceProcess.with([...ARGS, "--restarts-max", "2", "--restart-backoff-ms", "10"], async (service) => {
        for (let death = 1; death <= 3; death++) {
          await service.get("/uncaught").catch(() => undefined);
          await service.event("shard-lost", death);
          if (death < 3) await service.event("shard-replaced", death);
        }
        assert.equal(await service.server.ended(), 3);
        const stopped = await service.event("stopped");
        assert.equal(stopped.cause, "restarts-spent");
        assert.equal(stopped.restarts, 2);
        assert.equal(stopped.shardsDrained, shards - 1);
      });
    });

    test("replaces a shard that is terminated, even inside a loop that never returns", async () => {
      const server = await serveModule(SERVICE, {
        port: 0,
        driver,
        shards,
        connections: 1_024,
        receiveSlabMib: 2,
        writePoolMib: 2,
      });
      try {
        const spinning = assert.rejects(fetch(`${server.url}/spin/3600000`));
        const stuck = await untilSilent(server);
        server.terminateShard(stuck);
        await spinning;
        while (server.health.shards[stuck]?.generation !== 2 || !server.health.isReady) await pause();
        assert.equal((await fetch(`${server.url}/who`)).status, 200);
        assert.throws(() => server.terminateShard(99), { code: "ERR_RINGLOOM_INVALID_OPTION" });
      } finally {
        const report = await server.stop();
        assert.equal(report.exitCode, 0, JSON.stringify(report));
      }
    });

    test("ends by the signal, all shards with it, when native code crashes", async () => {
      await ServiceProcess.with(ARGS, async (service) => {
        await service.get("/crash").catch(() => undefined);
        assert.equal(await service.server.ended(), "SIGSEGV");
      });
    });

    test("drains and ends with code 1 when the supervisor itself has an error that nobody caught", async () => {
      const environment = { RINGLOOM_TEST_PROCESS_HOOK_FAILS: "later" };
      await ServiceProcess.with(
        [...ARGS, "--supervisor-module", PROCESS_HOOKS],
        async (service) => {
          assert.equal(await service.server.ended(), 1);
          assert.match(String((await service.event("supervisor-failed")).text), /hook was asked to fail/);
          const stopped = await service.event("stopped");
          assert.deepEqual([stopped.cause, stopped.shardsDrained], ["supervisor-failed", shards]);
        },
        { environment },
      );
    });
  });
}

/** The first shard whose heart is not heard. */
async function untilSilent(server: Awaited<ReturnType<typeof serveModule>>): Promise<number> {
  for (;;) {
    const silent = server.health.shards.find(({ silentMs }) => silentMs > 700);
    if (silent !== undefined) return silent.shard;
    await pause();
  }
}

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 20));
}
