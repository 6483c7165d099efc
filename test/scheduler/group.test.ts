import assert from "node:assert/strict";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { RingloomError } from "../../src/errors.js";
import { group } from "../../src/scheduler/group.js";
import { pinned } from "../../src/scheduler/placement.js";
import type { GroupOptions, TaskGroup } from "../../src/scheduler/task-group.js";
import { tasks } from "../../src/scheduler/tasks.js";
import { until, withCode, withScheduler } from "./scheduler-rig.js";
import type * as ScopeModule from "./scope-module.js";

const work = tasks<typeof ScopeModule>(new URL("./scope-module.js", import.meta.url));

function hasFailures(...messages: string[]): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof AggregateError);
    assert.deepEqual(
      error.errors.map((one: Error) => one.message),
      messages,
    );
    return true;
  };
}

describe("GroupOptions.timeoutMs", () => {
  test("keeps no group that has ended until its time is over", async () => {
    setFlagsFromString("--expose-gc");
    // The function appears in contexts that are made from now on.
    const collect = runInNewContext("gc") as () => void;
    async function useOne(): Promise<WeakRef<TaskGroup>> {
      const one = group({ timeoutMs: 600_000 });
      void one.spawn(async () => undefined);
      assert.deepEqual(await one.join(), [undefined]);
      return new WeakRef(one);
    }
    const ended = await useOne();
    await until(() => {
      collect();
      return ended.deref() === undefined;
    });
  });

  test("holds again for what begins later", async () => {
    const brief = group({ timeoutMs: 50 });
    await brief.spawn(async () => undefined);
    let reason: { readonly code?: string } = {};
    void brief
      .spawn((signal) => new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason))))
      .catch((error) => {
        reason = error;
      });
    await until(() => reason.code === "ERR_RINGLOOM_TIMEOUT");
  });

  test("is over for what begins too late, and for who has the signal", async () => {
    const late = group({ timeoutMs: 5 });
    await late.spawn(async () => undefined);
    const endMs = performance.now() + 6;
    await until(() => performance.now() > endMs);
    await assert.rejects(
      late.spawn(async () => undefined),
      { code: "ERR_RINGLOOM_ABORTED" },
    );
    const kept = group({ timeoutMs: 5 });
    const { signal } = kept;
    await kept.spawn(async () => undefined);
    await until(() => signal.aborted);
  });
});

describe("TaskGroup.join()", () => {
  test("resolves with the results in the order of the calls, and begins anew", () =>
    withScheduler({ compute: 2 }, async () => {
      const all = group();
      for (const [ms, value] of [
        [30, "a"],
        [1, "b"],
        [10, "c"],
      ] as const)
        void all.run(work.later, ms, value);
      assert.equal(all.tryJoin(), undefined);
      assert.equal(all.size, 3);
      assert.deepEqual(await all.join(), ["a", "b", "c"]);
      assert.equal(await work.with({ group: all }).later(1, "d"), "d");
      assert.deepEqual(await all.join(), ["d"]);
      assert.deepEqual(all.tryJoin(), []);
    }));

  test("rejects with the first failure, and the others are given up", () =>
    withScheduler({ compute: 2 }, async (folder) => {
      const path = join(folder, "seen");
      const all = group();
      const waiting = all.run(work.waitForSignal, path);
      await until(() => existsSync(`${path}.begun`));
      void all.run(work.failLater, 1, "planted");
      await assert.rejects(all.join(), hasFailures("planted"));
      await assert.rejects(waiting, withCode("ERR_RINGLOOM_ABORTED"));
      // The join has waited for its end.
      assert.ok(existsSync(path));
      await assert.rejects(all.run(work.later, 1, 0), withCode("ERR_RINGLOOM_ABORTED"));
    }));

  test("rejects with all failures when they are to leave the others alone", () =>
    withScheduler({ compute: 2 }, async () => {
      const all = group({ onFailure: "continue" });
      void all.run(work.failLater, 1, "first");
      const kept = all.run(work.later, 50, "kept");
      void all.run(work.failLater, 20, "second");
      await assert.rejects(all.join(), hasFailures("first", "second"));
      assert.equal(await kept, "kept");
    }));

  for (const [what, options, code] of [
    ["its time is over", { timeoutMs: 100 }, "ERR_RINGLOOM_TIMEOUT"],
    ["its signal is aborted", { signal: AbortSignal.timeout(100) }, "ERR_RINGLOOM_ABORTED"],
  ] as const) {
    test(`rejects when ${what}, after the tasks have ended`, () =>
      withScheduler({ compute: 1 }, async (folder) => {
        const path = join(folder, "seen");
        const all = group(options);
        void all.run(work.waitForSignal, path);
        await assert.rejects(all.join(), withCode(code));
        if (existsSync(`${path}.begun`)) assert.ok(existsSync(path));
      }));
  }
});

