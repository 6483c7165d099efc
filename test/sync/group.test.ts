/** Groups on one thread, where there is no scheduler. With tasks of other threads: test/scheduler/group.test.ts. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setImmediate, setTimeout } from "node:timers/promises";
import { RingloomError } from "../../src/errors.js";
import { group } from "../../src/scheduler/group.js";
import type { GroupOptions, TaskGroup } from "../../src/scheduler/task-group.js";
import { channel } from "../../src/sync/channel.js";
import { withGroup } from "../../src/task/with-group.js";
import { detectLeaks } from "../../src/testing/leaks.js";
import { deadline, sleep, timeout } from "../../src/time/index.js";
import { expected, isPending, withCode } from "./rig.js";

function hasFailures(...messages: string[]): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof AggregateError, String(error));
    assert.deepEqual(
      error.errors.map((one: Error) => one.message),
      messages,
    );
    return true;
  };
}

async function fail(message: string): Promise<never> {
  await setImmediate();
  throw new Error(message);
}

/** Ends only when it is given up. */
function untilAborted(signal: AbortSignal): Promise<never> {
  return setTimeout(60_000, undefined, { signal }) as Promise<never>;
}

describe("TaskGroup.spawn()", () => {
  test("runs functions whose results the join has in order", async () => {
    const all = group();
    void all.spawn(async () => {
      await setTimeout(5);
      return "slow";
    });
    assert.equal(await all.spawn(() => "quick"), "quick");
    assert.equal(all.tryJoin(), undefined);
    assert.deepEqual(await all.join(), ["slow", "quick"]);
    assert.deepEqual(await all.join(), []);
  });

  test("gives up the others at the first failure, and waits for them", async () => {
    const all = group();
    let hasEnded = false;
    const waiting = all.spawn(async (signal) => {
      try {
        await untilAborted(signal);
      } finally {
        await setTimeout(5);
        hasEnded = true;
      }
    });
    void all.spawn(() => fail("planted"));
    await assert.rejects(all.join(), hasFailures("planted"));
    assert.ok(hasEnded);
    await assert.rejects(waiting, { name: "AbortError" });
    await assert.rejects(
      all.spawn(() => 1),
      withCode("ERR_RINGLOOM_ABORTED"),
    );
  });

  test("leaves the others alone when it is told to, and aggregates the failures", async () => {
    const all = group({ onFailure: "continue" });
    void all.spawn(() => fail("first"));
    void all.spawn(() => {
      throw new Error("at once");
    });
    const kept = all.spawn(() => setTimeout(5, "kept"));
    await assert.rejects(all.join(), hasFailures("at once", "first"));
    assert.equal(await kept, "kept");
  });

  test("is waited for when it begins in what follows on another one's end", async () => {
    for (const join of ["join", "joinSettled"] as const) {
      const all = group();
      void all.spawn(() => 1).then(() => all.spawn(() => setTimeout(5, 2)));
      const ended: readonly unknown[] = await all[join]();
      assert.equal(all.size, 0);
      assert.deepEqual(ended, join === "join" ? [1, 2] : [1, 2].map((value) => ({ status: "fulfilled", value })));
    }
  });

  test("tells how each has ended", async () => {
    const all = group();
    void all.spawn(() => 1);
    void all.spawn(untilAborted);
    void all.spawn(() => fail("planted"));
    const [first, second, third] = await all.joinSettled();
    assert.deepEqual(first, { status: "fulfilled", value: 1 });
    assert.equal(second?.status, "rejected");
    assert.ok(third?.status === "rejected" && third.reason.message === "planted");
    assert.deepEqual(await all.joinSettled(), []);
  });

  test("runs as many at once as it may, and refuses what cannot wait", async () => {
    const all = group({ concurrency: 2, waitingMax: 3, onFailure: "continue" });
    let running = 0;
    let most = 0;
    const calls = Array.from({ length: 5 }, () =>
      all.spawn(async () => {
        most = Math.max(most, ++running);
        await setTimeout(2);
        running -= 1;
      }),
    );
    await assert.rejects(
      all.spawn(() => {}),
      withCode("ERR_RINGLOOM_OVERLOADED"),
    );
    await Promise.all(calls);
    assert.equal(most, 2);
  });

  test("in a group without results keeps none, and a bounded number of failures", async () => {
    const all = group({ keepResults: false, onFailure: "continue" });
    for (let n = 0; n < 2_000; n++) expected(all.spawn(() => fail(`failure ${n}`)));
    await assert.rejects(all.join(), (error: AggregateError) => {
      assert.equal(error.errors.length, 1_000);
      return /^2000 of 2000 tasks/.test(error.message);
    });
    void all.spawn(() => 1);
    assert.deepEqual(await all.join(), []);
  });

  test("is refused after the group's block was left", async () => {
    const all = group();
    void all.spawn(untilAborted);
    await all[Symbol.asyncDispose]();
    assert.equal(all.size, 0);
    await assert.rejects(
      all.spawn(() => 1),
      withCode("ERR_RINGLOOM_CLOSED"),
    );
    assert.throws(() => all.defer(() => {}), withCode("ERR_RINGLOOM_CLOSED"));
  });

  test("takes functions only", () => {
    assert.throws(() => group().spawn(7 as unknown as () => number), withCode("ERR_RINGLOOM_INVALID_OPTION"));
    const options = { keepResults: 1 } as unknown as GroupOptions;
    assert.throws(() => group(options), withCode("ERR_RINGLOOM_INVALID_OPTION"));
  });
});

