/**
 * The check of exports: every exported declaration in `src` has a doc comment, and every symbol of the package's entry points
 * carries exactly one tier in that comment: `@stable`, `@experimental` or `@internal`.
 *
 *     node scripts/check-tiers.js            fails with one line for each symbol that lacks something
 *     node scripts/check-tiers.js --list     prints each entry point with its symbols and tiers
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { declarationsOf, exportsOf } from "./lib/declarations.js";
import { listFiles, root } from "./lib/project.js";

const TIERS = ["@stable", "@experimental", "@internal"];

const entries = entryPoints();
const problems = [...entries.flatMap(judgeEntry), ...undocumented()];
if (process.argv.includes("--list")) list();
for (const problem of new Set(problems)) console.error(problem);
if (problems.length > 0) process.exitCode = 1;

/** @returns {{ name: string, path: string }[]} the entry points of package.json that have types */
function entryPoints() {
  const { name, exports } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  return Object.entries(exports).flatMap(([subpath, target]) => {
    const types = /** @type {{ types?: string }} */ (target).types;
    return types === undefined ? [] : [{ name: `${name}${subpath.slice(1)}`, path: types.replace(/^\.\//, "") }];
  });
}

/**
 * @param {{ name: string, path: string }} entry
 * @returns {string[]}
 */
function judgeEntry(entry) {
  if (!existsSync(join(root, entry.path)))
    return [`${entry.path}: entry point ${entry.name} does not exist (compiled?)`];
  const symbols = exportsOf(entry.path);
  if (symbols.length === 0) return [`${entry.path}: entry point ${entry.name} exports nothing`];
  return symbols.flatMap((symbol) => {
    const tiers = tiersOf(symbol.comment);
    if (tiers.length === 1) return [];
    const found = tiers.length === 0 ? "no tier" : `${tiers.length} tiers (${tiers.join(" ")})`;
    return [
      `${sourceOf(symbol.path)}: ${symbol.name}, exported by ${entry.name}, has ${found}; one of ${TIERS.join(" ")}`,
    ];
  });
}

function undocumented() {
  const files = listFiles("src", /\.ts$/).filter((path) => !path.endsWith(".test.ts"));
  const bare = files.flatMap(declarationsOf).filter((symbol) => symbol.comment === "");
  return bare.map((symbol) => `${symbol.path}:${symbol.line}: ${symbol.name} is exported without a doc comment`);
}

/** @param {string} comment */
function tiersOf(comment) {
  return TIERS.filter((tier) => new RegExp(`${tier}\\b`).test(comment));
}

/** @param {string} path a declaration file in dist */
function sourceOf(path) {
  return path.replace(/^dist\//, "").replace(/\.d\.ts$/, ".ts");
}

function list() {
  for (const entry of entries) {
    console.log(entry.name);
    for (const symbol of exportsOf(entry.path).sort((a, b) => a.name.localeCompare(b.name))) {
      console.log(`  ${(tiersOf(symbol.comment)[0] ?? "-").slice(1).padEnd(12)} ${symbol.name}`);
    }
  }
}
