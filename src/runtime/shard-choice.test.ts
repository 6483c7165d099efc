import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ShardChoice } from "./shard-choice.js";

describe("ShardChoice.pick()", () => {
  it("takes the shard with the fewest pending calls, and equal ones in turns", () => {
    const choice = new ShardChoice(3);
    const pending = [0, 0, 0];
    const picked = Array.from({ length: 6 }, () => choice.pick((shard) => pending[shard]!));
    assert.deepEqual(picked, [0, 1, 2, 0, 1, 2]);
    pending[0] = 2;
    pending[1] = 1;
    pending[2] = 3;
    assert.equal(
      choice.pick((shard) => pending[shard]!),
      1,
    );
  });

  it("takes the preferred shard where none has fewer", () => {
    const choice = new ShardChoice(3);
    const pending = [1, 1, 1];
    for (let round = 0; round < 4; round++)
      assert.equal(
        choice.pick((shard) => pending[shard]!, 2),
        2,
      );
    pending[1] = 0;
    assert.equal(
      choice.pick((shard) => pending[shard]!, 2),
      1,
    );
  });

  it("leaves a shard out for a second when its line has broken, unless all have", () => {
    let nowMs = 0;
    const choice = new ShardChoice(2, () => nowMs);
    const busy = (shard: number): number => (shard === 1 ? 5 : 0);
    choice.lost(0);
    assert.equal(choice.pick(busy), 1, "the one that is gone has no calls, and must not draw all of them");
    assert.equal(choice.pick(busy, 0), 1);
    nowMs = 1_000;
    assert.equal(choice.pick(busy), 0);
    choice.lost(0);
    choice.lost(1);
    assert.equal(choice.pick(busy, 1), 1);
    assert.ok([0, 1].includes(choice.pick(busy)));
  });
});
