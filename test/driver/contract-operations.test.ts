/** The contract suite, part 5: one-shot operations. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { constants, tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { OPERATIONS_MAX } from "../../src/constants.js";
import type { OperationDone, Operations } from "../../src/driver/contract.js";
import { driverVariants } from "../support/drivers.js";
import { turns, within } from "../support/signal.js";
import { pattern, withRig } from "./rig.js";

const { EBADF, ECANCELED, ETIME } = constants.errno;

for (const under of driverVariants) {
  describe(`Driver ${under.label}, operations`, { skip: under.skip, timeout: 300_000 }, () => {
    test("nop() completes with 0, after the call", async () => {
      await withRig(under, {}, async ({ driver: { operations } }) => {
        let isInside = true;
        const completion = result((done) => {
          const id = operations.nop((value) => {
            assert.equal(isInside, false);
            done(value);
          });
          isInside = false;
          return id;
        });
        assert.equal(operations.pendingNow, 1);
        assert.equal(await completion, 0);
        assert.equal(operations.pendingNow, 0);
      });
    });

    test("nop() started in a completion runs too, a thousand times in a row", async () => {
      await withRig(under, {}, async ({ driver: { operations } }) => {
        let count = 0;
        await new Promise<void>((resolve) => {
          const again = (): void => {
            count += 1;
            if (count === 1000) resolve();
            else operations.nop(again);
          };
          operations.nop(again);
        });
        assert.equal(count, 1000);
      });
    });

    test("timeout() completes with -ETIME, the shorter one first", async () => {
      await withRig(under, {}, async ({ driver: { operations } }) => {
        const order: string[] = [];
        const run = async (name: string, ms: number): Promise<number> => {
          const value = await result((done) => operations.timeout(ms, done));
          order.push(name);
          return value;
        };
        assert.deepEqual(await Promise.all([run("long", 60), run("short", 5), run("none", 0)]), [
          -ETIME,
          -ETIME,
          -ETIME,
        ]);
        assert.deepEqual(order, ["none", "short", "long"]);
      });
    });

    test("timeout() throws for what is no time", async () => {
      await withRig(under, {}, async ({ driver: { operations } }) => {
        for (const ms of [-1, Number.NaN, 2 ** 31, Number.POSITIVE_INFINITY])
          assert.throws(() => operations.timeout(ms, () => {}), RangeError);
        assert.equal(operations.pendingNow, 0);
      });
    });

    test("writeAt(), fsync() and readAt() work on a file, at any position", async () => {
      await withFile(async (file) => {
        await withRig(under, {}, async ({ driver: { operations } }) => {
          const whole = pattern(30, 0, 200_000);
          assert.equal(
            await result((done) => operations.writeAt(file.fd, whole.subarray(100_000), 100_000, done)),
            100_000,
          );
          assert.equal(
            await result((done) => operations.writeAt(file.fd, whole.subarray(0, 100_000), 0, done)),
            100_000,
          );
          assert.equal(await result((done) => operations.fsync(file.fd, false, done)), 0);
          assert.equal(await result((done) => operations.fsync(file.fd, true, done)), 0);
          const back = new Uint8Array(200_000);
          assert.equal(await result((done) => operations.readAt(file.fd, back, 0, done)), 200_000);
          assert.equal(whole.equals(back), true);
          assert.equal(await result((done) => operations.readAt(file.fd, back.subarray(7, 17), 199_995, done)), 5);
          assert.deepEqual(Buffer.from(back.subarray(7, 12)), whole.subarray(199_995));
          assert.equal(await result((done) => operations.readAt(file.fd, back, 200_000, done)), 0);
          assert.equal(await result((done) => operations.readAt(file.fd, new Uint8Array(0), 0, done)), 0);
          const far = 5 * 2 ** 30;
          assert.equal(await result((done) => operations.writeAt(file.fd, Buffer.from("far"), far, done)), 3);
          assert.equal(await result((done) => operations.readAt(file.fd, back.subarray(0, 10), far, done)), 3);
          assert.equal(Buffer.from(back.subarray(0, 3)).toString(), "far");
        });
      });
    });

    test("many reads at once each get their own bytes", async () => {
      await withFile(async (file) => {
        await withRig(under, {}, async ({ driver: { operations } }) => {
          const whole = pattern(31, 0, 64 * 1024);
          assert.equal(await result((done) => operations.writeAt(file.fd, whole, 0, done)), whole.length);
          const buffers = Array.from({ length: 500 }, () => new Uint8Array(100));
          const counts = await Promise.all(
            buffers.map((buffer, index) => result((done) => operations.readAt(file.fd, buffer, index * 100, done))),
          );
          assert.ok(counts.every((count) => count === 100));
          for (const [index, buffer] of buffers.entries()) {
            assert.deepEqual(Buffer.from(buffer), whole.subarray(index * 100, index * 100 + 100));
          }
        });
      });
    });

    test("file operations complete with -EBADF when the descriptor is not open", async () => {
      await withRig(under, {}, async ({ driver: { operations } }) => {
        const buffer = new Uint8Array(8);
        assert.equal(await result((done) => operations.readAt(999_999, buffer, 0, done)), -EBADF);
        assert.equal(await result((done) => operations.writeAt(999_999, buffer, 0, done)), -EBADF);
        assert.equal(await result((done) => operations.fsync(999_999, false, done)), -EBADF);
      });
    });

    test("cancel() ends a timeout with -ECANCELED, once", async () => {
      await withRig(under, {}, async ({ driver: { operations } }) => {
        const { id, completion } = start((done) => operations.timeout(100_000, done));
        operations.cancel(id);
        operations.cancel(id);
        assert.equal(await completion, -ECANCELED);
        operations.cancel(id);
        assert.equal(operations.pendingNow, 0);
      });
    });

    test("cancel() of an id whose operation is over does not touch the next user of its slot", async () => {
      await withRig(under, {}, async ({ driver: { operations } }) => {
        const stale: number[] = [];
        for (let round = 0; round < 10; round++) {
          const { id, completion } = start((done) => operations.nop(done));
          stale.push(id);
          await completion;
        }
        assert.equal(new Set(stale).size, 10);
        const timeouts = Array.from({ length: 10 }, () => start((done) => operations.timeout(20, done)));
        for (const id of stale) operations.cancel(id);
        for (const id of [0, -1, 1.5, 2 ** 52]) operations.cancel(id);
        const results = await Promise.all(timeouts.map(({ completion }) => completion));
        assert.ok(results.every((value) => value === -ETIME));
      });
    });

    test("cancel() of operations that may have run gives each one completion", async () => {
      await withFile(async (file) => {
        await withRig(under, {}, async ({ driver: { operations } }) => {
          await result((done) => operations.writeAt(file.fd, pattern(32, 0, 4096), 0, done));
          const started = Array.from({ length: 100 }, () =>
            start((done) => operations.readAt(file.fd, new Uint8Array(4096), 0, done)),
          );
          for (const { id } of started) operations.cancel(id);
          for (const { completion } of started) {
            const value = await completion;
            assert.ok(value === 4096 || value === -ECANCELED, `the result is ${value}`);
          }
        });
      });
    });

    test("every operation throws ERR_RINGLOOM_OVERLOADED when all slots are taken, and works again after", async () => {
      await withRig(under, {}, async ({ driver: { operations } }) => {
        const started = Array.from({ length: OPERATIONS_MAX }, () =>
          start((done) => operations.timeout(100_000, done)),
        );
        assert.equal(operations.pendingNow, OPERATIONS_MAX);
        const buffer = new Uint8Array(1);
        const attempts: readonly ((operations: Operations) => number)[] = [
          () => operations.nop(() => {}),
          () => operations.timeout(1, () => {}),
          () => operations.readAt(0, buffer, 0, () => {}),
          () => operations.writeAt(0, buffer, 0, () => {}),
          () => operations.fsync(0, false, () => {}),
        ];
        for (const attempt of attempts) assert.throws(() => attempt(operations), { code: "ERR_RINGLOOM_OVERLOADED" });
        assert.equal(operations.pendingNow, OPERATIONS_MAX);
        for (const { id } of started) operations.cancel(id);
        for (const { completion } of started) assert.equal(await completion, -ECANCELED);
        assert.equal(await result((done) => operations.nop(done)), 0);
      });
    });

    test("connections work while every operation slot is taken", async () => {
      await withRig(under, {}, async (rig) => {
        const { operations } = rig.driver;
        const started = Array.from({ length: OPERATIONS_MAX }, () =>
          start((done) => operations.timeout(100_000, done)),
        );
        const { peer, life } = await rig.open();
        peer.send("hello");
        await rig.receivedBytes(life, 5);
        rig.driver.pause(life.slot);
        peer.send("more");
        await turns(5);
        rig.driver.resume(life.slot);
        await rig.receivedBytes(life, 9);
        rig.send(life.slot, "answer");
        await peer.received(6);
        rig.driver.stopListening(rig.listener);
        await rig.signal.until("the listener to stop", () => rig.stoppedListeners.length === 1);
        for (const { id } of started) operations.cancel(id);
        for (const { completion } of started) assert.equal(await completion, -ECANCELED);
      });
    });

    test("shutdown() cancels what is pending and waits for it", async () => {
      await withFile(async (file) => {
        await withRig(under, {}, async ({ driver }) => {
          const { operations } = driver;
          const results: number[] = [];
          operations.timeout(100_000, (value) => results.push(value));
          operations.nop((value) => results.push(value));
          for (let index = 0; index < 10; index++)
            operations.readAt(file.fd, new Uint8Array(100), 0, (value) => results.push(value));
          await within("shutdown", driver.shutdown());
          assert.equal(results.length, 12);
          assert.ok(results.includes(-ECANCELED));
          assert.equal(operations.pendingNow, 0);
        });
      });
    });
  });
}

/** Starts an operation and keeps its id. */
function start(begin: (done: OperationDone) => number): { id: number; completion: Promise<number> } {
  let id = -1;
  const completion = new Promise<number>((resolve) => {
    let isDone = false;
    id = begin((value) => {
      assert.equal(isDone, false, "an operation completes once");
      isDone = true;
      resolve(value);
    });
  });
  return { id, completion: within("a completion", completion) };
}

function result(begin: (done: OperationDone) => number): Promise<number> {
  return start(begin).completion;
}

async function withFile(body: (file: FileHandle) => Promise<void>): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), "ringloom-"));
  const file = await open(join(directory, "file"), "w+");
  try {
    await body(file);
  } finally {
    await file.close();
    rmSync(directory, { recursive: true });
  }
}
