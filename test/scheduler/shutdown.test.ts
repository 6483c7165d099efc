import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { startScheduler } from "../../src/scheduler/scheduler.js";
import { tasks } from "../../src/scheduler/tasks.js";
import { until, withCode } from "./scheduler-rig.js";
import type * as TaskModule from "./task-module.js";

const work = tasks<typeof TaskModule>(new URL("./task-module.js", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "ringloom-shutdown-"));
after(() => rmSync(folder, { recursive: true, force: true }));

describe("Scheduler.shutdown()", () => {
  test("waits for what is in flight, what that has called included, and takes no new tasks", async () => {
    const scheduler = startScheduler({ compute: 1 });
    const calls = [
      work.later(30, "first"),
      work.nestedLater(20, "below"),
      ...Array.from({ length: 20 }, () => work.add(1, 1)),
    ];
    const ended = scheduler.shutdown();
    await assert.rejects(work.nothing(), withCode("ERR_RINGLOOM_CLOSED"));
    const { settled, cut } = await ended;
    assert.deepEqual({ settled, cut }, { settled: 22, cut: 0 });
    assert.deepEqual((await Promise.all(calls)).slice(0, 3), ["first", "below", 2]);
    assert.deepEqual(await scheduler.shutdown(), await ended, "the second call changes nothing");
    await assert.rejects(work.nothing(), withCode("ERR_RINGLOOM_CLOSED"));
  });

  test("with cancel gives up what waits, and asks what runs to end", async () => {
    const scheduler = startScheduler({ compute: 1 });
    const path = join(folder, "running");
    const running = work.with({ signal: new AbortController().signal }).noteWhenGivenUp(path);
    await until(() => existsSync(`${path}.begun`));
    const waiting = Array.from({ length: 5 }, () => work.later(20, 0));
    const outcomes = Promise.allSettled([running, ...waiting]);
    const { settled, cut } = await scheduler.shutdown({ cancel: true });
    assert.deepEqual({ settled, cut }, { settled: 6, cut: 0 });
    for (const outcome of await outcomes) {
      assert.ok(outcome.status === "rejected" && withCode("ERR_RINGLOOM_ABORTED")(outcome.reason));
    }
    assert.ok(existsSync(`${path}.seen`), "it saw that it was given up, and ended by itself");
  });

  test("cuts what is left at the deadline, and says how much that was", async () => {
    const scheduler = startScheduler({ compute: 1 });
    const path = join(folder, "burning");
    const burning = work.burnUntil(path);
    await until(() => existsSync(`${path}.begun`));
    const outcome = burning.catch((error: unknown) => error);
    const { settled, cut } = await scheduler.shutdown({ deadlineMs: 20 });
    assert.deepEqual({ settled, cut }, { settled: 0, cut: 1 });
    assert.match(String(Reflect.get((await outcome) as object, "code")), /^ERR_RINGLOOM_(THREAD_LOST|CLOSED)$/);
  });

  test("a further call brings the deadline forward, and never puts it off", async () => {
    const scheduler = startScheduler({ compute: 1 });
    const path = join(folder, "hastened");
    const outcome = work.burnUntil(path).catch((error: unknown) => error);
    await until(() => existsSync(`${path}.begun`));
    const first = scheduler.shutdown({ deadlineMs: 600_000 });
    const calls = [first, scheduler.shutdown(), scheduler.shutdown({ deadlineMs: 20 })];
    calls.push(scheduler.shutdown({ deadlineMs: 900_000 }));
    const reports = await Promise.all(calls);
    assert.deepEqual({ settled: reports[0]?.settled, cut: reports[0]?.cut }, { settled: 0, cut: 1 });
    for (const report of reports) assert.equal(report, reports[0], "there is one report");
    await outcome;
  });

  test("a further call with cancel gives up what is left", async () => {
    const scheduler = startScheduler({ compute: 1 });
    const path = join(folder, "given-up");
    const running = work.with({ signal: new AbortController().signal }).noteWhenGivenUp(path);
    const outcome = running.catch((error: unknown) => error);
    await until(() => existsSync(`${path}.begun`));
    const first = scheduler.shutdown();
    const { settled, cut } = await scheduler.shutdown({ cancel: true });
    assert.deepEqual({ settled, cut }, { settled: 1, cut: 0 });
    assert.ok(withCode("ERR_RINGLOOM_ABORTED")(await outcome));
    assert.ok(existsSync(`${path}.seen`), "it saw that it was given up");
    await scheduler.shutdown({ cancel: true, deadlineMs: 0 });
    assert.equal((await first).cut, 0);
  });

  test("refuses options that are none", async () => {
    const scheduler = startScheduler({ compute: 1 });
    try {
      for (const options of [{ deadlineMs: -1 }, { deadlineMs: "5" }, { cancel: 1 }, { deadline: 5 }]) {
        await assert.rejects(scheduler.shutdown(options as object), withCode("ERR_RINGLOOM_INVALID_OPTION"));
      }
      assert.equal(await work.add(1, 1), 2, "nothing has changed");
    } finally {
      await scheduler.close();
    }
  });
});
