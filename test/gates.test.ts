/**
 * The gates themselves: each check runs on a small copy of a checkout in which a fault is planted, and must name it. The same copy
 * without the fault must pass.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, describe, it } from "node:test";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));
const folders: string[] = [];

/** A checkout that every check accepts; a value replaces or adds one file. */
const SOUND: Readonly<Record<string, string>> = {
  "package.json": JSON.stringify({
    name: "planted",
    type: "module",
    exports: { ".": { types: "./dist/src/index.d.ts", default: "./dist/src/index.js" } },
    dependencies: {},
  }),
  "README.md":
    '# Planted\n\n[notes](docs/notes.md)\n\n```ts run\nimport { two } from "planted";\nif (two !== 2) throw new Error();\n```\n',
  "docs/notes.md": "# Notes\n",
  "docs/ledger.md": "| X1 | `src/errors.ts` |\n",
  "src/errors.ts": '/** One. */\nexport const one = "1";\n',
  "src/driver/slots.ts": 'import { one } from "../errors.js";\n\n/** Slots. */\nexport const slots = [one];\n',
  "src/index.ts": 'export { slots } from "./driver/slots.js";\n',
  "dist/src/index.js": "export const two = 2;\n",
  "dist/src/index.d.ts": 'export { two, Three as Four } from "./numbers.js";\nexport * from "./more.js";\n',
  "dist/src/numbers.d.ts":
    "/** Two. @stable */\nexport declare const two: 2;\n/**\n * Three.\n *\n * @experimental\n */\nexport interface Three {\n}\n",
  "dist/src/more.d.ts": "/** Five. @internal */\nexport declare function five(): void;\n",
};

