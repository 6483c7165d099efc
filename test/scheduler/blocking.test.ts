import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { continueWith } from "../../src/scheduler/continue-with.js";
import { pinned } from "../../src/scheduler/placement.js";
import { startScheduler } from "../../src/scheduler/scheduler.js";
import { tasks } from "../../src/scheduler/tasks.js";
import type * as BlockingModule from "./blocking-module.js";
import { until, withCode, withScheduler } from "./scheduler-rig.js";

const work = tasks<typeof BlockingModule>(new URL("./blocking-module.js", import.meta.url));
const onFirst = work.with({ placement: pinned(0) });
const blocking = work.with({ blocking: true });

function begun(folder: string): number {
  return readdirSync(folder).filter((name) => name.includes(".begun")).length;
}

describe("tasks().with({ blocking: true })", () => {
  test("runs on threads of its own, while the others go on", () =>
    withScheduler({ compute: 2, blocking: 2 }, async (folder, scheduler) => {
      const path = join(folder, "go");
      const compute = await onFirst.thread();
      assert.deepEqual(scheduler.stats.blocking, { threads: 0, started: 0 });
      const calls = [blocking.blockUntil(path), blocking.blockUntil(path)];
      await until(() => begun(folder) === 2);
      assert.deepEqual(scheduler.stats.blocking, { threads: 2, started: 2 });
      assert.equal(await onFirst.thread(), compute);
      writeFileSync(path, "");
      assert.deepEqual(await Promise.all(calls), [true, true]);
      assert.notEqual(await blocking.thread(), compute);
      const chain = continueWith(onFirst.square, blocking.thread as (n: number) => Promise<number>);
      assert.notEqual(await chain(2), compute);
      assert.equal(await blocking.run("console.log(6 * 7)"), "42\n");
    }));

  test("starts no more threads than it may, and one that is free takes what waits", () =>
    withScheduler({ compute: 2, blocking: 2 }, async (_folder, scheduler) => {
      const squares = await Promise.all(Array.from({ length: 500 }, (_, n) => blocking.square(n)));
      assert.deepEqual(
        squares,
        squares.map((_, n) => n * n),
      );
      assert.ok(scheduler.stats.blocking.started <= 2);
      assert.equal(scheduler.stats.lost, 0);
    }));

  test("never runs what was given up while it waited, and tells what runs", () =>
    withScheduler({ compute: 1, blocking: 1 }, async (folder) => {
      const controller = new AbortController();
      const givenUp = blocking.with({ signal: controller.signal });
      const running = givenUp.blockUntil(join(folder, "never"));
      await until(() => begun(folder) === 1);
      const waiting = givenUp.exitOnce(join(folder, "exited"));
      controller.abort();
      await assert.rejects(running, withCode("ERR_RINGLOOM_ABORTED"));
      await assert.rejects(waiting, withCode("ERR_RINGLOOM_ABORTED"));
      // Runs only when the first one has seen it.
      assert.equal(await blocking.square(3), 9);
      assert.deepEqual(
        readdirSync(folder).filter((name) => name === "exited"),
        [],
      );
    }));

  test("goes on when tasks wait for others of their kind, more than there are threads", () =>
    withScheduler({ compute: 1, blocking: 2 }, async () => {
      assert.equal(await blocking.nested(20), 20);
    }));

  test("ends threads that have nothing to do, and starts them again", () =>
    withScheduler({ compute: 1, blocking: 2, blockingIdleMs: 50 }, async (_folder, scheduler) => {
      for (let round = 1; round <= 3; round++) {
        assert.equal(await blocking.square(round), round * round);
        await until(() => scheduler.stats.blocking.threads === 0);
      }
      assert.ok(scheduler.stats.blocking.started >= 3);
      assert.deepEqual([scheduler.stats.deaths, scheduler.stats.lost], [0, 0]);
      // Just when they end.
      for (let n = 0; n < 10; n++) {
        await new Promise((resolve) => setTimeout(resolve, 45 + n));
        assert.equal(await blocking.square(n), n * n);
      }
    }));

  for (const count of [1, 3]) {
    test(`takes and gives values that go by port, with ${count} at most`, () =>
      withScheduler({ compute: 1, blocking: count, blockingIdleMs: 200 }, async (folder, scheduler) => {
        const large = (last: number): Uint8Array => new Uint8Array(3_000_000).fill(last, -1);
        for (let round = 0; round < 3; round++) {
          const calls = Array.from({ length: 8 }, (_, n) =>
            n % 2 === 0 ? blocking.with({ idempotent: n % 4 === 0 }).echo(large(n)) : blocking.square(n),
          );
          for (const [n, outcome] of (await Promise.all(calls)).entries()) {
            if (typeof outcome === "number") assert.equal(outcome, n * n);
            else assert.deepEqual([outcome.bytes.length, outcome.bytes.at(-1), outcome.last], [3_000_000, n, n]);
          }
          // Their successors have none of what was sent to them.
          await until(() => scheduler.stats.blocking.threads === 0);
        }
        const bytes = large(9);
        const moved = await blocking.with({ transfer: [bytes] }).echo(bytes);
        assert.deepEqual([bytes.length, moved.bytes.length, moved.last], [0, 3_000_000, 9]);
        const waiting = blocking.blockUntil(join(folder, "go"));
        const controller = new AbortController();
        const givenUp = Array.from({ length: count }, () =>
          assert.rejects(
            blocking.with({ signal: controller.signal }).blockAfter(large(1), join(folder, "never")),
            withCode("ERR_RINGLOOM_ABORTED"),
          ),
        );
        await until(() => begun(folder) >= Math.min(count, 2));
        controller.abort();
        writeFileSync(join(folder, "go"), "");
        await Promise.all([waiting, ...givenUp]);
        await until(() => scheduler.stats.inFlight === 0);
        assert.equal(scheduler.stats.deaths, 0);
      }));
  }

  test("shares out a burst of values that go by port", () =>
    withScheduler({ compute: 1, blocking: 4 }, async (folder) => {
      const path = join(folder, "go");
      const calls = Array.from({ length: 6 }, () => blocking.blockAfter(new Uint8Array(2_000_000), path));
      // On each of three threads one is under way while the other waits.
      await until(() => begun(folder) === 3);
      writeFileSync(path, "");
      assert.deepEqual(
        await Promise.all(calls),
        calls.map(() => true),
      );
    }));

  test("loses no value that is sent to a thread just when that ends", () =>
    withScheduler({ compute: 1, blocking: 2, blockingIdleMs: 10 }, async (_folder, scheduler) => {
      for (let n = 0; n < 40; n++) {
        assert.equal((await blocking.echo(new Uint8Array(1_500_000).fill(n))).last, n);
        await new Promise((resolve) => setTimeout(resolve, 8 + (n % 20)));
      }
      assert.ok(scheduler.stats.blocking.started > 1);
      assert.deepEqual([scheduler.stats.deaths, scheduler.stats.lost], [0, 0]);
    }));

  test("loses a task with its thread, and runs idempotent ones again", () =>
    withScheduler({ compute: 1, blocking: 2 }, async (folder, scheduler) => {
      await assert.rejects(blocking.exit(), withCode("ERR_RINGLOOM_THREAD_LOST"));
      assert.equal(scheduler.stats.deaths, 1);
      assert.equal(await blocking.with({ idempotent: true }).exitOnce(join(folder, "exited")), "second");
      const calls = Array.from({ length: 50 }, (_, n) => (n % 10 === 0 ? blocking.exit() : blocking.square(n)));
      const ends = await Promise.allSettled(calls);
      assert.equal(ends.filter(({ status }) => status === "fulfilled").length, 45);
    }));

  test("is refused with a placement, and where there are no such threads", () =>
    withScheduler({ compute: 1, blocking: 0 }, async () => {
      await assert.rejects(blocking.square(1), withCode("ERR_RINGLOOM_INVALID_OPTION"));
      const both = blocking.with({ placement: pinned(0) });
      await assert.rejects(both.square(1), withCode("ERR_RINGLOOM_INVALID_OPTION"));
      await assert.rejects(
        work.with({ blocking: 1 as unknown as boolean }).square(1),
        withCode("ERR_RINGLOOM_INVALID_OPTION"),
      );
    }));

  test("rejects what is under way when the scheduler is closed", async () => {
    const folder = mkdtempSync(join(tmpdir(), "ringloom-blocking-"));
    const scheduler = startScheduler({ compute: 1, blocking: 1 });
    try {
      const running = assert.rejects(blocking.blockUntil(join(folder, "never")), withCode("ERR_RINGLOOM_THREAD_LOST"));
      await until(() => begun(folder) === 1);
      const waiting = assert.rejects(blocking.square(1), withCode("ERR_RINGLOOM_CLOSED"));
      await Promise.all([scheduler.close(), running, waiting]);
    } finally {
      await scheduler.close();
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
