/** More rings than one on a thread: each is a driver, all are harvested by the thread's loop, and what blocks in the kernel blocks in threads that they share. */
import assert from "node:assert/strict";
import { closeSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { constants, tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { createUringDriver, type Driver, type DriverEvents } from "../../src/driver/index.js";
import { driversUnderTest } from "../support/drivers.js";
import { within } from "../support/signal.js";

const { ETIME, ECANCELED } = constants.errno;
const skip = driversUnderTest.find(({ name }) => name === "uring")?.skip ?? false;
const folder = mkdtempSync(join(tmpdir(), "ringloom-rings-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const NO_EVENTS: DriverEvents = {
  accepted() {},
  connected() {},
  received() {},
  ended() {},
  drained() {},
  closed() {},
  listenerStopped() {},
  turnEnded() {},
};

function newRing(): Driver {
  const bytes = new Uint8Array(64 * 1024);
  return createUringDriver(
    {
      connectionsMax: 16,
      writePoolBytes: 1024 * 1024,
      receiveSlab: { bytes, offset: 0, length: bytes.length },
      ringEntries: 64,
      spin: { mode: "off", microsMax: 0 },
      loop: "inverted",
    },
    NO_EVENTS,
  );
}

/** The kernel's threads for what blocks, by name: that of a thread whose rings they serve. */
function kernelWorkers(): string[] {
  return readdirSync("/proc/self/task")
    .map((task) => readFileSync(`/proc/self/task/${task}/comm`, "utf8").trim())
    .filter((name) => name.startsWith("iou-wrk"));
}

test("three rings of one thread complete in its loop, cancel by themselves, and share the kernel's threads", {
  skip,
  timeout: 30_000,
}, async () => {
  const rings = [newRing(), newRing(), newRing()];
  const file = openSync(join(folder, "file"), "w");
  try {
    const timeouts = rings.map((ring) => new Promise<number>((resolve) => ring.operations.timeout(5, resolve)));
    for (const result of await within("each ring's timeout", Promise.all(timeouts))) assert.equal(result, -ETIME);
    // The kernel gives each fsync to a thread. A ring with threads of its own would have at least one.
    for (const ring of rings) {
      const synced = new Promise<number>((resolve) => ring.operations.fsync(file, false, resolve));
      assert.equal(await within("a ring's fsync", synced), 0);
      await setTimeout(5);
    }
    const workers = kernelWorkers();
    assert.deepEqual([...new Set(workers)], [`iou-wrk-${process.pid}`]);
    assert.ok(workers.length < rings.length, `${workers.length} threads for ${rings.length} rings`);
    const pending = rings.map((ring) => {
      let id = -1;
      const done = new Promise<number>((resolve) => {
        id = ring.operations.timeout(60_000, resolve);
      });
      return { ring, id, done };
    });
    const [first, second, third] = pending;
    // What one ring calls an operation means nothing to the others.
    second!.ring.operations.cancel(second!.id);
    assert.equal(await within("the cancelled timeout", second!.done), -ECANCELED);
    assert.deepEqual([first!.ring.operations.pendingNow, third!.ring.operations.pendingNow], [1, 1]);
    await within("one ring to close", first!.ring.shutdown());
    assert.equal(await first!.done, -ECANCELED);
    assert.equal(third!.ring.operations.pendingNow, 1);
  } finally {
    closeSync(file);
    await within("the rings to close", Promise.all(rings.map((ring) => ring.shutdown())));
  }
});
