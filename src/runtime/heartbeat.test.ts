import assert from "node:assert/strict";
import { test } from "node:test";
import { createHeart, Pulse } from "./heartbeat.js";

test("Pulse.observe() adds up silence until the word changes", () => {
  const buffer = createHeart();
  const word = new Int32Array(buffer);
  const pulse = new Pulse(buffer);
  pulse.observe(100);
  pulse.observe(50);
  assert.equal(pulse.silentMs, 150);
  Atomics.store(word, 0, 1);
  pulse.observe(400);
  assert.equal(pulse.silentMs, 0, "a beat ends the silence, however long ago it was");
  pulse.observe(30);
  assert.equal(pulse.silentMs, 30);
});

test("Pulse.observe() takes a word that wraps around for a beat", () => {
  const buffer = createHeart();
  const word = new Int32Array(buffer);
  const pulse = new Pulse(buffer);
  Atomics.store(word, 0, 2_147_483_647);
  pulse.observe(10);
  Atomics.store(word, 0, -2_147_483_648);
  pulse.observe(10);
  assert.equal(pulse.silentMs, 0);
});
