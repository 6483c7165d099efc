/** The threads of a scheduler: what one does while it loads a module, and what becomes of one that cannot start. */
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { RingloomError } from "../../src/errors.js";
import { ComputePool, type ComputePoolOptions } from "../../src/scheduler/compute-pool.js";
import { pinned } from "../../src/scheduler/placement.js";
import { startScheduler } from "../../src/scheduler/scheduler.js";
import { tasks } from "../../src/scheduler/tasks.js";
import type * as GatedModule from "./fixtures/gated-module.js";
import { until } from "./scheduler-rig.js";
import type * as TaskModule from "./task-module.js";

const work = tasks<typeof TaskModule>(new URL("./task-module.js", import.meta.url));
const gated = tasks<typeof GatedModule>(new URL("./fixtures/gated-module.js", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "ringloom-threads-"));
after(() => rmSync(folder, { recursive: true, force: true }));

describe("a thread that loads a module", () => {
  test("leaves the tasks of that module to others", async () => {
    const gate = join(folder, "gate");
    const go = join(folder, "go");
    // Threads get the environment of the moment in which they start.
    process.env.RINGLOOM_TEST_GATE = gate;
    const scheduler = startScheduler({ compute: 2 });
    try {
      const onFirst = { placement: pinned(0) };
      const onSecond = { placement: pinned(1) };
      await Promise.all([work.with(onFirst).nothing(), work.with(onSecond).nothing(), gated.with(onSecond).add(1, 1)]);
      writeFileSync(gate, "");
      const held = gated.with(onFirst).add(1, 2);
      await until(() => scheduler.stats.threads[0]?.waiting === 1);
      const busy = work.with(onSecond).burnUntil(go);
      await until(() => existsSync(`${go}.begun`));
      const others = Array.from({ length: 200 }, (_, n) => gated.add(n, 1));
      // The first thread finds them all.
      await sleep(50);
      writeFileSync(go, "");
      assert.equal(await busy, true);
      assert.deepEqual(
        await Promise.all(others),
        others.map((_, n) => n + 1),
      );
      assert.ok(existsSync(gate), "the import goes on");
      rmSync(gate);
      assert.equal(await held, 3);
    } finally {
      rmSync(gate, { force: true });
      delete process.env.RINGLOOM_TEST_GATE;
      await scheduler.close();
    }
  });
});

test("A thread that loads a module keeps its tasks from nobody while it runs something else", async () => {
  const gate = join(folder, "gate-2");
  const goes = [join(folder, "go-1"), join(folder, "go-2")] as const;
  process.env.RINGLOOM_TEST_GATE = gate;
  const scheduler = startScheduler({ compute: 2 });
  try {
    const onFirst = { placement: pinned(0) };
    const onSecond = { placement: pinned(1) };
    const met = join(folder, "met");
    await Promise.all([work.with(onFirst).meet(met, met), gated.with(onSecond).add(1, 1)]);
    writeFileSync(gate, "");
    const onSecondBusy = work.with(onSecond).burnUntil(goes[1]);
    await until(() => existsSync(`${goes[1]}.begun`));
    // The first thread finds this one, and then the other, which it runs.
    const left = gated.add(1, 2);
    const busy = work.meet(`${goes[0]}.begun`, goes[0]);
    await until(() => existsSync(`${goes[0]}.begun`));
    writeFileSync(goes[1], "");
    assert.equal(await left, 3);
    writeFileSync(goes[0], "");
    assert.deepEqual(await Promise.all([busy, onSecondBusy]), [true, true]);
  } finally {
    rmSync(gate, { force: true });
    delete process.env.RINGLOOM_TEST_GATE;
    await scheduler.close();
  }
});

const TASK_MODULE = new URL("./task-module.js", import.meta.url).href;
const STILLBORN = new URL("./fixtures/stillborn-thread.js", import.meta.url);

/** A pool whose threads run `module`, and its warnings. */
async function withPool(
  module: URL,
  options: Partial<ComputePoolOptions>,
  use: (pool: ComputePool, warnings: readonly string[]) => Promise<void>,
): Promise<void> {
  const cradle = join(folder, "cradle");
  process.env.RINGLOOM_TEST_CRADLE = cradle;
  const warnings: string[] = [];
  const note = (warning: Error): number => warnings.push(warning.message);
  process.on("warning", note);
  const pool = new ComputePool({
    compute: 1,
    blocking: 0,
    blockingIdleMs: 1_000,
    guests: 0,
    guestDriver: "portable",
    nice: 0,
    spinMicros: 0,
    tasksMax: 64,
    portMib: 16,
    restarts: { restartsMax: 2, windowMs: 60_000, backoffMs: 1 },
    main: { module, data: {} },
    ...options,
  });
  const listening = setInterval(() => pool.seat.drainSettled(), 1);
  try {
    await use(pool, warnings);
  } finally {
    clearInterval(listening);
    process.off("warning", note);
    delete process.env.RINGLOOM_TEST_CRADLE;
    rmSync(cradle, { force: true });
    await pool.close();
  }
}

