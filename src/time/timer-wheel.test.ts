import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { randomRun } from "../../test/support/random-run.js";
import { TICK_MAX, TimerWheel } from "./timer-wheel.js";

/** Everything that is due, in order. */
function takeAll(wheel: TimerWheel): void {
  for (let owner = wheel.takeDue(); owner !== undefined; owner = wheel.takeDue()) owner(undefined);
}

test("TimerWheel gives back each timer at its tick and not before, at every level", () => {
  for (const tick of [
    1,
    31,
    32,
    33,
    1_023,
    1_024,
    40_000,
    2 ** 20 + 5,
    2 ** 25,
    2 ** 30 - 1,
    2 ** 30,
    2 ** 30 + 1,
    2 ** 35 + 7,
    TICK_MAX,
  ]) {
    const wheel = new TimerWheel();
    let expired = 0;
    wheel.insert(tick, () => (expired += 1), true);
    wheel.collect(tick - 1);
    takeAll(wheel);
    assert.equal(expired, 0, `tick ${tick} expired early`);
    assert.ok(wheel.nextTick() <= tick);
    wheel.collect(tick);
    takeAll(wheel);
    assert.equal(expired, 1, `tick ${tick} did not expire`);
    assert.equal(wheel.size, 0);
    assert.equal(wheel.nextTick(), Number.POSITIVE_INFINITY);
  }
});

test("TimerWheel.insert() of a tick that is over is due at once", () => {
  const wheel = new TimerWheel();
  wheel.collect(100);
  const order: string[] = [];
  wheel.insert(100, () => order.push("now"), true);
  wheel.insert(3, () => order.push("over"), true);
  assert.equal(wheel.nextTick(), 100);
  takeAll(wheel);
  assert.deepEqual(order, ["now", "over"]);
});

test("TimerWheel.cancel() takes a timer out once, and one that is due too", () => {
  const wheel = new TimerWheel();
  const never = (): void => assert.fail("a cancelled timer has expired");
  const first = wheel.insert(10, never, true);
  const second = wheel.insert(10, never, false);
  const [ofFirst, ofSecond] = [wheel.generation(first), wheel.generation(second)];
  wheel.collect(10);
  assert.equal(wheel.cancel(first, ofFirst), true);
  assert.equal(wheel.cancel(first, ofFirst), false);
  assert.equal(wheel.cancel(second, ofSecond), true);
  takeAll(wheel);
  assert.equal(wheel.size, 0);
});

test("TimerWheel.cancel() with the handle of a timer that is over leaves the next one in its place alone", () => {
  const wheel = new TimerWheel();
  const place = wheel.insert(5, () => undefined, true);
  const stale = wheel.generation(place);
  wheel.collect(5);
  takeAll(wheel);
  let expired = false;
  assert.equal(
    wheel.insert(9, () => (expired = true), true),
    place,
    "places are used again",
  );
  assert.equal(wheel.cancel(place, stale), false);
  wheel.collect(9);
  takeAll(wheel);
  assert.equal(expired, true);
});

test("TimerWheel keeps a million timers under 64 bytes each, and nothing of them when they are gone", () => {
  const wheel = new TimerWheel();
  const bytesEmpty = wheel.bytes;
  const owner = (): void => undefined;
  const places: number[] = [];
  for (let count = 0; count < 1_000_000; count++) places.push(wheel.insert(1 + (count % 100_000), owner, true));
  assert.ok(wheel.bytes / wheel.size < 64, `${wheel.bytes / wheel.size} bytes each`);
  const [last] = places.slice(-1) as [number];
  const stale = wheel.generation(last);
  for (const place of places) assert.equal(wheel.cancel(place, wheel.generation(place)), true);
  assert.equal(wheel.bytes, bytesEmpty);
  assert.equal(wheel.cancel(last, stale), false, "handles of that crowd are stale");
});

