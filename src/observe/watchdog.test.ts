import assert from "node:assert/strict";
import { test } from "node:test";
import { createHeartbeat, Heart, Pulse } from "./heartbeat.js";
import type { LogFields } from "./log.js";
import { Watchdog } from "./watchdog.js";

const THRESHOLD_MS = 400;

/** A watchdog on a clock that the test turns, over two threads of shard 1, of which the second beats: the first has begun to retire, and sleeps. */
function stage({ canAsk = true } = {}) {
  const buffers = [createHeartbeat(), createHeartbeat()] as const;
  const [retiring, heart] = [new Heart(buffers[0]), new Heart(buffers[1])];
  const threads = buffers.map((buffer, index) => ({ shard: 1, pulse: new Pulse(buffer), title: `thread ${index}` }));
  const said: [msg: string, fields: LogFields][] = [];
  const asked: string[] = [];
  let now = 10_000;
  const watchdog = new Watchdog({
    thresholdMs: THRESHOLD_MS,
    log: { warn: (msg, fields = {}) => void said.push([msg, fields]) },
    requestStack(title) {
      asked.push(title);
      return canAsk;
    },
    nowMs: () => now,
  });
  for (const thread of threads) watchdog.watch(thread);
  function look(elapsedMs: number): void {
    for (const { pulse } of threads) pulse.observe(elapsedMs);
    watchdog.look();
  }
  /** Time passes in looks, 100 ms apart; the thread beats or it does not. */
  function pass(ms: number, isAlive: boolean): void {
    for (let elapsed = 0; elapsed < ms; elapsed += 100) {
      now += 100;
      if (isAlive) heart.beat();
      look(100);
    }
  }
  retiring.beat();
  retiring.rest();
  heart.beat();
  look(0);
  return { watchdog, threads, heart, retiring, said, asked, pass };
}

test("Watchdog counts a blockage once, asks for its stack once, and says when it is over", () => {
  const { watchdog, heart, retiring, said, asked, pass } = stage();
  pass(1_000, true);
  assert.deepEqual([said.length, asked.length], [0, 0]);
  pass(700, false);
  assert.deepEqual([asked, said.length, heart.blockages.count], [["thread 1"], 0, 1]);
  watchdog.stackSeen("thread 0", ["of another thread"]);
  watchdog.stackSeen("thread 1", ["burn (file:///app.js:3:1)", "file:///app.js:9:1"]);
  watchdog.stackSeen("thread 1", ["again"]);
  assert.deepEqual(said, [
    [
      "The event loop of shard 1 is blocked",
      {
        event: "blocked",
        blockedShard: 1,
        blockedMs: 700,
        stack: "at burn (file:///app.js:3:1)\nat file:///app.js:9:1",
      },
    ],
  ]);
  pass(1_000, false);
  pass(100, true);
  assert.deepEqual(said[1], [
    "The event loop of shard 1 turns again",
    { event: "unblocked", blockedShard: 1, blockedMs: 1_800 },
  ]);
  assert.equal(said.length, 2);
  assert.deepEqual(heart.blockages, { count: 1, msMax: 1_800 });
  assert.deepEqual(retiring.blockages, { count: 0, msMax: 0 }, "threads of one shard share no words");
});

test("Watchdog says native code when no stack comes, and takes none that comes after the loop has turned", () => {
  const { watchdog, said, pass } = stage();
  pass(500, false);
  pass(800, false);
  assert.match(String(said[0]?.[1].where), /native code/);
  pass(100, true);
  watchdog.stackSeen("thread 1", ["too late"]);
  assert.equal(said.length, 2);
});

test("Watchdog reports at once, without a stack, when none can be asked for", () => {
  const { said, pass } = stage({ canAsk: false });
  pass(400, false);
  assert.match(String(said[0]?.[1].where), /no inspector/);
});

test("Watchdog takes no stack that comes after the loop has turned, before it has looked again", () => {
  const { watchdog, heart, said, pass } = stage();
  pass(500, false);
  heart.beat();
  watchdog.stackSeen("thread 1", ["too late"]);
  assert.equal(said.length, 0);
});

test("Watchdog takes no notice of a thread that rests, and says nothing more of one that is gone", () => {
  const { watchdog, threads, heart, said, asked, pass } = stage();
  pass(200, true);
  heart.rest();
  pass(5_000, false);
  assert.deepEqual([asked.length, said.length], [0, 0]);
  heart.beat();
  pass(500, false);
  assert.equal(asked.length, 1);
  for (const thread of threads) watchdog.forget(thread);
  pass(5_000, false);
  pass(100, true);
  assert.equal(said.length, 0);
});
