/** Modules that are not plain JavaScript of the author's: TypeScript, compiled, bundled, CommonJS. */
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { symlinkSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { describe, test } from "node:test";
import { build } from "esbuild";
import { loaderFacts, resolveModule } from "../../src/runtime/module.js";
import { DevFolder } from "../support/dev-folder.js";
import { Ringloom, run, type Settings, withServe } from "./ringloom.js";

const require = createRequire(import.meta.url);
const ONE_SHARD = ["--port", "0", "--shards", "1"];

/** What fails stands on a line that it does not have after compiling: types and comments go. */
const SOURCE = `import { App } from "ringloom/http";

// A line that the compiler drops.
interface Item {
  readonly name: string;
}

const app = new App();
app.get("/", (c) => c.text("typed"));
app.get("/throws", (): never => {
  const item: Item = { name: "planted in a handler" };
  throw new Error(item.name);
});
app.get("/crash", (c) => {
  void Promise.reject(new Error("planted in a promise"));
  return c.text("soon");
});
export default app;
`;
const THROWS_AT = 12;
const REJECTS_AT = 15;
const BROKEN = `${SOURCE}
const broken: Item | undefined = undefined;
throw new Error("planted at the top");
`;
const BROKEN_AT = 21;

const COMPILER_OPTIONS = {
  target: "es2022",
  module: "esnext",
  moduleResolution: "bundler",
  outDir: "dist",
  rootDir: "src",
  sourceMap: true,
  removeComments: true,
  types: [],
  skipLibCheck: true,
};

/** Compiles `src/app.ts` in the folder by tsc. */
async function compile(folder: DevFolder): Promise<void> {
  folder.write("tsconfig.json", JSON.stringify({ compilerOptions: COMPILER_OPTIONS, include: ["src"] }));
  execFileSync(process.execPath, [
    join(dirname(require.resolve("typescript/package.json")), "bin", "tsc"),
    "-p",
    folder.path,
  ]);
}

async function bundle(folder: DevFolder): Promise<void> {
  await build({
    entryPoints: [folder.file("src/app.ts")],
    outfile: folder.file("dist/app.js"),
    bundle: true,
    minify: true,
    sourcemap: true,
    platform: "node",
    format: "esm",
    packages: "external",
  });
}

async function withProject(
  source: string,
  prepare: (folder: DevFolder) => Promise<void>,
  use: (entry: string, folder: DevFolder) => Promise<void>,
): Promise<void> {
  const folder = new DevFolder({ "src/app.ts": source });
  try {
    await prepare(folder);
    await use(folder.file("dist/app.js"), folder);
  } finally {
    folder.remove();
  }
}

async function withCommand(
  args: readonly string[],
  settings: Settings,
  use: (ringloom: Ringloom, url: string) => Promise<void>,
): Promise<void> {
  const ringloom = new Ringloom(args, settings);
  try {
    await use(ringloom, await ringloom.listening());
  } finally {
    if (ringloom.child.exitCode === null) ringloom.child.kill("SIGKILL");
    await ringloom.ended();
  }
}

const commands: [name: string, args: (entry: string) => string[]][] = [
  ["serve --source-maps on", (entry) => ["serve", entry, ...ONE_SHARD, "--source-maps", "on"]],
  ["dev", (entry) => ["dev", entry, "--port", "0"]],
];
const preparations: [name: string, prepare: (folder: DevFolder) => Promise<void>][] = [
  ["compiled by tsc", compile],
  ["bundled and minified by esbuild", bundle],
];

for (const [command, args] of commands) {
  for (const [name, prepare] of preparations) {
    describe(`ringloom ${command} with a module ${name}`, () => {
      test("prints stacks of handlers and of rejections that point to the TypeScript source", async () => {
        await withProject(SOURCE, prepare, async (entry) => {
          await withCommand(args(entry), {}, async (ringloom, url) => {
            assert.equal((await fetch(`${url}/throws`)).status, 500);
            await ringloom.complained(new RegExp(`planted in a handler[\\s\\S]*src/app\\.ts:${THROWS_AT}:`));
            await fetch(`${url}/crash`).catch(() => undefined);
            await ringloom.complained(new RegExp(`planted in a promise[\\s\\S]*src/app\\.ts:${REJECTS_AT}:`));
          });
        });
      });

      test("prints a load error with a stack that points to the TypeScript source", async () => {
        await withProject(BROKEN, prepare, async (entry) => {
          const ringloom = new Ringloom(args(entry));
          try {
            await ringloom.complained(new RegExp(`planted at the top[\\s\\S]*src/app\\.ts:${BROKEN_AT}:`));
          } finally {
            ringloom.child.kill("SIGKILL");
            await ringloom.ended();
          }
        });
      });
    });
  }
}

test("ringloom serve leaves stacks as they are without --source-maps", async () => {
  await withProject(SOURCE, compile, async (entry) => {
    await withCommand(["serve", entry, ...ONE_SHARD], {}, async (ringloom, url) => {
      await fetch(`${url}/throws`);
      await ringloom.complained(/planted in a handler[\s\S]*dist\/app\.js:/);
    });
  });
});

describe("a .ts entry", () => {
  const strips = (() => {
    try {
      resolveModule("dist/../src/index.ts", new URL("../../../", import.meta.url).pathname, {
        ...loaderFacts(),
        flags: [],
      });
      return true;
    } catch {
      return false;
    }
  })();
  const ways: [name: string, options: string | undefined, skip: string | false][] = [
    ["with Node's own type stripping", undefined, strips ? false : `Node ${process.versions.node} has none`],
    ["with tsx", "--import tsx", false],
  ];
  /** A project that has tsx as its own dependency, and how a command is started in it. */
  function project(files: Readonly<Record<string, string>>, options: string | undefined) {
    const folder = new DevFolder(files);
    symlinkSync(dirname(require.resolve("tsx/package.json")), folder.file("node_modules/tsx"));
    const settings: Settings = { cwd: folder.path, environment: { NODE_OPTIONS: options } };
    return { folder, settings };
  }
  for (const [name, options, skip] of ways) {
    test(`${name} is served`, { skip }, async () => {
      const { folder, settings } = project({ "app.ts": SOURCE }, options);
      try {
        await withServe([folder.file("app.ts"), ...ONE_SHARD], settings, async (server, url) => {
          assert.equal(await (await fetch(url)).text(), "typed");
          await fetch(`${url}/throws`);
          await server.complained(new RegExp(`app\\.ts:${THROWS_AT}:`));
        });
      } finally {
        folder.remove();
      }
    });

    test(`${name} is served by dev, again after a change of a file that it imports`, { skip }, async () => {
      const word = (text: string) => `export const word: string = ${JSON.stringify(text)};\n`;
      const app = SOURCE.replace('"typed"', "word").replace(
        "// A line",
        'import { word } from "./word.ts";\n// A line',
      );
      const { folder, settings } = project({ "app.ts": app, "word.ts": word("one") }, options);
      try {
        await withCommand(["dev", folder.file("app.ts"), "--port", "0"], settings, async (ringloom, url) => {
          await ringloom.said(/^ready/m);
          assert.equal(await (await fetch(url)).text(), "one");
          folder.write("word.ts", word("two"));
          await ringloom.said(/^ready[\s\S]*^ready/m);
          assert.equal(await (await fetch(url)).text(), "two");
        });
      } finally {
        folder.remove();
      }
    });
  }

  test("without either is refused with what to do", { skip: strips ? "this Node strips types" : false }, async () => {
    const folder = new DevFolder({ "app.ts": SOURCE });
    const environment = { NODE_OPTIONS: undefined };
    for (const command of ["serve", "dev"]) {
      const { code, stderr } = await run([command, folder.file("app.ts")], { environment });
      assert.equal(code, 1);
      assert.match(stderr, /does not load TypeScript\. Compile it .* use Node 22\.18 or newer, .*--import tsx/);
    }
    folder.remove();
  });
});

test("a CommonJS module requires the package and is served, without a warning", async () => {
  const folder = new DevFolder({
    "app.cjs":
      'const { App } = require("ringloom/http");\nconst app = new App();\napp.get("/", (c) => c.text("common"));\nmodule.exports = app;\n',
  });
  try {
    await withServe([folder.file("app.cjs"), ...ONE_SHARD], {}, async (server, url) => {
      assert.equal(await (await fetch(url)).text(), "common");
      assert.equal(server.stderr, "");
    });
    for (const entry of ["ringloom", "ringloom/http", "ringloom/driver", "ringloom/testing"]) {
      const { status, stderr } = spawnSync(process.execPath, ["-e", `require("${entry}")`], {
        cwd: folder.path,
        encoding: "utf8",
      });
      assert.deepEqual({ status, stderr }, { status: 0, stderr: "" }, entry);
    }
  } finally {
    folder.remove();
  }
});

test("a bundle that took the package in is told to leave it out, and works when it does", async () => {
  const program = `import { App, serve, serveModule } from "ringloom/http";
    const app = new App();
    app.get("/", (c) => c.text("bundled"));
    export default app;
    for (const start of [() => serve({ app, port: 0 }), () => serveModule(import.meta.url, { port: 0, shards: 1 })]) {
      if (process.argv[2] !== "start") break;
      try {
        const server = await start();
        console.log(await (await fetch(server.url)).text());
        await (server.close ?? server.stop).call(server);
      } catch (error) {
        console.log(error.code, error.message);
      }
    }`;
  const folder = new DevFolder({ "src/app.ts": program });
  try {
    for (const external of [[], ["ringloom"]]) {
      const outfile = folder.file(`out${external.length}/app.mjs`);
      const entryPoints = [folder.file("src/app.ts")];
      await build({
        entryPoints,
        outfile,
        external,
        bundle: true,
        platform: "node",
        format: "esm",
        logLevel: "silent",
      });
      const { stdout, stderr } = spawnSync(process.execPath, [outfile, "start"], { encoding: "utf8" });
      const [first, second] = stdout.split("\n");
      if (external.length > 0) {
        assert.deepEqual([first, second], ["bundled", "bundled"], stderr);
        continue;
      }
      assert.match(first ?? "", /^ERR_RINGLOOM_MODULE_LOAD Cannot load the HTTP parser: .*--external:ringloom/, stderr);
      assert.match(second ?? "", /^ERR_RINGLOOM_MODULE_LOAD Cannot start shards: .*--external:ringloom/);
      const served = await run(["serve", outfile, ...ONE_SHARD]);
      assert.match(served.stderr, /an App of another copy of "ringloom".*--external:ringloom/);
    }
  } finally {
    folder.remove();
  }
});
