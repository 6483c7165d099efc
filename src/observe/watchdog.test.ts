import assert from "node:assert/strict";
import { test } from "node:test";
import type { LogFields } from "./log.js";
import { createPulses, Pulses } from "./pulse.js";
import { Watchdog } from "./watchdog.js";

const THRESHOLD_MS = 400;

/** A watchdog on a clock that the test turns, over two shards of which shard 1 beats. */
function stage({ canAsk = true } = {}) {
  const pulses = new Pulses(createPulses(2));
  const said: [msg: string, fields: LogFields][] = [];
  const asked: number[] = [];
  let now = 10_000;
  const watchdog = new Watchdog({
    pulses,
    thresholdMs: THRESHOLD_MS,
    log: { warn: (msg, fields = {}) => void said.push([msg, fields]) },
    requestStack(shard) {
      asked.push(shard);
      return canAsk;
    },
    nowMs: () => now,
  });
  /** Time passes in looks, 100 ms apart; the shard beats or it does not. */
  function pass(ms: number, isAlive: boolean): void {
    for (let elapsed = 0; elapsed < ms; elapsed += 100) {
      now += 100;
      if (isAlive) pulses.beat(1, now);
      watchdog.look();
    }
  }
  pulses.beat(1, now);
  watchdog.look();
  return { watchdog, pulses, said, asked, pass, skip: (ms: number) => (now += ms) };
}

test("Watchdog counts a blockage once, asks for its stack once, and says when it is over", () => {
  const { watchdog, pulses, said, asked, pass } = stage();
  pass(1_000, true);
  assert.deepEqual([said.length, asked.length], [0, 0]);
  pass(700, false);
  assert.deepEqual([asked, said.length, pulses.blockedCount(1)], [[1], 0, 1]);
  watchdog.stackSeen(1, ["burn (file:///app.js:3:1)", "file:///app.js:9:1"]);
  watchdog.stackSeen(1, ["again"]);
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
  assert.deepEqual([said.length, pulses.blockedCount(1), pulses.blockedMsMax(1)], [2, 1, 1_800]);
});

test("Watchdog says native code when no stack comes, and takes none that comes after the loop has turned", () => {
  const { watchdog, said, pass } = stage();
  pass(500, false);
  pass(800, false);
  assert.match(String(said[0]?.[1].where), /native code/);
  pass(100, true);
  watchdog.stackSeen(1, ["too late"]);
  assert.equal(said.length, 2);
});

test("Watchdog reports at once, without a stack, when none can be asked for", () => {
  const { said, pass } = stage({ canAsk: false });
  pass(400, false);
  assert.match(String(said[0]?.[1].where), /no inspector/);
});

test("Watchdog takes no notice of a shard that is not there, nor of time in which itself stood still", () => {
  const { pulses, said, asked, pass, skip } = stage();
  pass(200, true);
  skip(60_000);
  pass(100, false);
  pass(300, true);
  assert.deepEqual([asked.length, said.length], [0, 0]);
  pulses.rest(1);
  pass(5_000, false);
  assert.deepEqual([asked.length, said.length], [0, 0]);
});
