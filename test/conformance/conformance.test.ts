/** `npm run conformance` in short: the WebSocket list without most of its large cases, the smuggling corpus against the server, and a part of it through proxies. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { driversUnderTest } from "../support/drivers.js";
import { parseGolden } from "./golden/golden-cases.js";
import { runGolden } from "./golden/golden-run.js";
import { smugglingCorpus, targetsOf } from "./smuggling/corpus.js";
import { runDirectly } from "./smuggling/direct-run.js";
import { judge, runThroughProxy } from "./smuggling/front-run.js";
import { PROXIES } from "./smuggling/fronts.js";
import { readStrictly } from "./smuggling/reference-reader.js";
import { sectionOf, webSocketCases } from "./websocket/case-list.js";
import { type CaseResult, runList } from "./websocket/list-run.js";
import { startOurs, startWs } from "./websocket/servers.js";

/** Of the large and of the compressed cases, a few. */
const CHOSEN_LARGE = new Set(["9.1.3", "9.2.4", "9.3.4", "9.4.2", "9.5.6", "9.7.3", "9.8.1"]);
const CHOSEN_COMPRESSED = new Set(["12.1.4", "12.2.11", "12.5.8", "13.3.4", "13.5.13", "13.7.1"]);
/** One mutation in so many goes through the proxies. */
const PROXY_STEP = 29;

const cases = webSocketCases();
const corpus = smugglingCorpus();

test("the WebSocket list has the 517 numbers of the Autobahn test suite", () => {
  const counts = new Map<number, number>();
  for (const one of cases) counts.set(sectionOf(one), (counts.get(sectionOf(one)) ?? 0) + 1);
  const expected = [
    [1, 16],
    [2, 11],
    [3, 7],
    [4, 10],
    [5, 20],
    [6, 145],
    [7, 37],
    [9, 54],
    [10, 1],
    [12, 90],
    [13, 126],
  ];
  assert.deepEqual(
    [...counts].sort(([a], [b]) => a - b),
    expected,
  );
  assert.equal(new Set(cases.map(({ id }) => id)).size, 517);
});

describe("the WebSocket list, most of it", () => {
  const chosen = cases.filter((one) =>
    sectionOf(one) >= 12 ? CHOSEN_COMPRESSED.has(one.id) : one.isLarge !== true || CHOSEN_LARGE.has(one.id),
  );

  for (const driver of driversUnderTest) {
    test(`our server passes it on ${driver.name}`, { skip: driver.skip }, async () => {
      const server = await startOurs(driver);
      const results = await runList(server, chosen);
      await server.stop();
      assert.deepEqual(failuresIn(results), []);
    });
  }

  test("the server of ws passes it", async () => {
    const server = await startWs();
    const results = await runList(server, chosen);
    await server.stop();
    assert.deepEqual(failuresIn(results), []);
    assert.equal(results.filter(({ verdict }) => verdict === "not offered").length, 0);
  });
});

describe("the smuggling corpus", () => {
  for (const inSlab of [true, false]) {
    test(`HttpServer reads each mutation as the grammar has it, ${inSlab ? "in a slab" : "in chunks"}`, async () => {
      const { groups, problems } = await runDirectly(corpus, inSlab);
      assert.deepEqual(problems, []);
      const sum = (key: "refused" | "accepted"): number => groups.reduce((total, group) => total + group[key], 0);
      // A corpus that is refused as a whole, or accepted, would show nothing.
      assert.ok(sum("refused") > corpus.length / 4 && sum("accepted") > corpus.length / 20);
    });
  }

  test("each mutation has a name of its own", () => {
    assert.equal(new Set(corpus.map(({ name }) => name)).size, corpus.length);
  });

  test("a request without the proxy's mark is a problem, and a mark inside a body", () => {
    const { outer, smuggled } = targetsOf(3);
    const good = { target: outer, isMarked: true, body: "GET /x HTTP/1.1" };
    assert.deepEqual(judge(corpus, [good]), { accepted: 1, problems: [] });
    const hidden = judge(corpus, [good, { target: smuggled, isMarked: false, body: "" }]);
    assert.equal(hidden.problems.length, 1);
    assert.ok(hidden.problems[0]?.startsWith(corpus[3]!.name), hidden.problems[0]);
    const swallowed = judge(corpus, [{ ...good, body: "GET /after HTTP/1.1\r\nx-front: yes\r\n" }]);
    assert.equal(swallowed.problems.length, 1);
  });

  for (const proxy of PROXIES) {
    const driver = driversUnderTest.findLast(({ skip }) => skip === false);
    const skip = driver === undefined ? "no driver runs here" : proxy.program === undefined && "it is not installed";
    test(`no mutation is read differently behind ${proxy.name}`, { skip }, async () => {
      const scores = await runThroughProxy(
        proxy,
        driver!,
        corpus.filter((_, index) => index % PROXY_STEP === 0),
      );
      assert.deepEqual(
        scores.flatMap(({ problems }) => problems),
        [],
      );
      for (const { front, accepted } of scores) assert.ok(accepted > 10, `${accepted} came through ${front}`);
    });
  }
});

