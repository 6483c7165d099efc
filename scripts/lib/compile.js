/**
 * Compiles the TypeScript sources into `dist`, and knows whether that is needed.
 */
import { existsSync, readdirSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { listFiles, packageScript, root, runQuietly } from "./project.js";

/** Written after each compilation without errors; its modification time is what sources are compared with. */
const STAMP = join(root, "dist", ".compiled");

/**
 * Compiles if a source, `tsconfig.json` or `package.json` changed since the last compilation without errors.
 *
 * @returns {{ ok: boolean, output: string }} as from {@link compile}
 */
export function compileIfStale() {
  if (isStale()) return compile();
  removeOrphans(join(root, "dist"));
  return { ok: true, output: "" };
}

function isStale() {
  if (!existsSync(STAMP)) return true;
  const stampMs = statSync(STAMP).mtimeMs;
  const inputs = [...sources(), "tsconfig.json", "package.json"];
  if (inputs.some((path) => statSync(join(root, path)).mtimeMs > stampMs)) return true;
  const emitting = sources().filter((path) => !path.endsWith(".d.ts"));
  return emitting.some((path) => !existsSync(join(root, "dist", path.replace(/\.ts$/, ".js"))));
}

/**
 * Runs tsc over the whole checkout.
 *
 * @returns {{ ok: boolean, output: string }} `output` holds the compiler's messages, and is empty without errors
 */
export function compile() {
  const tsc = packageScript("typescript/bin/tsc");
  if (tsc === undefined) return { ok: false, output: "TypeScript is not installed; run `npm ci`." };
  const started = new Date();
  const result = runQuietly(process.execPath, [tsc, "-p", join(root, "tsconfig.json"), "--pretty", "false"]);
  if (result.ok) {
    removeOrphans(join(root, "dist"));
    writeFileSync(STAMP, "");
    // The time of the start: what was edited while the compiler ran counts as newer.
    utimesSync(STAMP, started, started);
  }
  return result;
}

/** @returns {string[]} */
function sources() {
  return [...listFiles("src", /\.ts$/), ...listFiles("test", /\.ts$/), ...listFiles("bench", /\.ts$/)];
}

/**
 * Removes output whose source is gone, so that neither a test nor the package uses a deleted file.
 *
 * @param {string} folder
 */
function removeOrphans(folder) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) {
      removeOrphans(path);
      continue;
    }
    const source = relative(join(root, "dist"), path).replace(/(\.d\.ts|\.js)(\.map)?$/, ".ts");
    if (source.endsWith(".ts") && !existsSync(join(root, source))) rmSync(path);
  }
}
