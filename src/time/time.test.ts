import assert from "node:assert/strict";
import { AsyncLocalStorage } from "node:async_hooks";
import { test } from "node:test";
import fc from "fast-check";
import { randomRun } from "../../test/support/random-run.js";
import { RingloomError } from "../errors.js";
import { type SelectWaiter, selectable } from "../task/selectable.js";
import {
  deadline,
  deadlineAt,
  interval,
  intervalAt,
  type MissedTicks,
  Sleep,
  sleep,
  sleepUntil,
  timeout,
  timeoutAt,
} from "./index.js";
import { useVirtualTime, type VirtualTime } from "./virtual-time.js";

/** A test in a time of its own, which must leave no timer behind. */
function timed(name: string, run: (time: VirtualTime) => Promise<void>): void {
  test(name, async () => {
    const time = useVirtualTime();
    try {
      await run(time);
      assert.equal(time.pendingNow, 0, "the test has left a timer behind");
      assert.equal(time.isHeld, false);
    } finally {
      time.restore();
    }
  });
}

function hasCode(code: string) {
  return (error: unknown): boolean => error instanceof RingloomError && error.code === code;
}

/** Notes when a promise is settled, and how. */
function watch<Value>(time: VirtualTime, promise: Promise<Value>): { atMs?: number; value?: Value; error?: unknown } {
  const seen: { atMs?: number; value?: Value; error?: unknown } = {};
  promise.then(
    (value) => Object.assign(seen, { value, atMs: time.nowMs }),
    (error: unknown) => Object.assign(seen, { error, atMs: time.nowMs }),
  );
  return seen;
}

timed("sleep() resolves at its time, in the order of the times", async (time) => {
  const order: number[] = [];
  for (const ms of [30, 10, 20, 10, 0, 2.5]) void sleep(ms).then(() => order.push(ms));
  await time.advance(9);
  assert.deepEqual(order, [0, 2.5]);
  assert.equal(time.pendingNow, 4);
  await time.advance(30);
  assert.deepEqual(order, [0, 2.5, 10, 10, 20, 30]);
});

timed("sleep() of a random length never ends early, and late by a millisecond at most", async (time) => {
  const lengths = fc.array(fc.double({ min: 0, max: 100_000, noNaN: true }), { minLength: 1, maxLength: 50 });
  await fc.assert(
    fc.asyncProperty(lengths, async (all) => {
      const begunMs = time.nowMs;
      const seen = all.map((ms) => ({ ms, at: watch(time, sleep(ms)) }));
      await time.advance(100_001);
      for (const { ms, at } of seen) {
        const lateMs = (at.atMs ?? Number.NaN) - (begunMs + ms);
        assert.ok(lateMs >= 0 && lateMs <= 1, `${ms} ms: late by ${lateMs}`);
      }
    }),
    randomRun("sleep", 30),
  );
});

timed("sleep() ends with its signal, and takes the timer along", async (time) => {
  const abort = new AbortController();
  const reason = new Error("enough");
  const slept = watch(time, sleep(1_000, { signal: abort.signal }));
  const done = watch(time, sleep(5, { signal: abort.signal }));
  await time.advance(10);
  assert.equal(done.atMs, 5);
  abort.abort(reason);
  await time.advance(0);
  assert.ok(hasCode("ERR_RINGLOOM_ABORTED")(slept.error));
  assert.equal((slept.error as Error).cause, reason);
  assert.equal(time.pendingNow, 0);
  await assert.rejects(sleep(5, { signal: abort.signal }), hasCode("ERR_RINGLOOM_ABORTED"));
});

timed("sleep() with ref: false does not hold the thread", async (time) => {
  void sleep(5, { ref: false });
  assert.equal(time.isHeld, false);
  void sleep(5);
  assert.equal(time.isHeld, true);
  await time.advance(5);
});

timed("sleepUntil() takes a time or a date, and one that is over", async (time) => {
  await time.advance(50);
  const date = watch(time, sleepUntil(new Date(Date.now() + 60_000)));
  const seen = [sleepUntil(60), sleepUntil(10), sleepUntil(Number.NEGATIVE_INFINITY)].map((wait) => watch(time, wait));
  await time.advance(60_000);
  assert.deepEqual(
    seen.map(({ atMs }) => atMs),
    [60, 50, 50],
  );
  // The calendar goes on while the test runs.
  assert.ok(Number(date.atMs) > 30_000 && Number(date.atMs) <= 60_050, String(date.atMs));
});

