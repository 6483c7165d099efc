import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseCoreList } from "./machine.js";
import { allocatedBytes } from "./observe.js";
import { checkNames, parseOptions, UsageError } from "./options.js";
import { barChart } from "./plot.js";
import { Results } from "./rows.js";
import { median, pairedRatio, slope } from "./statistics.js";

const rate = { name: "req/s", unit: "req/s", better: "higher", decimals: 0 } as const;

describe("statistics", () => {
  it("median() takes the middle value, or the mean of the two middle ones", () => {
    assert.equal(median([9, 1, 5]), 5);
    assert.equal(median([4, 1, 3, 2]), 2.5);
  });

  it("median() throws a RangeError when there are no values", () => {
    assert.throws(() => median([]), RangeError);
  });

  it("pairedRatio() compares within rounds, so a machine that slows down between them changes nothing", () => {
    const fast = new Map([
      [0, 200],
      [1, 20],
    ]);
    const slow = new Map([
      [0, 100],
      [1, 10],
      [2, 1],
    ]);
    assert.equal(pairedRatio(fast, slow), 2);
    assert.equal(pairedRatio(fast, new Map([[7, 1]])), undefined);
  });

  it("slope() fits a line", () => {
    const points: [number, number][] = [
      [0, 1],
      [1, 3],
      [2, 5],
    ];
    assert.equal(slope(points), 2);
    assert.throws(() => slope([[0, 1]]), RangeError);
  });
});

describe("Results", () => {
  it("rows() summarises the rounds of each series", () => {
    const results = new Results();
    [30, 10, 20].forEach((value, round) => {
      results.add("http", "hello-c64", "bun", rate, round, value);
    });
    assert.deepEqual(results.rows(), [
      {
        suite: "http",
        case: "hello-c64",
        metric: "req/s",
        subject: "bun",
        unit: "req/s",
        better: "higher",
        median: 20,
        min: 10,
        max: 30,
        rounds: 3,
      },
    ]);
  });

  it("add() refuses what is no number, so that no broken measurement becomes a row", () => {
    assert.throws(() => new Results().add("http", "hello-c64", "bun", rate, 0, Number.NaN), RangeError);
  });

  it("ratio() is undefined when the base was not measured", () => {
    const results = new Results();
    results.add("http", "hello-c64", "bun", rate, 0, 2);
    assert.equal(results.ratio("http", "hello-c64", "req/s", "bun", "node-http"), undefined);
    results.add("http", "hello-c64", "node-http", rate, 0, 1);
    assert.equal(results.ratio("http", "hello-c64", "req/s", "bun", "node-http"), 2);
  });

  it("miss() keeps one note of the same thing", () => {
    const results = new Results();
    const missing = { suite: "http", case: undefined, subject: "bun", kind: "unavailable", reason: "none" } as const;
    results.miss(missing);
    results.miss({ ...missing });
    assert.equal(results.missing.length, 1);
  });
});

describe("options", () => {
  it("parseOptions() reads a whole command line", () => {
    const options = parseOptions(["http", "--quick", "--seconds", "0.3", "--subjects", "bun,deno"], ["http", "heap"]);
    assert.ok(options !== "help");
    assert.deepEqual(options.suites, ["http"]);
    assert.deepEqual(options.subjects, ["bun", "deno"]);
    assert.equal(options.seconds, 0.3);
    assert.equal(options.isQuick, true);
  });

  it("parseOptions() takes all suites for `all`", () => {
    const options = parseOptions(["all"], ["http", "heap"]);
    assert.ok(options !== "help");
    assert.deepEqual(options.suites, ["http", "heap"]);
  });

  for (const [title, args] of [
    ["no suite", []],
    ["an unknown suite", ["nothing"]],
    ["an unknown option", ["http", "--fast"]],
    ["rounds of zero", ["http", "--rounds", "0"]],
    ["rounds that are no whole number", ["http", "--rounds", "1.5"]],
    ["seconds that are no number", ["http", "--seconds", "long"]],
  ] as const) {
    it(`parseOptions() throws a UsageError for ${title}`, () => {
      assert.throws(() => parseOptions(args, ["http", "heap"]), UsageError);
    });
  }

  it("checkNames() names what there is when a subject is unknown", () => {
    assert.throws(() => checkNames("subject", ["nginx"], ["bun", "deno"]), /nginx: there are bun, deno/);
  });
});

describe("parsers of what the system says", () => {
  it("parseCoreList() expands ranges", () => {
    assert.deepEqual(parseCoreList("0-2,5"), [0, 1, 2, 5]);
    assert.deepEqual(parseCoreList("3"), [3]);
  });

  it("allocatedBytes() reads the trace of Node 20 and of Node 26, and nothing else", () => {
    assert.equal(
      allocatedBytes("[1:0x1] 65 ms: pause=2.1 holes_size_after=195264 allocated=927544 promoted=577944"),
      927_544,
    );
    assert.equal(allocatedBytes('[1:0x1:0] 124 ms: GC: {"pause":6.4,"allocated":1733008,"promoted":0}'), 1_733_008);
    assert.equal(allocatedBytes("[1:0x1] 65 ms: allocated=18446744073709551600 promoted=0"), -16);
    assert.equal(allocatedBytes("listening http://127.0.0.1:1"), undefined);
  });
});

describe("barChart()", () => {
  it("draws a bar a row and escapes names", () => {
    const results = new Results();
    results.add("http", "a<b", "bun & co", rate, 0, 2);
    const svg = barChart("http: req/s", results.rows());
    assert.match(svg, /^<svg /);
    assert.match(svg, /a&lt;b/);
    assert.match(svg, /bun &amp; co/);
    assert.equal(svg.match(/<rect /g)?.length, 2);
  });
});
