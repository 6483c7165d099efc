import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { endRecording, recordOpenWaits } from "../../src/scheduler/open-waits.js";
import { barrier } from "../../src/sync/barrier.js";
import { condvar } from "../../src/sync/condvar.js";
import { event, notify } from "../../src/sync/event.js";
import { mutex } from "../../src/sync/mutex.js";
import { onceCell } from "../../src/sync/once-cell.js";
import { rwLock } from "../../src/sync/rw-lock.js";
import { semaphore } from "../../src/sync/semaphore.js";
import { select } from "../../src/task/select.js";
import { expected, isPending, withCode } from "./rig.js";

describe("Mutex", () => {
  test("has one holder at a time, in the order of asking", async () => {
    const lock = mutex();
    const order: number[] = [];
    let holders = 0;
    const work = async (n: number): Promise<void> => {
      const guard = await lock.lock();
      holders += 1;
      assert.equal(holders, 1);
      await setImmediate();
      order.push(n);
      holders -= 1;
      guard.release();
    };
    await Promise.all([0, 1, 2, 3].map(work));
    assert.deepEqual(order, [0, 1, 2, 3]);
    assert.equal(lock.isLocked, false);
  });

  test("that is released twice stays with the next holder", async () => {
    const lock = mutex();
    const first = await lock.lock();
    const next = lock.lock();
    assert.equal(first.release(), true);
    assert.equal(first.release(), false);
    first[Symbol.dispose]();
    const second = await next;
    assert.deepEqual([first.isHeld, second.isHeld, lock.isLocked], [false, true, true]);
    assert.equal(lock.tryLock(), undefined);
    second[Symbol.dispose]();
    assert.ok(lock.tryLock());
  });

  test("passes over those that gave up", async () => {
    const lock = mutex();
    const guard = await lock.lock();
    const controller = new AbortController();
    const given = expected(lock.lock({ signal: controller.signal }));
    const late = expected(lock.lock({ timeoutMs: 5 }));
    const last = lock.lock();
    controller.abort();
    await assert.rejects(given, withCode("ERR_RINGLOOM_ABORTED"));
    await assert.rejects(late, withCode("ERR_RINGLOOM_TIMEOUT"));
    guard.release();
    (await last).release();
    assert.equal(lock.isLocked, false);
  });

  test("is released when what ran with it throws", async () => {
    const lock = mutex();
    await assert.rejects(
      lock.with(async () => {
        throw new Error("planted");
      }),
      /planted/,
    );
    assert.equal(await lock.with(() => lock.isLocked), true);
    assert.equal(lock.isLocked, false);
  });

  test("refuses when too many wait", async () => {
    const lock = mutex({ waitingMax: 1 });
    const guard = await lock.lock();
    const next = lock.lock();
    await assert.rejects(lock.lock(), withCode("ERR_RINGLOOM_OVERLOADED"));
    await assert.rejects(select({ lock }), withCode("ERR_RINGLOOM_OVERLOADED"));
    guard.release();
    (await next).release();
  });
});

describe("Semaphore", () => {
  test("is fair: who asks for many is not overtaken", async () => {
    const permits = semaphore(3);
    const two = await permits.acquire(2);
    const many = permits.acquire(3);
    const one = permits.acquire();
    assert.ok(await isPending(one));
    assert.equal(permits.tryAcquire(), undefined);
    assert.equal(permits.available, 1);
    two.release();
    const all = await many;
    assert.ok(await isPending(one));
    all.release();
    (await one).release();
    assert.equal(permits.available, 3);
  });

  test("serves those behind one that gives up", async () => {
    const permits = semaphore(2);
    const held = await permits.acquire();
    const controller = new AbortController();
    const many = expected(permits.acquire(2, { signal: controller.signal }));
    const behind = permits.acquire();
    assert.ok(await isPending(behind));
    controller.abort();
    (await behind).release();
    await assert.rejects(many, withCode("ERR_RINGLOOM_ABORTED"));
    held.release();
    assert.equal(permits.available, 2);
  });

  test("serves those behind a select that another branch has won", async () => {
    const permits = semaphore(2);
    const held = await permits.acquire();
    const stop = event();
    const choice = select({ stop, many: permits.acquiring(2) });
    const behind = permits.acquire();
    assert.ok(await isPending(behind));
    stop.set();
    assert.equal((await choice).which, "stop");
    (await behind).release();
    held.release();
    assert.equal(permits.available, 2);
  });

  test("refuses permits that there are not", async () => {
    assert.throws(() => semaphore(0), withCode("ERR_RINGLOOM_INVALID_OPTION"));
    await assert.rejects(semaphore(2).acquire(3), withCode("ERR_RINGLOOM_INVALID_OPTION"));
    assert.throws(() => semaphore(2).tryAcquire(0), withCode("ERR_RINGLOOM_INVALID_OPTION"));
    assert.throws(() => semaphore(2).acquiring(1.5), withCode("ERR_RINGLOOM_INVALID_OPTION"));
  });
});

