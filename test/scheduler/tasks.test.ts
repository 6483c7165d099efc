import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";
import { RingloomError } from "../../src/errors.js";
import { pinned, roundRobin, sticky } from "../../src/scheduler/placement.js";
import { type Scheduler, type SchedulerOptions, startScheduler } from "../../src/scheduler/scheduler.js";
import { tasks } from "../../src/scheduler/tasks.js";
import type * as TaskModule from "./task-module.js";

const COMPUTE = 2;
const MODULE = new URL("./task-module.js", import.meta.url);
const work = tasks<typeof TaskModule>(MODULE);
let scheduler: Scheduler;

function withCode(code: string): (error: unknown) => boolean {
  return (error) => error instanceof RingloomError && error.code === code;
}

/** No slot is left behind: everything that was spawned has come back. */
function assertAtRest(): void {
  const { spawned, settled, cancelled, inFlight } = scheduler.stats;
  assert.equal(inFlight, 0);
  assert.ok(spawned <= settled + cancelled, "every task was settled or given up");
}

function scheduled(options: SchedulerOptions = {}): void {
  beforeEach(() => {
    scheduler = startScheduler({ compute: COMPUTE, ...options });
  });
  afterEach(() => scheduler.close());
}

/** Resolves when `isTrue`, or fails after ten seconds. */
async function until(isTrue: () => boolean): Promise<void> {
  for (let tries = 0; !isTrue(); tries++) {
    assert.ok(tries < 1000, "it comes true in the end");
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

describe("tasks()", () => {
  scheduled();

  test("resolves with what the function returns, or its promise resolves with", async () => {
    assert.equal(await work.add(1, 2), 3);
    assert.equal(await work.later(1, "late"), "late");
    assert.equal(await work.nothing(), undefined);
    assertAtRest();
  });

  test("runs on other threads than the caller's", async () => {
    const threads = new Set(
      await Promise.all(Array.from({ length: 50 }, () => work.later(1, 0).then(() => work.thread()))),
    );
    assert.ok(!threads.has(0));
    assert.ok(threads.size >= 1 && threads.size <= COMPUTE);
  });

  const values: [name: string, value: unknown][] = [
    ["a long string", "x".repeat(100_000)],
    ["bytes", new Uint8Array(300_000).fill(7)],
    ["nested data", { list: [1, "two", null, { three: new Date(3) }], map: new Map([["k", new Set([1n])]]) }],
    ["what only structured clone carries", { pattern: /a+/gi, error: new RangeError("no") }],
    [
      "a cycle",
      (() => {
        const cycle: { self?: unknown } = {};
        cycle.self = cycle;
        return cycle;
      })(),
    ],
    ["nothing at all", undefined],
  ];
  for (const [name, value] of values) {
    test(`carries ${name} there and back`, async () => {
      assert.deepEqual(await work.identity(value), value);
      assertAtRest();
    });
  }

  test("rejects with the error that was thrown: class, code, cause and both stacks", async () => {
    const error = await work.fail("planted").then(
      () => assert.fail("it should have failed"),
      (thrown: unknown) => thrown,
    );
    assert.ok(error instanceof TypeError);
    assert.equal(error.message, "planted");
    assert.equal(Reflect.get(error, "code"), "ERR_PLANTED");
    assert.ok(error.cause instanceof RangeError);
    assert.match(error.stack ?? "", /task-module/);
    await assert.rejects(work.failWith("a text"), (thrown) => thrown === "a text");
    await assert.rejects(work.returnFunction(), /could not be cloned/);
    assertAtRest();
  });

  test("rejects what cannot be cloned at once", async () => {
    await assert.rejects(
      work.identity(() => undefined),
      (error) => withCode("ERR_RINGLOOM_NOT_CLONEABLE")(error) && /could not be cloned/.test(String(error)),
    );
    assert.equal(await work.add(2, 2), 4);
    assertAtRest();
  });

  test("rejects with what is wrong when there is no such function, or no such module", async () => {
    const other = tasks<{ missing(): void }>(MODULE);
    await assert.rejects(
      other.missing(),
      (error) => withCode("ERR_RINGLOOM_NO_SUCH_FUNCTION")(error) && /exported: .*add/.test(String(error)),
    );
    const none = tasks<{ missing(): void }>(new URL("./no-such-module.js", import.meta.url));
    await assert.rejects(none.missing(), withCode("ERR_RINGLOOM_MODULE_LOAD"));
    assert.throws(() => tasks("./relative.js"), withCode("ERR_RINGLOOM_INVALID_OPTION"));
  });

  test("goes on offering what a module has, whatever else is called", async () => {
    // A function that nobody has called before, in a module that has been called before.
    const other = tasks<Record<string, () => Promise<unknown>>>(new URL("./scope-module.js", import.meta.url));
    const codes = new Set<unknown>();
    for (let round = 0; round < 12; round++) {
      const calls = Array.from({ length: 100 }, (_, n) => other[`invented${round}x${n}`]?.());
      for (const outcome of await Promise.allSettled(calls)) {
        codes.add(outcome.status === "rejected" && (outcome.reason as { code?: unknown }).code);
      }
    }
    assert.deepEqual(codes, new Set(["ERR_RINGLOOM_NO_SUCH_FUNCTION", "ERR_RINGLOOM_OVERLOADED"]));
    assert.deepEqual(await other.unscoped?.(), [false, false, true]);
    assert.equal(await work.calledLast(), "last");
    assertAtRest();
  });

  test("is no promise, so that it can be returned from an async function", async () => {
    assert.equal(await (async () => work)(), work);
  });

  test("gives each task an async context of its own", async () => {
    const pinnedWork = work.with({ placement: pinned(0) });
    const seen = await Promise.all(Array.from({ length: 200 }, (_, index) => pinnedWork.enterContext(`task ${index}`)));
    assert.deepEqual(new Set(seen), new Set([undefined]));
  });

  test("finishes a nested fan-out of 100,000 tasks", { timeout: 120_000 }, async () => {
    assert.equal(await work.tree(5, 10), 100_000);
    assertAtRest();
  });
});

describe("tasks().with()", () => {
  scheduled();

  test("runs on the thread that it is pinned to, and the same key on the same thread", async () => {
    const first = work.with({ placement: pinned(0) });
    const second = work.with({ placement: pinned(1) });
    const [a, b] = await Promise.all([first.thread(), second.thread()]);
    assert.notEqual(a, b);
    for (let index = 0; index < 20; index++) assert.equal(await first.thread(), a);
    const sessions = work.with({ placement: sticky("session 7") });
    assert.equal(new Set(await Promise.all(Array.from({ length: 20 }, () => sessions.thread()))).size, 1);
    const turns = work.with({ placement: roundRobin() });
    assert.deepEqual(new Set([await turns.thread(), await turns.thread()]), new Set([a, b]));
    await assert.rejects(work.with({ placement: pinned(COMPUTE) }).thread(), withCode("ERR_RINGLOOM_INVALID_OPTION"));
    assertAtRest();
  });

  test("rejects at once when the signal is given up, before it and while the task runs", async () => {
    await assert.rejects(work.with({ signal: AbortSignal.abort() }).nothing(), withCode("ERR_RINGLOOM_ABORTED"));
    const controller = new AbortController();
    const running = work.with({ signal: controller.signal }).later(50, "done");
    controller.abort();
    await assert.rejects(running, withCode("ERR_RINGLOOM_ABORTED"));
    await until(() => scheduler.stats.inFlight === 0);
    assertAtRest();
  });

  test("never runs a task that was given up while it waited", async () => {
    const alone = work.with({ placement: pinned(0) });
    const before = await alone.count();
    const words = new Int32Array(new SharedArrayBuffer(4));
    const controller = new AbortController();
    const blocking = alone.later(100, 0);
    const waiting = Array.from({ length: 10 }, () =>
      alone.with({ signal: controller.signal, placement: pinned(0) }).count(),
    );
    controller.abort();
    for (const one of waiting) await assert.rejects(one, withCode("ERR_RINGLOOM_ABORTED"));
    await blocking;
    const ran = (await alone.count()) - before - 1;
    assert.ok(ran >= 0 && ran <= 10);
    assert.equal(words[0], 0);
    await until(() => scheduler.stats.inFlight === 0);
  });

  test("rejects when the time is over", async () => {
    await assert.rejects(work.with({ timeoutMs: 20 }).later(2_000, 0), withCode("ERR_RINGLOOM_TIMEOUT"));
  });
});

describe("a thread that dies", () => {
  scheduled();
  const folder = mkdtempSync(join(tmpdir(), "ringloom-tasks-"));
  process.once("exit", () => rmSync(folder, { recursive: true, force: true }));

  for (const name of ["exit", "throwLater"] as const) {
    test(`rejects its task and is replaced when the task calls ${name}`, async () => {
      process.removeAllListeners("warning");
      await assert.rejects(work[name](), withCode("ERR_RINGLOOM_THREAD_LOST"));
      const answers = await Promise.all(Array.from({ length: 100 }, (_, index) => work.add(index, 1)));
      assert.equal(answers.length, 100);
      await until(() => scheduler.stats.deaths === 1);
      assert.equal(scheduler.stats.lost, 1);
      assertAtRest();
    });
  }

  test("loses what ran there and nothing else", async () => {
    const onFirst = work.with({ placement: pinned(0) });
    const other = work.with({ placement: pinned(1) }).later(50, "kept");
    const lost = Array.from({ length: 20 }, () => onFirst.later(10_000, 0));
    await onFirst.nothing();
    await scheduler.terminateThread(0);
    for (const one of lost) await assert.rejects(one, withCode("ERR_RINGLOOM_THREAD_LOST"));
    assert.equal(await other, "kept");
    assert.equal(await onFirst.add(1, 1), 2);
    assertAtRest();
  });

  test("has its idempotent tasks run again", async () => {
    const path = join(folder, "once");
    assert.equal(await work.with({ idempotent: true }).exitOnce(path), "second");
    assert.ok(existsSync(path));
    assert.equal(scheduler.stats.requeued, 1);
  });

  test("can be ended inside a loop that never returns", async () => {
    const onFirst = work.with({ placement: pinned(0) });
    // Terminated before it had begun, the task would wait for the next thread.
    await onFirst.nothing();
    const endless = onFirst.loopForever();
    setTimeout(() => void scheduler.terminateThread(0), 50);
    await assert.rejects(endless, withCode("ERR_RINGLOOM_THREAD_LOST"));
    assertAtRest();
  });
});

describe("startScheduler()", () => {
  test("refuses more tasks than may be in flight, and takes more when some are settled", async () => {
    scheduler = startScheduler({ compute: 1, tasksMax: 4 });
    try {
      const running = Array.from({ length: 4 }, () => work.later(20, 1));
      await assert.rejects(work.nothing(), withCode("ERR_RINGLOOM_OVERLOADED"));
      assert.deepEqual(await Promise.all(running), [1, 1, 1, 1]);
      assert.equal(await work.add(1, 1), 2);
      assert.equal(scheduler.stats.overloaded, 1);
    } finally {
      await scheduler.close();
    }
  });

  test("rejects what is in flight when it is closed", async () => {
    scheduler = startScheduler({ compute: 1 });
    await work.nothing();
    const running = work.later(10_000, 0);
    await work.nothing();
    const closing = scheduler.close();
    await assert.rejects(running, withCode("ERR_RINGLOOM_THREAD_LOST"));
    await closing;
  });

  test("rejects what has not begun when it is closed", async () => {
    scheduler = startScheduler({ compute: 1 });
    const waiting = work.nothing();
    const closing = scheduler.close();
    await assert.rejects(waiting, withCode("ERR_RINGLOOM_CLOSED"));
    await closing;
  });

  test("says which option is wrong, and that there is one already", async () => {
    assert.throws(() => startScheduler({ compute: 0 }), withCode("ERR_RINGLOOM_INVALID_OPTION"));
    assert.throws(() => startScheduler({ nice: 20 }), withCode("ERR_RINGLOOM_INVALID_OPTION"));
    scheduler = startScheduler({ compute: 1 });
    assert.throws(() => startScheduler(), withCode("ERR_RINGLOOM_INVALID_OPTION"));
    await scheduler.close();
  });
});
