/** The contract suite, part 7: how other threads wake a driver's thread. */
import assert from "node:assert/strict";
import { readSync } from "node:fs";
import { describe, test } from "node:test";
import type { Worker } from "node:worker_threads";
import type { Doorbell, DriverWake } from "../../src/driver/contract.js";
import { closeDoorbell, createDoorbell, forceDoorbell, ringDoorbell } from "../../src/driver/doorbell.js";
import { requireNative } from "../../src/native.js";
import { type DriverUnderTest, driversUnderTest, driverVariants } from "../support/drivers.js";
import { Signal, turns, within } from "../support/signal.js";
import { startOwner } from "./doorbell-owner.js";
import { type Rig, withRig } from "./rig.js";
import { type RingOrder, SHARED, startRinger } from "./ringer.js";

interface Bench {
  readonly rig: Rig;
  readonly doorbell: Doorbell;
  readonly shared: SharedArrayBuffer;
  readonly words: Int32Array;
  readonly signal: Signal;
  /** What the driver called, in order: `rung`, `prepare`, `resume`. */
  readonly calls: string[];
  /** The value of `SHARED.published` that the last `rung` found. */
  readonly seen: () => number;
  ring(order?: Omit<RingOrder, "doorbell" | "shared">): ReturnType<typeof startRinger>;
}

interface BenchOptions {
  readonly prepare?: () => boolean;
  readonly rung?: () => void;
}

/** A driver that answers to a doorbell, and whatever else a case needs. Ends the ringers that the case has started. */
async function withDoorbell(
  under: DriverUnderTest,
  options: BenchOptions,
  body: (bench: Bench) => Promise<void>,
): Promise<void> {
  const doorbell = createDoorbell(under.name);
  const shared = new SharedArrayBuffer(64);
  const words = new Int32Array(shared);
  const signal = new Signal();
  const calls: string[] = [];
  const workers: Worker[] = [];
  let seen = 0;
  const rung = (): void => {
    seen = Atomics.load(words, SHARED.published);
    calls.push("rung");
    signal.notify();
    Atomics.store(words, SHARED.seen, seen);
    Atomics.notify(words, SHARED.seen);
    options.rung?.();
  };
  const prepare = options.prepare;
  const idle = { prepare: () => log("prepare") && (prepare?.() ?? true), resume: () => void log("resume") };
  const log = (call: string): true => {
    calls.push(call);
    signal.notify();
    return true;
  };
  const wake: DriverWake = prepare === undefined ? { doorbell, rung } : { doorbell, rung, idle };
  try {
    await withRig(under, { wake }, async (rig) => {
      const ring: Bench["ring"] = (order = {}) => {
        const ringer = startRinger({ doorbell, shared, ...order });
        workers.push(ringer.worker);
        return ringer;
      };
      await body({ rig, doorbell, shared, words, signal, calls, seen: () => seen, ring });
    });
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()));
    closeDoorbell(doorbell);
  }
}