after(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

function plant(files: Readonly<Record<string, string>>): string {
  const folder = mkdtempSync(join(tmpdir(), "ringloom-gates-"));
  folders.push(folder);
  cpSync(join(root, "scripts"), join(folder, "scripts"), { recursive: true });
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
  for (const [path, text] of Object.entries({ ...SOUND, ...files })) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
  return folder;
}

function run(check: string, files: Readonly<Record<string, string>>): { status: number | null; output: string } {
  const folder = plant(files);
  const result = spawnSync(process.execPath, [join(folder, "scripts", check)], { encoding: "utf8", cwd: folder });
  return { status: result.status, output: `${result.stdout}${result.stderr}` };
}

function rejects(check: string, files: Readonly<Record<string, string>>, message: RegExp): void {
  const { status, output } = run(check, files);
  assert.equal(status, 1, output);
  assert.match(output, message);
}

describe("gates", () => {
  for (const check of ["check-layers.js", "check-tiers.js", "check-examples.js", "check-links.js"]) {
    it(`${check} passes when nothing is wrong`, () => {
      const { status, output } = run(check, {});
      assert.equal(status, 0, output);
    });
  }
});

describe("check-layers.js", () => {
  const cases: [name: string, files: Record<string, string>, message: RegExp][] = [
    [
      "names the line of an upward import",
      { "src/driver/slots.ts": '\nimport type {\n  App,\n} from "../http/app.js";\n', "src/http/app.ts": "" },
      /src\/driver\/slots\.ts:2: imports upward: driver may not know http/,
    ],
    [
      "finds an upward import by URL",
      { "src/runtime/a.ts": 'const entry = new URL("../cli/b.js", import.meta.url);\n', "src/cli/b.ts": "" },
      /src\/runtime\/a\.ts:1: imports upward: runtime may not know cli/,
    ],
    [
      "finds an upward dynamic import",
      { "src/ring/a.ts": '\nexport const b = () => import("../driver/slots.js");\n' },
      /src\/ring\/a\.ts:2: imports upward: ring may not know driver/,
    ],
    [
      "finds a circular import through three files",
      {
        "src/http/a.ts": 'import "./b.js";\n',
        "src/http/b.ts": 'export * from "./c.js";\n',
        "src/http/c.ts": 'import type { A } from "./a.js";\n',
      },
      /circular import: src\/http\/a\.ts -> src\/http\/b\.ts -> src\/http\/c\.ts -> src\/http\/a\.ts/,
    ],
    [
      "forbids node:http below src/http",
      { "src/runtime/a.ts": 'import { request } from "node:http";\n' },
      /src\/runtime\/a\.ts:1: imports node:http, and nothing below src\/http knows HTTP/,
    ],
    [
      "forbids a package that is no dependency",
      { "src/http/a.ts": 'import fc from "fast-check";\n' },
      /src\/http\/a\.ts:1: imports fast-check, which is no dependency/,
    ],
    ["forbids a folder that is no layer", { "src/misc/a.ts": "" }, /src\/misc\/a\.ts:1: belongs to no layer/],
    ["forbids a file that does not exist", { "src/http/a.ts": 'import "./gone.js";\n' }, /which is no source file/],
  ];
  for (const [name, files, message] of cases) {
    it(name, () => rejects("check-layers.js", files, message));
  }

  it("ignores imports in comments and in tests", () => {
    const comment =
      '/**\n * import { App } from "../http/app.js";\n */\n// import "../http/app.js";\n/** A. */\nexport const a = 1;\n';
    const { status, output } = run("check-layers.js", {
      "src/ring/a.ts": comment,
      "src/ring/a.test.ts": 'import "../driver/slots.js";\n',
    });
    assert.equal(status, 0, output);
  });
});

describe("check-tiers.js", () => {
  const numbers = "dist/src/numbers.d.ts";
  const three = "/** Three. @stable */\nexport interface Three {\n}\n";

  it("names an export without a tier, found through a re-export", () => {
    const files = { [numbers]: `/** Two. */\nexport declare const two: 2;\n${three}` };
    rejects("check-tiers.js", files, /src\/numbers\.ts: two, exported by planted, has no tier/);
  });

  it("names an export with two tiers", () => {
    const files = { [numbers]: `/** Two. @stable @internal */\nexport declare const two: 2;\n${three}` };
    rejects("check-tiers.js", files, /two, exported by planted, has 2 tiers/);
  });

  it("names an export that follows the comment of another", () => {
    const files = {
      [numbers]: `/** Two. @stable */\nexport declare const two: 2;\n${three}`,
      "dist/src/more.d.ts": "export declare const five = 5;\n",
    };
    rejects("check-tiers.js", files, /src\/more\.ts: five, exported by planted, has no tier/);
  });

  it("names an export of any source file without a doc comment", () => {
    const files = { "src/http/a.ts": "// Not a doc comment.\nexport async function a(): Promise<void> {}\n" };
    rejects("check-tiers.js", files, /src\/http\/a\.ts:2: a is exported without a doc comment/);
  });

  it("lets a block of one-line constants share a doc comment, up to the first empty line", () => {
    const files = { "src/a.ts": "/** Numbers. */\nexport const A = 1;\nexport const B = 2;\n\nexport const C = 3;\n" };
    const { status, output } = run("check-tiers.js", files);
    assert.equal(status, 1, output);
    assert.deepEqual(output.trim().split("\n"), ["src/a.ts:5: C is exported without a doc comment"]);
  });

  it("fails when an entry point is not compiled", () => {
    const exports = { "./gone": { types: "./dist/src/gone.d.ts" } };
    rejects(
      "check-tiers.js",
      { "package.json": JSON.stringify({ name: "planted", exports }) },
      /planted\/gone does not exist/,
    );
  });
});

describe("check-examples.js", () => {
  it("maps a type error to the line of the document", () => {
    const files = {
      "docs/notes.md": '# Notes\n\n```ts\nimport { two } from "planted";\nexport const three: 3 = two;\n```\n',
    };
    rejects("check-examples.js", files, /docs\/notes\.md:5: error TS2322/);
  });

  it("checks examples in doc comments", () => {
    const files = {
      "src/errors.ts": "/**\n * One.\n *\n * ```ts\n * const one: string = 1;\n * ```\n */\nexport const one = 1;\n",
    };
    rejects("check-examples.js", files, /src\/errors\.ts:5: error TS2322/);
  });

  it("fails when a run example throws", () => {
    const files = { "docs/notes.md": '```ts run\nthrow new Error("planted fault");\n```\n' };
    rejects("check-examples.js", files, /docs\/notes\.md:1: the example fails when run[\s\S]*planted fault/);
  });

  it("fails on an unknown mark", () => {
    rejects("check-examples.js", { "docs/notes.md": "```ts norun\n```\n" }, /docs\/notes\.md:1: unknown mark "norun"/);
  });
});

describe("check-links.js", () => {
  it("names a dead link", () => {
    rejects(
      "check-links.js",
      { "docs/notes.md": "see [this](../gone.md#part)\n" },
      /docs\/notes\.md:1: \.\.\/gone\.md does not exist/,
    );
  });

  it("names a path in the ledger that does not exist", () => {
    rejects(
      "check-links.js",
      { "docs/ledger.md": "\n| X1 | `test/gone.test.ts` |\n" },
      /docs\/ledger\.md:2: test\/gone\.test\.ts/,
    );
  });
});
