import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { continueWith } from "../../src/scheduler/continue-with.js";
import { group } from "../../src/scheduler/group.js";
import { pinned } from "../../src/scheduler/placement.js";
import { raceTasks } from "../../src/scheduler/race-tasks.js";
import { tasks } from "../../src/scheduler/tasks.js";
import type * as MapModule from "./map-module.js";
import { until, withCode, withScheduler } from "./scheduler-rig.js";

const work = tasks<typeof MapModule>(new URL("./map-module.js", import.meta.url));

describe("continueWith()", () => {
  test("passes results on without the thread that calls, and is continued itself", () =>
    withScheduler({ compute: 2 }, async (_folder, scheduler) => {
      const both = continueWith(work.square, work.double);
      assert.equal(await both(3), 18);
      const before = scheduler.stats.spawned;
      const more = continueWith(both, continueWith(work.double, work.square));
      assert.equal(await more(1), 16);
      // What the steps have spawned was spawned elsewhere.
      assert.equal(scheduler.stats.spawned - before, 1);
      const all = group();
      void all.run(both, 5);
      assert.deepEqual(await all.join(), [50]);
    }));

  test("rejects with the failure of either, and the second is not called after the first has failed", () =>
    withScheduler({ compute: 1 }, async (folder) => {
      const path = join(folder, "seen");
      const first = continueWith(work.fail, work.waitForSignal as (path: never) => Promise<string>);
      await assert.rejects(first(path), (error) => error instanceof TypeError && error.message === path);
      assert.equal(existsSync(`${path}.begun`), false);
      await assert.rejects(continueWith(work.square, work.fail as never)(2), TypeError);
    }));

  test("is given up as a whole, and keeps the placement of each", () =>
    withScheduler({ compute: 2 }, async (folder) => {
      const path = join(folder, "seen");
      const controller = new AbortController();
      const onFirst = work.with({ placement: pinned(0) });
      const onSecond = work.with({ placement: pinned(1) });
      const threads = [await onFirst.thread(), await onSecond.thread()];
      const stays = continueWith(onFirst.thread, onSecond.thread as (before: number) => Promise<number>);
      assert.equal(await stays(), threads[1]);
      const waits = continueWith(work.with({ signal: controller.signal }).concat, onSecond.waitForSignal);
      const call = waits(folder, "/seen");
      await until(() => existsSync(`${path}.begun`));
      controller.abort();
      await assert.rejects(call, withCode("ERR_RINGLOOM_ABORTED"));
      await until(() => existsSync(path));
    }));

  test("is run again when its thread is lost if both may be, and only then", () =>
    withScheduler({ compute: 1 }, async (folder) => {
      const again = work.with({ idempotent: true });
      const both = continueWith(again.exitOnce, again.double);
      assert.equal(await both(join(folder, "both"), 4), 8);
      const one = continueWith(again.exitOnce, work.double);
      await assert.rejects(one(join(folder, "one"), 4), withCode("ERR_RINGLOOM_THREAD_LOST"));
    }));

  test("hands over what the first function's call does", () =>
    withScheduler({ compute: 2 }, async () => {
      const bytes = new Uint8Array(2_000_000).fill(21);
      const both = continueWith(
        work.with({ transfer: [bytes] }).lastOf,
        work.double as (n: unknown) => Promise<number>,
      );
      assert.equal(await both(bytes), 42);
      assert.equal(bytes.length, 0);
      const next = work.with({ transfer: [new Uint8Array(1)] }).double;
      assert.throws(() => continueWith(work.square, next), withCode("ERR_RINGLOOM_INVALID_OPTION"));
    }));

  test("refuses functions that are no tasks, and a signal of the second one", () => {
    const own = async (n: number): Promise<number> => n;
    assert.throws(() => continueWith(own, work.square), withCode("ERR_RINGLOOM_INVALID_OPTION"));
    const { signal } = new AbortController();
    assert.throws(
      () => continueWith(work.square, work.with({ signal }).square),
      withCode("ERR_RINGLOOM_INVALID_OPTION"),
    );
  });
});

describe("raceTasks()", () => {
  test("refuses a race without runners", () => assert.rejects(raceTasks([]), withCode("ERR_RINGLOOM_INVALID_OPTION")));

  test("resolves with the first one, and gives the others up", () =>
    withScheduler({ compute: 2 }, async (folder) => {
      const path = join(folder, "seen");
      async function secondWhenFirstHasBegun(): Promise<string> {
        await until(() => existsSync(`${path}.begun`));
        return work.concat("won", "");
      }
      const winner = await raceTasks([(options) => work.with(options).waitForSignal(path), secondWhenFirstHasBegun]);
      assert.equal(winner, "won");
      await until(() => existsSync(path));
    }));

  test("rejects when the first one fails", () =>
    withScheduler({ compute: 2 }, async (folder) => {
      const path = join(folder, "seen");
      const race = raceTasks<string>([
        (options) => work.with(options).waitForSignal(path),
        (options) => work.with(options).fail("planted"),
      ]);
      await assert.rejects(race, TypeError);
    }));
});
