import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { pathToFileURL } from "node:url";
import { type LoadedModule, type LoaderFacts, loadModule, resolveModule } from "./module.js";

const folder = mkdtempSync(join(tmpdir(), "ringloom-module-"));
after(() => rmSync(folder, { recursive: true }));

const FILES: Record<string, string> = {
  "app.mjs": "export default { fetch() {} }; export const limits = { headersMax: 5 };",
  "named.mjs": "export const app = 1; export const other = 2;",
  "empty.mjs": "",
  "throws.mjs": "throw new RangeError('at the top level.');",
  "throws-text.mjs": "throw 'just text';",
  "syntax.mjs": "export default {",
  "imports.mjs": "import './missing.mjs';",
  "common.cjs": "module.exports = { fetch() {} };",
  "transpiled.cjs":
    "Object.defineProperty(exports, '__esModule', { value: true }); exports.default = { fetch() {} }; exports.limits = { headersMax: 5 };",
  "typed.ts": "export default {} satisfies object;",
  "view.tsx": "export default {};",
};
for (const [name, text] of Object.entries(FILES)) writeFileSync(join(folder, name), text);

const NODE_20: LoaderFacts = { typescriptFeature: undefined, nodeVersion: "20.20.2", flags: [] };
const NODE_22: LoaderFacts = { typescriptFeature: "strip", nodeVersion: "22.18.0", flags: [] };

function load(name: string): Promise<LoadedModule> {
  return loadModule(pathToFileURL(join(folder, name)));
}

test("resolveModule() takes relative paths, absolute paths and file URLs", () => {
  const expected = pathToFileURL(join(folder, "app.mjs")).href;
  assert.equal(resolveModule("app.mjs", folder).href, expected);
  assert.equal(resolveModule(join(folder, "app.mjs"), "/").href, expected);
  assert.equal(resolveModule(expected, "/").href, expected);
});

test("resolveModule() says so when there is no such file, or a folder", () => {
  assert.throws(() => resolveModule("nope.mjs", folder), {
    code: "ERR_RINGLOOM_MODULE_LOAD",
    message: /nope\.mjs: there is no such file\.$/,
  });
  assert.throws(() => resolveModule(".", folder), {
    code: "ERR_RINGLOOM_MODULE_LOAD",
    message: /it is a folder; name the file\.$/,
  });
});

test("resolveModule() tells what to do when this Node does not load TypeScript", () => {
  assert.throws(() => resolveModule("typed.ts", folder, NODE_20), {
    code: "ERR_RINGLOOM_MODULE_LOAD",
    message:
      /typed\.ts: Node 20\.20\.2 does not load TypeScript\. Compile it .*Node 22\.18 .*NODE_OPTIONS="--import tsx"\.$/,
  });
  const withoutStripping = { ...NODE_22, typescriptFeature: false };
  assert.throws(() => resolveModule("typed.ts", folder, withoutStripping), { code: "ERR_RINGLOOM_MODULE_LOAD" });
  assert.throws(() => resolveModule("view.tsx", folder, NODE_22), { message: /Node does not load \.tsx files/ });
});

test("resolveModule() takes TypeScript when Node strips types or a loader is inherited", () => {
  const expected = pathToFileURL(join(folder, "typed.ts")).href;
  assert.equal(resolveModule("typed.ts", folder, NODE_22).href, expected);
  assert.equal(resolveModule("typed.ts", folder, { ...NODE_22, typescriptFeature: undefined }).href, expected);
  assert.equal(resolveModule("typed.ts", folder, { ...NODE_20, flags: ["--import", "tsx"] }).href, expected);
  assert.equal(
    resolveModule("view.tsx", folder, { ...NODE_20, flags: ["--import=tsx"] }).pathname.slice(-8),
    "view.tsx",
  );
});

test("resolveModule() takes the .ts sibling when the .js file does not exist yet", () => {
  assert.match(resolveModule("typed.js", folder, NODE_22).pathname, /typed\.ts$/);
});

test("loadModule() returns the default export of ESM, CommonJS and transpiled CommonJS", async () => {
  for (const name of ["app.mjs", "common.cjs", "transpiled.cjs"]) {
    const { defaultExport } = await load(name);
    assert.ok(typeof defaultExport === "object" && defaultExport !== null && "fetch" in defaultExport, name);
  }
});

test("loadModule() gives named exports of ESM and of transpiled CommonJS", async () => {
  for (const name of ["app.mjs", "transpiled.cjs"]) {
    const { named } = await load(name);
    assert.deepEqual(named("limits"), { headersMax: 5 }, name);
    assert.equal(named("nothing"), undefined, name);
  }
});

test("loadModule() names what is exported when there is no default", async () => {
  await assert.rejects(load("named.mjs"), {
    code: "ERR_RINGLOOM_NOT_AN_APP",
    message: /no default export \(only app, other\)\.$/,
  });
  await assert.rejects(load("empty.mjs"), { code: "ERR_RINGLOOM_NOT_AN_APP", message: /no default export\.$/ });
});

const failures: [name: string, message: RegExp][] = [
  ["throws.mjs", /throws\.mjs: it threw RangeError: at the top level\.$/],
  ["throws-text.mjs", /it threw string just text\.$/],
  ["syntax.mjs", /it threw SyntaxError: .* \("node .*syntax\.mjs" shows the place\)\.$/],
  ["imports.mjs", /it threw Error: Cannot find module .*missing\.mjs/],
];

for (const [name, message] of failures) {
  test(`loadModule() keeps the cause when loading ${name} fails`, async () => {
    await assert.rejects(load(name), (error: Error & { code?: string }) => {
      assert.equal(error.code, "ERR_RINGLOOM_MODULE_LOAD");
      assert.match(error.message, message);
      assert.notEqual(error.cause, undefined);
      return true;
    });
  });
}
