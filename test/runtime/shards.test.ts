import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { portSharing } from "../../src/runtime/listeners.js";
import { resolveRuntimeOptions } from "../../src/runtime/options.js";
import { Supervisor } from "../../src/runtime/supervisor.js";
import { driversUnderTest } from "../support/drivers.js";
import { Peer } from "../support/peer.js";

const shardMain = new URL("./fixtures/driver-shard.js", import.meta.url);
const SHARDS = portSharing().isPossible ? 2 : 1;

for (const { name: driver, skip } of driversUnderTest) {
  describe(`shards on the ${driver} driver`, { skip }, () => {
    function start(): Promise<Supervisor> {
      const config = { port: 0, driver, shards: SHARDS, receiveSlabMib: 2, writePoolMib: 2, restartsMax: 0 };
      return Supervisor.start({
        module: shardMain,
        shardMain,
        options: resolveRuntimeOptions({ config }),
        service: {},
      });
    }

    test("echo over every connection, and drain with exit code 0", async () => {
      const supervisor = await start();
      const peers = await Promise.all(Array.from({ length: 64 }, () => Peer.open(supervisor.port)));
      for (const [index, peer] of peers.entries()) peer.send(`peer ${index}`);
      await Promise.all(peers.map((peer, index) => peer.received(`peer ${index}`.length)));
      for (const [index, peer] of peers.entries()) assert.equal(peer.text, `peer ${index}`);
      const report = await supervisor.stop();
      assert.equal(report.exitCode, 0);
      assert.equal(report.requestsFinished, 64);
      await Promise.all(peers.map((peer) => peer.ended()));
      for (const peer of peers) peer.socket.destroy();
    });

    test("start, stop and start again on the same port many times, asleep in the kernel in between", async () => {
      for (let round = 0; round < 5; round++) {
        const supervisor = await start();
        assert.equal((await supervisor.stop()).exitCode, 0);
      }
    });

    test("take nobody else with them when one dies", async () => {
      const supervisor = await start();
      const peer = await Peer.open(supervisor.port);
      peer.send("die");
      const report = await supervisor.stopped;
      assert.equal(report.exitCode, 3);
      assert.equal(report.shardsDrained, SHARDS - 1);
      assert.match(report.failures[0]?.error?.message ?? "", /asked to die/);
      peer.socket.destroy();
    });

    test("are terminated when their JavaScript never returns", async () => {
      const supervisor = await start();
      const peer = await Peer.open(supervisor.port);
      peer.send("spin");
      void supervisor.stop();
      supervisor.cut();
      const report = await supervisor.stopped;
      peer.socket.destroy();
      assert.ok(report.shardsDrained >= SHARDS - 1);
      assert.equal(report.exitCode, report.shardsDrained === SHARDS ? 0 : 1);
    });
  });
}
