/**
 * The check of examples: every block fenced as `ts` in the README, in docs/ and in doc comments of `src` is compiled against the
 * package as a user's file would be, and those fenced as `ts run` are run; they must end by themselves with exit code 0.
 * `ts no-check` excuses a block, for fragments that stand for something outside the package.
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { listFiles, packageScript, root, runQuietly } from "./lib/project.js";

/** The time that a run example gets, in milliseconds. */
const RUN_MS_MAX = 30_000;
const MARKS = ["", "run", "no-check"];
const COMPILER_OPTIONS = {
  target: "es2023",
  lib: ["es2023"],
  module: "nodenext",
  moduleResolution: "nodenext",
  strict: true,
  types: ["node"],
  // Inside the package, so that `ringloom/…` resolves to its own exports.
  outDir: "out",
  rootDir: ".",
};

/** @typedef {{ path: string, line: number, mark: string, code: string, file: string }} Example */

// The folder carries the process id: two checks may run at once.
const folder = join(root, "build", `examples-${process.pid}`);
const { examples, problems } = collect();
problems.push(...(examples.length === 0 ? ["no example found, and the README must have some"] : check(examples)));
rmSync(folder, { recursive: true, force: true });
for (const problem of problems) console.error(problem);
if (problems.length > 0) process.exitCode = 1;
else
  console.log(
    `${examples.length} examples compile, ${examples.filter((one) => one.mark === "run").length} of them were run`,
  );

/** @returns {{ examples: Example[], problems: string[] }} */
function collect() {
  const documents = ["README.md", ...listFiles("docs", /\.md$/), ...listFiles("src", /(?<!\.test)\.ts$/)];
  const blocks = documents.flatMap(blocksOf);
  const unknown = blocks.filter((block) => !MARKS.includes(block.mark));
  return {
    examples: blocks.filter((block) => MARKS.includes(block.mark) && block.mark !== "no-check"),
    problems: unknown.map(
      (block) => `${block.path}:${block.line}: unknown mark "${block.mark}" after ts; use run or no-check`,
    ),
  };
}

/**
 * @param {string} path
 * @returns {Example[]}
 */
function blocksOf(path) {
  const lines = readFileSync(join(root, path), "utf8").split("\n");
  const text = path.endsWith(".ts") ? lines.map((line) => line.replace(/^\s*\* ?/, "")) : lines;
  /** @type {Example[]} */
  const found = [];
  for (let index = 0; index < text.length; index++) {
    const mark = /^```ts(?: +(.*?))?\s*$/.exec(text[index] ?? "");
    if (mark === null) continue;
    const end = text.indexOf("```", index + 1);
    const code = text.slice(index + 1, end === -1 ? undefined : end).join("\n");
    const file = `${path.replace(/[^A-Za-z0-9]+/g, "-")}-${index + 1}`;
    found.push({ path, line: index + 1, mark: mark[1] ?? "", code, file });
    if (end === -1) break;
    index = end;
  }
  return found;
}

/**
 * @param {Example[]} list
 * @returns {string[]}
 */
function check(list) {
  mkdirSync(folder, { recursive: true });
  for (const { file, code } of list) {
    const isModule = /^(?:import|export)\b/m.test(code);
    writeFileSync(join(folder, `${file}.ts`), isModule ? `${code}\n` : `${code}\nexport {};\n`);
  }
  writeFileSync(
    join(folder, "tsconfig.json"),
    JSON.stringify({ compilerOptions: COMPILER_OPTIONS, include: ["*.ts"] }),
  );
  const tsc = packageScript("typescript/bin/tsc");
  if (tsc === undefined) return ["TypeScript is not installed; run `npm ci`"];
  const compiled = runQuietly(process.execPath, [tsc, "-p", folder, "--pretty", "false"]);
  if (!compiled.ok) return compiled.output.split("\n").map((message) => inSource(message, list));
  return list.filter((one) => one.mark === "run").flatMap(runExample);
}

/**
 * Says where the compiler's message is in the document, instead of in the extracted file.
 *
 * @param {string} message
 * @param {Example[]} list
 */
function inSource(message, list) {
  const match = /([^\\/]+)\.ts\((\d+),\d+\): (.*)$/.exec(message);
  const example = list.find((one) => one.file === match?.[1]);
  return example === undefined ? message : `${example.path}:${example.line + Number(match?.[2])}: ${match?.[3]}`;
}

/**
 * @param {Example} example
 * @returns {string[]}
 */
function runExample(example) {
  const script = join(folder, "out", `${example.file}.js`);
  const result = runQuietly(process.execPath, [script], { timeoutMs: RUN_MS_MAX });
  if (result.ok) return [];
  return [`${example.path}:${example.line}: the example fails when run (${relative(root, script)})\n${result.output}`];
}