test("TimerWheel.insert() refuses one more than there may be", () => {
  const wheel = new TimerWheel({ placesMax: 2_000 });
  let count = 0;
  while (wheel.insert(7, () => undefined, true) >= 0) count += 1;
  assert.equal(wheel.size, count);
  assert.ok(count > 1_500 && count < 2_000, String(count));
  wheel.collect(7);
  takeAll(wheel);
  assert.ok(wheel.insert(8, () => undefined, true) >= 0);
});

/** What happens to a wheel and to its model. */
const step = fc.oneof(
  fc.record({
    kind: fc.constant("insert" as const),
    delay: fc.oneof(fc.nat(40), fc.nat(5_000), fc.nat(2 ** 31), fc.maxSafeNat()),
    ref: fc.boolean(),
  }),
  fc.record({ kind: fc.constant("cancel" as const), which: fc.nat() }),
  fc.record({
    kind: fc.constant("advance" as const),
    by: fc.oneof(fc.nat(40), fc.nat(5_000), fc.nat(2 ** 33)),
    movesMax: fc.constantFrom(1, 3, 1e6),
  }),
);

interface Modelled {
  readonly id: number;
  readonly tick: number;
  readonly place: number;
  readonly generation: number;
  readonly ref: boolean;
}

test("TimerWheel.collect() moves a large bucket down in pieces, and says that it is not done", () => {
  const wheel = new TimerWheel();
  const tick = 40_000;
  let expired = 0;
  const places = Array.from({ length: 100 }, () => wheel.insert(tick, () => (expired += 1), true));
  let calls = 0;
  for (; wheel.nextTick() < tick; calls++) {
    wheel.collect(tick - 1, 30);
    const [place] = places.splice(0, 1) as [number];
    assert.equal(wheel.cancel(place, wheel.generation(place)), true);
    wheel.insert(tick, () => (expired += 1), true);
    if (calls > 100) break;
  }
  assert.ok(calls >= 4, `${calls} calls for 100 timers`);
  wheel.collect(tick);
  takeAll(wheel);
  assert.equal(expired, 100);
});

test("TimerWheel does what a sorted list does", () => {
  const run = randomRun("timer wheel", 300);
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
      const wheel = new TimerWheel();
      let now = 0;
      let pending: Modelled[] = [];
      const expired: number[] = [];
      const gone: Modelled[] = [];
      steps.forEach((one, id) => {
        if (one.kind === "insert") {
          const tick = Math.min(now + one.delay, TICK_MAX);
          const place = wheel.insert(tick, () => expired.push(id), one.ref);
          pending.push({ id, tick, place, generation: wheel.generation(place), ref: one.ref });
        } else if (one.kind === "cancel") {
          const [victim] = pending.splice(one.which % Math.max(1, pending.length), 1);
          if (victim !== undefined) {
            assert.equal(wheel.cancel(victim.place, victim.generation), true);
            gone.push(victim);
          }
          for (const { place, generation } of gone) assert.equal(wheel.cancel(place, generation), false);
        } else {
          now = Math.min(now + one.by, TICK_MAX);
          const due = pending.filter(({ tick }) => tick <= now);
          // Those that were due when they were inserted are the first: their ticks are over.
          const expected = due.sort((a, b) => a.tick - b.tick || a.id - b.id).map(({ id: name }) => name);
          pending = pending.filter(({ tick }) => tick > now);
          gone.push(...due);
          expired.length = 0;
          // Each call moves one timer at least, or is done with a bucket; a timer moves at most once for each level.
          const calls = one.movesMax > 1_000 ? 1 : 20 * (due.length + pending.length + 1);
          for (let call = 0; call < calls; call++) wheel.collect(now, one.movesMax);
          takeAll(wheel);
          assert.deepEqual(expired, expected);
        }
        assert.equal(wheel.size, pending.length);
        assert.equal(wheel.referenced, pending.filter(({ ref }) => ref).length);
        const next = Math.min(Number.POSITIVE_INFINITY, ...pending.map(({ tick }) => tick));
        assert.ok(wheel.nextTick() <= next, "nobody would be woken in time");
        assert.equal(wheel.nextTick() === Number.POSITIVE_INFINITY, pending.length === 0);
      });
    }),
    run,
  );
});
