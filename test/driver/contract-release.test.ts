/** The contract suite, part 8: `release` gives the descriptor of a connection back. */
import assert from "node:assert/strict";
import { closeSync } from "node:fs";
import { constants } from "node:os";
import { describe, test } from "node:test";
import { loadNative } from "../../src/native.js";
import { driverVariants } from "../support/drivers.js";
import { type Rig, withRig } from "./rig.js";

const { ECANCELED, ECONNRESET } = constants.errno;

interface Released {
  readonly descriptor: number;
  readonly unread: Buffer;
}

async function released(rig: Rig, slot: number): Promise<Released> {
  let result: Released | undefined;
  const done = (descriptor: number, unread: Uint8Array): void => {
    assert.equal(result, undefined, "the answer comes once");
    result = { descriptor, unread: Buffer.from(unread) };
  };
  assert.ok(rig.driver.release(slot, done));
  assert.equal(result, undefined, "the answer never comes inside the call");
  await rig.signal.until("the descriptor", () => result !== undefined);
  return result!;
}

function pattern(count: number): Buffer {
  return Buffer.from(Uint8Array.from({ length: count }, (_, index) => (index * 7) % 251));
}

for (const under of driverVariants) {
  const skip = under.skip || (loadNative() === undefined && "without the addon no descriptor can be had");
  describe(`Driver ${under.label}, release()`, { skip, timeout: 60_000 }, () => {
    test("no byte is lost from a connection that is passed on again and again while its peer sends", async () => {
      await withRig(under, {}, async (rig) => {
        const { peer, life } = await rig.open();
        const [rounds, piece] = [12, 150_000];
        const bytes = pattern(rounds * piece);
        let current = life;
        const got: Buffer[] = [];
        for (let round = 0; round < rounds; round++) {
          peer.send(bytes.subarray(round * piece, (round + 1) * piece));
          await rig.receivedBytes(current, 1);
          const { descriptor, unread } = await released(rig, current.slot);
          assert.ok(descriptor > 2);
          await rig.closedLife(current);
          assert.equal(current.errno, 0);
          got.push(...current.received, unread);
          current = rig.track(rig.driver.adopt(descriptor));
        }
        const soFar = Buffer.concat(got).length;
        await rig.receivedBytes(current, bytes.length - soFar);
        assert.ok(Buffer.concat([...got, ...current.received]).equals(bytes));
        assert.equal(rig.send(current.slot, "goodbye"), 7);
        await peer.received(7);
        assert.deepEqual([peer.text, peer.hasEnded], ["goodbye", false]);
      });
    });

    test("what is queued leaves first, and a pause's bytes go with the descriptor", async () => {
      await withRig(under, {}, async (rig) => {
        const { peer, life } = await rig.open();
        peer.send("first");
        await rig.receivedBytes(life, 5);
        peer.send("second");
        rig.driver.pause(life.slot);
        const answer = pattern(1_000_000);
        assert.equal(rig.send(life.slot, answer), answer.length);
        const { descriptor, unread } = await released(rig, life.slot);
        await peer.received(answer.length);
        assert.ok(peer.bytes.equals(answer));
        const next = rig.track(rig.driver.adopt(descriptor));
        await rig.receivedBytes(next, 6 - unread.length);
        assert.equal(Buffer.concat([unread, ...next.received]).toString(), "second");
        peer.socket.end();
        await rig.hasEvent(next, "ended");
      });
    });

    test("a connection that is released as soon as it is accepted is received from by nobody", async () => {
      await withRig(under, {}, async (rig) => {
        let result: Released | undefined;
        rig.handlers.accepted = (slot) => {
          rig.handlers.accepted = () => undefined;
          rig.driver.release(slot, (descriptor, unread) => {
            result = { descriptor, unread: Buffer.from(unread) };
          });
        };
        const { peer, life } = await rig.open();
        await rig.closedLife(life);
        assert.deepEqual([result?.unread.length, life.events], [0, ["accepted", "closed"]]);
        peer.send("hello");
        const next = rig.track(rig.driver.adopt(result!.descriptor));
        await rig.receivedBytes(next, 5);
      });
    });

    test("close() and a reset before everything has left answer with an error, and the socket is closed", async () => {
      await withRig(under, {}, async (rig) => {
        for (const [end, errnos] of [
          ["close", [ECANCELED]],
          ["reset", [ECONNRESET, constants.errno.EPIPE]],
        ] as const) {
          const { peer, life } = await rig.open();
          peer.socket.pause();
          // More than the kernel holds for a peer that does not read.
          while (rig.driver.queuedBytes(life.slot) < 2_000_000 && rig.send(life.slot, pattern(65_536)) > 0);
          let result = 0;
          assert.ok(rig.driver.release(life.slot, (descriptor) => (result = descriptor)));
          if (end === "close") rig.driver.close(life.slot);
          else peer.socket.resetAndDestroy();
          await rig.closedLife(life);
          assert.ok(errnos.includes(-result), `${end}: ${result}`);
          peer.socket.resume();
          if (end === "close") await peer.signal.until("the peer to close", () => peer.isClosed || peer.hasEnded);
        }
      });
    });

    test("one that is ending, being released or gone is refused", async () => {
      await withRig(under, {}, async (rig) => {
        const never = (): void => assert.fail("there is nothing to tell");
        const { life } = await rig.open();
        const { descriptor } = await released(rig, life.slot);
        closeSync(descriptor);
        await rig.closedLife(life);
        assert.equal(rig.driver.release(life.slot, never), false);
        const ending = (await rig.open()).life;
        rig.driver.end(ending.slot);
        assert.equal(rig.driver.release(ending.slot, never), false);
        const twice = (await rig.open()).life;
        let result = 0;
        assert.ok(rig.driver.release(twice.slot, (one) => (result = one)));
        assert.equal(rig.driver.release(twice.slot, never), false);
        await rig.closedLife(twice);
        closeSync(result);
      });
    });
  });
}
