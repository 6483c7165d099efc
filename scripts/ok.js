/**
 * `npm run ok`: all gates, one line each. Every gate runs, so that one call shows everything that is wrong.
 *
 *     npm run ok                  all
 *     npm run ok -- --no-tests    all but the tests, for who has run them already
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { addonPath } from "./build-native.js";
import { compile } from "./lib/compile.js";
import { packageScript, root, runLoudly, runQuietly, secondsSince } from "./lib/project.js";

const MODEL_MS_MAX = 600_000;
const BENCH_MS_MAX = 180_000;
const BENCH_ARGS = ["http", "--quick", "--seconds", "0.3", "--rounds", "1", "--cases", "hello-c64"];
const BENCH_SUBJECTS = ["ringloom-portable", "node-http"];
// Where no addon can be, the benchmarks of its drivers cannot be either; `.ci/run` is where it must.
if (existsSync(addonPath("release"))) BENCH_SUBJECTS.unshift("ringloom", "ringloom-epoll");

/** @typedef {{ ok: boolean, output: string }} Verdict */
/** @typedef {{ name: string, run: () => Verdict | Promise<Verdict> }} Gate */

/** @type {Gate[]} */
const GATES = [
  {
    name: "format and lint",
    run: () => tool("@biomejs/biome/bin/biome", ["ci", "--error-on-warnings", "--colors=off", root]),
  },
  { name: "types", run: compile },
  {
    name: "types of scripts",
    run: () => tool("typescript/bin/tsc", ["-p", "scripts/tsconfig.json", "--pretty", "false"]),
  },
  { name: "layers", run: () => script("check-layers.js") },
  { name: "exports and tiers", run: () => script("check-tiers.js") },
  { name: "examples in documents", run: () => script("check-examples.js") },
  { name: "links in documents", run: () => script("check-links.js") },
  { name: "addon without warnings", run: () => script("build-native.js", ["--check"]) },
];

process.exitCode = await main(process.argv.slice(2));

/**
 * @param {string[]} args
 * @returns {Promise<number>}
 */
async function main(args) {
  const unknown = args.find((arg) => arg !== "--no-tests");
  if (unknown !== undefined) {
    console.error(`Unknown option ${unknown}. Options: --no-tests`);
    return 2;
  }
  const tests = [
    { name: "tests", run: runTests },
    { name: "model checker", run: checkModels },
  ];
  const gates = args.includes("--no-tests") ? GATES : [...GATES, ...tests];
  gates.push({ name: "smoke benchmark", run: smokeBenchmark });
  /** @type {string[]} */
  const failed = [];
  for (const gate of gates) {
    const startedMs = performance.now();
    const { ok, output } = await gate.run();
    console.log(`${ok ? "ok    " : "FAILED"} ${gate.name} (${secondsSince(startedMs)})`);
    if (ok) continue;
    failed.push(gate.name);
    console.log(output.replace(/^/gm, "       "));
  }
  console.log(failed.length === 0 ? `all ${gates.length} gates passed` : `failed: ${failed.join(", ")}`);
  return failed.length === 0 ? 0 : 1;
}

/**
 * @param {string} path of a package's command
 * @param {string[]} args
 * @returns {Verdict}
 */
function tool(path, args) {
  const command = packageScript(path);
  if (command === undefined) return { ok: false, output: `${path} is not installed; run \`npm ci\`` };
  return runQuietly(process.execPath, [command, ...args]);
}

/**
 * @param {string} name of a file in scripts
 * @param {string[]} [args]
 */
function script(name, args = []) {
  return runQuietly(process.execPath, [join(root, "scripts", name), ...args]);
}

/** Unit tests, black-box tests and, as part of them, the fuzz tests in their short form. */
async function runTests() {
  const code = await runLoudly(process.execPath, [join(root, "scripts", "test.js")]);
  return { ok: code === 0, output: "see above" };
}

/** The structures in shared memory, in every order of their steps. */
function checkModels() {
  return runQuietly(process.execPath, [join(root, "dist", "test", "model", "main.js")], { timeoutMs: MODEL_MS_MAX });
}

/** A run of less than a second for each subject: it proves that the benchmarks still work, not how fast anything is. */
function smokeBenchmark() {
  const main = join(root, "dist", "bench", "main.js");
  const folder = mkdtempSync(join(tmpdir(), "ringloom-ok-"));
  const json = join(folder, "http.json");
  const args = [main, ...BENCH_ARGS, "--subjects", BENCH_SUBJECTS.join(","), "--json", json];
  const result = runQuietly(process.execPath, args, { timeoutMs: BENCH_MS_MAX });
  const text = result.ok ? readFileSync(json, "utf8") : "[]";
  rmSync(folder, { recursive: true });
  if (!result.ok) return result;
  /** @type {{ subject: string, metric: string }[]} */
  const rows = JSON.parse(text);
  // A subject that cannot run is reported and left out, which is right for a peer and wrong here.
  const silent = BENCH_SUBJECTS.filter((name) => !rows.some((row) => row.subject === name && row.metric === "req/s"));
  return silent.length === 0 ? result : { ok: false, output: `no result for ${silent.join(", ")}\n${result.output}` };
}
