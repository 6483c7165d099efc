/**
 * What `npm ci` and `npm test` run, in a small copy of a checkout: with a C compiler, without one, with sources that do not compile.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, describe, it } from "node:test";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));
const folders: string[] = [];
const addon = join("build", `ringloom-${process.platform}-${process.arch}.node`);
const hasCompiler = ["cc", "gcc", "clang"].some((name) => spawnSync(name, ["--version"]).status === 0);
const noAddon = process.platform !== "linux" ? "the addon is for Linux" : hasCompiler ? false : "no C compiler";

const SOURCES: Readonly<Record<string, string>> = {
  "package.json": JSON.stringify({ name: "planted", type: "module" }),
  "src/one.ts": "export const one: number = 1;\n",
  "src/one.test.ts":
    'import assert from "node:assert";\nimport { it } from "node:test";\nimport { one } from "./one.js";\n\nit("one", () => assert.equal(one, 1));\n',
  "native/addon.c":
    '#include <node_api.h>\nNAPI_MODULE_INIT() { napi_value two; napi_create_uint32(env, 2, &two); napi_set_named_property(env, exports, "two", two); return exports; }\n',
};

after(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

function checkout(files: Readonly<Record<string, string>> = {}): string {
  const folder = mkdtempSync(join(tmpdir(), "ringloom-install-"));
  folders.push(folder);
  cpSync(join(root, "scripts"), join(folder, "scripts"), { recursive: true });
  cpSync(join(root, "tsconfig.json"), join(folder, "tsconfig.json"));
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
  write(folder, { ...SOURCES, ...files });
  return folder;
}

function write(folder: string, files: Readonly<Record<string, string>>): void {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
}

interface Result {
  readonly status: number | null;
  readonly lines: readonly string[];
}

function run(folder: string, script: string, args: readonly string[] = [], env: NodeJS.ProcessEnv = {}): Result {
  const { NODE_TEST_CONTEXT: _, ...inherited } = process.env;
  const result = spawnSync(process.execPath, [join(folder, "scripts", script), ...args], {
    encoding: "utf8",
    cwd: folder,
    env: { ...inherited, ...env },
  });
  return { status: result.status, lines: `${result.stdout}${result.stderr}`.trim().split("\n") };
}

/** An environment in which no program is found. */
function emptyPath(folder: string): NodeJS.ProcessEnv {
  const path = join(folder, "empty");
  mkdirSync(path);
  return { PATH: path, CC: "" };
}

describe("prepare.js", () => {
  it("compiles TypeScript and the addon in two lines", { skip: noAddon }, () => {
    const folder = checkout();
    const { status, lines } = run(folder, "prepare.js");
    assert.equal(status, 0, lines.join("\n"));
    assert.equal(lines.length, 2);
    assert.match(lines[1] ?? "", /^addon: built build\/ringloom-linux-/);
    assert.ok(existsSync(join(folder, "dist/src/one.js")));
    const loaded = spawnSync(process.execPath, ["-p", `require(${JSON.stringify(join(folder, addon))}).two`], {
      encoding: "utf8",
    });
    assert.equal(loaded.stdout, "2\n", loaded.stderr);
  });

  it("says in one line that the addon was not built when there is no C compiler", () => {
    const folder = checkout();
    const { status, lines } = run(folder, "prepare.js", [], emptyPath(folder));
    assert.equal(status, 0, lines.join("\n"));
    assert.equal(lines.length, 2);
    assert.match(lines[1] ?? "", /^addon: not built, .*; the portable driver serves$/);
    assert.ok(!existsSync(join(folder, addon)));
  });

  it("succeeds and names the log when the addon does not compile", { skip: noAddon }, () => {
    const folder = checkout({ "native/addon.c": "int planted_fault(void) { return }\n" });
    const { status, lines } = run(folder, "prepare.js");
    assert.equal(status, 0, lines.join("\n"));
    assert.equal(lines.length, 2);
    const log = /log: (\S+)\)/.exec(lines[1] ?? "")?.[1] ?? "";
    assert.match(readFileSync(join(folder, log), "utf8"), /planted_fault/);
  });

  it("fails with the compiler's message when TypeScript does not compile", () => {
    const { status, lines } = run(checkout({ "src/one.ts": 'export const one: number = "1";\n' }), "prepare.js");
    assert.equal(status, 1);
    assert.match(lines.join("\n"), /src\/one\.ts\(1,14\): error TS2322/);
  });
});

describe("build-native.js", () => {
  it("builds again only when a source is newer", { skip: noAddon }, () => {
    const folder = checkout();
    assert.match(run(folder, "build-native.js").lines[0] ?? "", /built/);
    assert.match(run(folder, "build-native.js").lines[0] ?? "", /is current/);
    const later = new Date(Date.now() + 60_000);
    utimesSync(join(folder, "native/addon.c"), later, later);
    assert.match(run(folder, "build-native.js").lines[0] ?? "", /built/);
  });

  it("removes the old addon and fails when the sources stop compiling", { skip: noAddon }, () => {
    const folder = checkout();
    assert.equal(run(folder, "build-native.js").status, 0);
    write(folder, { "native/addon.c": "planted fault\n" });
    assert.equal(run(folder, "build-native.js", ["--force"]).status, 1);
    assert.ok(!existsSync(join(folder, addon)));
  });

  it("--check fails on a warning that a build tolerates", { skip: noAddon }, () => {
    const folder = checkout({
      "native/addon.c": "static int planted_unused(void) { return 1; }\nint used(void) { return 2; }\n",
    });
    assert.equal(run(folder, "build-native.js").status, 0);
    const { status, lines } = run(folder, "build-native.js", ["--check"]);
    assert.equal(status, 1);
    assert.match(lines.join("\n"), /planted_unused/);
  });

  it("rejects an unknown option with exit code 2", () => {
    assert.equal(run(checkout(), "build-native.js", ["--planted"]).status, 2);
  });
});

describe("test.js", () => {
  it("compiles what is stale and runs the tests", () => {
    const folder = checkout();
    assert.equal(run(folder, "test.js").status, 0);
    const later = new Date(Date.now() + 60_000);
    write(folder, { "src/one.ts": "export const one: number = 3;\n" });
    utimesSync(join(folder, "src/one.ts"), later, later);
    const { status, lines } = run(folder, "test.js");
    assert.equal(status, 1, lines.join("\n"));
    assert.ok(lines.some((line) => line.includes("fail 1")));
  });

  it("does not run a compiled test whose source is gone", () => {
    const folder = checkout();
    assert.equal(run(folder, "test.js").status, 0);
    write(folder, { "dist/src/gone.test.js": "process.exit(7);\n" });
    const { status, lines } = run(folder, "test.js");
    assert.equal(status, 0, lines.join("\n"));
    assert.ok(!existsSync(join(folder, "dist/src/gone.test.js")));
  });

  it("runs only the files that a word chooses, and fails when it chooses none", () => {
    const folder = checkout({ "test/two.test.ts": "process.exit(7);\n" });
    assert.equal(run(folder, "test.js", ["src/one"]).status, 0);
    const { status, lines } = run(folder, "test.js", ["planted-word"]);
    assert.equal(status, 2);
    assert.match(lines[0] ?? "", /No test file has "planted-word" in its path/);
  });

  it("fails when TypeScript does not compile, also the second time", () => {
    const folder = checkout({ "src/two.ts": 'export const two: number = "2";\n' });
    assert.equal(run(folder, "test.js").status, 1);
    assert.equal(run(folder, "test.js").status, 1);
  });
});
