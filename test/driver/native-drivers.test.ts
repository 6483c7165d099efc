/** What only the drivers with native code promise, beyond the contract. */
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { describe, test } from "node:test";
import { requireNative } from "../../src/native.js";
import { driversUnderTest } from "../support/drivers.js";
import { withRig } from "./rig.js";
import { runChild } from "./run-child.js";

for (const under of driversUnderTest.filter(({ name }) => name !== "portable")) {
  describe(`Driver ${under.name}`, { skip: under.skip, timeout: 120_000 }, () => {
    test("accepting rests when the process is out of descriptors, and goes on when it has some", async () => {
      const outcome = await runChild("accept-starved-child.js", under.name, { descriptorsMax: 128 });
      const { enters, acceptedWithout, accepted } = outcome as Record<string, number>;
      assert.deepEqual({ acceptedWithout, accepted }, { acceptedWithout: 0, accepted: 1 });
      // A driver that tried again at once would have entered the kernel tens of thousands of times.
      assert.ok((enters ?? Number.NaN) < 100, `${enters} system calls while it rested`);
    });
  });
}

for (const under of driversUnderTest.filter(({ name }) => name === "epoll")) {
  describe(`Driver ${under.name}`, { skip: under.skip, timeout: 120_000 }, () => {
    test("senders that never stop hold up nobody when they fill the whole slab", async () => {
      await withRig(under, { receiveSlabBytes: 64 * 1024 }, async (rig) => {
        const flood = new Uint8Array(256 * 1024);
        const floods = await Promise.all([rig.open(), rig.open(), rig.open()].map((opening) => opening));
        let isFlooding = true;
        const keepOn = (index: number): void => {
          if (isFlooding) floods[index]?.peer.socket.write(flood, () => keepOn(index));
        };
        const floodSlots = new Set(floods.map(({ life }) => life.slot));
        let floodedBytes = 0;
        rig.handlers.received = (slot, _, __, length) => {
          if (floodSlots.has(slot)) floodedBytes += length;
          assert.ok(length <= 64 * 1024, "nobody gets more than its share of a turn");
        };
        for (const index of floods.keys()) keepOn(index);
        await rig.signal.until("the slab to be too small", () => rig.driver.stats.receiveStarved > 10);
        const { peer, life } = await rig.open();
        for (let round = 1; round <= 20; round++) {
          peer.send("ping");
          await rig.receivedBytes(life, round * 4);
        }
        isFlooding = false;
        assert.ok(floodedBytes > 0);
      });
    });

    test("an event of a closed connection whose socket lives on elsewhere reaches nobody", async () => {
      const native = requireNative();
      await withRig(under, {}, async (rig) => {
        const first = await rig.open();
        // A copy, as a child process could have it: close() then neither ends the socket nor its registration.
        const { port } = first.peer.socket.address() as AddressInfo;
        const copy = native.duplicate(descriptorOfPeer(port));
        try {
          rig.driver.close(first.life.slot);
          await rig.closedLife(first.life);
          const second = await rig.open();
          assert.equal(second.life.slot, first.life.slot, "the slot has its next user");
          first.peer.send("too late");
          await rig.signal.until("the event to be dropped", () => {
            setImmediate(() => rig.signal.notify());
            return rig.driver.stats.staleCompletions > 0;
          });
          second.peer.send("mine");
          await rig.receivedBytes(second.life, 4);
          assert.equal(Buffer.concat(second.life.received).toString(), "mine");
        } finally {
          native.closeDescriptor(copy);
        }
      });
    });
  });
}

/** The descriptor of this process that is connected to `port`. */
function descriptorOfPeer(port: number): number {
  for (const name of readdirSync("/proc/self/fd")) {
    const address = requireNative().peerName(Number(name));
    if (typeof address === "object" && address.port === port) return Number(name);
  }
  assert.fail(`no descriptor is connected to port ${port}`);
}
