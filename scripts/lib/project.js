/**
 * What the scripts share: where the checkout is, which files it has, how a child process is run.
 */
import { spawn, spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";

/** The root folder of the checkout, without a slash at the end. */
export const root = fileURLToPath(new URL("../..", import.meta.url)).replace(/[\\/]$/, "");

const FOLDERS_SKIPPED = new Set(["node_modules", "dist", "build", ".git", ".cache"]);

/**
 * All files below a folder, as paths relative to the root, with `/`, sorted. A folder that is missing has none.
 *
 * @param {string} folder relative to the root; `.` is the root itself
 * @param {RegExp} pattern what the relative path must match
 * @returns {string[]}
 */
export function listFiles(folder, pattern) {
  const start = join(root, folder);
  if (!existsSync(start)) return [];
  /** @type {string[]} */
  const found = [];
  collect(start, found);
  return found
    .map((path) => relative(root, path).split(sep).join("/"))
    .filter((path) => pattern.test(path))
    .sort();
}

/**
 * @param {string} folder
 * @param {string[]} found
 */
function collect(folder, found) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) {
      if (!FOLDERS_SKIPPED.has(entry.name)) collect(path, found);
    } else if (entry.isFile()) {
      found.push(path);
    }
  }
}

/**
 * The script that a package's command runs, for instance `typescript/bin/tsc`; undefined when the package is not installed.
 *
 * @param {string} packagePath
 * @returns {string | undefined}
 */
export function packageScript(packagePath) {
  const path = join(root, "node_modules", ...packagePath.split("/"));
  return existsSync(path) ? path : undefined;
}

/**
 * Runs a program to its end and keeps its output.
 *
 * @param {string} command
 * @param {readonly string[]} args
 * @param {{ env?: NodeJS.ProcessEnv, timeoutMs?: number, cwd?: string }} [options]
 * @returns {{ ok: boolean, output: string }}
 */
export function runQuietly(command, args, options = {}) {
  const result = spawnSync(command, args, {
    cwd: options.cwd ?? root,
    encoding: "utf8",
    env: options.env ?? process.env,
    maxBuffer: 64 * 1024 * 1024,
    ...(options.timeoutMs === undefined ? {} : { timeout: options.timeoutMs, killSignal: "SIGKILL" }),
  });
  const output = `${result.stdout ?? ""}${result.stderr ?? ""}`.trim();
  if (result.error !== undefined) return { ok: false, output: `${result.error.message}\n${output}`.trim() };
  return { ok: result.status === 0, output };
}

/**
 * Runs a program on this process's own terminal. Resolves to its exit code; death by a signal counts as 1.
 *
 * @param {string} command
 * @param {readonly string[]} args
 * @param {NodeJS.ProcessEnv} [env]
 * @returns {Promise<number>}
 */
export function runLoudly(command, args, env = process.env) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: root, env, stdio: "inherit" });
    child.once("error", reject);
    child.once("exit", (code) => resolve(code ?? 1));
  });
}

/** @param {number} startedMs a value of `performance.now()` */
export function secondsSince(startedMs) {
  return `${((performance.now() - startedMs) / 1000).toFixed(1)} s`;
}
