import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Options, parseOptions } from "./options.js";
import { report } from "./report.js";
import { Notes, Results } from "./rows.js";
import type { Goal, Suite } from "./suite.js";
import { exitCodeOf, judge } from "./verdict.js";

const time = { name: "us/task", unit: "µs", better: "lower", decimals: 3 } as const;

function goal(subject: string, base: string | undefined, value: number): Goal {
  return { suite: "tasks", case: "empty-1", metric: time.name, subject, base, relation: "at most", value };
}

const suite: Suite = {
  name: "tasks",
  about: "tasks",
  cases: [{ name: "empty-1", about: "one" }],
  subjects: [
    { name: "ringloom", about: () => "ours", needs: ["ringloom"] },
    { name: "lifo-1", about: () => "ours, varied", needs: ["ringloom"] },
    { name: "piscina", about: () => "a peer that a goal needs", needs: ["peers"] },
    { name: "poolifier", about: () => "a peer", needs: ["peers"] },
  ],
  metrics: [time],
  comparisons: [],
  plotted: [],
  goals: [goal("ringloom", "piscina", 0.5), goal("ringloom", undefined, 10)],
  run: () => Promise.resolve(),
};

function options(...more: readonly string[]): Options {
  const parsed = parseOptions(["tasks", ...more], ["tasks"]);
  assert.ok(parsed !== "help");
  return parsed;
}

/** Of Ringloom and piscina, in µs; undefined is not measured. */
function measured(ringloom: number | undefined, piscina: number | undefined): Results {
  const results = new Results();
  results.add("tasks", "empty-1", "inline", time, 0, 1);
  if (ringloom !== undefined) results.add("tasks", "empty-1", "ringloom", time, 0, ringloom);
  if (piscina !== undefined) results.add("tasks", "empty-1", "piscina", time, 0, piscina);
  return results;
}

function failed(subject: string): Results {
  const results = measured(1, subject === "piscina" ? undefined : 50);
  results.miss({ suite: "tasks", case: "empty-1", subject, kind: "failed", reason: "it lost a promise" });
  return results;
}

describe("judge()", () => {
  it("compares with the base, or with the value alone", () => {
    assert.deepEqual(
      judge(suite, measured(20, 50), options()).map(({ figure, isMet }) => [figure, isMet]),
      [
        [0.4, true],
        [20, false],
      ],
    );
  });

  it("says why a goal cannot be judged, and the report shows it", () => {
    const results = failed("piscina");
    const [first] = judge(suite, results, options());
    assert.deepEqual([first?.isMet, first?.reason], [undefined, "piscina: it lost a promise"]);
    const placement = { serverCore: undefined, loadCore: undefined, description: "" };
    const text = report([suite], { results, notes: new Notes(), placement, selection: options() });
    assert.match(
      text,
      /^ {2}open {3}empty-1 us\/task of ringloom, at most 0.5 × piscina: not judged \(piscina: it lost/m,
    );
    assert.equal(judge(suite, measured(1, 0), options())[0]?.reason, "piscina has 0");
    assert.equal(judge(suite, measured(undefined, 50), options())[0]?.reason, "not measured");
  });

  it("leaves out what was not asked for", () => {
    assert.equal(judge(suite, measured(1, 50), options("--subjects", "ringloom")).length, 1);
    assert.equal(judge(suite, measured(1, 50), options("--cases", "empty-1000")).length, 0);
  });
});

describe("exitCodeOf()", () => {
  it("is 1 when nothing was measured", () => {
    assert.equal(exitCodeOf([suite], new Results(), options()), 1);
  });

  it("is 1 when Ringloom, the generator or a subject that a goal needs failed", () => {
    for (const subject of ["ringloom", "lifo-1", "all", "piscina"]) {
      assert.equal(exitCodeOf([suite], failed(subject), options()), 1, subject);
    }
  });

  it("is 0 when a peer failed that no goal needs, or none that was asked for", () => {
    assert.equal(exitCodeOf([suite], failed("poolifier"), options("--check")), 0);
    assert.equal(exitCodeOf([suite], failed("piscina"), options("--subjects", "piscina,tinypool")), 0);
  });

  it("is 1 for a missed goal only with --check", () => {
    assert.equal(exitCodeOf([suite], measured(40, 50), options()), 0);
    assert.equal(exitCodeOf([suite], measured(40, 50), options("--check")), 1);
    assert.equal(exitCodeOf([suite], measured(5, 50), options("--check")), 0);
  });
});
