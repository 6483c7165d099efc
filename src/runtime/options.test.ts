import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { parseCpuList, RUNTIME_OPTIONS, resolveRuntimeOptions } from "./options.js";

const INVALID = "ERR_RINGLOOM_INVALID_OPTION";

test("resolveRuntimeOptions() gives the documented defaults when nothing is set", () => {
  const options: Record<string, unknown> = { ...resolveRuntimeOptions({}) };
  for (const [name, definition] of Object.entries(RUNTIME_OPTIONS)) assert.equal(options[name], definition.fallback);
});

test("resolveRuntimeOptions() prefers flags to the environment, that to code, and code to defaults", () => {
  const environment = { RINGLOOM_SHARDS: "3", RINGLOOM_SPIN: "", HOME: "/" };
  const config = { shards: 2, spin: "off", host: "::1" };
  const options = resolveRuntimeOptions({ flags: { shards: "4" }, environment, config });
  assert.equal(options.shards, 4);
  assert.equal(resolveRuntimeOptions({ environment, config }).shards, 3);
  assert.equal(resolveRuntimeOptions({ config }).shards, 2);
  assert.equal(options.spin, "off", "an empty variable is not set");
  assert.equal(options.host, "::1");
});

test("resolveRuntimeOptions() reads PORT when RINGLOOM_PORT is not set", () => {
  assert.equal(resolveRuntimeOptions({ environment: { PORT: "8080" } }).port, 8080);
  assert.equal(resolveRuntimeOptions({ environment: { PORT: "8080", RINGLOOM_PORT: "8081" } }).port, 8081);
  assert.equal(resolveRuntimeOptions({ flags: { port: "0" }, environment: { PORT: "8080" } }).port, 0);
});

const refused: [flag: string, value: string, allowed: RegExp][] = [
  ["port", "65536", /a whole number from 0 to 65535/],
  ["port", "-1", /whole number/],
  ["port", "80.5", /whole number/],
  ["port", "", /whole number/],
  ["port", "0x50", /whole number/],
  ["shards", "0", /auto, or a whole number from 1 to 256/],
  ["driver", "kqueue", /auto, uring, epoll or portable/],
  ["cpu", "0-", /0,1 or 0-3/],
  ["cpu", "3-1", /0,1 or 0-3/],
  ["spin", "on", /auto, off, fixed or adaptive/],
  ["ring-entries", "1000", /a power of two/],
  ["host", " ", /an IP address or a host name/],
];

for (const [flag, value, allowed] of refused) {
  test(`resolveRuntimeOptions() names option, value and what is allowed when --${flag} is ${JSON.stringify(value)}`, () => {
    assert.throws(
      () => resolveRuntimeOptions({ flags: { [flag]: value } }),
      (error: Error & { code?: string }) => {
        assert.equal(error.code, INVALID);
        assert.ok(error.message.startsWith(`Invalid value for --${flag}: ${JSON.stringify(value)}. Allowed is `));
        assert.match(error.message, allowed);
        return true;
      },
    );
  });
}

test("resolveRuntimeOptions() names the variable when the environment is wrong", () => {
  assert.throws(() => resolveRuntimeOptions({ environment: { RINGLOOM_BACKLOG: "many" } }), {
    code: INVALID,
    message: /RINGLOOM_BACKLOG: "many"/,
  });
});

test("resolveRuntimeOptions() rejects wrong types and unknown names when they come from code", () => {
  assert.throws(() => resolveRuntimeOptions({ config: { port: null } }), { code: INVALID, message: /port: null/ });
  assert.throws(() => resolveRuntimeOptions({ config: { cpu: [] } }), { code: INVALID });
  assert.throws(() => resolveRuntimeOptions({ config: { cpu: [0, "x"] } }), { code: INVALID });
  assert.throws(() => resolveRuntimeOptions({ config: { prot: 1 } }), {
    code: INVALID,
    message: /Unknown option "prot"/,
  });
  assert.deepEqual(resolveRuntimeOptions({ config: { cpu: [1, 0] } }).cpu, [1, 0]);
});

test("parseCpuList() reads the kernel's form", () => {
  assert.deepEqual(parseCpuList("0-2,5\n"), [0, 1, 2, 5]);
  assert.deepEqual(parseCpuList("7"), [7]);
  for (const wrong of ["", "a", "1,", "2-1", "1-2-3", "4096"]) assert.equal(parseCpuList(wrong), undefined, wrong);
});

test("docs/configuration.md names every runtime option with its variables and default", () => {
  const text = readFileSync(new URL("../../../docs/configuration.md", import.meta.url), "utf8");
  for (const { flag, environment, fallbackText } of Object.values(RUNTIME_OPTIONS)) {
    const row = text.split("\n").find((line) => line.startsWith(`| \`--${flag}\``));
    assert.ok(row !== undefined, `--${flag} has a row`);
    for (const variable of environment)
      assert.ok(row.includes(`\`${variable}\``), `${variable} in the row of --${flag}`);
    assert.ok(row.includes(`| ${fallbackText} |`), `the default of --${flag} is "${fallbackText}"`);
  }
});
