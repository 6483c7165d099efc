/**
 * The layer check: each folder of `src` imports only folders of lower rank or its own, no file imports itself through others,
 * packages are the declared dependencies, and nothing below `src/http` knows HTTP.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { importsOf } from "./lib/imports.js";
import { listFiles, root } from "./lib/project.js";

/** The layers from the bottom to the top. Folders in one row may import each other, as long as no cycle arises. */
const LAYERS = [
  ["(root)"],
  ["shared", "tls"],
  ["ring"],
  ["driver"],
  ["observe"],
  ["runtime", "scheduler", "messages", "keyed"],
  ["task", "sync", "time"],
  ["net", "fs", "dns", "signal", "process", "io"],
  ["http", "ws", "node", "db", "client"],
  ["middleware", "contract", "realtime"],
  ["cluster"],
  ["cli", "testing"],
  ["(entry)"],
];
const ROOT_FILES = ["assert", "constants", "errors", "uapi", "native"].map((name) => `src/${name}.ts`);
const ENTRY_FILES = ["src/index.ts"];
const HTTP_MODULES = ["node:http", "node:https", "node:http2", "undici"];

const problems = check();
for (const problem of problems) console.error(problem);
if (problems.length > 0) process.exitCode = 1;

function check() {
  const files = listFiles("src", /\.ts$/).filter((path) => !path.endsWith(".test.ts"));
  const { dependencies = {} } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  /** @type {Map<string, string[]>} */
  const graph = new Map();
  /** @type {string[]} */
  const found = [];
  for (const path of files) {
    const imports = importsOf(path);
    const eager = imports.filter((one) => one.kind === "static").map((one) => one.target);
    graph.set(path, /** @type {string[]} */ (eager.filter((target) => target !== undefined)));
    if (layerOf(path) === -1) found.push(`${path}:1: belongs to no layer; the layers stand in scripts/check-layers.js`);
    for (const one of imports) {
      const problem = one.target === undefined ? judgePackage(path, one, dependencies) : judgeFile(path, one, files);
      if (problem !== undefined) found.push(`${path}:${one.line}: ${problem}`);
    }
  }
  return [...found, ...cycles(graph)];
}

/**
 * @param {string} path
 * @param {import("./lib/imports.js").Import} one
 * @param {string[]} files
 */
function judgeFile(path, one, files) {
  const target = one.target ?? "";
  if (!files.includes(target)) return `imports ${one.specifier}, which is no source file of src`;
  if (layerOf(target) <= layerOf(path)) return undefined;
  return `imports upward: ${folderOf(path)} may not know ${folderOf(target)} (${one.specifier})`;
}

/**
 * @param {string} path
 * @param {import("./lib/imports.js").Import} one
 * @param {Record<string, string>} dependencies
 */
function judgePackage(path, one, dependencies) {
  const below = layerOf(path) < layerOf("src/http/any.ts");
  const isHttp = HTTP_MODULES.some((name) => one.specifier === name || one.specifier.startsWith(`${name}/`));
  if (below && isHttp) return `imports ${one.specifier}, and nothing below src/http knows HTTP`;
  if (one.specifier.startsWith("node:")) return undefined;
  const name = one.specifier.split("/", one.specifier.startsWith("@") ? 2 : 1).join("/");
  return name in dependencies ? undefined : `imports ${one.specifier}, which is no dependency in package.json`;
}

/** @param {string} path */
function folderOf(path) {
  if (ROOT_FILES.includes(path)) return "(root)";
  if (ENTRY_FILES.includes(path)) return "(entry)";
  return path.split("/")[1] ?? "";
}

/** @param {string} path */
function layerOf(path) {
  return LAYERS.findIndex((folders) => folders.includes(folderOf(path)));
}

/**
 * Every cycle once, as a chain of files.
 *
 * @param {Map<string, string[]>} graph
 */
function cycles(graph) {
  /** @type {Map<string, "open" | "done">} */
  const state = new Map();
  /** @type {string[]} */
  const found = [];
  /** @param {string} path @param {string[]} trail */
  const visit = (path, trail) => {
    if (state.get(path) === "done") return;
    if (state.get(path) === "open") {
      found.push(`${path}:1: circular import: ${[...trail.slice(trail.indexOf(path)), path].join(" -> ")}`);
      return;
    }
    state.set(path, "open");
    for (const target of graph.get(path) ?? []) visit(target, [...trail, path]);
    state.set(path, "done");
  };
  for (const path of graph.keys()) visit(path, []);
  return found;
}
