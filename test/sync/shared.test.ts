/** Structures that threads share, with real threads: those that run tasks, and shards, some of which are killed. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Worker } from "node:worker_threads";
import { once, sharedCache } from "../../src/index.js";
import { pinned } from "../../src/scheduler/placement.js";
import { type Scheduler, startScheduler } from "../../src/scheduler/scheduler.js";
import { tasks } from "../../src/scheduler/tasks.js";
import { sharedBarrier, sharedChannel, sharedMutex, sharedSemaphore } from "../../src/sync/index.js";
import type * as SharedTasks from "./fixtures/shared-tasks.js";
import type { Parcel } from "./fixtures/shared-tasks.js";

const work = tasks<typeof SharedTasks>(new URL("./fixtures/shared-tasks.js", import.meta.url));
const onFirst = work.with({ placement: pinned(0) });
const onSecond = work.with({ placement: pinned(1) });

function word(): Int32Array {
  return new Int32Array(new SharedArrayBuffer(4));
}

function lost(error: { code?: string }): true {
  assert.equal(error.code, "ERR_RINGLOOM_THREAD_LOST");
  return true;
}

describe("structures that the main thread shares with those that run tasks", () => {
  let scheduler: Scheduler;
  before(() => {
    scheduler = startScheduler({ compute: 2, blocking: 2 });
  });
  after(() => scheduler.close());

  test("a channel: each value is received once, those of a sender in their order", async () => {
    const count = 2_000;
    const receivers = [onFirst.receiveAll("parcels"), onSecond.receiveAll("parcels")];
    const channel = sharedChannel<Parcel>("parcels", { capacity: 16 });
    const { sendMany } = await import("./fixtures/shared-tasks.js");
    await Promise.all([
      sendMany("parcels", 0, count),
      onFirst.sendMany("parcels", 1, count),
      work.with({ blocking: true }).sendMany("parcels", 2, count),
    ]);
    channel.close();
    const got = await Promise.all(receivers);
    for (const from of [0, 1, 2]) {
      const all = got.flatMap((one) => one[from] ?? []);
      assert.deepEqual(
        all.toSorted((a, b) => a - b),
        Array.from({ length: count }, (_, n) => n),
      );
      for (const one of got)
        assert.deepEqual(
          one[from] ?? [],
          (one[from] ?? []).toSorted((a, b) => a - b),
        );
    }
    assert.equal(channel.lostCount, 0);
  });

  test("a channel: senders that wait are weighed, and one that is too large waits alone", async () => {
    const channel = sharedChannel<Uint8Array>("weighed", { capacity: 1, valueBytesMax: 4_096, waitingBytesMax: 2_500 });
    const bytes = new Uint8Array(1_000);
    await channel.send(bytes);
    const overloaded = { code: "ERR_RINGLOOM_OVERLOADED", message: /\d{4} bytes of at most 2500 wait/ };
    const waiting = [channel.send(bytes), channel.send(bytes)];
    await assert.rejects(channel.send(bytes), overloaded);
    const controller = new AbortController();
    const small = channel.send(new Uint8Array(10), { signal: controller.signal });
    controller.abort();
    await assert.rejects(small, { code: "ERR_RINGLOOM_ABORTED" });
    for (let n = 0; n < 3; n++) assert.equal((await channel.recv({ timeoutMs: 20_000 })).length, 1_000);
    await Promise.all(waiting);
    await channel.send(bytes);
    const large = channel.send(new Uint8Array(4_000));
    await assert.rejects(channel.send(new Uint8Array(1)), overloaded);
    assert.equal((await channel.recv({ timeoutMs: 20_000 })).length, 1_000);
    assert.equal((await channel.recv({ timeoutMs: 20_000 })).length, 4_000);
    await large;
    assert.throws(() => sharedChannel("weighed-wrong", { waitingBytesMax: 0 }), {
      code: "ERR_RINGLOOM_INVALID_OPTION",
    });
  });

  test("a mutex: what is done in two steps is done by one thread at a time", async () => {
    const counter = word();
    const { addSlowly } = await import("./fixtures/shared-tasks.js");
    const abandoned = await Promise.all([
      addSlowly("counter", counter, 300),
      onFirst.addSlowly("counter", counter, 300),
      onFirst.addSlowly("counter", counter, 300),
      onSecond.addSlowly("counter", counter, 300),
    ]);
    assert.equal(counter[0], 1_200);
    assert.deepEqual(abandoned, [0, 0, 0, 0]);
  });

  test("a mutex whose holder dies goes to the one that waits, who is told", async () => {
    const held = word();
    const mutex = sharedMutex("orphan");
    const dying = onFirst.dieLocked("orphan", held).catch((error: Error) => error);
    while (Atomics.load(held, 0) === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    const guard = await mutex.lock({ timeoutMs: 20_000 });
    assert.equal(guard.wasAbandoned, true);
    guard.release();
    assert.equal((await mutex.lock()).release(), true);
    assert.equal(mutex.abandonedCount, 1);
    lost((await dying) as never);
  });

  test("a thread that has given up waiting passes on what it is offered, also when it sleeps", async () => {
    const mutex = sharedMutex("given-up");
    for (let round = 0; round < 10; round++) {
      const guard = await mutex.lock();
      const results = [onFirst.waitAndLeave("given-up", 5), onSecond.waitAndLeave("given-up", 5)];
      await new Promise((resolve) => setTimeout(resolve, round));
      guard.release();
      for (const result of await Promise.all(results)) {
        assert.ok(result === "locked" || result === "ERR_RINGLOOM_TIMEOUT", result);
      }
      (await mutex.lock({ timeoutMs: 20_000 })).release();
    }
  });

  test("a semaphore: permits of a dead thread come back, and are reported", async () => {
    const semaphore = sharedSemaphore("permits", 4);
    await assert.rejects(onSecond.dieWithPermits("permits", 3), lost);
    const guards = await Promise.all([1, 2, 3, 4].map(() => semaphore.acquire({ timeoutMs: 20_000 })));
    assert.equal(guards.filter(({ wasAbandoned }) => wasAbandoned).length, 3);
    assert.equal(semaphore.abandonedCount, 3);
    assert.equal(semaphore.available, 0);
    for (const guard of guards) guard.release();
    assert.equal((await semaphore.acquire()).wasAbandoned, false);
  });

  test("a barrier: all parties meet, again and again", async () => {
    const barrier = sharedBarrier("meeting", 3);
    for (let round = 0; round < 20; round++) {
      const last = await Promise.all([
        barrier.wait().then(({ isLast }) => isLast),
        onFirst.waitAtBarrier("meeting", 3),
        onSecond.waitAtBarrier("meeting", 3),
      ]);
      assert.equal(last.filter(Boolean).length, 1);
    }
  });

  test("a barrier is broken by the death of a party, for that generation", async () => {
    const barrier = sharedBarrier("fragile", 3);
    const dying = onFirst.dieAtBarrier("fragile", 3).catch((error: Error) => error);
    await assert.rejects(barrier.wait({ timeoutMs: 20_000 }), {
      code: "ERR_RINGLOOM_BROKEN_BARRIER",
      details: { name: "fragile", reason: "thread-lost" },
    });
    lost((await dying) as never);
    await Promise.all([barrier.wait(), barrier.wait(), onSecond.waitAtBarrier("fragile", 3)]);
  });

  test("the desk of the main thread is there for `once` and the shared cache on those threads too", async () => {
    sharedCache("from-tasks").set("key", "value");
    const made = await once("key", () => -1);
    for (const thread of [onFirst, onSecond]) {
      assert.deepEqual(await thread.useKeyed("key"), { once: made, cached: "value" });
    }
    assert.equal((await onFirst.useKeyed("other")).once, (await onSecond.useKeyed("other")).once);
  });

  test("cannot be opened on a thread that belongs to no server", async () => {
    const index = JSON.stringify(new URL("../../src/sync/index.js", import.meta.url).href);
    const thread = new Worker(
      `import(${index}).then(({ sharedMutex }) => sharedMutex("x")).catch((error) => require("node:worker_threads").parentPort.postMessage(error.code));`,
      { eval: true },
    );
    const code = await new Promise((resolve) => thread.once("message", resolve));
    assert.equal(code, "ERR_RINGLOOM_WRONG_THREAD");
    await thread.terminate();
  });
});
