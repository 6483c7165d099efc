/**
 * Finds what a TypeScript source imports. Statements are recognised at the start of a line, which is where the formatter puts them;
 * a comment line never starts with one.
 */
import { readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { root } from "./project.js";

const STATIC_FROM = /^(?:import|export)\b[^;"'`]*?\bfrom\s*"([^"]+)"/gm;
const STATIC_BARE = /^import\s*"([^"]+)"/gm;
const DYNAMIC = /\bimport\(\s*"([^"]+)"/g;
const BY_URL = /\bnew URL\(\s*"(\.{1,2}\/[^"]+\.js)",\s*import\.meta\.url/g;

/**
 * @typedef {object} Import
 * @property {string} specifier as written
 * @property {string | undefined} target the imported source, relative to the root; undefined for packages and Node's modules
 * @property {number} line counted from 1
 * @property {"static" | "lazy"} kind `lazy` runs later or in another thread, so it cannot make a cycle while loading
 */

/**
 * All imports of one source file.
 *
 * @param {string} path relative to the root
 * @returns {Import[]}
 */
export function importsOf(path) {
  const text = readFileSync(join(root, path), "utf8");
  const code = withoutCommentLines(text);
  /** @type {Import[]} */
  const found = [];
  for (const pattern of [STATIC_FROM, STATIC_BARE]) found.push(...matches(path, code, pattern, "static"));
  for (const pattern of [DYNAMIC, BY_URL]) found.push(...matches(path, code, pattern, "lazy"));
  return found.sort((a, b) => a.line - b.line);
}

/**
 * @param {string} path
 * @param {string} code
 * @param {RegExp} pattern
 * @param {"static" | "lazy"} kind
 * @returns {Import[]}
 */
function matches(path, code, pattern, kind) {
  return [...code.matchAll(pattern)].map((match) => {
    const specifier = match[1] ?? "";
    const line = code.slice(0, match.index).split("\n").length;
    return { specifier, target: resolve(path, specifier), line, kind };
  });
}

/**
 * @param {string} path
 * @param {string} specifier
 */
function resolve(path, specifier) {
  if (!specifier.startsWith(".")) return undefined;
  return normalize(join(dirname(path), specifier))
    .replaceAll("\\", "/")
    .replace(/\.js$/, ".ts");
}

/** @param {string} text */
function withoutCommentLines(text) {
  return text.replace(/^\s*(?:\/\/|\/\*|\*).*$/gm, "");
}
