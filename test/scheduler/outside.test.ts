/** Tasks called and joined by threads that are none of Ringloom's. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { Worker } from "node:worker_threads";
import { serveModule } from "../../src/http/serve-module.js";
import { attachTasks, joinSync, taskPort, tasks } from "../../src/index.js";
import type { OutsideData } from "./fixtures/outside-thread.js";
import { until, withCode, withScheduler } from "./scheduler-rig.js";
import type * as TaskModule from "./task-module.js";

const THREAD = new URL("./fixtures/outside-thread.js", import.meta.url);
const work = tasks<typeof TaskModule>(new URL("./task-module.js", import.meta.url));

function start(scenario: string, options: Partial<OutsideData> = {}): Worker {
  const port = taskPort();
  const next = scenario === "attachesAgain" ? taskPort() : undefined;
  return new Worker(THREAD, {
    workerData: { path: "", ...options, port, scenario, next },
    transferList: next === undefined ? [port] : [port, next],
  });
}

/** What a scenario has posted, once its thread has ended by itself: nothing of ours keeps it alive. */
async function outcomeOf(worker: Worker): Promise<unknown> {
  const outcome = new Promise((resolve, reject) => {
    worker.once("message", (message: { outcome: unknown }) => resolve(message.outcome));
    worker.once("error", reject);
  });
  const exit = new Promise((resolve) => worker.once("exit", resolve));
  const value = await outcome;
  assert.equal(await exit, 0);
  return value;
}