describe("a group", () => {
  for (const [what, options, code] of [
    ["its time is over", () => ({ timeoutMs: 10 }), "ERR_RINGLOOM_TIMEOUT"],
    ["its signal is aborted", () => ({ signal: AbortSignal.timeout(10) }), "ERR_RINGLOOM_ABORTED"],
  ] as const) {
    test(`is given up when ${what}, with the groups inside of it`, async () => {
      // Neither is kept alive by what waits here, in a process that has nothing else to do.
      const alive = setInterval(() => {}, 1_000);
      const depths: number[] = [];
      const descend = async (signal: AbortSignal, depth: number): Promise<void> => {
        try {
          if (depth === 3) await untilAborted(signal);
          await withGroup((inner) => inner.spawn((below) => descend(below, depth + 1)), { signal });
        } finally {
          depths.push(depth);
        }
      };
      const all = group(options());
      void all.spawn((signal) => descend(signal, 0));
      await assert.rejects(all.join(), withCode(code));
      assert.deepEqual(depths, [3, 2, 1, 0]);
      clearInterval(alive);
    });
  }

  test("cleans up in reverse order, after all have ended, one after the other", async () => {
    const order: string[] = [];
    const all = group();
    all.defer(() => order.push("first made"));
    all.defer(async () => {
      await setTimeout(5);
      order.push("second made");
    });
    void all.spawn(async (signal) => {
      await expected(untilAborted(signal)).catch(() => {});
      order.push("function");
    });
    await all[Symbol.asyncDispose]();
    assert.deepEqual(order, ["function", "second made", "first made"]);
  });

  test("does all clean-ups though some fail, and says which", async () => {
    const all = group();
    let done = 0;
    all.defer(() => (done += 1));
    all.defer(() => fail("first"));
    all.defer(() => (done += 1));
    all.defer(() => {
      throw new Error("second");
    });
    await assert.rejects(all[Symbol.asyncDispose](), hasFailures("second", "first"));
    assert.equal(done, 2);
    await all[Symbol.asyncDispose]();
  });
});

