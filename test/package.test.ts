/**
 * The package as its users get it: packed, unpacked beside nothing but its dependencies, loaded from ESM, CommonJS and TypeScript.
 */
import assert from "node:assert/strict";
import { type SpawnSyncReturns, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, normalize } from "node:path";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));

interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly bin: Readonly<Record<string, string>>;
  readonly exports: Readonly<Record<string, string | { readonly types: string; readonly default: string }>>;
  readonly scripts: Readonly<Record<string, string>>;
  readonly dependencies: Readonly<Record<string, string>>;
}

interface Doctor {
  readonly driver: string;
  readonly driverReason: string;
  readonly checks: readonly {
    readonly name: string;
    readonly status: string;
    readonly text: string;
    readonly fix: string;
  }[];
}

const manifest: Manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
const entryPoints = Object.keys(manifest.exports)
  .filter((subpath) => !subpath.endsWith(".json"))
  .map((subpath) => `${manifest.name}${subpath.slice(1)}`);

const hasCompiler = ["cc", "gcc", "clang"].some((name) => spawnSync(name, ["--version"]).status === 0);
const hasHeaders = existsSync(join(dirname(process.execPath), "..", "include", "node", "node_api.h"));
const noAddon =
  process.platform !== "linux"
    ? "the addon is for Linux"
    : !hasCompiler
      ? "no C compiler"
      : !hasHeaders && "this Node came without node_api.h";

/** A user's project: `node_modules` holds the unpacked package and links to its dependencies. */
let project = "";
let packed: readonly string[] = [];

before(() => {
  project = mkdtempSync(join(tmpdir(), "ringloom-package-"));
  const args = ["pack", "--json", "--ignore-scripts", "--pack-destination", project];
  const [entry] = JSON.parse(succeed("npm", args, root)) as [{ filename: string; files: { path: string }[] }];
  packed = entry.files.map((file) => file.path);
  const modules = join(project, "node_modules");
  mkdirSync(join(modules, manifest.name), { recursive: true });
  succeed(
    "tar",
    ["-xzf", join(project, entry.filename), "--strip-components=1", "-C", join(modules, manifest.name)],
    project,
  );
  for (const name of Object.keys(manifest.dependencies)) {
    mkdirSync(dirname(join(modules, name)), { recursive: true });
    symlinkSync(join(root, "node_modules", name), join(modules, name));
  }
});

after(() => rmSync(project, { recursive: true, force: true }));

function succeed(command: string, args: readonly string[], cwd: string): string {
  const result = spawnSync(command, args, { cwd, encoding: "utf8" });
  assert.equal(
    result.status,
    0,
    `${command} ${args.join(" ")}\n${result.error?.message ?? ""}${result.stdout}${result.stderr}`,
  );
  return result.stdout;
}