describe("a thread of the program's own that has attached tasks", () => {
  const cases: [scenario: string, what: string, expected: unknown, options?: Partial<OutsideData>][] = [
    ["awaits", "awaits them", [3, "late", 0]],
    ["sleeps", "sleeps until they have ended, in any order, and again", ["first", 7, "first", 0]],
    ["carries", "has values carried as ours are", [[1, 2, 3], 0, true, 7, new Map([["key", 1n]])]],
    ["runsOutOfTime", "goes on when its time is over, and so does the task", ["ERR_RINGLOOM_TIMEOUT", "in the end"]],
    [
      "fails",
      "gets what was thrown, either way",
      [
        [true, "ERR_PLANTED", "below"],
        [true, "ERR_PLANTED", "below"],
      ],
    ],
    [
      "isBounded",
      "is refused at once when too many are in flight",
      ["ERR_RINGLOOM_OVERLOADED", [1, 2], 2],
      { inFlightMax: 2 },
    ],
    ["combines", "has groups, maps and chains", [[1, 2, 3], 8, [10, 12]]],
    ["closes", "can close its way to them", ["ERR_RINGLOOM_CLOSED", "ERR_RINGLOOM_CLOSED", 0]],
    [
      "attachesAgain",
      "can attach them again once its way is closed",
      [
        [
          "ERR_RINGLOOM_CLOSED",
          "ERR_RINGLOOM_CLOSED",
          "ERR_RINGLOOM_CLOSED",
          "ERR_RINGLOOM_WRONG_THREAD",
          "ERR_RINGLOOM_CLOSED",
        ],
        [3, 7, 0],
        "ERR_RINGLOOM_CLOSED",
      ],
    ],
    [
      "getsWhatIsHandedOver",
      "gets what a task hands over: ports, large buffers, open files",
      [["awaited", "awaited too"], ["slept", "slept too"], 1 << 20, 1, true],
    ],
    [
      "isInterrupted",
      "hears that a getter of an argument has given its call up, or closed its way",
      ["ERR_RINGLOOM_ABORTED", "ERR_RINGLOOM_ABORTED", "ERR_RINGLOOM_CLOSED", 0],
    ],
    [
      "refuses",
      "is told what it may not do",
      [
        "ERR_RINGLOOM_INVALID_OPTION",
        "ERR_RINGLOOM_INVALID_OPTION",
        "ERR_RINGLOOM_INVALID_OPTION",
        "ERR_RINGLOOM_INVALID_OPTION",
        "ERR_RINGLOOM_WRONG_THREAD",
        "ERR_RINGLOOM_INVALID_OPTION",
        "ERR_RINGLOOM_INVALID_OPTION",
        "ERR_RINGLOOM_WRONG_THREAD",
        "ERR_RINGLOOM_NOT_CLONEABLE",
        "ERR_RINGLOOM_NOT_CLONEABLE",
        "ERR_RINGLOOM_INVALID_OPTION",
        "ERR_RINGLOOM_NO_SUCH_FUNCTION",
      ],
    ],
  ];
  for (const [scenario, what, expected, options] of cases) {
    test(what, () =>
      withScheduler({ compute: 2 }, async () => {
        assert.deepEqual(await outcomeOf(start(scenario, options)), expected);
      }),
    );
  }

  test("gives a task up by the time of its call, asleep or not, and by a signal", () =>
    withScheduler({ compute: 2 }, async (folder) => {
      const path = join(folder, "given-up");
      assert.equal(await outcomeOf(start("hasOwnTime")), "ERR_RINGLOOM_TIMEOUT");
      const codes = await outcomeOf(start("givesUp", { path }));
      assert.deepEqual(codes, ["ERR_RINGLOOM_ABORTED", "ERR_RINGLOOM_ABORTED"]);
      await until(() => existsSync(`${path}.seen`));
    }));

  test("hears of a task whose thread was lost, and gets the outcome of one that ran again", () =>
    withScheduler({ compute: 2 }, async (folder) => {
      const outcome = await outcomeOf(start("losesThread", { path: join(folder, "exited") }));
      assert.deepEqual(outcome, ["ERR_RINGLOOM_THREAD_LOST", "ERR_RINGLOOM_THREAD_LOST", "second"]);
    }));

  test("is woken when the scheduler closes, and refused afterwards", () =>
    withScheduler({ compute: 1 }, async (folder, scheduler) => {
      const path = join(folder, "never");
      const worker = start("outlivesScheduler", { path });
      const outcome = outcomeOf(worker);
      await until(() => existsSync(`${path}.begun`));
      await scheduler.close();
      const [joined, refused] = (await outcome) as string[];
      assert.ok(joined === "ERR_RINGLOOM_THREAD_LOST" || joined === "ERR_RINGLOOM_CLOSED", joined);
      assert.equal(refused, "ERR_RINGLOOM_CLOSED");
    }));

  test("takes its tasks with it when it ends", () =>
    withScheduler({ compute: 1 }, async (folder, scheduler) => {
      const path = join(folder, "orphan");
      const worker = start("dies", { path });
      await until(() => existsSync(`${path}.begun`));
      await worker.terminate();
      await until(() => existsSync(`${path}.seen`) && scheduler.stats.inFlight === 0);
    }));
});

describe("a thread that a shard has started", () => {
  test("has the tasks of the server, also asleep", async () => {
    const app = new URL("./fixtures/outside-app.js", import.meta.url);
    const server = await serveModule(app, {
      port: 0,
      shards: 1,
      compute: 1,
      connections: 1_024,
      receiveSlabMib: 2,
      writePoolMib: 2,
      logLevel: "silent",
    });
    try {
      assert.deepEqual(await server.invokeOnShard("outside", { shard: 0 }, "sleeps"), ["first", 7, "first", 0]);
    } finally {
      await server.stop();
    }
  });
});

describe("attachTasks() and joinSync()", () => {
  test("are not for threads that have tasks anyway", () =>
    withScheduler({ compute: 1 }, async () => {
      assert.throws(() => attachTasks(taskPort()), withCode("ERR_RINGLOOM_WRONG_THREAD"));
      const call = work.add(1, 1);
      assert.throws(() => joinSync(call), withCode("ERR_RINGLOOM_WRONG_THREAD"));
      assert.equal(await call, 2);
    }));
});
