/**
 * Builds the addon: `native/*.c` with a plain C compiler into `build/ringloom-<platform>-<arch>.node`.
 *
 * Node-API is a stable C interface, so one build loads in every Node from 20 on, and no build system is needed. This file
 * is part of the published package and therefore imports nothing but Node itself.
 *
 *     node scripts/build-native.js [--force] [--debug] [--asan] [--check]
 *
 * `--asan` builds `build/asan/…`, `--debug` builds `build/debug/…`; RINGLOOM_ADDON selects one of them at run time.
 * `--check` builds nothing: it compiles with every warning an error.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, realpathSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const VARIANTS = /** @type {const} */ (["release", "debug", "asan"]);
const VARIANT_FLAGS = {
  release: ["-O2"],
  debug: ["-O0", "-g"],
  asan: ["-O1", "-g", "-fno-omit-frame-pointer", "-fsanitize=address"],
};
const COMMON_FLAGS = ["-fPIC", "-std=c11", "-Wall", "-Wextra", "-fvisibility=hidden"];

/** @typedef {(typeof VARIANTS)[number]} Variant */
/** @typedef {{ state: "built" | "current" | "checked" | "skipped" | "failed", message: string }} Outcome */

/**
 * Builds the addon where that is possible. Never throws for a missing or failing compiler: the outcome says it in one line.
 *
 * @param {{ variant?: Variant, force?: boolean, check?: boolean }} [options]
 * @returns {Outcome}
 */
export function buildNative(options = {}) {
  const variant = options.variant ?? "release";
  if (process.platform !== "linux") return skipped(`it is for Linux, and this is ${process.platform}`);
  const sources = nativeFiles(/\.c$/);
  if (sources.length === 0) return skipped("native/ holds no C source");
  const output = addonPath(variant);
  if (!options.force && !options.check && isCurrent(output))
    return { state: "current", message: `addon: ${show(output)} is current` };
  const compiler = findCompiler();
  if (compiler === undefined) return skipped("no C compiler found (looked for $CC, cc, gcc, clang)");
  const include = includeFolder();
  if (include === undefined) return skipped("node_api.h is not there (npm install --save-dev node-api-headers)");
  const flags = [...COMMON_FLAGS, ...VARIANT_FLAGS[variant], `-I${include}`];
  if (options.check) return checkSources(compiler, flags, sources);
  return link(compiler, flags, sources, output);
}

/**
 * Where a variant of the addon is written.
 *
 * @param {Variant} variant
 */
export function addonPath(variant) {
  const name = `ringloom-${process.platform}-${process.arch}.node`;
  return variant === "release" ? join(root, "build", name) : join(root, "build", variant, name);
}

/**
 * @param {string[]} compiler
 * @param {string[]} flags
 * @param {string[]} sources
 * @param {string} output
 * @returns {Outcome}
 */
function link(compiler, flags, sources, output) {
  mkdirSync(dirname(output), { recursive: true });
  // A process may have the old file mapped: overwriting it in place would crash that process, renaming over it does not.
  const temporary = `${output}.${process.pid}`;
  const result = runCompiler(compiler, ["-shared", ...flags, ...sources, "-o", temporary]);
  if (result.ok) {
    renameSync(temporary, output);
    return { state: "built", message: `addon: built ${show(output)} with ${compiler.join(" ")}` };
  }
  // An addon that is older than its sources would hide the failure.
  rmSync(output, { force: true });
  rmSync(temporary, { force: true });
  const log = join(root, "build", "build-native.log");
  writeFileSync(log, result.output);
  return {
    state: "failed",
    message: `addon: not built, the compiler failed (log: ${show(log)}); the portable driver serves`,
  };
}

/**
 * @param {string[]} compiler
 * @param {string[]} flags
 * @param {string[]} sources
 * @returns {Outcome}
 */
function checkSources(compiler, flags, sources) {
  // Not -fsyntax-only: some warnings, such as those on unused functions, come from later passes.
  const temporary = join(tmpdir(), `ringloom-check-${process.pid}.node`);
  const result = runCompiler(compiler, ["-shared", ...flags, "-Werror", ...sources, "-o", temporary]);
  rmSync(temporary, { force: true });
  if (result.ok) return { state: "checked", message: `addon: ${sources.length} C files compile without a warning` };
  return { state: "failed", message: `addon: the compiler complains\n${result.output.trim()}` };
}

/**
 * @param {string[]} compiler
 * @param {string[]} args
 */
function runCompiler(compiler, args) {
  const result = spawnSync(compiler[0] ?? "cc", [...compiler.slice(1), ...args], { cwd: root, encoding: "utf8" });
  const output = `${result.stdout ?? ""}${result.stderr ?? ""}${result.error?.message ?? ""}`;
  return { ok: result.status === 0, output: `${compiler.join(" ")} ${args.join(" ")}\n${output}` };
}

/** @returns {string[] | undefined} the words of the compiler's command */
function findCompiler() {
  const fromEnvironment = process.env.CC?.trim();
  const candidates = fromEnvironment ? [fromEnvironment, "cc", "gcc", "clang"] : ["cc", "gcc", "clang"];
  return candidates.map((words) => words.split(/\s+/)).find((words) => runCompiler(words, ["--version"]).ok);
}

/** The folder of node_api.h: the package's, else the one that came with this Node. */
function includeFolder() {
  try {
    return /** @type {{ include_dir: string }} */ (createRequire(import.meta.url)("node-api-headers")).include_dir;
  } catch {
    const withNode = join(dirname(process.execPath), "..", "include", "node");
    return existsSync(join(withNode, "node_api.h")) ? withNode : undefined;
  }
}

/** @param {string} output */
function isCurrent(output) {
  if (!existsSync(output)) return false;
  const builtMs = statSync(output).mtimeMs;
  return [...nativeFiles(/\.[ch]$/), fileURLToPath(import.meta.url)].every((path) => statSync(path).mtimeMs <= builtMs);
}

/** @param {RegExp} pattern */
function nativeFiles(pattern) {
  const folder = join(root, "native");
  if (!existsSync(folder)) return [];
  const names = readdirSync(folder).filter((name) => pattern.test(name));
  return names.sort().map((name) => join(folder, name));
}

/**
 * @param {string} reason
 * @returns {Outcome}
 */
function skipped(reason) {
  return { state: "skipped", message: `addon: not built, ${reason}; the portable driver serves` };
}

/** @param {string} path */
function show(path) {
  return relative(process.cwd(), path) || path;
}

function main() {
  const known = ["--force", "--check", "--debug", "--asan"];
  const args = process.argv.slice(2);
  const unknown = args.find((arg) => !known.includes(arg));
  if (unknown !== undefined) {
    console.error(`Unknown option ${unknown}. Options: ${known.join(", ")}`);
    process.exitCode = 2;
    return;
  }
  const variant = VARIANTS.find((name) => args.includes(`--${name}`)) ?? "release";
  const outcome = buildNative({ variant, force: args.includes("--force"), check: args.includes("--check") });
  if (outcome.state === "failed") console.error(outcome.message);
  else console.log(outcome.message);
  // Asked for by name, an addon that is not there is a failure; `prepare.js` decides otherwise.
  if (outcome.state === "failed" || (outcome.state === "skipped" && !args.includes("--check"))) process.exitCode = 1;
}

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) main();
