import assert from "node:assert/strict";
import { test } from "node:test";
import { Spin } from "./spin.js";

test("Spin looks longer after a short sleep, until that is in vain", () => {
  const spin = new Spin(25);
  assert.equal(spin.limitMs, 0.025);
  spin.slept(5);
  assert.equal(spin.limitMs, 0.025, "nothing would have been found");
  spin.slept(0.06);
  assert.equal(spin.limitMs, 0.1, "looking on would have found it");
  spin.slept(0.11);
  assert.equal(spin.limitMs, 0.025, "and the longer look did not");
});

test("Spin rests from long looks when one was in vain", () => {
  const spin = new Spin(25);
  spin.slept(0.06);
  spin.slept(0.11);
  let sleeps = 0;
  for (; spin.limitMs < 0.1; sleeps++) spin.slept(0.06);
  assert.equal(sleeps, 9);
});

test("Spin never looks when it was given no time", () => {
  const spin = new Spin(0);
  spin.slept(0);
  spin.slept(0.01);
  assert.equal(spin.limitMs, 0);
});