describe("readStrictly()", () => {
  const post = (fields: string, body: string): Buffer =>
    Buffer.from(`POST /a HTTP/1.1\r\nHost: h\r\n${fields}\r\n${body}`, "latin1");

  test("takes requests one after the other", () => {
    const next = "GET /b HTTP/1.1\r\nHost: h\r\n\r\n";
    assert.deepEqual(readStrictly(post("Content-Length: 3\r\n", `abc${next}`)).targets, ["/a", "/b"]);
    assert.deepEqual(
      readStrictly(post("Transfer-Encoding: chunked\r\n", `3;x="y"\r\nabc\r\n0\r\n\r\n${next}`)).targets,
      ["/a", "/b"],
    );
  });

  test("refuses what has two meanings", () => {
    const bad = [
      post("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
      post("Content-Length: 3\r\nContent-Length: 3\r\n", "abc"),
      post("Content-Length: +3\r\n", "abc"),
      post("Transfer-Encoding : chunked\r\n", "0\r\n\r\n"),
      post("X: y\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
      post("Transfer-Encoding: chunked\r\n", "3\nabc\r\n0\r\n\r\n"),
    ];
    for (const bytes of bad) assert.notEqual(readStrictly(bytes).refusal, undefined, bytes.toString("latin1"));
  });

  test("waits for what is missing", () => {
    assert.deepEqual(readStrictly(post("Content-Length: 30\r\n", "abc")), {
      targets: [],
      refusal: undefined,
      isWaiting: true,
    });
  });
});

describe("golden cases in llhttp's form", () => {
  const fence = "```";
  /** A case as a file has it; the log speaks of the bytes before a Host field is put in. */
  const golden = (): string => `# Cases

## One with a body

<!-- meta={"type": "request"} -->
${fence}http
PUT /url HTTP/1.1
Content-Length: 3

abc
${fence}

${fence}log
off=0 message begin
off=0 len=3 span[method]="PUT"
off=4 len=4 span[url]="/url"
off=14 len=3 span[version]="1.1"
off=17 version complete
off=19 len=14 span[header_field]="Content-Length"
off=35 len=1 span[header_value]="3"
off=38 header_value complete
off=40 headers complete method=4 v=1/1 flags=20 content_length=3
off=40 len=3 span[body]="abc"
off=43 message complete
${fence}
`;

  test("are read, given a Host, and compared with what the handler saw", async () => {
    const cases = parseGolden("request/own.md", golden());
    assert.deepEqual(await runGolden(cases), [
      { id: "request/own.md: One with a body", hasAddedHost: true, verdict: "agrees", reason: "" },
    ]);
  });

  test("that differ are unexplained", async () => {
    const cases = parseGolden("request/own.md", golden().replace("off=40 len=3", "off=40 len=2"));
    assert.equal((await runGolden(cases))[0]?.verdict, "unexplained");
  });
});

function failuresIn(results: readonly CaseResult[]): string[] {
  return results
    .filter(({ verdict }) => verdict === "failed")
    .map(({ id, what, problem }) => `${id} (${what}): ${problem}`);
}