for (const under of driverVariants) {
  const seesSleep = under.name !== "portable" && !under.label.includes("libuv");

  describe(`Driver ${under.label}, doorbell`, { skip: under.skip, timeout: 300_000 }, () => {
    test("a ring wakes a thread that sleeps, each time", async () => {
      await withDoorbell(under, {}, async ({ ring, signal, seen, rig }) => {
        const { done } = ring({ times: 50, onlyAsleep: true });
        const counts = await within("the ringer to end", done);
        await signal.until("the last ring", () => seen() === 50);
        assert.equal(counts.woken + counts.told, 50);
        assert.ok(counts.woken > 0, "it slept now and then");
        assert.ok(rig.driver.stats.rung > 0);
      });
    });

    test("rings that come while the thread works are one", async () => {
      await withDoorbell(under, {}, async ({ ring, words, calls, signal, seen }) => {
        const { done } = ring({ times: 10_000 });
        // The thread looks nowhere until all have been rung.
        while (Atomics.load(words, SHARED.published) < 10_000) Atomics.wait(words, SHARED.resting, 0, 1);
        const { woken } = await within("the ringer to end", done);
        await signal.until("the ring", () => seen() === 10_000);
        await turns(10);
        assert.equal(seen(), 10_000);
        // One for what was published when it went to look, and one for what may have come since.
        assert.ok(calls.length <= 2, `${calls.length} calls of rung`);
        assert.ok(woken <= 2, `${woken} wake-ups`);
      });
    });

    test("no ring of several threads is lost, whether the thread sleeps, wakes or works", async () => {
      await withDoorbell(under, {}, async ({ ring, signal, seen, rig }) => {
        rig.handlers.turnEnded = () => {};
        const ringers = [
          ring({ times: 1500, restMsMax: 0.3 }),
          ring({ times: 1500, restMsMax: 1 }),
          ring({ times: 1500 }),
        ];
        await Promise.all(ringers.map(({ done }) => within("the ringers to end", done, 60_000)));
        await signal.until("the last ring", () => seen() === 4500);
      });
    });

    test("a ring at whatever step of falling asleep wakes the thread", async () => {
      await withDoorbell(under, {}, async ({ ring, signal, seen }) => {
        const { woken, told } = await within("the ringer", ring({ times: 3000, isAnswered: true }).done, 120_000);
        assert.equal(woken + told, 3000);
        await signal.until("the last ring", () => seen() === 3000);
      });
    });

    test("rings and connections do not get into each other's way", async () => {
      await withDoorbell(under, {}, async ({ ring, words, rig, signal, seen }) => {
        rig.handlers.received = (slot, bytes, offset, length) => {
          rig.send(slot, bytes.subarray(offset, offset + length));
        };
        const { peer, life } = await rig.open();
        const { done } = ring({ restMsMax: 0.5 });
        for (let round = 1; round <= 200; round++) {
          peer.send("ping");
          await rig.receivedBytes(life, round * 4);
        }
        Atomics.store(words, SHARED.stop, 1);
        await within("the ringer to end", done);
        await signal.until("the last ring", () => seen() === Atomics.load(words, SHARED.published));
      });
    });

    test("the ringing thread can be the driver's own", async () => {
      await withDoorbell(under, {}, async ({ doorbell, signal, calls }) => {
        assert.notEqual(ringDoorbell(doorbell), "closed");
        assert.deepEqual(calls, [], "never inside the call");
        await signal.until("the ring", () => calls.length === 1);
        forceDoorbell(doorbell);
        await signal.until("the second ring", () => calls.length === 2);
      });
    });

    test("a shutdown ends the rings, and a ring after it does nothing", async () => {
      await withDoorbell(under, {}, async ({ ring, rig, words, doorbell, calls, signal }) => {
        const ringers = [ring(), ring({ restMsMax: 0.3 })];
        await signal.until("a ring", () => calls.length > 0);
        await rig.shutdown();
        const callsAtEnd = calls.length;
        assert.notEqual(ringDoorbell(doorbell), "closed", "the doorbell is not the driver's");
        await turns(20);
        assert.equal(calls.length, callsAtEnd);
        Atomics.store(words, SHARED.stop, 1);
        await Promise.all(ringers.map(({ done }) => within("the ringers to end", done)));
      });
    });

    test("prepare() that refuses gives a turn; one that agrees is followed by one resume()", {
      skip: seesSleep ? false : "the sleep of this driver cannot be seen",
    }, async () => {
      let refusals = 3;
      const prepare = (): boolean => refusals-- <= 0;
      await withDoorbell(under, { prepare }, async ({ rig, ring, calls, signal }) => {
        rig.handlers.turnEnded = () => {
          if (calls.at(-1) !== "turn") calls.push("turn");
        };
        await within("the ring", ring({ times: 1, onlyAsleep: true }).done);
        await signal.until("the ring", () => calls.includes("rung"));
        const first = calls.indexOf("prepare");
        const asked = calls.slice(first, first + 7);
        assert.deepEqual(asked, ["prepare", "turn", "prepare", "turn", "prepare", "turn", "prepare"]);
        const rung = calls.indexOf("rung");
        assert.deepEqual(calls.slice(rung - 2, rung + 2), ["prepare", "resume", "rung", "turn"]);
        let isParked = false;
        for (const call of calls.slice(first + 6)) {
          assert.equal(isParked, call === "resume", `${call} while ${isParked ? "parked" : "awake"}`);
          isParked = call === "prepare";
        }
      });
    });

    test("what prepare() commits leaves, and what it rings is heard", {
      skip: seesSleep ? false : "the sleep of this driver cannot be seen",
    }, async () => {
      let act = (): void => {};
      const prepare = (): boolean => {
        const now = act;
        act = () => {};
        now();
        return true;
      };
      await withDoorbell(under, { prepare }, async ({ rig, doorbell, calls, signal }) => {
        const { peer, life } = await rig.open();
        act = () => rig.send(life.slot, "from prepare");
        await peer.signal.until("the bytes", () => peer.bytes.toString() === "from prepare");
        act = () => ringDoorbell(doorbell);
        peer.send("anything");
        await signal.until("the ring", () => calls.includes("rung"));
      });
    });

    test("a thread whose sleep cannot be seen is never asked", {
      skip: seesSleep ? "the sleep of this driver can be seen" : false,
    }, async () => {
      await withDoorbell(under, { prepare: () => true }, async ({ ring, signal, seen, calls }) => {
        const counts = await within("the ringer to end", ring({ times: 3, onlyAsleep: true, restMsMax: 5 }).done);
        await signal.until("the rings", () => seen() === 3);
        assert.deepEqual([...new Set(calls)], ["rung"]);
        assert.ok(counts.woken > 0);
      });
    });
  });
}

