/**
 * Other projects' own test suites on Ringloom, with the counts. Their sources are not ours to ship: clone them, install their packages, name the folder.
 *
 *     node scripts/framework-suites.js fastify ../fastify            node:http first, then every driver
 *     node scripts/framework-suites.js node-server ../node-server    Hono's adapter for Node (@hono/node-server)
 *     node scripts/framework-suites.js hono ../hono                  Hono itself, with Ringloom's Request and Response
 *     … --only uring                                                 one of node, uring, epoll, portable, light
 *
 * A preload has every http.Server of the tests listen on the driver. A test that fails on plain node:http too says nothing about Ringloom and is not
 * counted against it. Exits with 1 when another one fails. On a loaded machine some tests fail now and then, with and without Ringloom: run it on an idle one.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { root } from "./lib/project.js";

const SUITE_MS_MAX = 900_000;
const TEST_MS_MAX = 60_000;
const DRIVERS = ["uring", "epoll", "portable"];

/** @typedef {{ tests: number, passed: number, failed: string[], skipped: number, listened: number }} Outcome */

/** @type {Record<string, { runner: (folder: string, env: NodeJS.ProcessEnv, scratch: string) => Outcome, preload: string, variants: string[] }>} */
const SUITES = {
  fastify: { runner: runNodeTest, preload: "listen-on-ringloom.js", variants: DRIVERS },
  "node-server": { runner: runVitest, preload: "listen-on-ringloom.js", variants: DRIVERS },
  // The tests of workerd run in another runtime, which a preload does not reach.
  hono: {
    runner: (folder, env, scratch) =>
      runVitest(folder, env, scratch, ["--project=!workerd", "--coverage.enabled=false"]),
    preload: "light-web-globals.js",
    variants: ["light"],
  },
};

process.exitCode = await main(process.argv.slice(2));

/**
 * @param {string[]} args
 * @returns {Promise<number>}
 */
