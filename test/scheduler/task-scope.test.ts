import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { startScheduler } from "../../src/scheduler/scheduler.js";
import { isCancelled, taskSignal, timeRemaining } from "../../src/scheduler/task-scope.js";
import { tasks } from "../../src/scheduler/tasks.js";
import { until, withCode, withScheduler } from "./scheduler-rig.js";
import type * as ScopeModule from "./scope-module.js";

const work = tasks<typeof ScopeModule>(new URL("./scope-module.js", import.meta.url));

describe("a task that was given up", () => {
  for (const name of ["waitForSignal", "waitForSignalLater"] as const) {
    test(`sees its signal aborted (${name})`, () =>
      withScheduler({ compute: 1 }, async (folder, scheduler) => {
        const path = join(folder, "seen");
        const controller = new AbortController();
        const call = work.with({ signal: controller.signal })[name](path);
        await until(() => existsSync(`${path}.begun`));
        controller.abort();
        await assert.rejects(call, withCode("ERR_RINGLOOM_ABORTED"));
        await until(() => existsSync(path) && readFileSync(path, "utf8") === "ERR_RINGLOOM_ABORTED");
        assert.equal(scheduler.stats.cancelled, 1);
      }));
  }

  test("sees that its time is over", () =>
    withScheduler({ compute: 1 }, async (folder) => {
      const path = join(folder, "seen");
      await work.remainingHere();
      await assert.rejects(work.with({ timeoutMs: 500 }).waitForSignal(path), withCode("ERR_RINGLOOM_TIMEOUT"));
      await until(() => existsSync(path) && readFileSync(path, "utf8") === "ERR_RINGLOOM_TIMEOUT");
    }));

  test("sees it without a pause, in a loop", () =>
    withScheduler({ compute: 1 }, async (folder) => {
      const path = join(folder, "seen");
      const controller = new AbortController();
      const call = work.with({ signal: controller.signal }).burnUntilCancelled(path);
      await until(() => existsSync(`${path}.begun`));
      controller.abort();
      await assert.rejects(call, withCode("ERR_RINGLOOM_ABORTED"));
      await until(() => existsSync(path));
    }));

  test("sees in a loop that its time is over although the thread that called it is blocked", () =>
    withScheduler({ compute: 1 }, async (folder) => {
      const path = join(folder, "seen");
      await work.remainingHere();
      const call = assert.rejects(
        work.with({ timeoutMs: 100 }).burnUntilCancelled(path),
        withCode("ERR_RINGLOOM_TIMEOUT"),
      );
      const sleep = new Int32Array(new SharedArrayBuffer(4));
      for (let tries = 0; tries < 400 && !existsSync(path); tries++) Atomics.wait(sleep, 0, 0, 50);
      assert.ok(existsSync(path), "it has ended by itself");
      await call;
    }));

  test("takes the tasks with it that it has spawned, on other threads too", () =>
    withScheduler({ compute: 2 }, async (folder) => {
      const path = join(folder, "seen");
      const controller = new AbortController();
      const call = work.with({ signal: controller.signal }).waitBelow(path);
      await until(() => existsSync(`${path}.begun`));
      controller.abort();
      await assert.rejects(call, withCode("ERR_RINGLOOM_ABORTED"));
      await until(() => existsSync(path) && readFileSync(path, "utf8") === "ERR_RINGLOOM_ABORTED");
    }));

  test("leaves alone what it has detached", () =>
    withScheduler({ compute: 2 }, async (folder) => {
      const path = join(folder, "go");
      const controller = new AbortController();
      const call = work.with({ signal: controller.signal }).waitForDetached(path);
      await until(() => existsSync(`${path}.begun`));
      controller.abort();
      await assert.rejects(call, withCode("ERR_RINGLOOM_ABORTED"));
      writeFileSync(path, "");
      await until(() => existsSync(`${path}.seen`) && readFileSync(`${path}.seen`, "utf8") === "false");
    }));
});

describe("timeRemaining()", () => {
  test("is what is left of the call's time, and in tasks below what is left above", () =>
    withScheduler({ compute: 2 }, async () => {
      const [here, below] = await work.with({ timeoutMs: 60_000 }).remaining();
      assert.ok(here > 0 && here <= 60_000, `${here}`);
      assert.ok(below > 0 && below < here, `${below} of ${here}`);
      assert.ok((await work.with({ timeoutMs: 2 ** 31 - 1 }).remainingHere()) > 2 ** 30);
      assert.equal(await work.remainingHere(), Number.POSITIVE_INFINITY);
    }));

  test("is not that of a task that is over, for what it has left behind", () =>
    withScheduler({ compute: 1 }, async (folder) => {
      const path = join(folder, "seen");
      await work.remainingHere();
      await work.with({ timeoutMs: 1_000 }).callWhenOver(path, 1_050);
      await until(() => existsSync(path) && readFileSync(path, "utf8") !== "");
      assert.equal(readFileSync(path, "utf8"), "Infinity Infinity");
    }));

  test("and the others answer outside of tasks, and in those that nobody gives up", () =>
    withScheduler({ compute: 1 }, async () => {
      assert.equal(timeRemaining(), Number.POSITIVE_INFINITY);
      assert.equal(isCancelled(), false);
      assert.equal(taskSignal().aborted, false);
      assert.deepEqual(await work.unscoped(), [false, false, true]);
    }));
});

describe("many calls", () => {
  test("on one signal bring no warning, and are all given up", () =>
    withScheduler({ compute: 1 }, async () => {
      const warnings: Error[] = [];
      const onWarning = (warning: Error): number => warnings.push(warning);
      process.on("warning", onWarning);
      try {
        const controller = new AbortController();
        const waiting = work.with({ signal: controller.signal });
        const calls = Array.from({ length: 200 }, () => waiting.later(20_000, 0));
        await new Promise((resolve) => setTimeout(resolve, 20));
        controller.abort();
        for (const call of calls) await assert.rejects(call, withCode("ERR_RINGLOOM_ABORTED"));
        assert.deepEqual(warnings, []);
      } finally {
        process.off("warning", onWarning);
      }
    }));
});

describe("Scheduler.close()", () => {
  test("leaves no scheduler that a call would start again", async () => {
    await startScheduler({ compute: 1 }).close();
    await assert.rejects(async () => work.remainingHere(), withCode("ERR_RINGLOOM_CLOSED"));
    await withScheduler({ compute: 1 }, async () => {
      assert.equal(await work.remainingHere(), Number.POSITIVE_INFINITY);
    });
  });
});