for (const under of driversUnderTest) {
  describe(`A doorbell of ${under.name}`, { skip: under.skip, timeout: 120_000 }, () => {
    test("outlives its thread: rings of others go on, and the next thread answers", async () => {
      const doorbell = createDoorbell(under.name);
      const shared = new SharedArrayBuffer(64);
      const words = new Int32Array(shared);
      const heardBuffer = new SharedArrayBuffer(4);
      const heard = new Int32Array(heardBuffer);
      const ringers = [startRinger({ doorbell, shared }), startRinger({ doorbell, shared, restMsMax: 0.5 })];
      const owners: Worker[] = [];
      const begin = async (): Promise<Worker> => {
        const { worker, ready } = startOwner({ driver: under.name, doorbell, heard: heardBuffer });
        owners.push(worker);
        await within("the thread to start", ready);
        return worker;
      };
      try {
        for (let life = 0; life < 4; life++) {
          const worker = await begin();
          const before = Atomics.load(heard, 0);
          await until("the thread to hear", () => Atomics.load(heard, 0) > before + 20);
          await within("the thread to die", worker.terminate());
        }
        Atomics.store(words, SHARED.stop, 1);
        const counts = await Promise.all(ringers.map(({ done }) => within("the ringers to end", done)));
        for (const { closed } of counts) assert.equal(closed, 0);
        const before = Atomics.load(heard, 0);
        ringDoorbell(doorbell);
        await begin();
        await until("the ring that nobody was there for", () => Atomics.load(heard, 0) > before);
      } finally {
        await Promise.all([...ringers.map(({ worker }) => worker), ...owners].map((worker) => worker.terminate()));
        closeDoorbell(doorbell);
      }
    });

    test("refuses a driver of another kind, and one that comes too late", () => {
      const other = createDoorbell(under.name === "portable" ? "epoll" : "portable");
      const wake = (doorbell: Doorbell): DriverWake => ({ doorbell, rung: () => {} });
      assert.throws(() => bareDriver(under, wake(other)), { code: "ERR_RINGLOOM_INVALID_OPTION" });
      closeDoorbell(other);
      const own = createDoorbell(under.name);
      closeDoorbell(own);
      assert.throws(() => bareDriver(under, wake(own)), { code: "ERR_RINGLOOM_CLOSED" });
    });

    test("that is closed answers every ring with it, twice closed too", () => {
      const doorbell = createDoorbell(under.name);
      closeDoorbell(doorbell);
      closeDoorbell(doorbell);
      assert.equal(ringDoorbell(doorbell), "closed");
      assert.equal(forceDoorbell(structuredClone(doorbell)), "closed");
    });

    test("takes a place in shared memory that fits, and no other", () => {
      const buffer = new SharedArrayBuffer(256);
      closeDoorbell(createDoorbell(under.name, { buffer, byteOffset: 128 }));
      for (const byteOffset of [-64, 4, 192, 0.5])
        assert.throws(() => createDoorbell(under.name, { buffer, byteOffset }), RangeError);
    });
  });
}

