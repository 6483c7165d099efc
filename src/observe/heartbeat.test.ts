import assert from "node:assert/strict";
import { test } from "node:test";
import { createHeartbeat, Heart, Pulse } from "./heartbeat.js";

function pair() {
  const buffer = createHeartbeat();
  return { heart: new Heart(buffer), pulse: new Pulse(buffer) };
}

test("Pulse.observe() adds up silence of a thread that is awake, until it turns", () => {
  const { heart, pulse } = pair();
  heart.beat();
  pulse.observe(100);
  assert.equal(pulse.silentMs, 0, "the first look sees a change");
  pulse.observe(100);
  pulse.observe(50);
  assert.equal(pulse.silentMs, 150);
  heart.beat();
  pulse.observe(400);
  assert.equal(pulse.silentMs, 0, "a beat ends the silence, however long ago it was");
  pulse.observe(30);
  assert.equal(pulse.silentMs, 30);
});

test("Pulse.observe() takes a thread that sleeps for alive, and one that hangs as soon as it wakes for silent", () => {
  const { heart, pulse } = pair();
  pulse.observe(10_000);
  assert.equal(pulse.silentMs, 0, "a thread that is not there yet is not silent");
  heart.beat();
  heart.rest();
  for (let look = 0; look < 3; look++) pulse.observe(10_000);
  assert.equal(pulse.silentMs, 0);
  heart.beat();
  pulse.observe(10);
  pulse.observe(10);
  assert.equal(pulse.silentMs, 10);
});

test("Heart keeps the pulse odd while awake and even at rest, also where it wraps around", () => {
  const { heart, pulse } = pair();
  for (const start of [0, 1, 2, 2_147_483_646, 2_147_483_647, -2_147_483_648, -2, -1]) {
    Atomics.store(heart.words, 0, start);
    heart.beat();
    const awake = pulse.now;
    assert.equal(awake & 1, 1);
    assert.notEqual(awake, start);
    heart.rest();
    assert.equal(pulse.now & 1, 0);
    assert.notEqual(pulse.now, awake);
    heart.rest();
    assert.equal(pulse.now & 1, 0);
  }
});

test("Heart.blockages is what the watchdog wrote", () => {
  const { heart, pulse } = pair();
  pulse.countBlocked();
  pulse.countBlocked();
  pulse.noteBlockedMs(512.4);
  pulse.noteBlockedMs(300);
  assert.deepEqual(heart.blockages, { count: 2, msMax: 512 });
  assert.equal(pulse.now, 0);
});