test("sleep(), timeout(), interval() and deadline() refuse what is no time", () => {
  for (const wrong of [-1, Number.NaN]) {
    assert.throws(() => sleep(wrong), RangeError);
    assert.throws(() => timeout(wrong, () => 1), RangeError);
    assert.throws(() => interval(wrong), RangeError);
    assert.throws(() => deadline(wrong), RangeError);
    assert.throws(() => new Sleep(wrong), RangeError);
  }
  assert.throws(() => interval(0), RangeError);
  assert.throws(() => interval(Number.POSITIVE_INFINITY), RangeError);
  assert.throws(() => sleep("5" as unknown as number), TypeError);
  assert.throws(() => sleepUntil(new Date("no date")), RangeError);
  assert.throws(() => sleepUntil(undefined as unknown as number), TypeError);
  assert.throws(() => interval(5, { missed: "never" as MissedTicks }), hasCode("ERR_RINGLOOM_INVALID_OPTION"));
});

timed("sleep() of Infinity, and of more than a wheel can hold, just waits", async (time) => {
  const abort = new AbortController();
  const seen = [Number.POSITIVE_INFINITY, 2 ** 45].map((ms) => watch(time, sleep(ms, { signal: abort.signal })));
  await time.advance(2 ** 33);
  assert.ok(seen.every(({ atMs }) => atMs === undefined));
  abort.abort();
  await time.advance(0);
});

timed("a late loop runs what is due in order, and no more than a bounded number in one turn", async (time) => {
  const order: number[] = [];
  const turns: number[] = [];
  for (let ms = 0; ms < 10_000; ms++) void sleep(10_000 - ms).then(() => order.push(ms));
  let isOver = false;
  const count = (): void => {
    turns.push(order.length);
    if (!isOver) setImmediate(count);
  };
  setImmediate(count);
  await time.jump(20_000);
  isOver = true;
  assert.equal(order.length, 10_000);
  assert.ok(order.every((ms, index) => ms === 9_999 - index));
  assert.ok(
    turns.some((length) => length > 0 && length < 10_000),
    "all ran in one turn",
  );
});

timed("Sleep can be moved while somebody waits, and is a wait again after a reset", async (time) => {
  const timer = new Sleep(10);
  const first = watch(time, timer.wait());
  await time.advance(8);
  timer.reset();
  assert.equal(timer.deadline, 18);
  await time.advance(8);
  assert.equal(first.atMs, undefined);
  timer.resetAt(17);
  await time.advance(8);
  assert.equal(first.atMs, 17);
  assert.equal(timer.isElapsed, true);
  assert.equal(watch(time, timer.wait()).atMs, undefined);
  timer.reset(3);
  assert.equal(timer.isElapsed, false);
  const again = [watch(time, timer.wait()), watch(time, timer.wait())];
  await time.advance(3);
  assert.deepEqual(
    again.map(({ atMs }) => atMs),
    [27, 27],
  );
});

timed("Sleep has a timer only while somebody waits", async (time) => {
  const timer = new Sleep(10);
  assert.equal(time.pendingNow, 0);
  const abort = new AbortController();
  const waiting = watch(time, timer.wait({ signal: abort.signal }));
  assert.equal(time.pendingNow, 1);
  abort.abort();
  await time.advance(0);
  assert.equal(time.pendingNow, 0);
  assert.ok(hasCode("ERR_RINGLOOM_ABORTED")(waiting.error));
});

/** A branch that is asked and may lose. */
function branch<Value>(wins: boolean): SelectWaiter<Value> & { got?: Value; error?: unknown } {
  const one: SelectWaiter<Value> & { got?: Value; error?: unknown } = {
    claim: () => wins,
    resolve: (value) => {
      one.got = value;
    },
    reject: (error) => {
      one.error = error;
    },
  };
  return one;
}

