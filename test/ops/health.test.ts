/** The probes, and what a server does about a shard that does not turn its event loop. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { RuntimeStats } from "../../src/index.js";
import { portSharing } from "../../src/runtime/listeners.js";
import { run } from "../cli/ringloom.js";
import { driversUnderTest } from "../support/drivers.js";
import { Peer } from "../support/peer.js";
import { ask, ServiceProcess, type Who } from "./service-process.js";
import { SERVICE } from "./trials.js";

const { isPossible, reason } = portSharing();

for (const { name: driver, skip } of driversUnderTest) {
  describe(`the health port on the ${driver} driver`, { skip }, () => {
    const ARGS = ["--driver", driver, "--health-port", "0", "--shards", isPossible ? "2" : "1"];

    test("answers probes by path and method, in detail on request", async () => {
      await ServiceProcess.with(ARGS, async (service) => {
        assert.deepEqual(await service.probe("/livez"), { status: 200, text: "ok\n" });
        assert.deepEqual(await service.probe("/readyz"), { status: 200, text: "ok\n" });
        assert.deepEqual(await service.probe("/readyz", "HEAD"), { status: 200, text: "" });
        assert.equal((await service.probe("/readyz", "POST")).status, 405);
        assert.equal((await service.probe("/metrics")).status, 404);
        const detail = JSON.parse((await service.probe("/readyz?verbose")).text);
        assert.equal(detail.phase, "running");
        assert.deepEqual(detail.reasons, []);
        for (const [index, shard] of detail.shards.entries()) {
          assert.deepEqual([shard.shard, shard.condition, shard.generation, shard.restarts], [index, "serving", 1, 0]);
        }
        assert.equal(await service.server.stop(), 0);
        await assert.rejects(service.probe("/livez"), "the port closes with the server");
      });
    });

    test("says not ready, while the server lives and serves everybody, for --ready-delay-ms after SIGTERM", async () => {
      await ServiceProcess.with([...ARGS, "--ready-delay-ms", "3600000"], async (service) => {
        service.server.child.kill("SIGTERM");
        assert.equal(await service.untilReady(503), "the server is leaving\n");
        assert.equal((await service.probe("/livez")).status, 200);
        for (let request = 0; request < 10; request++) assert.equal((await service.who()).generation, 1);
        assert.equal(await service.server.stop("SIGINT"), 0, "a second signal ends the delay; nothing was left to cut");
        const stopped = await service.event("stopped");
        const phases = stopped.phases as Record<string, number>;
        assert.ok((phases.readyDelayMs ?? 0) > 0 && (phases.drainMs ?? -1) >= 0, JSON.stringify(phases));
      });
    });

    test("drains after the delay by itself", async () => {
      await ServiceProcess.with([...ARGS, "--ready-delay-ms", "200"], async (service) => {
        assert.equal(await service.server.stop(), 0);
        const phases = (await service.event("stopped")).phases as Record<string, number>;
        assert.ok((phases.readyDelayMs ?? 0) >= 190, JSON.stringify(phases));
      });
    });

    test("does not wait after SIGINT, nor outside of Kubernetes, and waits 5 s in a pod", async () => {
      await ServiceProcess.with(
        ARGS,
        async (service) => {
          assert.equal((await service.event("listening")).readyDelayMs, 0);
        },
        { environment: { KUBERNETES_SERVICE_HOST: undefined } },
      );
      await ServiceProcess.with(
        ARGS,
        async (service) => {
          assert.equal((await service.event("listening")).readyDelayMs, 5_000);
          assert.equal(await service.server.stop("SIGINT"), 0);
          const phases = (await service.event("stopped")).phases as Record<string, number>;
          assert.ok((phases.readyDelayMs ?? 5_000) < 5_000);
        },
        { environment: { KUBERNETES_SERVICE_HOST: "10.0.0.1" } },
      );
    });

    test("is not ready while a shard is stuck, which gets no connection meanwhile and gets them again afterwards", {
      skip: isPossible ? false : reason,
    }, async () => {
      await ServiceProcess.with([...ARGS, "--stuck-ms", "500"], async (service) => {
        const peers = await service.peers(2);
        const spinner = peers.get(1);
        assert.ok(spinner !== undefined);
        spinner.peer.send("GET /spin/4000 HTTP/1.1\r\nhost: test\r\n\r\n");
        while (JSON.parse((await service.probe("/readyz?verbose")).text).shards[1].silentMs < 400) await pause();
        // Some of these wait in the queue of the stuck shard until it is known to be stuck.
        const early = await Promise.all(Array.from({ length: 24 }, () => whoAnswers(service.port)));
        // An answer of shard 1 could only come after its loop.
        for (const { shard } of early) assert.equal(shard, 0);
        assert.match(await service.untilReady(503), /^shard 1 has been stuck for \d+ ms\n$/);
        assert.equal((await service.probe("/livez")).status, 200);
        const before = await acceptedBy(service, 0);
        const late = await Promise.all(Array.from({ length: 24 }, () => whoAnswers(service.port)));
        for (const { shard } of late) assert.equal(shard, 0);
        // The kernel gave all of them to shard 0; none had to be handed over from the other one's queue.
        assert.ok((await acceptedBy(service, 0)) - before >= 24);
        assert.equal((await service.event("shard-stuck")).ofShard, 1);
        assert.equal((await service.event("shard-recovered")).ofShard, 1);
        await service.untilReady(200);
        await service.peers(2);
        assert.equal(await service.server.stop(), 0);
      });
    });

    test("fails /livez when a shard is stuck for longer than --live-ms", async () => {
      await ServiceProcess.with([...ARGS, "--stuck-ms", "500", "--live-ms", "1000"], async (service) => {
        const peer = await Peer.open(service.port);
        peer.send("GET /spin/3600000 HTTP/1.1\r\nhost: test\r\n\r\n");
        while ((await service.probe("/livez")).status !== 503);
        peer.socket.destroy();
      });
    });

    test("replaces a shard that is stuck for --stuck-replace-ms", async () => {
      await ServiceProcess.with([...ARGS, "--stuck-ms", "500", "--stuck-replace-ms", "1000"], async (service) => {
        const peer = await Peer.open(service.port);
        peer.send("GET /spin/3600000 HTTP/1.1\r\nhost: test\r\n\r\n");
        await peer.ended();
        assert.equal((await service.event("shard-lost")).kind, "terminated");
        await service.event("shard-replaced");
        await service.untilReady(200);
        assert.equal(await service.server.stop(), 0);
      });
    });
  });
}

test("ringloom serve says so when the health port is taken, and ends", async () => {
  await ServiceProcess.with(["--health-port", "0"], async (service) => {
    const port = new URL(service.healthUrl).port;
    const second = await run(["serve", SERVICE, "--port", "0", "--health-port", port]);
    assert.match(second.stderr, /Cannot listen for probes: EADDRINUSE/);
    assert.equal(second.code, 1);
  });
});

/** Connections that a shard has accepted itself. Asking is one more. */
async function acceptedBy(service: ServiceProcess, shard: number): Promise<number> {
  const stats = JSON.parse((await service.get("/stats")).text) as RuntimeStats;
  return stats.shards[shard]?.driver.accepted ?? 0;
}

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 10));
}

async function whoAnswers(port: number): Promise<Who> {
  const peer = await Peer.open(port);
  try {
    return JSON.parse(await ask(peer, "/who")) as Who;
  } finally {
    peer.socket.destroy();
  }
}
