import assert from "node:assert/strict";
import { test } from "node:test";
import { INJECTOR_INTERVAL_MAX, INJECTOR_INTERVAL_MIN, InjectorInterval } from "./injector-interval.js";

test("InjectorInterval aims at a millisecond and stays within its bounds", () => {
  for (const [micros, interval] of [
    [10, 100],
    [100, 10],
    [1, INJECTOR_INTERVAL_MAX],
    [0, INJECTOR_INTERVAL_MAX],
    [-5, INJECTOR_INTERVAL_MAX],
    [20_000, INJECTOR_INTERVAL_MIN],
  ] as const) {
    const one = new InjectorInterval();
    for (let n = 0; n < 200; n++) one.observe(micros);
    assert.equal(one.interval, interval, `${micros} microseconds`);
    const batched = new InjectorInterval();
    for (let n = 0; n < 20; n++) batched.observe(micros * 10, 10);
    assert.equal(batched.interval, interval, `${micros} microseconds, ten at a time`);
  }
});

test("InjectorInterval.isDue() is true once in each interval", () => {
  const interval = new InjectorInterval();
  for (let n = 0; n < 200; n++) interval.observe(10);
  while (!interval.isDue());
  const dues = Array.from({ length: 300 }, () => interval.isDue());
  assert.deepEqual(
    dues.flatMap((due, n) => (due ? [n] : [])),
    [99, 199, 299],
  );
});
