/** The contract suite, part 1: accepting, receiving, pausing, slots and generations. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { driverVariants } from "../support/drivers.js";
import { turns } from "../support/signal.js";
import { pattern, withRig } from "./rig.js";

for (const under of driverVariants) {
  describe(`Driver ${under.label}, receiving`, { skip: under.skip, timeout: 300_000 }, () => {
    test("accepted() names the listener and a taken slot when a peer connects", async () => {
      const seen: number[] = [];
      await withRig(under, {}, async (rig) => {
        rig.handlers.accepted = (_, listener) => seen.push(listener);
        const { life } = await rig.open();
        assert.deepEqual(seen, [rig.listener]);
        assert.equal(rig.driver.stats.accepted, 1);
        assert.equal(rig.driver.stats.connectionsNow, 1);
        assert.ok(life.generation > 0);
      });
    });

    test("peerAddress() is the peer's address while the connection lives", async () => {
      await withRig(under, {}, async (rig) => {
        const { peer, life } = await rig.open();
        assert.deepEqual(rig.driver.peerAddress(life.slot), { host: "127.0.0.1", port: peer.socket.localPort });
        peer.socket.destroy();
        rig.driver.close(life.slot);
        await rig.closedLife(life);
        assert.equal(rig.driver.peerAddress(life.slot), undefined);
      });
    });

    test("received() delivers every byte in order when a peer sends in many small pieces", async () => {
      await withRig(under, {}, async (rig) => {
        const { peer, life } = await rig.open();
        const sent = pattern(1, 0, 500);
        for (let at = 0; at < sent.length; at += 7) {
          peer.send(sent.subarray(at, at + 7));
          await turns(1);
        }
        await rig.receivedBytes(life, sent.length);
        assert.deepEqual(Buffer.concat(life.received), sent);
        assert.equal(rig.driver.stats.receivedBytes, sent.length);
      });
    });

    test("received() and commit() echo four streams of 1 MiB at once without a wrong byte", async () => {
      await withRig(under, { writePoolBytes: 16 * 1024 * 1024 }, async (rig) => {
        rig.handlers.received = (slot, bytes, offset, length) => {
          assert.equal(rig.send(slot, bytes.subarray(offset, offset + length)), length);
        };
        const size = 1024 * 1024;
        const streams = await Promise.all([1, 2, 3, 4].map(async (seed) => ({ seed, peer: rig.start() })));
        for (const { seed, peer } of streams) peer.send(pattern(seed, 0, size));
        for (const { seed, peer } of streams) {
          await peer.received(size);
          assert.equal(peer.bytes.equals(pattern(seed, 0, size)), true);
        }
        assert.equal(rig.driver.stats.sentBytes, 4 * size);
      });
    });

    test("pause() holds back bytes and end until resume(), which delivers them in order in a later turn", async () => {
      await withRig(under, {}, async (rig) => {
        rig.handlers.accepted = (slot) => rig.driver.pause(slot);
        const { peer, life } = await rig.open();
        const sent = pattern(2, 0, 100_000);
        peer.send(sent);
        peer.socket.end();
        await turns(50);
        assert.deepEqual(life.events, ["accepted"]);
        rig.driver.resume(life.slot);
        assert.deepEqual(life.events, ["accepted"]);
        await rig.hasEvent(life, "ended");
        assert.deepEqual(life.events, ["accepted", "received", "ended"]);
        assert.equal(Buffer.concat(life.received).equals(sent), true);
        rig.driver.close(life.slot);
      });
    });

    test("pause() inside received() keeps what is behind it, again and again", async () => {
      await withRig(under, {}, async (rig) => {
        rig.handlers.received = (slot) => {
          rig.driver.pause(slot);
          setImmediate(() => rig.driver.resume(slot));
        };
        const { peer, life } = await rig.open();
        const sent = pattern(3, 0, 600_000);
        peer.send(sent);
        peer.socket.end();
        await rig.hasEvent(life, "ended");
        assert.equal(Buffer.concat(life.received).equals(sent), true);
        rig.driver.close(life.slot);
      });
    });

    test("pause() then resume() in one run, and either of them twice, change nothing", async () => {
      await withRig(under, {}, async (rig) => {
        const { peer, life } = await rig.open();
        for (let round = 0; round < 5; round++) {
          rig.driver.pause(life.slot);
          rig.driver.pause(life.slot);
          rig.driver.resume(life.slot);
          rig.driver.resume(life.slot);
          peer.send("abc");
          await rig.receivedBytes(life, 3 * (round + 1));
        }
        rig.driver.pause(life.slot);
        rig.driver.resume(life.slot);
        rig.driver.pause(life.slot);
        peer.send("late");
        await turns(20);
        assert.equal(life.receivedBytes, 15);
        rig.driver.resume(life.slot);
        await rig.receivedBytes(life, 19);
        assert.equal(Buffer.concat(life.received).toString(), "abcabcabcabcabclate");
      });
    });

    test("pause() of one connection does not hold up another when the slab is small", async () => {
      await withRig(under, { receiveSlabBytes: 64 * 1024 }, async (rig) => {
        rig.handlers.accepted = (slot) => {
          if (rig.lives.length === 1) rig.driver.pause(slot);
        };
        const blocked = await rig.open();
        const free = await rig.open();
        const sent = pattern(4, 0, 1024 * 1024);
        blocked.peer.send(sent);
        free.peer.send(sent);
        await rig.receivedBytes(free.life, sent.length);
        assert.equal(blocked.life.receivedBytes, 0);
        rig.driver.resume(blocked.life.slot);
        await rig.receivedBytes(blocked.life, sent.length);
        assert.equal(Buffer.concat(blocked.life.received).equals(sent), true);
        assert.equal(Buffer.concat(free.life.received).equals(sent), true);
      });
    });

    test("200 connections at once each receive their own bytes", async () => {
      await withRig(under, { connectionsMax: 256 }, async (rig) => {
        rig.handlers.received = (slot, bytes, offset, length) =>
          rig.send(slot, bytes.subarray(offset, offset + length));
        const peers = Array.from({ length: 200 }, () => rig.start());
        for (const [index, peer] of peers.entries()) peer.send(pattern(index, 0, 300));
        for (const [index, peer] of peers.entries()) {
          await peer.received(300);
          assert.equal(peer.bytes.equals(pattern(index, 0, 300)), true);
        }
        assert.equal(new Set(rig.lives.map((life) => life.slot)).size, 200);
      });
    });

    test("generations[slot] changes when the slot goes to another connection", async () => {
      await withRig(under, { connectionsMax: 1 }, async (rig) => {
        const generations = new Set<number>();
        for (let round = 0; round < 5; round++) {
          const { peer, life } = await rig.open();
          assert.equal(life.slot, 0);
          generations.add(life.generation);
          peer.socket.resetAndDestroy();
          await rig.closedLife(life);
          assert.notEqual(rig.driver.generations[0], life.generation);
        }
        assert.equal(generations.size, 5);
      });
    });

    test("a slot keeps nothing of its last user when it was paused with bytes, queued bytes and a drain request", async () => {
      await withRig(under, { connectionsMax: 1 }, async (rig) => {
        const first = await rig.open();
        rig.driver.pause(first.life.slot);
        first.peer.send("for the first");
        await turns(10);
        rig.send(first.life.slot, "never sent");
        rig.driver.requestDrained(first.life.slot);
        rig.driver.close(first.life.slot);
        await rig.closedLife(first.life);
        const second = await rig.open();
        assert.equal(rig.driver.queuedBytes(second.life.slot), 0);
        second.peer.send("for the second");
        await rig.receivedBytes(second.life, 14);
        rig.send(second.life.slot, "answer");
        await second.peer.received(6);
        assert.equal(Buffer.concat(second.life.received).toString(), "for the second");
        assert.equal(second.peer.text, "answer");
        assert.deepEqual(second.life.events, ["accepted", "received"]);
      });
    });

    test("every call is a no-op when its slot is free", async () => {
      await withRig(under, {}, async (rig) => {
        const { life } = await rig.open();
        rig.driver.close(life.slot);
        await rig.closedLife(life);
        for (const slot of [life.slot, life.slot + 1]) {
          assert.equal(rig.driver.reserve(slot, 10), -1);
          assert.equal(rig.driver.queuedBytes(slot), 0);
          assert.equal(rig.driver.peerAddress(slot), undefined);
          rig.driver.commit(slot, 10);
          rig.driver.abort(slot);
          rig.driver.requestDrained(slot);
          rig.driver.pause(slot);
          rig.driver.resume(slot);
          rig.driver.end(slot);
          rig.driver.closeAfterFlush(slot);
          rig.driver.close(slot);
        }
        await turns(10);
        const next = await rig.open();
        next.peer.send("still works");
        await rig.receivedBytes(next.life, 11);
      });
    });
  });
}