describe("TaskGroup", () => {
  test("ends when all tasks have ended, those too that its tasks have left behind, and theirs", () =>
    withScheduler({ compute: 2 }, async (folder) => {
      const [near, far] = [join(folder, "near"), join(folder, "far")];
      const all = group();
      void all.run(work.leaveBehind, near, 100);
      void all.run(work.leaveFarBehind, far, 200);
      await all.join();
      assert.deepEqual([existsSync(near), existsSync(far)], [true, true]);
    }));

  test("waits for a task that does not see that it was given up", () =>
    withScheduler({ compute: 2 }, async (folder) => {
      const path = join(folder, "go");
      const all = group();
      const busy = all.run(work.burnUntilFile, path);
      await until(() => existsSync(`${path}.begun`));
      all.cancel("enough");
      await assert.rejects(busy, (error) => {
        assert.ok(error instanceof RingloomError && error.cause instanceof RingloomError);
        return error.code === "ERR_RINGLOOM_ABORTED" && error.cause.cause === "enough";
      });
      let isOver = false;
      const over = assert.rejects(all.join(), withCode("ERR_RINGLOOM_ABORTED")).then(() => (isOver = true));
      await work.later(30, 0);
      assert.equal(isOver, false);
      assert.equal(all.size, 1);
      writeFileSync(path, "");
      await over;
    }));

  test("gives up what was spawned below its tasks", () =>
    withScheduler({ compute: 2 }, async (folder) => {
      const path = join(folder, "seen");
      const all = group();
      void all.run(work.waitBelow, path);
      await until(() => existsSync(`${path}.begun`));
      await all[Symbol.asyncDispose]();
      assert.ok(existsSync(path));
    }));

  test("gives up tasks of other threads when a function of this one fails, and the other way round", () =>
    withScheduler({ compute: 2 }, async (folder) => {
      const path = join(folder, "seen");
      const all = group();
      const far = all.run(work.waitForSignal, path);
      await until(() => existsSync(`${path}.begun`));
      void all.spawn(() => Promise.reject(new Error("here")));
      await assert.rejects(all.join(), hasFailures("here"));
      await assert.rejects(far, withCode("ERR_RINGLOOM_ABORTED"));
      assert.ok(existsSync(path));

      const others = group();
      const near = others.spawn((signal) => new Promise((_, reject) => signal.addEventListener("abort", reject)));
      void others.run(work.failLater, 1, "there");
      // What it rejects with has nothing to do with the signal's reason, so it counts.
      near.catch(() => {});
      await assert.rejects(others.join(), (error: AggregateError) => {
        assert.equal(error.errors[0]?.message, "there");
        return error.errors.length === 2;
      });
    }));

  test("counts functions and tasks together against its bound", () =>
    withScheduler({ compute: 1 }, async () => {
      const all = group({ concurrency: 1 });
      let hasBegun = false;
      const first = all.run(work.later, 20, 0).then(() => hasBegun);
      void all.spawn(() => {
        hasBegun = true;
      });
      assert.equal(hasBegun, false);
      await first;
      await all.run(work.later, 1, 0);
      assert.ok(hasBegun);
      await all.join();
    }));

  test("runs as many tasks at once as it may, in order, and refuses what cannot wait", () =>
    withScheduler({ compute: 1 }, async () => {
      const all = group({ concurrency: 3, waitingMax: 20 });
      const calls = Array.from({ length: 23 }, () => all.run(work.countTogether, 2));
      const most = await Promise.all(calls);
      assert.equal(Math.max(...most), 3);
      assert.equal((await all.join()).length, 23);
      for (let n = 0; n < 23; n++) void all.run(work.later, 20_000, 0);
      await assert.rejects(all.run(work.later, 1, 0), withCode("ERR_RINGLOOM_OVERLOADED"));
      await assert.rejects(all.join(), hasFailures("Cannot call: 20 calls wait for a place in the group."));
    }));

  test("gives up what waits for a place", () =>
    withScheduler({ compute: 1 }, async () => {
      const all = group({ concurrency: 3 });
      const waiting = Array.from({ length: 10 }, () => all.run(work.later, 20_000, 0));
      all.cancel();
      for (const one of waiting) await assert.rejects(one, withCode("ERR_RINGLOOM_ABORTED"));
      await assert.rejects(all.join(), withCode("ERR_RINGLOOM_ABORTED"));
    }));

  for (const [what, limit, code] of [
    ["signal", () => ({ signal: AbortSignal.timeout(20) }), "ERR_RINGLOOM_ABORTED"],
    ["time", () => ({ timeoutMs: 20 }), "ERR_RINGLOOM_TIMEOUT"],
  ] as const) {
    test(`gives up a call that waits for a place by that call's own ${what}, at once`, () =>
      withScheduler({ compute: 1 }, async (folder) => {
        const path = join(folder, "go");
        const all = group({ concurrency: 1, onFailure: "continue" });
        const first = all.run(work.burnUntilFile, path);
        const waiting = work.with({ group: all, ...limit() }).writeLater(join(folder, "never"), 0);
        await assert.rejects(waiting, withCode(code));
        assert.equal(all.size, 1, "the first one still runs");
        writeFileSync(path, "");
        assert.equal(await first, true);
        await assert.rejects(all.join(), AggregateError);
        assert.equal(existsSync(join(folder, "never")), false);
      }));
  }

  test("leaves a call that has waited for a place what is left of its time", () =>
    withScheduler({ compute: 1 }, async (folder) => {
      const path = join(folder, "go");
      const all = group({ concurrency: 1 });
      const first = all.run(work.burnUntilFile, path);
      const second = work.with({ group: all, timeoutMs: 60_000 }).remaining();
      const endMs = performance.now() + 300;
      await until(() => performance.now() > endMs);
      writeFileSync(path, "");
      await first;
      const [here] = await second;
      assert.ok(here > 0 && here <= 59_700, `${here} ms`);
    }));

  test("refuses options that no call can have before it waits", () =>
    withScheduler({ compute: 1 }, async () => {
      const all = group({ concurrency: 1, onFailure: "continue" });
      const first = all.run(work.later, 20, 0);
      for (const options of [{ timeoutMs: -1 }, { signal: {} as AbortSignal }]) {
        const call = work.with({ group: all, ...options }).later(1, 0);
        await assert.rejects(call, withCode("ERR_RINGLOOM_INVALID_OPTION"));
      }
      const aborted = work.with({ group: all, signal: AbortSignal.abort() }).later(1, 0);
      await assert.rejects(aborted, withCode("ERR_RINGLOOM_ABORTED"));
      assert.equal(all.size, 1);
      await first;
    }));

  test("is given up, and has not failed, by a signal that its calls have too", () =>
    withScheduler({ compute: 1 }, async (folder) => {
      for (const isTold of ["group first", "call first"]) {
        const path = join(folder, isTold);
        const controller = new AbortController();
        const { signal } = controller;
        const all = group({ signal });
        if (isTold === "group first") void all.spawn(() => undefined);
        void work.with({ group: all, signal }).waitForSignal(path);
        await until(() => existsSync(`${path}.begun`));
        controller.abort();
        await assert.rejects(all.join(), withCode("ERR_RINGLOOM_ABORTED"));
      }
    }));

  test("goes on when calls are refused before they begin", () =>
    withScheduler({ compute: 1 }, async () => {
      const all = group({ concurrency: 1, onFailure: "continue" });
      const onNoThread = work.with({ placement: pinned(7), group: all });
      const refused = Array.from({ length: 5 }, () => onNoThread.later(1, 0));
      const last = all.run(work.later, 1, "last");
      for (const one of refused) await assert.rejects(one, withCode("ERR_RINGLOOM_INVALID_OPTION"));
      assert.equal(await last, "last");
      await assert.rejects(all.join(), AggregateError);
    }));

  test("ends when the thread that ran its tasks is lost", () =>
    withScheduler({ compute: 2 }, async (folder, scheduler) => {
      const path = join(folder, "seen");
      const all = group({ onFailure: "continue" });
      void work.with({ group: all, placement: pinned(0) }).waitBelow(path);
      await until(() => existsSync(`${path}.begun`));
      await scheduler.terminateThread(0);
      await assert.rejects(all.join(), AggregateError);
    }));

  const wrong: [what: string, options: unknown][] = [
    ["no concurrency", { concurrency: 0 }],
    ["a time that is no number", { timeoutMs: Number.NaN }],
    ["a signal that is none", { signal: {} }],
    ["an unknown policy", { onFailure: "ignore" }],
  ];
  for (const [what, options] of wrong) {
    test(`refuses ${what}`, () => {
      assert.throws(() => group(options as GroupOptions), withCode("ERR_RINGLOOM_INVALID_OPTION"));
    });
  }

  test("refuses functions that are no tasks, and what is no group", () =>
    withScheduler({ compute: 1 }, async () => {
      assert.throws(() => group().run(async () => 1), withCode("ERR_RINGLOOM_INVALID_OPTION"));
      const bad = work.with({ group: {} as TaskGroup });
      await assert.rejects(async () => bad.later(1, 0), withCode("ERR_RINGLOOM_INVALID_OPTION"));
    }));
});
