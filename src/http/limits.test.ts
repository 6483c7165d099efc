import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { HTTP_LIMITS, type HttpLimits, resolveHttpLimits } from "./limits.js";

test("resolveHttpLimits() fills in every default", () => {
  const limits = resolveHttpLimits();
  for (const [name, { fallback, min, max }] of Object.entries(HTTP_LIMITS)) {
    assert.equal(limits[name as keyof HttpLimits], fallback);
    assert.ok(fallback >= min && fallback <= max, name);
  }
});

test("resolveHttpLimits() throws for unknown names and values outside their bounds", () => {
  const invalid = { code: "ERR_RINGLOOM_INVALID_OPTION" };
  assert.throws(() => resolveHttpLimits({ heddersMax: 3 } as Partial<HttpLimits>), invalid);
  assert.throws(() => resolveHttpLimits({ headersMax: 3 }), {
    ...invalid,
    message: /headersMax 3: a whole number from 4 to 1000/,
  });
  assert.throws(() => resolveHttpLimits({ headersMax: 10.5 }), invalid);
  assert.throws(() => resolveHttpLimits({ idleTimeoutMs: -1 }), invalid);
  assert.throws(() => resolveHttpLimits({ headersMax: "10" as unknown as number }), invalid);
  assert.throws(() => resolveHttpLimits({ headerBytesMax: 256, urlBytesMax: 300 }), invalid);
});

test("docs/http.md lists every limit with its default", () => {
  const documentation = readFileSync(new URL("../../../docs/http.md", import.meta.url), "utf8");
  for (const [name, { fallback, description }] of Object.entries(HTTP_LIMITS)) {
    assert.ok(documentation.includes(`| \`${name}\` | ${fallback} | ${description} |`), name);
  }
});