describe("RwLock", () => {
  test("lets readers in together and writers alone, in order", async () => {
    const lock = rwLock();
    const [a, b] = [await lock.read(), await lock.read()];
    const write = lock.write();
    const behind = [lock.read(), lock.read()];
    assert.ok(await isPending(write));
    assert.equal(lock.tryRead(), undefined);
    a.release();
    b.release();
    const writer = await write;
    assert.deepEqual([lock.isWriting, lock.readers], [true, 0]);
    assert.ok(await isPending(behind[0] ?? write));
    writer.release();
    for (const reader of await Promise.all(behind)) {
      assert.equal(lock.isWriting, false);
      reader.release();
    }
    assert.ok(lock.tryWrite());
  });

  test("lets readers in when the writer before them gives up", async () => {
    const lock = rwLock();
    const reader = await lock.read();
    const controller = new AbortController();
    const writer = expected(lock.write({ signal: controller.signal }));
    const next = lock.read();
    assert.ok(await isPending(next));
    controller.abort();
    (await next).release();
    reader.release();
    await assert.rejects(writer, withCode("ERR_RINGLOOM_ABORTED"));
    assert.equal(lock.readers, 0);
  });

  test("goes from writing to reading with nobody in between", async () => {
    const lock = rwLock();
    const writer = await lock.write();
    const [nextReader, nextWriter] = [lock.read(), lock.write()];
    const reader = writer.downgrade();
    assert.throws(() => writer.downgrade(), withCode("ERR_RINGLOOM_STALE_HANDLE"));
    (await nextReader).release();
    assert.ok(await isPending(nextWriter));
    reader.release();
    (await nextWriter).release();
  });
});

describe("Condvar", () => {
  test("gives the lock back while it waits, and has it again afterwards", async () => {
    const lock = mutex();
    const changed = condvar(lock);
    const items: number[] = [];
    const taken: number[] = [];
    const consume = async (): Promise<void> => {
      const guard = await changed.waitUntil(await lock.lock(), () => items.length > 0);
      taken.push(items.shift() ?? -1);
      guard.release();
    };
    const consumers = [consume(), consume(), consume()];
    for (const item of [1, 2]) {
      await lock.with(() => {
        items.push(item);
        changed.notifyOne();
      });
    }
    await lock.with(() => {
      items.push(3);
      changed.notifyAll();
    });
    await Promise.all(consumers);
    assert.deepEqual(taken, [1, 2, 3]);
    assert.equal(lock.isLocked, false);
  });

  test("refuses a guard that was released, and frees the lock of one that gives up", async () => {
    const lock = mutex();
    const changed = condvar(lock);
    const guard = await lock.lock();
    guard.release();
    await assert.rejects(changed.wait(guard), withCode("ERR_RINGLOOM_STALE_HANDLE"));
    await assert.rejects(changed.wait(await lock.lock(), { timeoutMs: 5 }), withCode("ERR_RINGLOOM_TIMEOUT"));
    const signal = AbortSignal.abort();
    await assert.rejects(changed.wait(await lock.lock(), { signal }), withCode("ERR_RINGLOOM_ABORTED"));
    const fails = (): boolean => {
      throw new Error("planted");
    };
    await assert.rejects(changed.waitUntil(await lock.lock(), fails), /planted/);
    assert.equal(lock.isLocked, false);
  });
});