function isLost(cause: RegExp): (error: unknown) => boolean {
  return (error) =>
    error instanceof RingloomError &&
    error.code === "ERR_RINGLOOM_THREAD_LOST" &&
    error.cause instanceof Error &&
    cause.test(error.cause.message);
}

describe("a thread that ends before it has run a task", () => {
  const births: [what: string, module: URL, cause: RegExp][] = [
    ["throws", STILLBORN, /planted: no cradle/],
    ["cannot be made", new URL("https://127.0.0.1/none.js"), /ERR_|URL/],
  ];
  for (const [what, module, cause] of births) {
    test(`is given up after a few, and the calls say why (it ${what})`, () =>
      withPool(module, { compute: 2 }, async (pool, warnings) => {
        const { seat } = pool;
        const number = seat.functionNumber({ module: TASK_MODULE, name: "nothing" });
        const waiting = [
          seat.spawn(number, []),
          seat.spawn(number, [], { placement: pinned(0) }),
          seat.spawn(number, [], { idempotent: true }),
        ];
        pool.start();
        for (const one of await Promise.allSettled(waiting)) {
          assert.ok(one.status === "rejected");
          assert.equal((one.reason as RingloomError).code, "ERR_RINGLOOM_THREAD_LOST");
        }
        await until(() => seat.readFigures().every(({ isDown }) => isDown));
        for (const placement of [undefined, pinned(1)]) {
          await assert.rejects(seat.spawn(number, [], placement === undefined ? {} : { placement }), isLost(cause));
        }
        assert.equal(seat.liveCount, 0);
        assert.equal(pool.counts.failedStarts, 4);
        await until(() => warnings.length === 3);
        assert.match(warnings[0] ?? "", /ended before it had run a task/);
        assert.match(warnings[1] ?? "", /given up/);
      }));
  }

  test("is tried again later, and calls are answered when one lives", () =>
    withPool(STILLBORN, { restarts: { restartsMax: 0, windowMs: 20, backoffMs: 1 } }, async (pool) => {
      const { seat } = pool;
      const number = seat.functionNumber({ module: TASK_MODULE, name: "add" });
      pool.start();
      await until(() => seat.readFigures()[0]?.isDown === true);
      await assert.rejects(seat.spawn(number, [1, 2]), isLost(/planted/));
      writeFileSync(process.env.RINGLOOM_TEST_CRADLE ?? "", "");
      await until(() => seat.readFigures()[0]?.isDown === false);
      assert.equal(await seat.spawn(number, [1, 2]), 3);
    }));

  test("is given up among those for tasks that block too: then such calls are lost instead of waiting, until one lives", () =>
    withPool(
      STILLBORN,
      { blocking: 2, restarts: { restartsMax: 1, windowMs: 200, backoffMs: 1 } },
      async (pool, warnings) => {
        const { seat } = pool;
        const number = seat.functionNumber({ module: TASK_MODULE, name: "add" });
        const { words } = pool.share;
        // No thread finds a scheduler there.
        Object.assign(pool.share, { words: new SharedArrayBuffer(64) });
        const blocking = { blocking: true };
        const waiting = [seat.spawn(number, [1, 2], blocking), seat.spawn(number, [3, 4], blocking)];
        pool.start();
        for (const one of waiting) await assert.rejects(one, { code: "ERR_RINGLOOM_THREAD_LOST" });
        await until(() => warnings.some((text) => text.includes("tasks that block are given up")));
        assert.ok(pool.counts.failedStarts > 0);
        Object.assign(pool.share, { words });
        let sum: unknown;
        for (let tries = 0; sum === undefined; tries++) {
          assert.ok(tries < 1000, "one is tried again");
          sum = await seat.spawn(number, [5, 6], blocking).catch(() => sleep(10));
        }
        assert.equal(sum, 11);
        assert.equal(seat.liveCount, 0);
      },
    ));

  test("is not one that a task has ended", () =>
    withPool(STILLBORN, { restarts: { restartsMax: 0, windowMs: 60_000, backoffMs: 1 } }, async (pool) => {
      writeFileSync(process.env.RINGLOOM_TEST_CRADLE ?? "", "");
      const { seat } = pool;
      const exit = seat.functionNumber({ module: TASK_MODULE, name: "exit" });
      const add = seat.functionNumber({ module: TASK_MODULE, name: "add" });
      pool.start();
      for (let n = 0; n < 2; n++) {
        await assert.rejects(seat.spawn(exit, []), { code: "ERR_RINGLOOM_THREAD_LOST" });
        assert.equal(await seat.spawn(add, [n, 1]), n + 1);
      }
      assert.equal(pool.counts.failedStarts, 0);
      assert.equal(pool.counts.deaths, 2);
    }));
});
