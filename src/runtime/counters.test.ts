import assert from "node:assert/strict";
import { test } from "node:test";
import { COUNTERS_PER_SHARD, Counters, createCounters } from "./counters.js";

test("Counters.read() gives what each shard published when all write to one buffer", () => {
  const buffer = createCounters(3);
  const views = [0, 1, 2].map((shard) => new Counters(buffer, shard));
  for (const [shard, view] of views.entries()) view.publish({ requests: shard * 10, bytes: 2 ** 40 + shard });
  for (const view of views) {
    for (let shard = 0; shard < 3; shard++) {
      assert.deepEqual(view.read(shard), { requests: shard * 10, bytes: 2 ** 40 + shard });
    }
  }
});

test("Counters.read() gives zeros when a shard has not published yet", () => {
  const buffer = createCounters(2);
  const view = new Counters(buffer, 0);
  view.publish({ requests: 1 });
  assert.deepEqual(view.read(1), { requests: 0 });
});

test("Counters.publish() replaces the row when it is called again, and leaves the others alone", () => {
  const buffer = createCounters(2);
  const [first, second] = [new Counters(buffer, 0), new Counters(buffer, 1)];
  first.publish({ a: 1, b: 2 });
  second.publish({ a: 3, b: 4 });
  first.publish({ a: 5, b: 0 });
  assert.deepEqual(
    [first.read(0), first.read(1)],
    [
      { a: 5, b: 0 },
      { a: 3, b: 4 },
    ],
  );
});

test("Counters asserts when rows are wrong", () => {
  const buffer = createCounters(1);
  assert.throws(() => new Counters(buffer, 1), { code: "ERR_RINGLOOM_ASSERTION" });
  assert.throws(() => new Counters(buffer, 0).read(1), { code: "ERR_RINGLOOM_ASSERTION" });
  const tooMany = Object.fromEntries(Array.from({ length: COUNTERS_PER_SHARD + 1 }, (_, index) => [`c${index}`, 0]));
  assert.throws(() => new Counters(buffer, 0).publish(tooMany), { code: "ERR_RINGLOOM_ASSERTION" });
});
