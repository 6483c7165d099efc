import assert from "node:assert/strict";
import { test } from "node:test";
import { judgeHealth, type ServerPhase, type ShardHealth } from "./health.js";
import type { ShardCondition } from "./roster.js";

function shards(...conditions: readonly (readonly [ShardCondition, silentMs: number])[]): ShardHealth[] {
  return conditions.map(([condition, silentMs], shard) => ({ shard, condition, silentMs, generation: 1, restarts: 0 }));
}

const cases: [
  what: string,
  phase: ServerPhase,
  shards: ShardHealth[],
  isLive: boolean,
  isReady: boolean,
  reason: RegExp,
][] = [
  ["all serve", "running", shards(["serving", 10], ["serving", 150]), true, true, /^$/],
  [
    "one is stuck",
    "running",
    shards(["serving", 10], ["stuck", 2_500]),
    true,
    false,
    /^shard 1 has been stuck for 2500 ms$/,
  ],
  ["one is stuck for long", "running", shards(["serving", 10], ["stuck", 5_000]), false, false, /stuck/],
  ["one is down and another serves", "running", shards(["down", 0], ["serving", 10]), true, true, /^$/],
  ["none serves", "running", shards(["down", 0], ["starting", 0]), true, false, /^no shard serves$/],
  ["it starts", "starting", shards(["starting", 0]), true, false, /^the server is starting$/],
  ["it was told to stop", "leaving", shards(["serving", 0]), true, false, /^the server is leaving$/],
  ["it drains", "draining", shards(["draining", 0]), true, false, /^the server is draining$/],
];

for (const [what, phase, list, isLive, isReady, reason] of cases) {
  test(`judgeHealth() judges a server of which ${what}`, () => {
    const health = judgeHealth(phase, list, 5_000);
    assert.deepEqual([health.isLive, health.isReady], [isLive, isReady]);
    assert.match(health.reasons.join("; "), reason);
  });
}

test("judgeHealth() knows no limit of silence when liveMs is 0", () => {
  assert.equal(judgeHealth("running", shards(["stuck", 1e9]), 0).isLive, true);
});
