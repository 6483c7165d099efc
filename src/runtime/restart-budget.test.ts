import assert from "node:assert/strict";
import { test } from "node:test";
import { BACKOFF_MS_MAX, RestartBudget } from "./restart-budget.js";

test("RestartBudget.take() replaces at once, then ever later, and not at all when the window is full", () => {
  const budget = new RestartBudget({ restartsMax: 4, windowMs: 1_000, backoffMs: 100 });
  assert.deepEqual(
    [0, 1, 2, 3].map((ms) => budget.take(ms)),
    [0, 100, 200, 400],
  );
  assert.equal(budget.take(4), undefined);
  assert.equal(budget.used, 4);
});

test("RestartBudget.take() forgets what is older than the window", () => {
  const budget = new RestartBudget({ restartsMax: 1, windowMs: 1_000, backoffMs: 100 });
  assert.equal(budget.take(0), 0);
  assert.equal(budget.take(999), undefined);
  assert.equal(budget.take(1_000), 0);
});

test("RestartBudget.take() never waits longer than its bound", () => {
  const budget = new RestartBudget({ restartsMax: 100, windowMs: 1_000, backoffMs: 1_000 });
  for (let count = 0; count < 50; count++) budget.take(0);
  assert.equal(budget.take(0), BACKOFF_MS_MAX);
});

test("RestartBudget.take() gives nothing when nothing is allowed", () => {
  assert.equal(new RestartBudget({ restartsMax: 0, windowMs: 1_000, backoffMs: 0 }).take(0), undefined);
});
