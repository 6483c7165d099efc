import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { RUNTIME_OPTIONS } from "../runtime/options.js";
import { HTTP_LIMIT_OPTIONS, limitsFromOutside } from "./limit-options.js";
import { HTTP_LIMITS } from "./limits.js";

test("HTTP_LIMIT_OPTIONS names each limit after its field, and none as the runtime names its options", () => {
  assert.deepEqual(Object.keys(HTTP_LIMIT_OPTIONS), Object.keys(HTTP_LIMITS));
  assert.equal(HTTP_LIMIT_OPTIONS.headerTimeoutMs?.flag, "header-timeout-ms");
  assert.deepEqual(HTTP_LIMIT_OPTIONS.headerTimeoutMs?.environment, ["RINGLOOM_HEADER_TIMEOUT_MS"]);
  const flags = [...Object.values(RUNTIME_OPTIONS), ...Object.values(HTTP_LIMIT_OPTIONS)].map((option) => option.flag);
  assert.equal(new Set(flags).size, flags.length);
});

test("limitsFromOutside() gives only what is set, the flag before the variable", () => {
  assert.deepEqual(limitsFromOutside({ environment: { RINGLOOM_HEADERS_MAX: "" } }), {});
  const environment = { RINGLOOM_HEADERS_MAX: "50", RINGLOOM_IDLE_TIMEOUT_MS: "1000" };
  assert.deepEqual(limitsFromOutside({ flags: { "headers-max": "60" }, environment }), {
    headersMax: 60,
    idleTimeoutMs: 1000,
  });
});

test("limitsFromOutside() throws when a value is out of bounds", () => {
  assert.throws(() => limitsFromOutside({ flags: { "headers-max": "0" } }), {
    code: "ERR_RINGLOOM_INVALID_OPTION",
    message: /^Invalid value for --headers-max: "0"\. Allowed is a whole number from \d+ to \d+\.$/,
  });
});

test("docs/configuration.md names every limit with its variable, default and bounds", () => {
  const text = readFileSync(new URL("../../../docs/configuration.md", import.meta.url), "utf8");
  for (const { flag, environment, fallbackText, allowed } of Object.values(HTTP_LIMIT_OPTIONS)) {
    assert.ok(text.includes(`| \`--${flag}\` | \`${environment[0]}\` | ${fallbackText} | ${allowed} |`), flag);
  }
});
