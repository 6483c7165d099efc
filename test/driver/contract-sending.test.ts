/** The contract suite, part 2: reserve, commit, abort, order, exhaustion of the write pool, drained. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { DRAIN_LOW_WATER_BYTES, WRITE_BLOCK_BYTES_MAX } from "../../src/constants.js";
import { driverVariants } from "../support/drivers.js";
import { turns, within } from "../support/signal.js";
import { pattern, withRig } from "./rig.js";

for (const under of driverVariants) {
  describe(`Driver ${under.label}, sending`, { skip: under.skip, timeout: 300_000 }, () => {
    test("commit() sends the first bytes of its reservation only", async () => {
      await withRig(under, {}, async (rig) => {
        const { peer, life } = await rig.open();
        const offset = rig.driver.reserve(life.slot, 100);
        rig.driver.writeBytes.set(Buffer.from("hello, rest of it"), offset);
        rig.driver.commit(life.slot, 5);
        assert.equal(rig.driver.queuedBytes(life.slot), 5);
        rig.send(life.slot, "!");
        await peer.received(6);
        assert.equal(peer.text, "hello!");
        assert.equal(rig.driver.queuedBytes(life.slot), 0);
        assert.equal(rig.driver.stats.sentBytes, 6);
      });
    });

    test("abort() and an empty commit() give the reservation back and send nothing", async () => {
      await withRig(under, {}, async (rig) => {
        const { peer, life } = await rig.open();
        for (let round = 0; round < 100; round++) {
          assert.notEqual(rig.driver.reserve(life.slot, WRITE_BLOCK_BYTES_MAX), -1);
          rig.driver.abort(life.slot);
          assert.notEqual(rig.driver.reserve(life.slot, 1), -1);
          rig.driver.commit(life.slot, 0);
        }
        assert.equal(rig.driver.queuedBytes(life.slot), 0);
        assert.equal(rig.driver.stats.writeBlocksNow, 0);
        rig.send(life.slot, "one");
        assert.notEqual(rig.driver.reserve(life.slot, 5000), -1);
        rig.driver.abort(life.slot);
        rig.send(life.slot, "two");
        await peer.received(6);
        await turns(5);
        assert.equal(peer.text, "onetwo");
      });
    });

    test("commits of one event keep their order, whatever their sizes", async () => {
      await withRig(under, {}, async (rig) => {
        const sizes = [1, 511, 512, 513, 3, 4096, 65536, 2, 65535, 1, 700, 30000];
        const whole = pattern(
          5,
          0,
          sizes.reduce((sum, size) => sum + size),
        );
        rig.handlers.received = (slot) => {
          let at = 0;
          for (const size of sizes) {
            assert.equal(rig.send(slot, whole.subarray(at, at + size)), size);
            at += size;
          }
          assert.equal(rig.driver.queuedBytes(slot), whole.length);
        };
        const { peer } = await rig.open();
        peer.send("go");
        await peer.received(whole.length);
        assert.equal(peer.bytes.equals(whole), true);
      });
    });

    test("shareBytes() sends one copy to many connections, in order with what is copied, and gives it back", async () => {
      await withRig(under, {}, async (rig) => {
        const both = [await rig.open(), await rig.open()];
        const shared = [
          rig.driver.shareBytes(pattern(9, 0, WRITE_BLOCK_BYTES_MAX)),
          rig.driver.shareBytes(Buffer.from("end")),
        ];
        for (const { life } of both) {
          rig.send(life.slot, "begin");
          for (const one of shared) assert.equal(rig.driver.commitShared(life.slot, one), true);
          rig.send(life.slot, "!");
        }
        for (const one of shared) rig.driver.unshareBytes(one);
        const expected = Buffer.concat([
          Buffer.from("begin"),
          pattern(9, 0, WRITE_BLOCK_BYTES_MAX),
          Buffer.from("end!"),
        ]);
        for (const { peer, life } of both) {
          await peer.received(expected.length);
          assert.equal(peer.bytes.equals(expected), true);
          assert.equal(rig.driver.queuedBytes(life.slot), 0);
          rig.driver.close(life.slot);
        }
        assert.equal(rig.driver.stats.writeBlocksNow, 0);
        const late = rig.driver.shareBytes(Buffer.from("late"));
        assert.equal(rig.driver.commitShared(both[0]!.life.slot, late), false);
        rig.driver.unshareBytes(late);
        assert.equal(rig.driver.stats.writeBlocksNow, 0);
      });
    });

    test("a thousand small commits of one event arrive in order", async () => {
      await withRig(under, {}, async (rig) => {
        rig.handlers.received = (slot) => {
          for (let index = 0; index < 1000; index++) rig.send(slot, `${index},`);
        };
        const { peer } = await rig.open();
        peer.send("go");
        const expected = Array.from({ length: 1000 }, (_, index) => `${index},`).join("");
        await peer.received(expected.length);
        assert.equal(peer.text, expected);
      });
    });

    test("commits outside an event leave without another event, from timers, ticks, microtasks and immediates", async () => {
      await withRig(under, {}, async (rig) => {
        const { peer, life } = await rig.open();
        const expected = ["timer ", "tick ", "microtask ", "immediate "];
        const send = (text: string) => () => void rig.send(life.slot, text);
        setTimeout(send("timer "), 1);
        await peer.received(6);
        process.nextTick(send("tick "));
        await peer.received(11);
        queueMicrotask(send("microtask "));
        await peer.received(21);
        setImmediate(send("immediate "));
        await peer.received(31);
        assert.equal(peer.text, expected.join(""));
      });
    });

    for (const start of ["timer", "immediate"] as const) {
      for (const hops of [1, 2, 3]) {
        test(`commits in a microtask ${hops} drained() behind the call of a ${start} leave without another event`, async () => {
          await withRig(under, {}, async (rig) => {
            const { peer, life } = await rig.open();
            // No completion comes for these calls, only turns that the calls themselves ask for.
            const drained = (): Promise<void> =>
              new Promise((resolve) => {
                rig.handlers.drained = () => resolve();
                rig.driver.requestDrained(life.slot);
              });
            for (let round = 1; round <= 3; round++) {
              await turns(10);
              const run = async (): Promise<void> => {
                for (let hop = 0; hop < hops; hop++) await drained();
                rig.send(life.slot, "hello");
              };
              const done = new Promise<void>((resolve, reject) => {
                const begin = (): unknown => run().then(resolve, reject);
                // Long enough for the thread to be asleep in the kernel by then.
                if (start === "timer") setTimeout(begin, 60);
                else setImmediate(begin);
              });
              await within("every drained()", done);
              await peer.received(5 * round);
            }
          });
        });
      }
    }

    test("commits in turnEnded(), in ended() and in drained() leave too", async () => {
      await withRig(under, {}, async (rig) => {
        const { peer, life } = await rig.open();
        let isDue = false;
        rig.handlers.received = () => (isDue = true);
        rig.handlers.turnEnded = () => {
          if (isDue) rig.send(life.slot, "turn ");
          isDue = false;
        };
        rig.handlers.drained = (slot) => rig.send(slot, "drained ");
        rig.handlers.ended = (slot) => {
          rig.send(slot, "ended");
          rig.driver.end(slot);
        };
        peer.send("x");
        await peer.received(5);
        rig.driver.requestDrained(life.slot);
        await peer.received(13);
        peer.socket.end();
        await peer.ended();
        assert.equal(peer.text, "turn drained ended");
      });
    });

    test("turnEnded() comes after the events of its turn", async () => {
      await withRig(under, {}, async (rig) => {
        const log: string[] = [];
        rig.handlers.received = () => log.push("received");
        rig.handlers.turnEnded = () => log.push("turn");
        const { peer, life } = await rig.open();
        log.length = 0;
        peer.send("x");
        await rig.receivedBytes(life, 1);
        await rig.signal.until("the turn to end", () => log.lastIndexOf("turn") > log.indexOf("received"));
      });
    });

    test("reserve() returns -1 when the write pool is exhausted, for every connection, until something has left", async () => {
      await withRig(under, { writePoolBytes: 2 * WRITE_BLOCK_BYTES_MAX }, async (rig) => {
        const first = await rig.open();
        const second = await rig.open();
        const whole = pattern(6, 0, 3 * WRITE_BLOCK_BYTES_MAX);
        assert.equal(rig.send(first.life.slot, whole), 2 * WRITE_BLOCK_BYTES_MAX);
        assert.equal(rig.driver.reserve(second.life.slot, 1), -1);
        assert.ok(rig.driver.stats.writeStarved >= 2);
        await first.peer.received(2 * WRITE_BLOCK_BYTES_MAX);
        await turns(3);
        assert.equal(rig.send(second.life.slot, "works again"), 11);
        assert.equal(rig.send(first.life.slot, whole.subarray(2 * WRITE_BLOCK_BYTES_MAX)), WRITE_BLOCK_BYTES_MAX);
        await first.peer.received(whole.length);
        await second.peer.received(11);
        assert.equal(first.peer.bytes.equals(whole), true);
        assert.equal(second.peer.text, "works again");
      });
    });

    test("the write pool serves large blocks again when a burst of small ones has exhausted it", async () => {
      await withRig(under, { writePoolBytes: 2 * WRITE_BLOCK_BYTES_MAX, connectionsMax: 512 }, async (rig) => {
        for (let index = 0; index < 300; index++) rig.start();
        await rig.signal.until("all to be accepted", () => rig.lives.length === 300);
        let sent = 0;
        for (const life of rig.lives) sent += rig.send(life.slot, "small");
        assert.equal(sent, 256 * 5);
        while (rig.driver.stats.writeBlocksNow > 0) await turns(1);
        const [first] = rig.lives;
        assert.equal(rig.send(first!.slot, pattern(7, 0, 2 * WRITE_BLOCK_BYTES_MAX)), 2 * WRITE_BLOCK_BYTES_MAX);
        rig.driver.close(first!.slot);
      });
    });

    test("drained() comes once for each request, not inside the call, with little queued", async () => {
      await withRig(under, {}, async (rig) => {
        const { peer, life } = await rig.open();
        let drained = 0;
        rig.handlers.drained = (slot) => {
          drained += 1;
          assert.ok(rig.driver.queuedBytes(slot) <= DRAIN_LOW_WATER_BYTES);
        };
        rig.driver.requestDrained(life.slot);
        assert.equal(drained, 0);
        await rig.signal.until("drained with nothing queued", () => drained === 1);
        await turns(5);
        assert.equal(drained, 1);
        assert.equal(rig.send(life.slot, pattern(8, 0, 1_000_000)), 1_000_000);
        rig.driver.requestDrained(life.slot);
        await peer.received(1_000_000);
        await rig.signal.until("drained after a lot", () => drained === 2);
        await turns(5);
        assert.equal(drained, 2);
      });
    });

    test("drained() that asks again comes once a turn, also when a peer that does not read holds the whole write pool", async () => {
      await withRig(under, { writePoolBytes: 2 * WRITE_BLOCK_BYTES_MAX }, async (rig) => {
        const silent = await rig.open();
        const other = await rig.open();
        silent.peer.socket.pause();
        const whole = pattern(11, 0, 2 * WRITE_BLOCK_BYTES_MAX);
        // What the kernel takes makes room again, until its own buffers are full.
        for (let calm = 0; calm < 50; calm = rig.send(silent.life.slot, whole) > 0 ? 0 : calm + 1) await turns(1);
        let inThisTurn = 0;
        let most = 0;
        let drained = 0;
        rig.handlers.turnEnded = () => {
          inThisTurn = 0;
        };
        rig.handlers.drained = (slot) => {
          drained += 1;
          inThisTurn += 1;
          most = Math.max(most, inThisTurn);
          assert.equal(rig.driver.reserve(slot, 1), -1, "the pool has no room");
          // Without an end, a driver that answers at once would hang the test.
          if (drained < 1_000) rig.driver.requestDrained(slot);
        };
        rig.driver.requestDrained(other.life.slot);
        await rig.signal.until("the last drained()", () => drained === 1_000);
        assert.equal(most, 1);
      });
    });

    test("drained() waits for what is committed after it was asked for", async () => {
      await withRig(under, {}, async (rig) => {
        let queued = -1;
        rig.handlers.drained = (slot) => {
          queued = rig.driver.queuedBytes(slot);
        };
        rig.handlers.accepted = (slot) => {
          rig.driver.requestDrained(slot);
          queueMicrotask(() => rig.send(slot, pattern(8, 0, 1_000_000)));
        };
        const { peer } = await rig.open();
        await peer.received(1_000_000);
        await rig.signal.until("drained after all", () => queued >= 0);
        assert.ok(queued <= DRAIN_LOW_WATER_BYTES, `${queued} bytes were queued`);
      });
    });

    test("unacknowledgedBytes() stands still while a peer does not read, falls when it does, and is 0 when all has arrived", {
      skip: under.name === "portable" && "node:net cannot tell",
    }, async () => {
      await withRig(under, { writePoolBytes: 16 * 1024 * 1024 }, async (rig) => {
        const { peer, life } = await rig.open();
        const held = (): number => rig.driver.unacknowledgedBytes?.(life.slot) ?? -1;
        assert.equal(held(), 0);
        peer.socket.pause();
        // More than the kernel takes for a peer that does not read.
        const size = rig.send(life.slot, pattern(9, 0, 14 * 1024 * 1024));
        for (let same = 0, before = 0; same < 20 || before === 0; before = held()) {
          await sleep(5);
          same = held() === before ? same + 1 : 0;
        }
        assert.ok(rig.driver.queuedBytes(life.slot) > 0);
        peer.socket.resume();
        await peer.received(size);
        while (held() > 0) await sleep(5);
        peer.socket.end();
        await rig.signal.until("the end", () => life.events.includes("ended"));
        rig.driver.close(life.slot);
        await rig.closedLife(life);
        assert.equal(held(), 0, "of a connection that is gone");
      });
    });

    test("drained() lets a writer send 24 MiB to a reader that stops and goes through a pool of 256 KiB", async () => {
      await withRig(under, { writePoolBytes: 4 * WRITE_BLOCK_BYTES_MAX }, async (rig) => {
        const size = 24 * 1024 * 1024;
        const whole = pattern(9, 0, size);
        let at = 0;
        const pump = (slot: number): void => {
          at += rig.send(slot, whole.subarray(at, Math.min(at + 4 * WRITE_BLOCK_BYTES_MAX, size)));
          if (at < size) rig.driver.requestDrained(slot);
          else rig.driver.closeAfterFlush(slot);
        };
        rig.handlers.drained = pump;
        const { peer, life } = await rig.open();
        peer.socket.pause();
        pump(life.slot);
        await turns(100);
        assert.ok(at < size, "a reader that has stopped holds the writer back");
        peer.socket.resume();
        await peer.ended();
        assert.equal(peer.bytes.equals(whole), true);
        peer.socket.end();
        await rig.closedLife(life);
      });
    });

    test("queuedBytes() never grows while a flush goes on, and ends at 0", async () => {
      await withRig(under, {}, async (rig) => {
        const { peer, life } = await rig.open();
        rig.send(life.slot, pattern(10, 0, 2_000_000));
        let last = rig.driver.queuedBytes(life.slot);
        assert.equal(last, 2_000_000);
        while (last > 0) {
          await turns(1);
          const now = rig.driver.queuedBytes(life.slot);
          assert.ok(now <= last);
          last = now;
        }
        await peer.received(2_000_000);
      });
    });
  });
}
