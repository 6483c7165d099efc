/**
 * Runs at the end of `npm ci` in a checkout: compiles the TypeScript sources, and the addon where a C compiler is present.
 * A missing or failing C compiler never fails the installation, because the portable driver needs no addon.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { buildNative } from "./build-native.js";
import { compile } from "./lib/compile.js";
import { packageScript, root, secondsSince } from "./lib/project.js";

process.exitCode = main();

function main() {
  if (!existsSync(join(root, "src"))) return 0;
  if (packageScript("typescript/bin/tsc") === undefined) {
    const state = existsSync(join(root, "dist")) ? "dist stays as it is" : "nothing is compiled yet";
    console.log(`typescript: not installed (development dependencies were left out), so ${state}`);
    return 0;
  }
  const startedMs = performance.now();
  const result = compile();
  if (!result.ok) {
    console.error(`typescript: the sources do not compile\n${result.output}`);
    return 1;
  }
  console.log(`typescript: compiled to dist in ${secondsSince(startedMs)}`);
  console.log(buildNative().message);
  return 0;
}
