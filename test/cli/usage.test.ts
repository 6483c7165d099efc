import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { DEV_DEFAULTS, DEV_OPTIONS, SERVE_ONLY } from "../../src/cli/dev-options.js";
import { HTTP_LIMIT_OPTIONS } from "../../src/http/limit-options.js";
import { RUNTIME_OPTIONS } from "../../src/runtime/options.js";
import { run } from "./ringloom.js";

const GENERAL_HELP = `Usage: ringloom <command> [options]

Commands:
  serve <module>  Serve a module's default export on every core
  dev <module>    Serve it on one shard, again after each change, with a debugger's way in
  doctor          Say which driver this machine gets, why, and what to change
  build-addon     Compile the native part, which the uring and epoll drivers need

Options:
  -h, --help      This text; with a command, that command's
  -v, --version   The version

Exit codes:
  0 all went well   1 something failed while running   2 the command line or an option is wrong
`;

test("ringloom --help prints the commands, without colours when it is not a terminal", async () => {
  for (const args of [["--help"], ["-h"], ["help"]]) {
    const { code, stdout, stderr } = await run(args);
    assert.equal(stdout, GENERAL_HELP);
    assert.equal(stderr, "");
    assert.equal(code, 0);
  }
});

test("ringloom without arguments prints the help to standard error, with exit code 2", async () => {
  const { code, stdout, stderr } = await run([]);
  assert.equal(stdout, "");
  assert.equal(stderr, GENERAL_HELP);
  assert.equal(code, 2);
});

test("ringloom serve --help names every option, its variables and its default", async () => {
  const { code, stdout } = await run(["serve", "--help"]);
  assert.equal(code, 0);
  assert.ok(stdout.startsWith("Usage: ringloom serve <module> [options]\n"));
  for (const option of [...Object.values(RUNTIME_OPTIONS), ...Object.values(HTTP_LIMIT_OPTIONS)]) {
    assert.ok(
      stdout.includes(`  --${option.flag} ${option.placeholder}  (${option.environment.join(", ")})\n`),
      option.flag,
    );
    assert.ok(stdout.includes(`Default: ${option.fallbackText}.\n`), option.flag);
  }
  assert.equal((await run(["help", "serve"])).stdout, stdout);
});

test("ringloom dev --help and docs/configuration.md name every option that only dev has", async () => {
  const { code, stdout } = await run(["dev", "--help"]);
  assert.equal(code, 0);
  assert.ok(stdout.startsWith("Usage: ringloom dev <module> [options]\n"));
  const text = readFileSync(new URL("../../../docs/configuration.md", import.meta.url), "utf8");
  for (const { flag, placeholder, environment, fallbackText, allowed } of Object.values(DEV_OPTIONS)) {
    assert.ok(stdout.includes(`  --${flag} ${placeholder}  (${environment.join(", ")})\n`), flag);
    const row = text.split("\n").find((line) => line.startsWith(`| \`--${flag}\``)) ?? "";
    for (const part of [...environment, fallbackText, allowed]) assert.ok(row.includes(part), `${part} of --${flag}`);
  }
  const [, development = ""] = text.split("\n## Development\n");
  const [section = ""] = development.split("\n## ");
  const guide = readFileSync(new URL("../../../docs/development.md", import.meta.url), "utf8");
  for (const name of SERVE_ONLY) {
    const { flag } = RUNTIME_OPTIONS[name];
    for (const where of [stdout, section, guide]) assert.ok(new RegExp(`--${flag}(?![-a-z])`).test(where), flag);
  }
  const rows = [...section.matchAll(/^\| `--([a-z-]+)`/gm)].map((match) => match[1]);
  assert.deepEqual(
    rows,
    Object.values(DEV_OPTIONS).map((option) => option.flag),
    "only dev's own have a row there",
  );
  for (const value of Object.values(DEV_DEFAULTS)) assert.ok(stdout.includes(String(value)));
});

const SERVE_VALUES: Readonly<Record<string, string>> = {
  cpu: "auto",
  reusePort: "on",
  healthHost: "::1",
  shardExit: "stop",
};