timed(
  "Sleep and Interval as branches: forgotten they never claim, a tick that nobody claims goes to the next",
  async (time) => {
    const timer = new Sleep(10);
    const never = { ...branch<void>(true), claim: () => assert.fail("a forgotten branch was asked") };
    const forget = timer[selectable](never);
    forget?.();
    forget?.();
    const ticks = interval(10);
    const forgetTick = ticks[selectable]({ ...branch<number>(true), claim: () => assert.fail("asked") });
    forgetTick?.();
    assert.equal(time.pendingNow, 0);
    const loser = branch<number>(false);
    const winner = branch<number>(true);
    ticks[selectable](loser);
    ticks[selectable](winner);
    await time.advance(10);
    assert.equal(loser.got, undefined);
    assert.equal(winner.got, 10);
    const atOnce = branch<void>(true);
    assert.equal(timer[selectable](atOnce), undefined);
    ticks.close();
    const late = branch<number>(true);
    assert.equal(ticks[selectable](late), undefined);
    assert.ok(hasCode("ERR_RINGLOOM_CLOSED")(late.error));
  },
);

for (const { missed, expected } of [
  { missed: "burst", expected: ["10@10", "20@47", "30@47", "40@47", "50@50", "60@60"] },
  { missed: "delay", expected: ["10@10", "20@47", "57@57", "67@67", "77@77", "87@87"] },
  { missed: "skip", expected: ["10@10", "20@47", "50@50", "60@60", "70@70", "80@80"] },
] as const) {
  timed(`interval() with ${missed} ticks after a busy time as it says`, async (time) => {
    const seen: string[] = [];
    const ticks = interval(10, { missed });
    const loop = (async () => {
      for await (const dueMs of ticks) {
        seen.push(`${dueMs}@${time.nowMs}`);
        if (seen.length === 6) break;
      }
    })();
    await time.advance(11);
    await time.jump(36);
    await time.advance(60);
    await loop;
    assert.deepEqual(seen, expected);
  });
}

timed("intervalAt() ticks at once when its first tick is due, and reset() begins anew", async (time) => {
  await time.advance(100);
  const ticks = intervalAt(time.nowMs, 50);
  assert.equal(await ticks.tick(), 100);
  const next = watch(time, ticks.tick());
  await time.advance(20);
  ticks.reset();
  assert.equal(ticks.nextDueMs, 170);
  await time.advance(60);
  assert.deepEqual([next.atMs, next.value], [170, 170]);
});

timed("Interval gives each tick to one who waits, and close() or its signal ends the others", async (time) => {
  const ticks = interval(10);
  const waits = [watch(time, ticks.tick()), watch(time, ticks.tick()), watch(time, ticks.tick())];
  await time.advance(25);
  assert.deepEqual(
    waits.map(({ value }) => value),
    [10, 20, undefined],
  );
  const loop = watch(
    time,
    (async () => {
      for await (const _ of ticks) assert.fail("no tick was left");
    })(),
  );
  ticks.close();
  ticks.close();
  await time.advance(0);
  assert.ok(hasCode("ERR_RINGLOOM_CLOSED")(waits[2]?.error));
  assert.equal(loop.error, undefined);
  assert.equal(loop.atMs, 25);
  const abort = new AbortController();
  const aborted = watch(time, interval(10, { signal: abort.signal }).tick());
  abort.abort();
  await time.advance(0);
  assert.ok(hasCode("ERR_RINGLOOM_ABORTED")(aborted.error));
});

timed("timeout() gives what the work gives, and leaves no timer", async () => {
  assert.equal(await timeout(10, () => 1), 1);
  assert.equal(await timeout(10, Promise.resolve(2)), 2);
  assert.equal(await timeout(Number.POSITIVE_INFINITY, async () => 3), 3);
  const own = new Error("own");
  await assert.rejects(
    timeout(10, () => {
      throw own;
    }),
    own,
  );
  await assert.rejects(timeoutAt(1e9, Promise.reject(own)), own);
});

timed(
  "timeout() rejects and aborts the work's signal when its time is over, whatever the work then does",
  async (time) => {
    let signalReason: unknown;
    const seen = watch(
      time,
      timeout(10, async (signal) => {
        await sleep(1_000, { signal }).catch(() => undefined);
        signalReason = signal.reason;
        throw new Error("too late to be heard");
      }),
    );
    const plain = watch(time, timeout(10, new Promise(() => undefined)));
    await time.advance(11);
    assert.equal(seen.atMs, 10);
    assert.ok(hasCode("ERR_RINGLOOM_TIMEOUT")(seen.error));
    assert.equal(signalReason, seen.error);
    assert.ok(hasCode("ERR_RINGLOOM_TIMEOUT")(plain.error));
  },
);