async function main(args) {
  const at = args.indexOf("--only");
  const only = at < 0 ? undefined : args.splice(at, 2)[1];
  const [name = "", path = ""] = args;
  const suite = SUITES[name];
  if (suite === undefined || !existsSync(join(path, "node_modules"))) {
    console.error(
      `Usage: node scripts/framework-suites.js ${Object.keys(SUITES).join("|")} <folder with node_modules>`,
    );
    return 2;
  }
  const scratch = mkdtempSync(join(tmpdir(), "ringloom-suites-"));
  try {
    const variants = ["node", ...suite.variants].filter((one) => only === undefined || one === only || one === "node");
    return compare(suite, resolve(path), await available(variants), scratch);
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

/**
 * @param {typeof SUITES[string]} suite
 * @param {string} folder
 * @param {string[]} variants
 * @param {string} scratch
 */
function compare(suite, folder, variants, scratch) {
  /** @type {Set<string>} */
  let knownFailures = new Set();
  let isWorse = false;
  for (const variant of variants) {
    const outcome = suite.runner(folder, environmentFor(suite.preload, variant, scratch), scratch);
    outcome.listened = linesOf(join(scratch, variant));
    if (variant === "node") knownFailures = new Set(outcome.failed);
    const ours = outcome.failed.filter((test) => !knownFailures.has(test));
    const { tests, passed, failed, skipped, listened } = outcome;
    console.log(
      `${variant}: ${passed} of ${tests} passed, ${failed.length} failed (${failed.length - ours.length} on node:http too), ` +
        `${skipped} skipped; ${listened} servers listened on Ringloom`,
    );
    for (const test of ours) console.log(`  failed: ${test}`);
    isWorse ||= ours.length > 0 || tests === 0;
  }
  return isWorse ? 1 : 0;
}

/** The variants that this machine has. @param {string[]} variants */
async function available(variants) {
  const { chooseDriver } = await import("../dist/src/driver/choose.js");
  return variants.filter((variant) => {
    if (!DRIVERS.includes(variant)) return true;
    try {
      return chooseDriver(/** @type {any} */ (variant)).name === variant;
    } catch (error) {
      console.log(`${variant}: not here (${error instanceof Error ? error.message : error})`);
      return false;
    }
  });
}

/**
 * @param {string} preload
 * @param {string} variant
 * @param {string} scratch
 * @returns {NodeJS.ProcessEnv}
 */
function environmentFor(preload, variant, scratch) {
  if (variant === "node") return process.env;
  const path = pathToFileURL(join(root, "scripts/lib", preload)).href;
  return {
    ...process.env,
    NODE_OPTIONS: `${process.env.NODE_OPTIONS ?? ""} --import ${path}`,
    RINGLOOM_SUITE_COUNTS: join(scratch, variant),
    ...(DRIVERS.includes(variant) ? { RINGLOOM_DRIVER: variant } : {}),
  };
}

/** @param {string} path of a file with one line for each server that listened */
function linesOf(path) {
  return existsSync(path)
    ? readFileSync(path, "utf8")
        .split("\n")
        .filter((line) => line === "ringloom").length
    : 0;
}

/**
 * A suite of node:test.
 *
 * @param {string} folder
 * @param {NodeJS.ProcessEnv} env
 * @returns {Outcome}
 */
function runNodeTest(folder, env) {
  // Node 20 expands no globs after --test.
  const files = readdirSync(join(folder, "test"), { recursive: true, encoding: "utf8" })
    .filter((path) => /\.test\.m?js$/.test(path))
    .map((path) => join("test", path));
  const args = ["--test", "--test-concurrency=2", `--test-timeout=${TEST_MS_MAX}`, "--test-reporter=tap", ...files];
  const text = run(process.execPath, args, folder, env);
  const count = (/** @type {string} */ name) => Number(new RegExp(`^# ${name} (\\d+)$`, "m").exec(text)?.[1] ?? 0);
  // A test with subtests fails with them; only the innermost ones are counted by name.
  const failed = [...text.matchAll(/^ *not ok \d+ - (.*)$/gm)].map(([, name]) => name ?? "");
  return {
    tests: count("tests"),
    passed: count("pass"),
    failed,
    skipped: count("skipped") + count("todo"),
    listened: 0,
  };
}

/**
 * A suite of vitest.
 *
 * @param {string} folder
 * @param {NodeJS.ProcessEnv} env
 * @param {string} scratch
 * @param {string[]} [more] arguments
 * @returns {Outcome}
 */
function runVitest(folder, env, scratch, more = []) {
  const report = join(scratch, "report.json");
  rmSync(report, { force: true });
  const program = join(folder, "node_modules/vitest/vitest.mjs");
  run(process.execPath, [program, "run", "--reporter=json", `--outputFile=${report}`, ...more], folder, env);
  if (!existsSync(report)) return { tests: 0, passed: 0, failed: [], skipped: 0, listened: 0 };
  /** @type {{ numTotalTests: number, numPassedTests: number, numPendingTests: number, numTodoTests: number, testResults: { assertionResults: { status: string, fullName: string }[] }[] }} */
  const result = JSON.parse(readFileSync(report, "utf8"));
  const all = result.testResults.flatMap((file) => file.assertionResults);
  return {
    tests: result.numTotalTests,
    passed: result.numPassedTests,
    failed: all.filter(({ status }) => status === "failed").map(({ fullName }) => fullName),
    skipped: result.numPendingTests + result.numTodoTests,
    listened: 0,
  };
}

/**
 * @param {string} program
 * @param {string[]} args
 * @param {string} cwd
 * @param {NodeJS.ProcessEnv} env
 */
function run(program, args, cwd, env) {
  const result = spawnSync(program, args, { cwd, env, encoding: "utf8", timeout: SUITE_MS_MAX, maxBuffer: 1 << 28 });
  if (result.error === undefined) return result.stdout;
  const minutes = SUITE_MS_MAX / 60_000;
  const hint = `It ends within ${minutes} minutes where its own version of Node runs it: fastify 6's does on Node 22, not on 20, where each file waits for what that one lacks.`;
  throw new Error(`Cannot finish the suite: ${result.error.message}. ${hint}`);
}