describe("A doorbell with a descriptor", { skip: nativeSkip(), timeout: 120_000 }, () => {
  test("that is closed while threads ring writes to nobody's descriptor afterwards", async () => {
    const native = requireNative();
    for (let round = 0; round < 20; round++) {
      const doorbell = createDoorbell("epoll");
      assert.ok(doorbell.kind === "eventfd");
      // Nobody ever looks, so every forced ring writes.
      const shared = new SharedArrayBuffer(64);
      const ringers = [
        startRinger({ doorbell, shared, isForced: true }),
        startRinger({ doorbell, shared, isForced: true }),
      ];
      try {
        await until("rings", () => Atomics.load(new Int32Array(shared), SHARED.published) > 100);
        closeDoorbell(doorbell);
        const published = Atomics.load(new Int32Array(shared), SHARED.published);
        const taken: number[] = [];
        // Whoever used it last has closed it: its number is given out again.
        await until("the number to be free", () => {
          taken.push(native.eventDescriptor());
          return taken.includes(doorbell.fd);
        });
        await until("more rings", () => Atomics.load(new Int32Array(shared), SHARED.published) > published + 1000);
        assert.throws(() => readSync(doorbell.fd, new Uint8Array(8)), { code: "EAGAIN" }, "nobody has written to it");
        for (const fd of taken) native.closeDescriptor(fd);
        Atomics.store(new Int32Array(shared), SHARED.stop, 1);
        const counts = await Promise.all(ringers.map(({ done }) => within("the ringers to end", done)));
        assert.ok(counts.some(({ closed }) => closed > 0));
      } finally {
        await Promise.all(ringers.map(({ worker }) => worker.terminate()));
      }
    }
  });
});

function bareDriver(under: DriverUnderTest, wake: DriverWake): unknown {
  const nothing = (): void => {};
  return under.create(
    {
      connectionsMax: 4,
      writePoolBytes: 65536,
      receiveSlab: { bytes: new Uint8Array(65536), offset: 0, length: 65536 },
      ringEntries: 16,
      spin: { mode: "off", microsMax: 0 },
      loop: "inverted",
      wake,
    },
    {
      accepted: nothing,
      connected: nothing,
      received: nothing,
      ended: nothing,
      drained: nothing,
      closed: nothing,
      listenerStopped: nothing,
      turnEnded: nothing,
    },
  );
}

/** Looks again in each turn of the event loop. */
async function until(what: string, holds: () => boolean): Promise<void> {
  const signal = new Signal();
  const timer = setInterval(() => signal.notify(), 1);
  try {
    await signal.until(what, holds);
  } finally {
    clearInterval(timer);
  }
}

function nativeSkip(): string | false {
  const native = driversUnderTest.find(({ name }) => name === "epoll");
  return native === undefined ? "RINGLOOM_DRIVER names another driver" : native.skip;
}
