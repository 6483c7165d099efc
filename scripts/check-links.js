/**
 * The check of links: each relative link in a Markdown file leads to a file or folder of the checkout, and each path in the
 * tables of docs/ledger.md exists.
 */
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { listFiles, root } from "./lib/project.js";

const LINK = /\]\((?!https?:|mailto:|#)([^)\s#]+)(?:#[^)\s]*)?\)/g;
const LEDGER = "docs/ledger.md";
const LEDGER_PATH = /`((?:src|test|native|bench|scripts|examples|docs|bin)\/[\w./-]+)`/g;

const problems = listFiles(".", /\.md$/).flatMap((path) => [
  ...deadPaths(path, LINK, dirname(path)),
  ...(path === LEDGER ? deadPaths(path, LEDGER_PATH, ".") : []),
]);
for (const problem of problems) console.error(problem);
if (problems.length > 0) process.exitCode = 1;

/**
 * @param {string} path the document
 * @param {RegExp} pattern with the path as its first group
 * @param {string} base what the paths are relative to
 * @returns {string[]}
 */
function deadPaths(path, pattern, base) {
  const lines = readFileSync(join(root, path), "utf8").split("\n");
  return lines.flatMap((text, index) =>
    [...text.matchAll(pattern)]
      .map((match) => match[1] ?? "")
      .filter((target) => !existsSync(join(root, base, target)))
      .map((target) => `${path}:${index + 1}: ${target} does not exist`),
  );
}
