/** The benchmarks run, small, with the tests, so that they cannot rot. Nothing here looks at a figure. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { loadNative } from "../src/native.js";
import { findProgram } from "../test/db/server-process.js";
import { findTool, root } from "./harness/machine.js";
import { type Need, prepare } from "./harness/prepare.js";
import { run } from "./harness/processes.js";

/** A suite in small: which of its subjects and cases run, and how many rows of a metric there must then be. */
interface Small {
  readonly suite: string;
  readonly subjects: string;
  readonly cases: string;
  readonly metric: string;
  readonly rows: number;
  /** What a machine may lack. */
  readonly need?: Need | "addon" | "postgres";
}

const small: readonly Small[] = [
  { suite: "tasks", subjects: "inline", cases: "empty-1000,fanout-skewed", metric: "us/task", rows: 2 },
  { suite: "messages", subjects: "atomics", cases: "rtt-adaptive,one-way,cold-start", metric: "ns", rows: 3 },
  { suite: "messages", subjects: "ringloom-epoll", cases: "rtt-parked,one-way", metric: "ns", rows: 2, need: "addon" },
  { suite: "sync", subjects: "ringloom,node", cases: "ping-pong-1,fan-out,lock-1", metric: "ns/op", rows: 5 },
  { suite: "sync-shared", subjects: "ringloom", cases: "ping-pong,lock-contended", metric: "ns/op", rows: 2 },
  { suite: "topologies", subjects: "work-stealing,thread-per-core", cases: "empty-1000", metric: "us/task", rows: 2 },
  { suite: "timers", subjects: "node", cases: "timers-1k,timers-10k", metric: "insert-ns", rows: 2 },
  {
    suite: "net",
    subjects: "ringloom,node-net",
    cases: "net_echo_rtt_256b,net_keyed_hotspot_rotation_4k",
    metric: "ns/op",
    rows: 4,
    need: "net-echo",
  },
  {
    suite: "fs",
    subjects: "node-fs-callbacks,ringloom",
    cases: "fs_read_rtt_4k,fs_read_throughput_4k_qd32",
    metric: "ns/op",
    rows: 4,
  },
  {
    suite: "memory",
    subjects: "ringloom-epoll",
    cases: "ws-idle-19k",
    metric: "connections",
    rows: 1,
    need: "idle-load",
  },
  { suite: "ws", subjects: "ringloom-portable", cases: "echo64-d16", metric: "msg/s", rows: 1, need: "ws-load" },
  {
    suite: "db",
    subjects: "ringloom-portable,node-net",
    cases: "pg-select1-c16",
    metric: "us/query",
    rows: 2,
    need: "postgres",
  },
  { suite: "client", subjects: "ringloom-portable,undici", cases: "get-c50", metric: "req/s", rows: 2 },
];

/** Why a suite cannot run here. */
async function lacks(need: Small["need"]): Promise<string | undefined> {
  if (need === undefined) return undefined;
  if (need === "addon") return loadNative() === undefined ? "there is no addon" : undefined;
  if (need === "postgres") return findProgram("initdb") === undefined ? "PostgreSQL is not installed" : undefined;
  return prepare(need);
}

const main = join(root, "dist/bench/main.js");
const unmetGenerator = await prepare("load-generator");
const unmet = findTool("wrk") === undefined ? unmetGenerator : undefined;

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

  for (const { suite, subjects, cases, metric, rows: rowCount, need } of small) {
    it(`${suite} writes rows of ${subjects}`, async (context) => {
      const reason = await lacks(need);
      if (reason !== undefined) return context.skip(reason);
      const json = join(directory, `${suite}-${subjects}.json`);
      const fixed = [process.execPath, main, suite, "--quick", "--seconds", "0.1", "--rounds", "1"];
      const chosen = ["--subjects", subjects, "--cases", cases, "--json", json];
      const { code, stderr } = await run([...fixed, ...chosen], { timeoutMs: 120_000 });
      assert.equal(code, 0, stderr);
      const rows = JSON.parse(readFileSync(json, "utf8")) as { metric: string; median: number }[];
      const found = rows.filter((row) => row.metric === metric && row.median > 0);
      assert.equal(found.length, rowCount, stderr);
    });
  }

  it("mixed writes rows and finds a rate that breaks", { skip: unmetGenerator ?? false }, async () => {
    const json = join(directory, "mixed.json");
    const fixed = [process.execPath, main, "mixed", "--quick", "--seconds", "0.3", "--rounds", "1"];
    const { code, stderr } = await run([...fixed, "--subjects", "cluster", "--json", json], { timeoutMs: 120_000 });
    assert.equal(code, 0, stderr);
    const metrics = (JSON.parse(readFileSync(json, "utf8")) as { metric: string }[]).map((row) => row.metric);
    const wanted = ["p50", "p99", "p99.9", "failed", "work-p99", "work-failed", "break-req/s"];
    assert.deepEqual(metrics, wanted);
  });

  it("exits with code 2 for what it does not know", async () => {
    const { code, stderr } = await run([process.execPath, main, "http", "--subjects", "nobody"], { timeoutMs: 20_000 });
    assert.equal(code, 2);
    assert.match(stderr, /Cannot find the subject nobody/);
  });
});
