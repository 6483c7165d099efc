import assert from "node:assert/strict";
import { test } from "node:test";
import { Spin } from "./spin.js";

test("Spin looks longer after a short sleep, and less long again after long ones", () => {
  const spin = new Spin(25);
  assert.equal(spin.limitMs, 0.025);
  spin.slept(0.06);
  assert.equal(spin.limitMs, 0.1, "looking on would have found it");
  spin.slept(5);
  assert.equal(spin.limitMs, 0.05);
  spin.slept(5);
  spin.slept(5);
  assert.equal(spin.limitMs, 0.025, "never less than at first");
});

test("Spin never looks when it was given no time", () => {
  const spin = new Spin(0);
  spin.slept(0);
  spin.slept(0.01);
  assert.equal(spin.limitMs, 0);
});
