/** What user code can do to the scheduler: promises that call back twice, getters that spawn, threads that are busy where they seem to sleep, and tasks that kill. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { Worker } from "node:worker_threads";
import { RingloomError } from "../../src/errors.js";
import type { TaskOptions } from "../../src/scheduler/call-options.js";
import { type Placement, pinned, stealable } from "../../src/scheduler/placement.js";
import { type Scheduler, type SchedulerOptions, startScheduler } from "../../src/scheduler/scheduler.js";
import { tasks } from "../../src/scheduler/tasks.js";
import { until } from "./scheduler-rig.js";
import type * as TaskModule from "./task-module.js";

const work = tasks<typeof TaskModule>(new URL("./task-module.js", import.meta.url));
const onFirst = work.with({ placement: pinned(0) });
const LAST_WORDS = fileURLToPath(new URL("./fixtures/last-words.js", import.meta.url));

function withCode(code: string): (error: unknown) => boolean {
  return (error) => error instanceof RingloomError && error.code === code;
}

async function withScheduler(options: SchedulerOptions, run: (scheduler: Scheduler) => Promise<void>): Promise<void> {
  const scheduler = startScheduler(options);
  try {
    await run(scheduler);
  } finally {
    await scheduler.close();
  }
}

describe("a task", () => {
  test("is settled once, although what it returned calls back twice", () =>
    withScheduler({ compute: 1 }, async (scheduler) => {
      await work.nothing();
      const calls = Array.from({ length: 500 }, (_, n) => (n % 5 === 0 ? work.calledBackTwice(n) : work.later(1, n)));
      assert.deepEqual(
        await Promise.all(calls),
        calls.map((_, n) => n),
      );
      await onFirst.later(20, 0);
      assert.equal(scheduler.stats.deaths, 0);
    }));

  test("goes on with what it has left behind, although its thread has nothing else to do", () =>
    withScheduler({ compute: 1 }, async () => {
      const folder = mkdtempSync(join(tmpdir(), "ringloom-left-"));
      try {
        await work.leavePoolJobs(join(folder, "jobs"), 3);
        await until(() => existsSync(join(folder, "jobs")));
        for (let round = 0; round < 10; round++) {
          await work.leavePromises(join(folder, `${round}`), 5_000);
          await until(() => existsSync(join(folder, `${round}`)));
        }
      } finally {
        rmSync(folder, { recursive: true });
      }
    }));

  test("is seen done by the task that waits for it, on a thread that sleeps in its event loop", () =>
    withScheduler({ compute: 1 }, async () => {
      assert.equal(await work.with({ timeoutMs: 10_000 }).nestedLater(20, "late"), "late");
    }));

  test("runs although the thread that is asked first is busy in its event loop", () =>
    withScheduler({ compute: 2 }, async () => {
      const folder = mkdtempSync(join(tmpdir(), "ringloom-hazards-"));
      try {
        const path = join(folder, "go");
        await Promise.all([onFirst.nothing(), work.with({ placement: pinned(1) }).nothing()]);
        const busy = onFirst.burnUntil(path);
        await until(() => existsSync(`${path}.begun`));
        // The other one goes back to sleep.
        await sleep(50);
        await work.nothing();
        writeFileSync(path, "");
        assert.equal(await busy, true);
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
    }));

  test("runs on the thread that it prefers when that one is idle", () =>
    withScheduler({ compute: 2, spinMicros: 0 }, async () => {
      const second = await work.with({ placement: pinned(1) }).thread();
      let count = 0;
      for (let n = 0; n < 10; n++) {
        await sleep(20);
        if ((await work.with({ placement: stealable(1) }).thread()) === second) count += 1;
      }
      assert.ok(count > 5, `${count} of 10`);
    }));

  test("is not kept waiting by an endless stream of pinned ones", () =>
    withScheduler({ compute: 1 }, async () => {
      await work.nothing();
      let isDone = false;
      let isStarved = false;
      async function lane(): Promise<void> {
        for (let n = 0; n < 30 && !isDone; n++) await onFirst.burn(1);
        isStarved ||= !isDone;
      }
      const lanes = Array.from({ length: 100 }, lane);
      await work.nothing();
      isDone = true;
      await Promise.all(lanes);
      assert.equal(isStarved, false);
    }));

  test("is not kept waiting for ever behind others when its module has been loaded", () =>
    withScheduler({ compute: 1 }, async () => {
      await work.burn(0);
      let isDone = false;
      let isStarved = false;
      async function lane(): Promise<void> {
        for (let n = 0; n < 200 && !isDone; n++) await work.burn(1);
        isStarved ||= !isDone;
      }
      const lanes = Array.from({ length: 30 }, lane);
      // The first call of this function on that thread.
      await work.add(1, 2);
      isDone = true;
      await Promise.all(lanes);
      assert.equal(isStarved, false);
    }));

  test("goes on while long ones wait for the same thread", () =>
    withScheduler({ compute: 1 }, async () => {
      await Promise.all([work.later(1, 0), work.burn(0)]);
      const order: string[] = [];
      const calls = [work.later(1, 0).then(() => order.push("later"))];
      for (let n = 0; n < 60; n++) calls.push(work.burn(5).then(() => order.push("burn")));
      await Promise.all(calls);
      assert.notEqual(order.at(-1), "later");
      assert.ok(order.indexOf("later") < 40, `settled as number ${order.indexOf("later")}`);
    }));

  test("that kills every thread which runs it is given up after a few, idempotent or not", () =>
    withScheduler({ compute: 2 }, async (scheduler) => {
      await assert.rejects(work.with({ idempotent: true }).exit(), withCode("ERR_RINGLOOM_THREAD_LOST"));
      assert.equal(scheduler.stats.requeued, 3);
    }));

  test("given up while its arguments are read rejects", () =>
    withScheduler({ compute: 1 }, async (scheduler) => {
      const controller = new AbortController();
      const argument = {
        get value(): number {
          controller.abort();
          return 1;
        },
      };
      await assert.rejects(
        work.with({ signal: controller.signal }).identity(argument),
        withCode("ERR_RINGLOOM_ABORTED"),
      );
      await until(() => scheduler.stats.inFlight === 0);
    }));

  test("pinned and not begun is closed with the scheduler, not lost", async () => {
    const scheduler = startScheduler({ compute: 1 });
    await work.nothing();
    const busy = assert.rejects(onFirst.burn(500), withCode("ERR_RINGLOOM_THREAD_LOST"));
    await sleep(50);
    const waiting = assert.rejects(onFirst.nothing(), withCode("ERR_RINGLOOM_CLOSED"));
    await Promise.all([scheduler.close(), scheduler.close(), busy, waiting]);
    // A second call has waited as the first one.
    await startScheduler({ compute: 1 }).close();
  });
});

describe("a thread of somebody else", () => {
  test("is told where to call tasks", async () => {
    const worker = new Worker(new URL("./fixtures/plain-worker.js", import.meta.url));
    const [said] = (await once(worker, "message")) as [{ code: string; message: string }];
    assert.equal(said.code, "ERR_RINGLOOM_WRONG_THREAD");
    assert.match(said.message, /call them on the main thread/);
    await worker.terminate();
  });
});

describe("options of a task", () => {
  const wrong: [what: string, options: unknown][] = [
    ["a time without end", { timeoutMs: Number.POSITIVE_INFINITY }],
    ["a time that no timer takes", { timeoutMs: 2 ** 31 }],
    ["a negative time", { timeoutMs: -1 }],
    ["a time that is no number", { timeoutMs: "soon" }],
    ["a placement by name", { placement: "pinned" }],
    ["a placement of no kind", { placement: { kind: "anywhere" } satisfies { kind: string } as unknown as Placement }],
    ["a signal that is none", { signal: { aborted: false, throwIfAborted: () => undefined } }],
  ];
  for (const [what, options] of wrong) {
    test(`reject ${what}, and leave no slot behind`, () =>
      withScheduler({ compute: 1 }, async (scheduler) => {
        await assert.rejects(work.with(options as TaskOptions).nothing(), withCode("ERR_RINGLOOM_INVALID_OPTION"));
        assert.equal(scheduler.stats.inFlight, 0);
      }));
  }
});

describe("a process", () => {
  const scenes: [scene: string, says: string][] = [
    ["getter", "outer failed\ninner\n"],
    ["abort", "given up\nouter failed\n"],
    ["restart", "3\n"],
  ];
  for (const [scene, says] of scenes) {
    test(`lives as long as its tasks, and no longer (${scene})`, async () => {
      const { stdout } = await promisify(execFile)(process.execPath, [LAST_WORDS, scene], { timeout: 30_000 });
      assert.equal(stdout, says);
    });
  }
});