describe("Barrier", () => {
  test("lets all go on when the last has come, again and again", async () => {
    const all = barrier(3);
    for (let round = 0; round < 3; round++) {
      const early = [all.wait(), all.wait()];
      assert.ok(await isPending(early[0] ?? all.wait()));
      const arrivals = await Promise.all([...early, all.wait()]);
      assert.deepEqual(
        arrivals.map(({ isLast }) => isLast),
        [false, false, true],
      );
    }
  });

  test("waits for another one instead of one that gave up", async () => {
    const both = barrier(2);
    await assert.rejects(both.wait({ timeoutMs: 5 }), withCode("ERR_RINGLOOM_TIMEOUT"));
    assert.equal(both.waiting, 0);
    await Promise.all([both.wait(), both.wait()]);
    assert.throws(() => barrier(0), withCode("ERR_RINGLOOM_INVALID_OPTION"));
  });
});

describe("Event and Notify", () => {
  test("an event lets all through while it is set", async () => {
    const ready = event();
    const waiting = [ready.wait(), ready.wait()];
    assert.ok(await isPending(waiting[0] ?? ready.wait()));
    ready.set();
    await Promise.all([...waiting, ready.wait()]);
    ready.reset();
    await assert.rejects(ready.wait({ timeoutMs: 5 }), withCode("ERR_RINGLOOM_TIMEOUT"));
  });

  test("a notification wakes one, and one is kept for the next", async () => {
    const work = notify();
    const [first, second] = [work.wait(), work.wait()];
    work.notifyOne();
    await first;
    assert.ok(await isPending(second));
    work.notifyAll();
    await second;
    work.notifyAll();
    assert.ok(await isPending(work.wait()));
    work.notifyOne();
    work.notifyOne();
    work.notifyOne();
    await work.wait();
    assert.ok(await isPending(work.wait()));
  });
});

describe("OnceCell", () => {
  test("makes its value once for all that ask", async () => {
    let made = 0;
    const cell = onceCell(async () => {
      await setImmediate();
      return ++made;
    });
    assert.equal(cell.value, undefined);
    assert.deepEqual(await Promise.all([cell.get(), cell.get({ timeoutMs: 10_000 }), cell.get()]), [1, 1, 1]);
    assert.equal(cell.value, 1);
    assert.equal(await cell.get(), 1);
  });

  for (const how of ["at once", "later"]) {
    test(`tries again after a failure that comes ${how}`, async () => {
      let calls = 0;
      const cell = onceCell(() => {
        calls += 1;
        if (calls > 1) return "made";
        if (how === "at once") throw new Error("planted");
        return Promise.reject(new Error("planted"));
      });
      const both = [cell.get(), cell.get()];
      for (const one of both) expected(one as Promise<unknown>);
      for (const one of both) await assert.rejects(one as Promise<unknown>, /planted/);
      assert.equal(await cell.get(), "made");
      assert.equal(calls, 2);
    });
  }

  test("goes on for the others when one gives up", async () => {
    let make = (_: string): void => {};
    const cell = onceCell(() => new Promise<string>((resolve) => (make = resolve)));
    const other = cell.get();
    await assert.rejects(cell.get({ timeoutMs: 5 }), withCode("ERR_RINGLOOM_TIMEOUT"));
    await assert.rejects(cell.get({ signal: AbortSignal.abort() }), withCode("ERR_RINGLOOM_ABORTED"));
    make("made");
    assert.equal(await other, "made");
  });

  test("leaves nothing behind when one gives up, while the value is still being made", async () => {
    const cell = onceCell(() => new Promise<string>(() => {}));
    const recording = recordOpenWaits();
    try {
      const { signal } = new AbortController();
      await assert.rejects(cell.get({ signal, timeoutMs: 5 }), withCode("ERR_RINGLOOM_TIMEOUT"));
      const controller = new AbortController();
      const aborted = cell.get({ signal: controller.signal, timeoutMs: 60_000 });
      controller.abort();
      await assert.rejects(aborted, withCode("ERR_RINGLOOM_ABORTED"));
      assert.deepEqual([...recording.values()], []);
    } finally {
      endRecording(recording);
    }
  });
});