timed("timeout() tells the caller's own abort from the end of its time", async (time) => {
  const abort = new AbortController();
  const reason = new Error("caller");
  let workReason: unknown;
  const seen = watch(
    time,
    timeout(
      10,
      (signal) =>
        new Promise((_, reject) => {
          signal.addEventListener("abort", () => {
            workReason = signal.reason;
            reject(signal.reason as Error);
          });
        }),
      { signal: abort.signal },
    ),
  );
  await time.advance(5);
  abort.abort(reason);
  await time.advance(5);
  assert.ok(hasCode("ERR_RINGLOOM_ABORTED")(seen.error));
  assert.equal((seen.error as Error).cause, reason);
  assert.equal(workReason, reason);
  let ran = false;
  const late = timeout(10, () => (ran = true), { signal: abort.signal });
  await assert.rejects(late, hasCode("ERR_RINGLOOM_ABORTED"));
  assert.equal(ran, false);
});

timed("timeout() of a timeout keeps the inner one's error apart", async (time) => {
  const seen = watch(
    time,
    timeout(50, (signal) => timeout(10, () => sleep(100, { signal }))),
  );
  await time.advance(200);
  assert.equal(seen.atMs, 10);
  assert.deepEqual((seen.error as RingloomError).details, { timeoutMs: 10 });
});

timed("Deadline aborts its signal at its time, has a timer only for that, and can be taken back", async (time) => {
  const limit = deadline(10);
  assert.equal(time.pendingNow, 0);
  const { signal } = limit;
  assert.equal(limit.signal, signal);
  assert.equal(time.isHeld, false, "a deadline holds no thread");
  limit.throwIfOver();
  await time.advance(4);
  assert.equal(limit.remainingMs, 6);
  await time.advance(6);
  assert.ok(hasCode("ERR_RINGLOOM_TIMEOUT")(signal.reason));
  assert.throws(() => limit.throwIfOver(), hasCode("ERR_RINGLOOM_TIMEOUT"));
  assert.equal(deadlineAt(0).signal.aborted, true);
  const taken = deadline(10);
  const kept = taken.signal;
  taken[Symbol.dispose]();
  await time.advance(20);
  assert.equal(kept.aborted, false);
});

timed("Deadline passes the caller's own abort on", async () => {
  const abort = new AbortController();
  const limit = deadline(10, { signal: abort.signal });
  const { signal } = limit;
  abort.abort("reason");
  assert.equal(signal.reason, "reason");
  assert.throws(() => limit.throwIfOver(), hasCode("ERR_RINGLOOM_ABORTED"));
  assert.equal(deadline(10, { signal: abort.signal }).signal.reason, "reason");
});

test("each timer runs in the async context of who made it", async () => {
  const storage = new AsyncLocalStorage<string>();
  const seen: string[] = [];
  const note = (what: string) => (): void => void seen.push(`${what} ${storage.getStore()}`);
  const one = (name: string): Promise<unknown> =>
    storage.run(name, () => {
      const limit = deadline(2);
      limit.signal.addEventListener("abort", note("deadline"));
      return Promise.all([
        sleep(1).then(note("sleep")),
        new Sleep(1).wait().then(note("Sleep")),
        timeout(2, (signal) => {
          signal.addEventListener("abort", note("timeout"));
          return new Promise(() => undefined);
        }).catch(() => undefined),
        sleep(3),
      ]);
    });
  await Promise.all([one("a"), one("b"), sleep(4)]);
  const kinds = ["deadline", "sleep", "Sleep", "timeout"];
  assert.deepEqual(seen.sort(), kinds.flatMap((kind) => [`${kind} a`, `${kind} b`]).sort());
});

test("sleep() goes by the system's clock also where a test has replaced the global timers", async (context) => {
  context.mock.timers.enable({ apis: ["setTimeout", "setImmediate"] });
  await sleep(3);
  await sleep(0);
});

test("sleep() of the system's clock never ends early", async () => {
  await Promise.all(
    Array.from({ length: 200 }, async (_, index) => {
      const ms = (index % 40) / 4;
      const begunMs = performance.now();
      await sleep(ms);
      const tookMs = performance.now() - begunMs;
      assert.ok(tookMs >= ms, `${ms} ms took ${tookMs}`);
    }),
  );
});
