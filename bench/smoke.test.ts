/** The benchmarks run, small, with the tests, so that they cannot rot. Nothing here looks at a figure. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { findTool, root } from "./harness/machine.js";
import { prepare } from "./harness/prepare.js";
import { run } from "./harness/processes.js";

const main = join(root, "dist/bench/main.js");
const unmet = findTool("wrk") === undefined ? await prepare("load-generator") : undefined;

describe("npm run bench", () => {
  let directory = "";

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "ringloom-bench-"));
  });

  after(() => rm(directory, { recursive: true }));

  it("http writes rows, a report and charts", { skip: unmet ?? false }, async () => {
    const json = join(directory, "http.json");
    const fixed = [process.execPath, main, "http", "--quick", "--seconds", "0.2", "--rounds", "1"];
    const chosen = ["--subjects", "node-http,c-io_uring", "--cases", "hello-c64,post1k-c64", "--json", json, "--plot"];
    const { code, stderr, stdout } = await run([...fixed, ...chosen], { timeoutMs: 60_000 });
    assert.equal(code, 0, stderr);
    assert.match(stdout, /http \/ post1k-c64/);
    const rows: unknown = JSON.parse(readFileSync(json, "utf8"));
    assert.ok(Array.isArray(rows));
    const row: unknown = rows.find((one) => one.metric === "req/s" && one.subject === "node-http");
    assert.ok(typeof row === "object" && row !== null);
    const keys = ["suite", "case", "metric", "subject", "unit", "better", "median", "min", "max", "rounds"];
    assert.deepEqual(Object.keys(row), keys);
    assert.match(readFileSync(join(directory, "http-req-s.svg"), "utf8"), /<\/svg>/);
    assert.equal(readFileSync(join(directory, "http.txt"), "utf8"), stdout);
  });

  it("exits with code 2 for what it does not know", async () => {
    const { code, stderr } = await run([process.execPath, main, "http", "--subjects", "nobody"], { timeoutMs: 20_000 });
    assert.equal(code, 2);
    assert.match(stderr, /Cannot find the subject nobody/);
  });
});
