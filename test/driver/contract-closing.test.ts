/** The contract suite, part 3: every way in which a connection can die, once and in order. */
import assert from "node:assert/strict";
import { constants } from "node:os";
import { describe, test } from "node:test";
import type { Driver } from "../../src/driver/contract.js";
import { driverVariants } from "../support/drivers.js";
import { turns, within } from "../support/signal.js";
import { pattern, withRig } from "./rig.js";

const { ECONNRESET, EPIPE } = constants.errno;

for (const under of driverVariants) {
  describe(`Driver ${under.label}, closing`, { skip: under.skip, timeout: 300_000 }, () => {
    test("ended() comes behind the last byte, and sending still works, when the peer half-closes", async () => {
      await withRig(under, {}, async (rig) => {
        const { peer, life } = await rig.open();
        peer.socket.end("last words");
        await rig.hasEvent(life, "ended");
        assert.deepEqual(life.events, ["accepted", "received", "ended"]);
        await turns(5);
        assert.equal(life.isClosed, false);
        rig.send(life.slot, "heard you");
        await peer.received(9);
        rig.driver.close(life.slot);
        await rig.closedLife(life);
        assert.equal(life.errno, 0);
      });
    });

    test("end() sends what is queued and the end, and receiving goes on", async () => {
      await withRig(under, {}, async (rig) => {
        const { peer, life } = await rig.open();
        const whole = pattern(11, 0, 500_000);
        rig.send(life.slot, whole);
        rig.driver.end(life.slot);
        rig.driver.end(life.slot);
        assert.equal(rig.driver.reserve(life.slot, 1), -1);
        await peer.ended();
        assert.equal(peer.bytes.equals(whole), true);
        peer.send("still here");
        await rig.receivedBytes(life, 10);
        assert.equal(life.isClosed, false);
        peer.socket.end();
        await rig.closedLife(life);
        assert.deepEqual(life.events, ["accepted", "received", "ended", "closed"]);
        assert.equal(life.errno, 0);
      });
    });

    test("closed() comes by itself when end() follows the peer's end", async () => {
      await withRig(under, {}, async (rig) => {
        const { peer, life } = await rig.open();
        rig.handlers.ended = (slot) => {
          rig.send(slot, "bye");
          rig.driver.end(slot);
        };
        peer.socket.end();
        await rig.closedLife(life);
        await peer.ended();
        assert.equal(peer.text, "bye");
        assert.equal(life.errno, 0);
        assert.deepEqual(life.events, ["accepted", "ended", "closed"]);
      });
    });

    test("closed() waits behind a held end when end() was called and the connection is paused", async () => {
      await withRig(under, {}, async (rig) => {
        const { peer, life } = await rig.open();
        rig.driver.pause(life.slot);
        rig.driver.end(life.slot);
        await peer.ended();
        peer.socket.end("late");
        await turns(30);
        assert.deepEqual(life.events, ["accepted"]);
        rig.driver.resume(life.slot);
        await rig.closedLife(life);
        assert.deepEqual(life.events, ["accepted", "received", "ended", "closed"]);

        const other = await rig.open();
        rig.driver.pause(other.life.slot);
        rig.driver.end(other.life.slot);
        other.peer.socket.end();
        await turns(30);
        assert.deepEqual(other.life.events, ["accepted"]);
        rig.driver.resume(other.life.slot);
        await rig.closedLife(other.life);
        assert.deepEqual(other.life.events, ["accepted", "ended", "closed"]);
      });
    });

    test("close() works when a held end waits", async () => {
      await withRig(under, {}, async (rig) => {
        for (const closeName of ["close", "closeAfterFlush"] as const) {
          const { peer, life } = await rig.open();
          rig.driver.pause(life.slot);
          rig.driver.end(life.slot);
          peer.socket.end();
          await peer.ended();
          await turns(30);
          rig.driver[closeName](life.slot);
          await rig.closedLife(life);
          assert.deepEqual(life.events, ["accepted", "closed"]);
        }
      });
    });

    test("close() drops what is queued and reports 0", async () => {
      await withRig(under, {}, async (rig) => {
        const { peer, life } = await rig.open();
        rig.send(life.slot, "never sent");
        rig.driver.close(life.slot);
        rig.driver.close(life.slot);
        assert.equal(life.isClosed, false);
        assert.equal(rig.driver.reserve(life.slot, 1), -1);
        await rig.closedLife(life);
        await peer.ended();
        assert.equal(peer.receivedBytes, 0);
        assert.equal(life.errno, 0);
        assert.deepEqual(life.events, ["accepted", "closed"]);
      });
    });

    test("close() returns every block when a send is under way to a peer that does not read", async () => {
      await withRig(under, { writePoolBytes: 16 * 1024 * 1024 }, async (rig) => {
        const { peer, life } = await rig.open();
        peer.socket.pause();
        rig.send(life.slot, pattern(12, 0, 16 * 1024 * 1024));
        await turns(20);
        assert.ok(rig.driver.queuedBytes(life.slot) > 0);
        rig.driver.close(life.slot);
        await rig.closedLife(life);
        assert.equal(rig.driver.stats.writeBlocksNow, 0);
      });
    });

    test("queuedBytes() tells what closeAfterFlush() has left to send, and close() cuts it short", async () => {
      await withRig(under, { writePoolBytes: 16 * 1024 * 1024 }, async (rig) => {
        const { peer, life } = await rig.open();
        peer.socket.pause();
        rig.send(life.slot, pattern(13, 0, 16 * 1024 * 1024));
        rig.driver.closeAfterFlush(life.slot);
        await turns(20);
        const queued = rig.driver.queuedBytes(life.slot);
        assert.ok(queued > 0 && queued < 16 * 1024 * 1024, `${queued} bytes are queued`);
        rig.driver.close(life.slot);
        assert.equal(rig.driver.queuedBytes(life.slot), 0);
        await rig.closedLife(life);
      });
    });

    for (const closeName of ["close", "closeAfterFlush", "end"] as const) {
      test(`${closeName}() gives an open reservation back`, async () => {
        await withRig(under, {}, async (rig) => {
          const first = await rig.open();
          const second = await rig.open();
          assert.notEqual(rig.driver.reserve(first.life.slot, 10), -1);
          rig.driver[closeName](first.life.slot);
          rig.driver.commit(first.life.slot, 10);
          rig.driver.abort(first.life.slot);
          rig.send(second.life.slot, "free");
          await second.peer.received(4);
          await first.peer.ended();
          assert.equal(first.peer.receivedBytes, 0);
        });
      });
    }

    for (const eventName of ["accepted", "received", "ended", "drained", "turnEnded"] as const) {
      for (const closeName of ["close", "closeAfterFlush"] as const) {
        test(`closed() comes once and last when ${closeName}() is called inside ${eventName}()`, async () => {
          await withRig(under, {}, async (rig) => {
            const closeNow = (): void => {
              for (const { slot, isClosed } of rig.lives) {
                if (isClosed) continue;
                rig.driver[closeName](slot);
                assert.equal(rig.driver.reserve(slot, 1), -1);
              }
            };
            if (eventName === "accepted") rig.handlers.accepted = closeNow;
            const { peer, life } = await rig.open();
            rig.handlers[eventName] = closeNow;
            rig.driver.requestDrained(life.slot);
            if (eventName !== "accepted") {
              peer.send("some bytes");
              await turns(3);
            }
            peer.socket.end();
            await rig.closedLife(life);
            assert.equal(life.errno, 0);
            assert.equal(life.events.at(-1), "closed");
            assert.equal(life.events.filter((event) => event === "closed").length, 1);
          });
        });
      }
    }

    test("closed() lets its handler call anything, and ignores it", async () => {
      await withRig(under, {}, async (rig) => {
        const { peer, life } = await rig.open();
        rig.handlers.closed = (slot) => {
          assert.equal(rig.driver.generations[slot], life.generation);
          callEverything(rig.driver, slot);
        };
        peer.socket.resetAndDestroy();
        await rig.closedLife(life);
        delete rig.handlers.closed;
        const next = await rig.open();
        next.peer.send("fine");
        await rig.receivedBytes(next.life, 4);
      });
    });

    test("close() after close() and closeAfterFlush() after close() change nothing", async () => {
      await withRig(under, {}, async (rig) => {
        const { life } = await rig.open();
        rig.driver.close(life.slot);
        callEverything(rig.driver, life.slot);
        await rig.closedLife(life);
        assert.equal(life.errno, 0);
      });
    });

    test("closed() says ECONNRESET when the peer resets", async () => {
      await withRig(under, {}, async (rig) => {
        const { peer, life } = await rig.open();
        peer.socket.resetAndDestroy();
        await rig.closedLife(life);
        assert.equal(life.errno, ECONNRESET);
        assert.deepEqual(life.events, ["accepted", "closed"]);
      });
    });

    test("closed() comes and blocks return when the peer resets while much is queued", async () => {
      await withRig(under, { writePoolBytes: 16 * 1024 * 1024 }, async (rig) => {
        const { peer, life } = await rig.open();
        peer.socket.pause();
        rig.send(life.slot, pattern(13, 0, 16 * 1024 * 1024));
        rig.driver.requestDrained(life.slot);
        await turns(20);
        peer.socket.resetAndDestroy();
        await rig.closedLife(life);
        assert.ok(life.errno === ECONNRESET || life.errno === EPIPE, `errno is ${life.errno}`);
        assert.equal(rig.driver.stats.writeBlocksNow, 0);
      });
    });

    test("close() works while the connection is paused and bytes wait", async () => {
      await withRig(under, {}, async (rig) => {
        const { peer, life } = await rig.open();
        rig.driver.pause(life.slot);
        peer.send(pattern(14, 0, 200_000));
        await turns(20);
        rig.driver.close(life.slot);
        rig.driver.resume(life.slot);
        await rig.closedLife(life);
        assert.deepEqual(life.events, ["accepted", "closed"]);
        assert.equal(life.errno, 0);
      });
    });

    test("resume() finds out about a reset that came during a pause", async () => {
      await withRig(under, {}, async (rig) => {
        const { peer, life } = await rig.open();
        rig.driver.pause(life.slot);
        peer.send("lost or not");
        await turns(10);
        peer.socket.resetAndDestroy();
        await turns(10);
        rig.driver.resume(life.slot);
        await rig.closedLife(life);
        assert.equal(life.errno, ECONNRESET);
      });
    });

    test("closeAfterFlush() delivers the whole answer to a peer that never stops sending", async () => {
      await withRig(under, {}, async (rig) => {
        const { peer, life } = await rig.open();
        const answer = pattern(15, 0, 3_000_000);
        rig.handlers.received = (slot) => {
          assert.equal(rig.send(slot, answer), answer.length);
          rig.driver.closeAfterFlush(slot);
        };
        const request = Buffer.alloc(65536);
        let isSending = true;
        const pump = (): void => {
          while (isSending && peer.socket.writable && peer.socket.write(request));
        };
        peer.socket.on("drain", pump);
        pump();
        await peer.ended();
        assert.equal(peer.errorCode, undefined);
        assert.equal(peer.bytes.equals(answer), true);
        isSending = false;
        peer.socket.end();
        await rig.closedLife(life);
        assert.equal(life.errno, 0);
        assert.equal(life.events.filter((event) => event === "received").length, 1);
      });
    });

    test("closeAfterFlush() closes when the peer ends, also when it had ended before", async () => {
      await withRig(under, {}, async (rig) => {
        const first = await rig.open();
        rig.send(first.life.slot, "answer");
        rig.driver.closeAfterFlush(first.life.slot);
        await first.peer.ended();
        assert.equal(first.peer.text, "answer");
        first.peer.socket.end();
        await rig.closedLife(first.life);
        assert.deepEqual(first.life.events, ["accepted", "closed"]);

        const second = await rig.open();
        second.peer.socket.end();
        await rig.hasEvent(second.life, "ended");
        rig.send(second.life.slot, "answer");
        rig.driver.closeAfterFlush(second.life.slot);
        await rig.closedLife(second.life);
        await second.peer.ended();
        assert.equal(second.peer.text, "answer");
        assert.deepEqual([first.life.errno, second.life.errno], [0, 0]);
      });
    });

    test("closeAfterFlush() closes after LINGER_MS when the peer neither ends nor stops", async () => {
      await withRig(under, {}, async (rig) => {
        const { peer, life } = await rig.open();
        const timer = setInterval(() => peer.socket.writable && peer.send("more"), 20);
        rig.driver.closeAfterFlush(life.slot);
        await rig.closedLife(life);
        clearInterval(timer);
        assert.equal(life.errno, 0);
        assert.deepEqual(life.events, ["accepted", "closed"]);
      });
    });

    test("closeAfterFlush() of a paused connection discards what waits, and closes", async () => {
      await withRig(under, {}, async (rig) => {
        const { peer, life } = await rig.open();
        rig.driver.pause(life.slot);
        peer.send(pattern(16, 0, 300_000));
        await turns(10);
        rig.send(life.slot, "enough");
        rig.driver.closeAfterFlush(life.slot);
        await peer.ended();
        assert.equal(peer.text, "enough");
        assert.equal(peer.errorCode, undefined);
        peer.socket.end();
        await rig.closedLife(life);
        assert.deepEqual(life.events, ["accepted", "closed"]);
      });
    });

    test("close() cuts closeAfterFlush() short", async () => {
      await withRig(under, { writePoolBytes: 16 * 1024 * 1024 }, async (rig) => {
        const { peer, life } = await rig.open();
        peer.socket.pause();
        rig.send(life.slot, pattern(17, 0, 16 * 1024 * 1024));
        rig.driver.closeAfterFlush(life.slot);
        await turns(20);
        assert.equal(life.isClosed, false);
        rig.driver.close(life.slot);
        await rig.closedLife(life);
        assert.equal(life.errno, 0);

        const lingering = await rig.open();
        rig.driver.closeAfterFlush(lingering.life.slot);
        await lingering.peer.ended();
        rig.driver.close(lingering.life.slot);
        await rig.closedLife(lingering.life);
        assert.equal(lingering.life.errno, 0);
      });
    });

    test("end() then closeAfterFlush() lingers, and the answer is whole", async () => {
      await withRig(under, {}, async (rig) => {
        const { peer, life } = await rig.open();
        rig.send(life.slot, "answer");
        rig.driver.end(life.slot);
        await peer.ended();
        peer.send("unwanted");
        rig.driver.closeAfterFlush(life.slot);
        await turns(10);
        assert.equal(peer.text, "answer");
        assert.equal(peer.errorCode, undefined);
        peer.socket.end();
        await rig.closedLife(life);
        assert.equal(life.errno, 0);
      });
    });

    test("shutdown() closes every connection, delivers each closed() and resolves, twice the same", async () => {
      await withRig(under, {}, async (rig) => {
        const opened = [];
        for (let index = 0; index < 6; index++) opened.push(await rig.open());
        const slots = opened.map(({ life }) => life.slot);
        rig.send(slots[0]!, pattern(18, 0, 1_000_000));
        rig.driver.pause(slots[1]!);
        opened[1]!.peer.send("waits");
        rig.driver.closeAfterFlush(slots[2]!);
        rig.driver.end(slots[3]!);
        rig.driver.requestDrained(slots[4]!);
        await turns(3);
        const first = rig.driver.shutdown();
        const second = rig.driver.shutdown();
        await within("both to resolve", Promise.all([first, second]));
        for (const { life } of opened) assert.equal(life.isClosed, true);
        rig.assertEmpty();
        for (const { peer } of opened) await peer.ended();
        const late = rig.start();
        await late.closed();
        assert.equal(late.errorCode, "ECONNREFUSED");
        await assert.rejects(rig.driver.listen({ host: "127.0.0.1", port: 0, backlog: 1, reusePort: false }), {
          code: "ERR_RINGLOOM_CLOSED",
        });
        assert.throws(() => rig.driver.connect("127.0.0.1", 9), { code: "ERR_RINGLOOM_CLOSED" });
        assert.throws(() => rig.driver.adopt(0), { code: "ERR_RINGLOOM_CLOSED" });
        assert.throws(() => rig.driver.operations.nop(() => {}), { code: "ERR_RINGLOOM_CLOSED" });
      });
    });

    for (const where of ["before they are accepted", "inside accepted()"] as const) {
      test(`shutdown() ${where} closes the connections that wait in the queue too, and resolves`, async () => {
        await withRig(under, {}, async (rig) => {
          const peers = Array.from({ length: 20 }, () => rig.start());
          if (where === "inside accepted()") {
            rig.handlers.accepted = () => void rig.driver.shutdown();
            await rig.signal.until("the first to be accepted", () => rig.lives.length > 0);
          } else {
            // node:net calls connect(2) in the next tick; the kernel then completes the handshake on loopback at once.
            await new Promise<void>((resolve) => process.nextTick(() => process.nextTick(resolve)));
          }
          await rig.shutdown();
          for (const life of rig.lives) assert.equal(life.events.at(-1), "closed");
          for (const peer of peers) await peer.ended();
        });
      });
    }

    test("shutdown() resolves when nothing was ever opened", async () => {
      await withRig(under, {}, async () => {});
    });
  });
}

function callEverything(driver: Driver, slot: number): void {
  assert.equal(driver.reserve(slot, 10), -1);
  driver.commit(slot, 10);
  driver.abort(slot);
  driver.requestDrained(slot);
  driver.pause(slot);
  driver.resume(slot);
  driver.end(slot);
  driver.closeAfterFlush(slot);
  driver.close(slot);
}
