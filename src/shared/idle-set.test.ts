import assert from "node:assert/strict";
import { test } from "node:test";
import { IDLE_SET_WORDS, IdleSet, type NotifyForm } from "./idle-set.js";
import { Parkers, parkersLength } from "./parkers.js";
import { SharedWords } from "./words.js";

test("Parkers.notify() wakes a thread that has announced itself, once, and says who has to ring", () => {
  const { parkers } = idleOf("fetch");
  assert.equal(parkers.notify(0), "none", "it is awake");
  assert.ok(parkers.announce(0, "word"));
  assert.ok(parkers.isParked(0));
  assert.equal(parkers.notify(0), "word");
  assert.equal(parkers.notify(0), "none", "somebody else has woken it");
  assert.equal(parkers.sleep(0), true, "it does not sleep any more");
  assert.ok(parkers.announce(1, "loop"));
  assert.equal(parkers.notify(1), "loop");
  assert.equal(parkers.retract(1), true);
  assert.equal(parkers.isParked(1), false);
});

test("Parkers.unpark() leaves one permit, which the next announcement consumes", () => {
  const { parkers } = idleOf("fetch");
  assert.equal(parkers.unpark(0), "none");
  assert.equal(parkers.unpark(0), "none");
  assert.equal(parkers.announce(0, "word"), false);
  assert.ok(parkers.announce(0, "word"));
  assert.equal(parkers.sleep(0, 0), false, "a sleep that times out says that nobody notified it");
  assert.ok(parkers.announce(0, "word"), "and leaves the thread awake");
});

test("Parkers.ringAgain() rings whoever is not awake", () => {
  const { parkers } = idleOf("fetch");
  assert.equal(parkers.ringAgain(0), "none");
  parkers.announce(0, "loop");
  assert.equal(parkers.ringAgain(0), "loop");
  assert.equal(parkers.ringAgain(0), "loop", "the first ring may be missing");
  parkers.announce(1, "word");
  assert.equal(parkers.ringAgain(1), "word");
  assert.equal(parkers.sleep(1), true);
});

for (const form of ["fetch", "compare-and-swap"] as const) {
  test(`IdleSet.wakeOne() makes one sleeping thread the searcher and no second one (${form})`, () => {
    const { idle, parkers } = idleOf(form);
    assert.equal(idle.wakeOne(), "none", "nobody sleeps");
    for (const thread of [3, 40]) assert.ok(idle.announce(thread, "loop"));
    assert.equal(idle.wakeOne(), "loop");
    assert.equal(idle.wokenThread, 3);
    assert.equal(idle.wakeOne(), "none", "one is being woken");
    assert.equal(idle.beginSearch(5), false);
    assert.equal(idle.retract(3), true, "it is the searcher");
    assert.ok(idle.beginSearch(3));
    idle.endSearch(3);
    assert.equal(idle.wakeOne(), "loop", "also beyond the first 32");
    assert.equal(idle.wokenThread, 40);
    assert.equal(idle.retract(40), true);
    idle.endSearch(40);
    assert.equal(parkers.isParked(3) || parkers.isParked(40), false);
  });

  test(`IdleSet.wakeOne() passes over a thread that has woken by itself (${form})`, () => {
    const { idle, parkers } = idleOf(form);
    idle.announce(3, "loop");
    idle.announce(4, "word");
    // Its settled tasks have woken it; it has not yet taken its bit away.
    parkers.notify(3);
    assert.equal(idle.wakeOne(), "word");
    assert.equal(idle.wokenThread, 4);
    assert.equal(idle.retract(3), false);
    assert.equal(idle.sleep(4), true);
  });
}

test("IdleSet.forget() takes a dead thread's names away, and that of whom it was about to wake", () => {
  const { idle } = idleOf("fetch");
  idle.announce(3, "loop");
  idle.announce(4, "loop");
  idle.forget(3);
  assert.equal(idle.wakeOne(), "loop");
  assert.equal(idle.wokenThread, 4);
  // As if that waker had died: the name of 4 is there, and nobody has rung.
  idle.forget(9);
  assert.ok(idle.beginSearch(5));
});

test("IdleSet.announce() fails on a permit and leaves no bit behind", () => {
  const { idle, parkers } = idleOf("fetch");
  parkers.unpark(2);
  assert.equal(idle.announce(2, "word"), false);
  assert.equal(idle.wakeOne(), "none");
});

function idleOf(form: NotifyForm) {
  const threads = 64;
  const words = new SharedWords(new SharedArrayBuffer((parkersLength(threads) + IDLE_SET_WORDS) * 4));
  const parkers = new Parkers(words, { base: 0, threads });
  return { parkers, idle: new IdleSet(words, parkers, { base: parkersLength(threads), form }) };
}
