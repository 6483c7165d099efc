/**
 * Reads exports and their doc comments out of TypeScript text: sources, or the declarations that tsc emits. TypeScript 7 offers
 * no stable programming interface, and the text is regular: each export starts a line, its comment ends on the line above.
 */
import { readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { root } from "./project.js";

const DECLARATION =
  /^export (?:declare )?(?:default )?(?:abstract )?(?:async )?(?:function\*?|class|interface|type|const|let|enum|namespace) +([A-Za-z_$][\w$]*)/;
const ONE_LINE_CONSTANT = /^(?:export )?const [A-Z].*;(?: *\/\/.*)?$/;
const LIST = /^export (?:type )?\{([^}]*)\}(?: from "([^"]+)")?;/gm;
const STAR = /^export \*(?: as ([\w$]+))? from "([^"]+)";/gm;

/**
 * @typedef {object} Exported
 * @property {string} name as importers see it
 * @property {string} path the declaring file, relative to the root
 * @property {number} line of the declaration, counted from 1
 * @property {string} comment the doc comment right above, or ""
 */

/**
 * The declarations that a file itself exports. Overloads count once, with the comment of the first.
 *
 * @param {string} path relative to the root
 * @returns {Exported[]}
 */
export function declarationsOf(path) {
  const lines = readFileSync(join(root, path), "utf8").split("\n");
  /** @type {Map<string, Exported>} */
  const found = new Map();
  lines.forEach((text, index) => {
    const name = DECLARATION.exec(text)?.[1];
    if (name === undefined || found.has(name)) return;
    const comment = path.endsWith(".d.ts") ? commentAbove(lines, index) : commentOfBlock(lines, index);
    found.set(name, { name, path, line: index + 1, comment });
  });
  return [...found.values()];
}

/**
 * Everything that importers of a declaration file see, followed through re-exports to where it is declared.
 *
 * @param {string} path a `.d.ts`, relative to the root
 * @returns {Exported[]}
 */
export function exportsOf(path) {
  const text = readFileSync(join(root, path), "utf8");
  const found = declarationsOf(path);
  for (const [, names = "", from] of text.matchAll(LIST)) {
    const origin = from === undefined ? allDeclarations(path) : exportsOf(resolve(path, from));
    for (const entry of names.split(",").map((word) => word.trim().replace(/^type /, ""))) {
      if (entry === "") continue;
      const [inner = "", outer = inner] = entry.split(" as ");
      const source = origin.find((one) => one.name === inner);
      found.push({ ...(source ?? { path, line: 1, comment: "" }), name: outer });
    }
  }
  for (const [, name, from = ""] of text.matchAll(STAR)) {
    if (name === undefined) found.push(...exportsOf(resolve(path, from)).filter((one) => one.name !== "default"));
    else found.push({ name, path, line: 1, comment: "" });
  }
  return found;
}

/**
 * Declarations of a `.d.ts` with or without `export`, for lists such as `export { a as b }`.
 *
 * @param {string} path
 * @returns {Exported[]}
 */
function allDeclarations(path) {
  const lines = readFileSync(join(root, path), "utf8").split("\n");
  return lines.flatMap((text, index) => {
    const name = DECLARATION.exec(text.replace(/^(export )?/, "export "))?.[1];
    return name === undefined ? [] : [{ name, path, line: index + 1, comment: commentAbove(lines, index) }];
  });
}

/**
 * In sources, a block of one-line constants without an empty line shares the comment above it: tables of kernel numbers need no more.
 *
 * @param {string[]} lines
 * @param {number} index of the declaration
 */
function commentOfBlock(lines, index) {
  let first = index;
  while (ONE_LINE_CONSTANT.test(lines[first] ?? "") && ONE_LINE_CONSTANT.test(lines[first - 1] ?? "")) first--;
  return commentAbove(lines, index) || commentAbove(lines, first);
}

/**
 * @param {string[]} lines
 * @param {number} index of the declaration
 */
function commentAbove(lines, index) {
  if (!lines[index - 1]?.trimEnd().endsWith("*/")) return "";
  let start = index - 1;
  while (start > 0 && !lines[start]?.trimStart().startsWith("/*")) start--;
  const comment = lines.slice(start, index).join("\n");
  return comment.startsWith("/**") ? comment : "";
}

/**
 * @param {string} path
 * @param {string} specifier
 */
function resolve(path, specifier) {
  return normalize(join(dirname(path), specifier))
    .replaceAll("\\", "/")
    .replace(/\.js$/, ".d.ts");
}
