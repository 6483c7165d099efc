import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { parkUntil } from "../../src/scheduler/park-until.js";
import { tasks } from "../../src/scheduler/tasks.js";
import type * as ParkModule from "./park-module.js";
import { until, withCode, withScheduler } from "./scheduler-rig.js";

const work = tasks<typeof ParkModule>(new URL("./park-module.js", import.meta.url));
const KERNELS = 8;

describe("parkUntil()", () => {
  test("frees the thread while a device works: others begin, and one ends, on the same thread", () =>
    withScheduler({ compute: 1 }, async () => {
      const thread = await work.thread();
      const kernels = Array.from({ length: KERNELS }, (_, n) => work.square(n, 200));
      let isOver = false;
      const all = Promise.all(kernels).finally(() => (isOver = true));
      assert.equal(await work.thread(), thread);
      assert.equal(isOver, false);
      const outcomes = await all;
      assert.deepEqual(
        outcomes.map(([result]) => result),
        kernels.map((_, n) => n * n),
      );
      assert.equal(Math.max(...outcomes.map(([, underWay]) => underWay)), KERNELS);
    }));

  test("runs on threads for tasks that block too", () =>
    withScheduler({ compute: 1, blocking: 1 }, async () => {
      assert.equal((await work.with({ blocking: true }).square(7, 5))[0], 49);
    }));

  test("ends with the task that is given up, with its own time, and with what the question throws", () =>
    withScheduler({ compute: 1 }, async (folder) => {
      const path = join(folder, "seen");
      const controller = new AbortController();
      const parked = work.with({ signal: controller.signal }).parkForEver(path);
      await until(() => existsSync(`${path}.begun`));
      controller.abort();
      await assert.rejects(parked, withCode("ERR_RINGLOOM_ABORTED"));
      await until(() => existsSync(path) && readFileSync(path, "utf8") === "ERR_RINGLOOM_ABORTED");
      await assert.rejects(work.parkFor(20), withCode("ERR_RINGLOOM_TIMEOUT"));
      await assert.rejects(work.parkAndFail(), TypeError);
    }));

  test("is refused outside of such threads, and with options that cannot be", () =>
    withScheduler({ compute: 1 }, async () => {
      await assert.rejects(
        parkUntil(() => 1),
        withCode("ERR_RINGLOOM_WRONG_THREAD"),
      );
      await assert.rejects(work.parkWith(0), withCode("ERR_RINGLOOM_INVALID_OPTION"));
      await assert.rejects(work.parkForPromise(), withCode("ERR_RINGLOOM_INVALID_OPTION"));
    }));
});