describe("package contents", () => {
  it("hold what package.json points to", () => {
    const targets = [
      ...Object.values(manifest.bin),
      ...Object.values(manifest.exports).flatMap((target) =>
        Object.values(typeof target === "string" ? [target] : target),
      ),
    ];
    for (const target of targets) assert.ok(packed.includes(target.replace(/^\.\//, "")), `${target} is not packed`);
  });

  it("hold the addon's sources, their build script, the documents and the container example", () => {
    for (const path of [
      "LICENSE",
      "README.md",
      "CHANGELOG.md",
      "native/ringloom.h",
      "scripts/build-native.js",
      "docs/http.md",
      "examples/container/Dockerfile",
      "examples/container/seccomp.json",
      "examples/container/kubernetes/deployment.yaml",
    ]) {
      assert.ok(packed.includes(path), `${path} is not packed`);
    }
  });

  it("hold no test, no benchmark, no development script and no built addon", () => {
    const unwanted = packed.filter(
      (path) =>
        /\.test\.|^test\/|^dist\/(test|bench)|^bench\/|^examples\/(?!container\/)|\.node$|\.log$/.test(path) ||
        (path.startsWith("scripts/") && path !== "scripts/build-native.js"),
    );
    assert.deepEqual(unwanted, []);
  });

  it("hold what the documents link to", () => {
    const documents = packed.filter((path) => path.startsWith("docs/"));
    const dead = documents.flatMap((path) =>
      [...readFileSync(join(root, path), "utf8").matchAll(/\]\((?!https?:|mailto:|#)([^)\s#]+)/g)]
        .map(([, link = ""]) => normalize(join(dirname(path), link)))
        .filter((target) => !packed.some((found) => found === target || found.startsWith(`${target}/`)))
        .map((target) => `${path} links to ${target}, which is not packed`),
    );
    assert.ok(documents.length > 0);
    assert.deepEqual(dead, []);
  });

  it("hold JavaScript and declarations for each source file, and only for those", () => {
    const modules = packed.filter((path) => path.startsWith("dist/src/") && path.endsWith(".js"));
    assert.ok(modules.length > 0);
    for (const path of modules) {
      assert.ok(packed.includes(path.replace(/\.js$/, ".d.ts")), `${path} has no declarations`);
      assert.ok(existsSync(join(root, path.replace(/^dist\//, "").replace(/\.js$/, ".ts"))), `${path} has no source`);
    }
  });
});

describe("package entry points", () => {
  for (const name of entryPoints) {
    it(`${name} gives ESM and CommonJS the same values`, () => {
      const esm = succeed(
        process.execPath,
        ["--input-type=module", "-e", `console.log(Object.keys(await import("${name}")).join())`],
        project,
      );
      const commonJs = succeed(
        process.execPath,
        ["--input-type=commonjs", "-e", `console.log(Object.keys(require("${name}")).join())`],
        project,
      );
      assert.ok(esm.trim().length > 0, "it exports no value");
      assert.deepEqual(namesOf(commonJs), namesOf(esm));
    });
  }

  it("carry a tier on every symbol", () => {
    succeed(process.execPath, [join(root, "scripts", "check-tiers.js")], root);
  });

  it("have declarations that compile in a strict project without skipLibCheck", () => {
    symlinkSync(join(root, "node_modules", "@types"), join(project, "node_modules", "@types"));
    // @types/node refers to it.
    symlinkSync(join(root, "node_modules", "undici-types"), join(project, "node_modules", "undici-types"));
    const imports = entryPoints.map(
      (name, index) => `import * as entry${index} from "${name}";\nexport { entry${index} };\n`,
    );
    writeFileSync(join(project, "user.ts"), imports.join(""));
    const compilerOptions = {
      target: "es2023",
      lib: ["es2023"],
      module: "nodenext",
      strict: true,
      noEmit: true,
      types: ["node"],
    };
    writeFileSync(join(project, "tsconfig.json"), JSON.stringify({ compilerOptions, files: ["user.ts"] }));
    succeed(process.execPath, [join(root, "node_modules", "typescript", "bin", "tsc"), "-p", project], project);
  });
});

describe("package command", () => {
  it("prints its version and its help from the packed package", () => {
    const command = join(project, "node_modules", manifest.name, manifest.bin[manifest.name] ?? "");
    assert.match(
      succeed(process.execPath, [command, "--version"], project),
      new RegExp(manifest.version.replaceAll(".", "\\.")),
    );
    const help = succeed(process.execPath, [command, "--help"], project);
    for (const word of ["serve", "doctor"]) assert.match(help, new RegExp(`\\b${word}\\b`));
  });

  it("says after an installation, which runs no script, how the addon is built, and builds it", {
    skip: noAddon,
  }, () => {
    const command = join(project, "node_modules", manifest.name, manifest.bin[manifest.name] ?? "");
    const ringloom = (...args: string[]): SpawnSyncReturns<string> => {
      const env = { ...process.env, RINGLOOM_ADDON: "", RINGLOOM_DRIVER: "auto" };
      return spawnSync(process.execPath, [command, ...args], { cwd: project, encoding: "utf8", env });
    };
    const before = JSON.parse(ringloom("doctor", "--json").stdout) as Doctor;
    assert.equal(before.driver, "portable");
    assert.match(before.driverReason, /^The addon is not built: installing .* "npx ringloom build-addon" builds it\.$/);
    const { text, fix } = before.checks.find(({ name }) => name === "addon") ?? { text: "", fix: "" };
    assert.match(text, /npx ringloom build-addon/);
    assert.match(fix, /^Run "npx ringloom build-addon", which needs a C compiler/);
    assert.doesNotMatch(text + fix, /npm run|was not there/);

    const built = ringloom("build-addon");
    assert.equal(built.status, 0, built.stderr);
    assert.match(built.stdout, /^addon: built node_modules\/ringloom\/build\/ringloom-linux-/);
    const after = JSON.parse(ringloom("doctor", "--json").stdout) as Doctor;
    assert.equal(after.checks.find(({ name }) => name === "addon")?.status, "good");
    assert.match(ringloom("build-addon").stdout, /is current/);
    assert.equal(ringloom("build-addon", "now").status, 2);
  });

  it("exists for every command that the README names", () => {
    const readme = readFileSync(join(root, "README.md"), "utf8");
    const help = succeed(process.execPath, [join(root, manifest.bin[manifest.name] ?? ""), "--help"], root);
    const commands = [...readme.matchAll(/`?ringloom (serve|[a-z]+)\b(?= <|`| app)/g)].map((match) => match[1] ?? "");
    assert.ok(commands.includes("serve") && commands.includes("doctor"), commands.join());
    for (const command of commands) assert.match(help, new RegExp(`\\b${command}\\b`));
    const options = [...readme.matchAll(/`(--[a-z-]+)`/g)].map((match) => match[1] ?? "");
    const serveHelp =
      help + succeed(process.execPath, [join(root, manifest.bin[manifest.name] ?? ""), "serve", "--help"], root);
    for (const option of options) assert.ok(serveHelp.includes(option), `${option} is in no help`);
    const scripts = [...readme.matchAll(/npm (?:run )?(start|test|[a-z:]+)\b/g)].map((match) => match[1] ?? "");
    const others = ["ci", "install", "packages", "package"];
    for (const script of scripts.filter((name) => !others.includes(name))) {
      assert.ok(script in manifest.scripts, `npm run ${script} is no script`);
    }
  });
});

function namesOf(output: string): string[] {
  return output
    .trim()
    .split(",")
    .filter((name) => name !== "default" && name !== "__esModule" && name !== "module.exports")
    .sort();
}
