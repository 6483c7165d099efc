import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { usedTicks } from "./neighbours.js";
import type { Options } from "./options.js";
import { alternate, Dead, runRounds } from "./rounds.js";
import { Notes, Results } from "./rows.js";
import type { Context } from "./suite.js";

const cases = [{ name: "light" }, { name: "breaking" }];
const subjects = [{ name: "bun" }, { name: "go" }, { name: "hono" }];

function context(): Context {
  const placement = { serverCore: undefined, loadCore: undefined, description: "" };
  return { suite: "mixed", options: {} as Options, placement, results: new Results(), notes: new Notes() };
}

describe("alternate()", () => {
  for (const count of [2, 3, 4, 7]) {
    it(`begins elsewhere in each round and gives none of ${count} always the same neighbour`, () => {
      const items = Array.from({ length: count }, (_, index) => index);
      const orders = Array.from({ length: 2 * count }, (_, round) => alternate(items, round));
      for (const order of orders) assert.deepEqual([...order].sort(), items);
      for (const [round, order] of orders.entries()) {
        if (round > 0) assert.notEqual(order[0], orders[round - 1]?.[0]);
      }
      for (const item of items) {
        const before = new Set(orders.slice(0, 3).map((order) => order[order.indexOf(item) - 1]));
        assert.ok(before.size > 1, `${item} always follows ${[...before]}`);
      }
    });
  }

  it("has nothing to do with nothing", () => {
    assert.deepEqual(alternate([], 3), []);
  });
});

describe("runRounds()", () => {
  it("runs every case with every subject that has it, once a round", async () => {
    const seen: string[] = [];
    await runRounds(context(), {
      cases,
      subjects: subjects.slice(0, 2),
      rounds: 2,
      deadlineMs: Number.POSITIVE_INFINITY,
      has: (subject, runCase) => !(subject.name === "go" && runCase.name === "light"),
      measure: async ({ runCase, subject, round }) => void seen.push(`${round} ${runCase.name} ${subject.name}`),
      explain: () => assert.fail("nothing fails"),
    });
    const wanted = ["0 light bun", "0 breaking bun", "0 breaking go", "1 light bun", "1 breaking go", "1 breaking bun"];
    assert.deepEqual(seen, wanted);
  });

  it("leaves out who has failed, in that case or in all, and keeps what is known for the next call", async () => {
    const one = context();
    const seen: string[] = [];
    const dead = new Dead();
    const plan = {
      cases,
      subjects,
      rounds: 2,
      deadlineMs: Number.POSITIVE_INFINITY,
      measure: async ({ runCase, subject }: { runCase: { name: string }; subject: { name: string } }) => {
        seen.push(`${runCase.name} ${subject.name}`);
        if (subject.name === "go" || `${runCase.name} ${subject.name}` === "light bun") throw new Error("no");
      },
      explain: (_: unknown, run: { runCase: { name: string }; subject: { name: string } }) => ({
        suite: "mixed",
        case: run.subject.name === "go" ? undefined : run.runCase.name,
        subject: run.subject.name,
        kind: "failed" as const,
        reason: "no",
      }),
    };
    await runRounds(one, plan, dead);
    const count = (name: string): number => seen.filter((text) => text === name).length;
    assert.deepEqual(
      ["light bun", "breaking bun", "light go", "breaking go", "light hono"].map(count),
      [1, 2, 1, 0, 2],
      seen.join(),
    );
    assert.equal(one.results.missing.length, 2);
    seen.length = 0;
    await runRounds(one, { ...plan, rounds: 1 }, dead);
    assert.deepEqual(seen, ["light hono", "breaking bun", "breaking hono"]);
  });

  it("notes what there was no time for", async () => {
    const one = context();
    await runRounds(one, {
      cases: cases.slice(0, 1),
      subjects: subjects.slice(0, 1),
      rounds: 2,
      deadlineMs: performance.now() - 1,
      measure: () => assert.fail("it is too late"),
      explain: () => assert.fail("nothing fails"),
    });
    const note = { suite: "mixed", case: "light", subject: "bun", kind: "skipped", reason: "out of time" };
    assert.deepEqual(one.results.missing, [note]);
  });
});

describe("usedTicks()", () => {
  const stat = "cpu  9 9 9 9 9 9 9 9 9 9\ncpu0 1 2 4 1000 1000 1000 1000 8 0 0\ncpu1 10 20 40 1 1 1 1 80 0 0\nintr 5\n";

  it("counts what is busy and what was stolen, on the cores that are asked for", () => {
    assert.equal(usedTicks(stat, [0]), 15);
    assert.equal(usedTicks(stat, [0, 1]), 165);
    assert.equal(usedTicks(stat, []), 165);
  });

  it("is undefined where there is nothing to read", () => {
    assert.equal(usedTicks(undefined, []), undefined);
    assert.equal(usedTicks(stat, [7]), undefined);
  });
});