for (const name of [...SERVE_ONLY, ...(["drainMs", "hookMs"] as const)]) {
  const { flag } = RUNTIME_OPTIONS[name];
  const isRefused = SERVE_ONLY.some((refused) => refused === name);
  test(`ringloom dev ${isRefused ? "refuses" : "takes"} --${flag}`, async () => {
    // The module is missing, so that what takes the option ends as well.
    const { code, stderr } = await run(["dev", "/nonexistent/app.js", `--${flag}`, SERVE_VALUES[name] ?? "1000"]);
    assert.equal(code, isRefused ? 2 : 1, stderr);
    assert.equal(stderr.startsWith(`ringloom: Unknown option --${flag}.`), isRefused, stderr);
  });
}

test("ringloom doctor --help describes the command", async () => {
  const { code, stdout } = await run(["doctor", "-h"]);
  assert.equal(code, 0);
  assert.ok(stdout.startsWith("Usage: ringloom doctor [--json]\n"));
});

test("ringloom build-addon --help describes the command", async () => {
  const { code, stdout } = await run(["build-addon", "--help"]);
  assert.equal(code, 0);
  assert.ok(stdout.startsWith("Usage: ringloom build-addon [--force]\n"));
});

test("ringloom --version prints the version of the package", async () => {
  const text = readFileSync(new URL("../../../package.json", import.meta.url), "utf8");
  const manifest: { version: string } = JSON.parse(text);
  const { code, stdout } = await run(["--version"]);
  assert.equal(stdout, `ringloom ${manifest.version}\n`);
  assert.equal(code, 0);
});

const wrong: [args: string[], message: string][] = [
  [["sevre"], 'ringloom: Unknown command sevre. Did you mean "serve"?\nRun "ringloom --help" for what there is.\n'],
  [["frobnicate"], 'ringloom: Unknown command frobnicate.\nRun "ringloom --help" for what there is.\n'],
  [
    ["app.js"],
    'ringloom: Unknown command app.js. Did you mean "ringloom serve app.js"?\nRun "ringloom --help" for what there is.\n',
  ],
  [["--frob"], 'ringloom: Unknown option --frob.\nRun "ringloom --help" for what there is.\n'],
  [["help", "me"], 'ringloom: Unknown command me.\nRun "ringloom --help" for what there is.\n'],
  [
    ["serve", "app.js", "--prot", "1"],
    'ringloom: Unknown option --prot. Did you mean --port?\nRun "ringloom serve --help" for what there is.\n',
  ],
  [
    ["serve"],
    'ringloom: Which module? serve needs one, such as: ringloom serve app.js\nRun "ringloom serve --help" for what there is.\n',
  ],
  [
    ["serve", "a.js", "b.js"],
    'ringloom: Unexpected argument b.js: serve takes one module.\nRun "ringloom serve --help" for what there is.\n',
  ],
  [
    ["doctor", "me"],
    'ringloom: Unexpected argument me: doctor takes none.\nRun "ringloom doctor --help" for what there is.\n',
  ],
  [
    ["serve", "app.js", "--port", "99999"],
    'ringloom: Invalid value for --port: "99999". Allowed is a whole number from 0 to 65535. [ERR_RINGLOOM_INVALID_OPTION]\n',
  ],
  [
    ["serve", "app.js", "--idle-timeout-ms", "soon"],
    'ringloom: Invalid value for --idle-timeout-ms: "soon". Allowed is a whole number from 0 to 86400000. [ERR_RINGLOOM_INVALID_OPTION]\n',
  ],
];

for (const [args, message] of wrong) {
  test(`ringloom ${args.join(" ")} exits with code 2 and says what is wrong`, async () => {
    const { code, stdout, stderr } = await run(args);
    assert.equal(stderr, message);
    assert.equal(stdout, "");
    assert.equal(code, 2);
  });
}

test("ringloom serve names the variable when the environment is wrong", async () => {
  const { code, stderr } = await run(["serve", "app.js"], { environment: { PORT: "http" } });
  assert.equal(
    stderr,
    'ringloom: Invalid value for PORT: "http". Allowed is a whole number from 0 to 65535. [ERR_RINGLOOM_INVALID_OPTION]\n',
  );
  assert.equal(code, 2);
});
