/** What the suites compute themselves: the right sums, and the search for the rate that breaks. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { burn, stepsOf } from "../harness/kernel.js";
import { prepare, programPath, tokioPath } from "../harness/prepare.js";
import { run } from "../harness/processes.js";
import { numbersOf } from "../harness/programs.js";
import { searchBreakingRate } from "./mixed.js";
import { expectedSum } from "./tasks.js";

/** The sum, task by task, as peers/pools/main.js defines it. */
function sumOneByOne(width: number, steps: number, hotSteps: number, batches: number): number {
  let sum = 0;
  for (let r = 0; r < batches; r++) {
    for (let b = 0; b < width; b++) {
      const isHot = hotSteps > 0 && b === r % width;
      sum = (sum + burn((b & 15) + 1, isHot ? hotSteps : steps)) >>> 0;
    }
  }
  return sum;
}

describe("expectedSum()", () => {
  for (const [width, hotSteps, batches] of [
    [1, 0, 5],
    [40, 0, 3],
    [16, 0, 1],
    [16, 90, 1],
    [16, 90, 16],
    [16, 90, 37],
    [20, 90, 41],
  ] as const) {
    it(`is the sum of all tasks (${width} wide, hot ${hotSteps}, ${batches} batches)`, () => {
      assert.equal(expectedSum({ width, steps: () => 7, hotSteps }, batches), sumOneByOne(width, 7, hotSteps, batches));
    });
  }
});

describe("burn()", () => {
  it("gives these results, in every language", () => {
    assert.equal(burn(1, 0), 1);
    assert.equal(burn(1, 1), 1_015_554_172);
    assert.equal(burn(20, 1_000), 3_763_265_213);
  });

  for (const [language, need, program] of [
    ["Rust", "tokio", tokioPath],
    ["Go", "go", programPath("go-peer")],
  ] as const) {
    it(`is the same in ${language}`, async (context) => {
      const reason = await prepare(need);
      if (reason !== undefined) return context.skip(reason);
      const { stdout, stderr } = await run([program, "tasks", "2", "16", "500", "2000", "0", "0.05"], {
        timeoutMs: 20_000,
      });
      const { sum, totalBatches } = numbersOf(JSON.parse(stdout), ["sum", "totalBatches"]);
      assert.ok(totalBatches > 0, stderr);
      assert.equal(sum, expectedSum({ width: 16, steps: () => 500, hotSteps: 2_000 }, totalBatches));
    });
  }

  it("stepsOf() grows with the time", () => {
    assert.ok(stepsOf(100) > stepsOf(10));
  });
});

describe("searchBreakingRate()", () => {
  const plan = { first: 1_000, factor: 2, halvings: 4, tries: 1 };

  it("comes close to the limit from below", async () => {
    const rate = await searchBreakingRate(async (wanted) => wanted <= 5_000, plan);
    assert.ok(rate <= 5_000 && rate > 4_700, String(rate));
  });

  it("is 0 when the first rate breaks", async () => {
    assert.equal(await searchBreakingRate(async () => false, plan), 0);
  });

  it("ends at the highest rate that is tried, when nothing breaks", async () => {
    assert.ok((await searchBreakingRate(async () => true, plan)) >= 20_000);
  });

  it("lets one hiccup pass when it may try again", async () => {
    let asked = 0;
    const hiccups = async (wanted: number): Promise<boolean> => asked++ !== 1 && wanted <= 5_000;
    assert.ok((await searchBreakingRate(hiccups, { ...plan, tries: 2 })) > 4_700);
  });
});

describe("numbersOf()", () => {
  it("names what is missing or no number", () => {
    assert.deepEqual(numbersOf({ a: 1, b: 2 }, ["a"]), { a: 1 });
    assert.throws(() => numbersOf({ a: "1" }, ["a"]), /no a/);
    assert.throws(() => numbersOf(undefined, ["a"]), /no a/);
  });
});
