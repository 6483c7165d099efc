/** What only the drivers with native code promise, beyond the contract. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { constants, existsSync, readdirSync, readFileSync } from "node:fs";
import { type AddressInfo, connect } from "node:net";
import { constants as system } from "node:os";
import { describe, test } from "node:test";
import { requireNative } from "../../src/native.js";
import { driversUnderTest } from "../support/drivers.js";
import { pattern, withRig } from "./rig.js";
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

    test("a thread that is killed while it connects leaves no socket open", async () => {
      assert.deepEqual(await runChild("killed-child.js", under.name, { args: ["40"] }), { left: 0 });
    });

    test("connections that are ready together echo what fits no single receive, and see their ends", async () => {
      await withRig(under, { connectionsMax: 256 }, async (rig) => {
        rig.handlers.received = (slot, bytes, offset, length) => {
          rig.send(slot, bytes.subarray(offset, offset + length));
        };
        rig.handlers.ended = (slot) => rig.driver.closeAfterFlush(slot);
        const connections = [];
        for (let index = 0; index < 150; index++) connections.push(await rig.open());
        // Around the room that a receive of a batch has, 4 KiB.
        const sizeOf = (index: number): number => [1, 4_095, 4_096, 4_097, 20_000][index % 5]!;
        for (const [index, { peer }] of connections.entries()) peer.socket.end(pattern(index, 0, sizeOf(index)));
        for (const [index, { peer, life }] of connections.entries()) {
          await rig.closedLife(life);
          await peer.ended();
          assert.ok(peer.bytes.equals(pattern(index, 0, sizeOf(index))), `connection ${index} has its own bytes back`);
          assert.deepEqual(life.events, ["accepted", "received", "ended", "closed"]);
          assert.equal(life.errno, 0);
        }
        if (under.name === "epoll" && canBatch()) {
          assert.ok(rig.driver.stats.batched > 150, `${rig.driver.stats.batched} receives and sends in batches`);
        }
      });
    });
  });
}

for (const under of driversUnderTest.filter(({ name }) => name === "epoll")) {
  describe(`Driver ${under.name}`, { skip: under.skip, timeout: 120_000 }, () => {
    test("whoever waits when accepting ends gets a socket that cannot block the thread", async () => {
      await withRig(under, {}, async (rig) => {
        rig.handlers.ended = (slot) => rig.driver.close(slot);
        const peers = Array.from({ length: 3 }, () => connect(rig.port, "127.0.0.1"));
        rig.driver.stopListening(rig.listener);
        await Promise.all(peers.map((peer) => once(peer, "connect")));
        await rig.signal.until("all to be accepted", () => rig.driver.stats.connectionsNow === 3);
        for (const peer of peers) {
          const descriptor = descriptorOfPeer((peer.address() as AddressInfo).port);
          const flags = /^flags:\s*([0-7]+)/m.exec(readFileSync(`/proc/self/fdinfo/${descriptor}`, "utf8"))?.[1];
          assert.notEqual(Number.parseInt(flags ?? "0", 8) & constants.O_NONBLOCK, 0);
          peer.destroy();
        }
        await rig.signal.until("all to be gone", () => rig.driver.stats.connectionsNow === 0);
      });
    });

    test("senders that never stop hold up nobody when they fill the whole slab", async () => {
      await withRig(under, { receiveSlabBytes: 64 * 1024 + 3 }, async (rig) => {
        const flood = new Uint8Array(256 * 1024);
        const floods = [await rig.open(), await rig.open(), await rig.open()];
        let isFlooding = true;
        const keepOn = (index: number): void => {
          if (isFlooding) floods[index]?.peer.socket.write(flood, () => keepOn(index));
        };
        for (const index of floods.keys()) keepOn(index);
        await rig.signal.until("the slab to be too small", () => rig.driver.stats.receiveStarved > 10);
        const { peer, life } = await rig.open();
        for (let round = 1; round <= 20; round++) {
          peer.send("ping");
          await rig.receivedBytes(life, round * 4);
        }
        isFlooding = false;
      });
    });

    test("nobody receives more than 64 KiB in a turn, though the slab has room and the kernel has more", async () => {
      await withRig(under, { receiveSlabBytes: 4 * 1024 * 1024 }, async (rig) => {
        const ofTurn = new Map<number, number>();
        let largest = 0;
        rig.handlers.received = (slot, _, __, length) => void ofTurn.set(slot, (ofTurn.get(slot) ?? 0) + length);
        rig.handlers.turnEnded = () => {
          largest = Math.max(largest, ...ofTurn.values());
          ofTurn.clear();
        };
        // Few enough for receives one by one, then many enough for batches.
        for (const count of [3, 16]) {
          const floods = [];
          while (floods.length < count) floods.push(await rig.open());
          for (const { peer } of floods) peer.socket.write(new Uint8Array(1_048_576));
          for (const { life } of floods) await rig.receivedBytes(life, 1_048_576);
        }
        assert.equal(largest, 64 * 1024);
      });
    });

    test("nobody sends more than eight blocks in a turn, though the kernel would take more", async () => {
      await withRig(under, { writePoolBytes: 16 * 1024 * 1024 }, async (rig) => {
        const { peer, life } = await rig.open();
        const block = 64 * 1024;
        const ofTurns: number[] = [];
        let before = 0;
        rig.handlers.turnEnded = () => {
          const { sentBytes } = rig.driver.stats;
          if (sentBytes > before) ofTurns.push(sentBytes - before);
          before = sentBytes;
        };
        assert.equal(rig.send(life.slot, pattern(0, 0, 48 * block)), 48 * block);
        await peer.received(48 * block);
        assert.equal(Math.max(...ofTurns), 8 * block, ofTurns.join());
      });
    });

    for (const where of ["main", "thread", "default"]) {
      test(`a reset that comes with SIGPIPE closes the connection and nothing else (${where})`, async () => {
        const outcome = await runChild("sigpipe-child.js", under.name, { args: [where] });
        const wasBatched = where !== "default" && canBatch();
        assert.deepEqual(outcome, { errnos: [system.errno.EPIPE], wasBatched });
      });
    }

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

/** Whether this kernel has io_submit(2), and contexts left. */
function canBatch(): boolean {
  const number = (name: string) => Number(readFileSync(`/proc/sys/fs/${name}`, "utf8"));
  return existsSync("/proc/sys/fs/aio-nr") && number("aio-nr") + 4 * 128 < number("aio-max-nr");
}

/** The descriptor of this process that is connected to `port`. */
function descriptorOfPeer(port: number): number {
  for (const name of readdirSync("/proc/self/fd")) {
    const address = requireNative().peerName(Number(name));
    if (typeof address === "object" && address.port === port) return Number(name);
  }
  assert.fail(`no descriptor is connected to port ${port}`);
}