describe("withGroup()", () => {
  test("gives what the function returns, when all that it has spawned has ended", async () => {
    let hasEnded = false;
    const result = await withGroup(async (all) => {
      void all.spawn(async () => {
        await setTimeout(5);
        hasEnded = true;
      });
      return "result";
    });
    assert.ok(hasEnded);
    assert.equal(result, "result");
  });

  test("waits for what begins in what follows on another one's end, however late that is told", async () => {
    const begun: string[] = [];
    const ended: string[] = [];
    async function follow(group: TaskGroup, ticks: number): Promise<void> {
      await group.spawn(() => setTimeout(1));
      for (let tick = 0; tick < ticks; tick++) await undefined;
      begun.push(`${ticks}`);
      await group.spawn((signal) => setTimeout(5, undefined, { signal }));
      ended.push(`${ticks}`);
    }
    for (let ticks = 0; ticks < 4; ticks++) {
      await withGroup((group) => {
        follow(group, ticks).catch(() => undefined);
      });
      await setImmediate();
    }
    assert.equal(begun.length, 4);
    assert.deepEqual(ended, begun);
  });

  test("throws what the function throws, after giving up the others", async () => {
    let hasEnded = false;
    const run = withGroup(async (all) => {
      void all.spawn((signal) => untilAborted(signal).finally(() => (hasEnded = true)));
      return fail("planted");
    });
    await assert.rejects(run, { message: "planted" });
    assert.ok(hasEnded);
  });

  test("throws the one failure of what was spawned, not that the function was given up by it", async () => {
    const values = channel<number>();
    const run = withGroup(async ({ spawn: _, ...all }) => all).then(() =>
      withGroup(async (all) => {
        void all.spawn(() => fail("planted"));
        await values.recv({ signal: all.signal });
      }),
    );
    await assert.rejects(run, { message: "planted" });
  });

  test("throws all failures when there are several", async () => {
    const run = withGroup(
      async (all) => {
        void all.spawn(() => fail("spawned"));
        all.defer(() => fail("deferred"));
        await setTimeout(5);
        throw new Error("own");
      },
      { onFailure: "continue" },
    );
    await assert.rejects(run, hasFailures("own", "spawned", "deferred"));
  });

  for (const onFailure of ["cancel", "continue"] as const) {
    test(`throws once what the function throws on, when failures ${onFailure}`, async () => {
      const run = withGroup(async (all) => await all.spawn(() => fail("planted")), { onFailure });
      await assert.rejects(run, { message: "planted" });
    });
  }

  test("tells its time from a failure", async () => {
    const run = withGroup((all) => all.spawn(untilAborted), { timeoutMs: 5 });
    const alive = setInterval(() => {}, 1_000);
    await assert.rejects(run, withCode("ERR_RINGLOOM_TIMEOUT"));
    clearInterval(alive);
    const quiet = withGroup((all) => all.cancel("enough"));
    await assert.rejects(quiet, withCode("ERR_RINGLOOM_ABORTED"));
  });
});

describe("detectLeaks()", () => {
  test("finds nothing after a group that was left in the middle of everything", async () => {
    await detectLeaks(async () => {
      const [values, never] = [channel<number>(), channel<number>()];
      const all = group({ timeoutMs: 60_000 });
      for (let n = 0; n < 5; n++) {
        void all.spawn((signal) => values.recv({ signal, timeoutMs: 60_000 }));
        void all.spawn(async (signal) => {
          for await (const value of never.values({ signal })) assert.fail(String(value));
        });
      }
      await values.send(1);
      await all[Symbol.asyncDispose]();
    });
  });

  test("names what is left, and where it began", async () => {
    const values = channel<number>();
    const controller = new AbortController();
    const all = group();
    const leaky = detectLeaks(() => {
      expected(values.recv({ signal: controller.signal, timeoutMs: 60_000 }));
      void all.spawn(untilAborted);
    });
    await assert.rejects(leaky, (error) => {
      assert.ok(error instanceof RingloomError && error.code === "ERR_RINGLOOM_LEAKED");
      assert.deepEqual(error.details, { waiter: 1, listener: 1, timer: 1, group: 1 });
      assert.match(error.message, /waiter .*group\.test/);
      return true;
    });
    controller.abort();
    await all[Symbol.asyncDispose]();
    await detectLeaks(async () => assert.ok(!(await isPending(Promise.resolve()))));
  });

  test("sees the timers of ringloom/time, and those that are over are none", async () => {
    const controller = new AbortController();
    const { signal } = controller;
    const leaky = detectLeaks(() => {
      expected(sleep(60_000, { signal }));
      expected(timeout(60_000, untilAborted, { signal }));
    });
    await assert.rejects(leaky, (error) => {
      assert.ok(error instanceof RingloomError && error.code === "ERR_RINGLOOM_LEAKED");
      assert.equal(error.details?.timer, 2);
      return true;
    });
    controller.abort();
    await detectLeaks(async () => {
      await sleep(1);
      await timeout(60_000, () => sleep(1));
      const limit = deadline(60_000);
      assert.ok(!limit.signal.aborted);
      limit[Symbol.dispose]();
    });
  });
});
