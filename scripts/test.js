/**
 * `npm test`: brings `dist` and the addon up to date, then runs the unit tests (`src`) and the black-box tests (`test`).
 *
 *     npm test                         all tests
 *     npm test -- src/ring cli         only files whose path contains one of these words
 *     npm test -- --test-name-pattern=drain    options go to `node --test`
 *
 * RINGLOOM_DRIVER chooses the driver, as everywhere. Node 20 expands no globs after `--test`, so the files are listed here,
 * from the sources: what was deleted there cannot run from an old `dist`.
 */
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { buildNative } from "./build-native.js";
import { compileIfStale } from "./lib/compile.js";
import { listFiles, root, runLoudly } from "./lib/project.js";

/**
 * Files at a time: one more than there are cores in a small machine. Half of the time of a test is waiting, for a timeout to pass or a process to start, and no test asserts how long
 * something takes.
 */
const CONCURRENCY = 3;

process.exitCode = await main(process.argv.slice(2));

/**
 * @param {string[]} args
 * @returns {Promise<number>}
 */
async function main(args) {
  const options = args.filter((arg) => arg.startsWith("-"));
  const words = args.filter((arg) => !arg.startsWith("-"));
  const all = ["src", "test", "bench"].flatMap((folder) => listFiles(folder, /\.test\.ts$/));
  const wanted = words.map((word) => word.replace(/^(\.\/)?(dist\/)?/, "").replace(/\.js$/, ".ts"));
  const chosen = wanted.length === 0 ? all : all.filter((path) => wanted.some((word) => path.includes(word)));
  if (chosen.length === 0) {
    console.error(`No test file has ${words.map((word) => JSON.stringify(word)).join(" or ")} in its path.`);
    return 2;
  }
  const result = compileIfStale();
  if (!result.ok) {
    console.error(`typescript: the sources do not compile\n${result.output}`);
    return 1;
  }
  const addon = buildNative();
  if (addon.state !== "current") console.log(addon.message);
  const files = chosen.map((path) => join(root, "dist", path.replace(/\.ts$/, ".js")));
  const watchdog = pathToFileURL(join(root, "scripts/lib/test-watchdog.js")).href;
  const runner = [
    "--import",
    watchdog,
    "--test",
    `--test-concurrency=${CONCURRENCY}`,
    "--test-reporter=spec",
    ...options,
  ];
  return runLoudly(process.execPath, [...runner, ...files]);
}
