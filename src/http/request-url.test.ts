import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { HttpError } from "./http-error.js";
import { originOf, requestUrl } from "./request-url.js";

const ORIGIN = "http://example.org:9090";

test("requestUrl() gives what the URL parser gives when the target is any ASCII text", () => {
  const target = fc
    .array(
      fc.oneof(
        fc.constantFrom("/", ".", "..", "%2e", "%2E", "?", "#", "\\", "a", "%41", "'", " ", "//"),
        fc.string({ maxLength: 3 }),
      ),
    )
    .map((parts) => `/${parts.join("")}`.replace(/[^\x20-\x7e]/g, "~"));
  fc.assert(
    fc.property(target, (text) => {
      assert.equal(requestUrl(ORIGIN, text), new URL(ORIGIN + text).href);
    }),
    { numRuns: 2000 },
  );
});

test("requestUrl() reads bytes above 0x7f as UTF-8", () => {
  const target = Buffer.from("/grün?q=€").toString("latin1");
  assert.equal(requestUrl(ORIGIN, target), new URL(`${ORIGIN}/grün?q=€`).href);
});

test("requestUrl() takes the authority of an absolute target, and keeps an asterisk", () => {
  assert.equal(requestUrl(ORIGIN, "http://other.test/a/../b"), "http://other.test/b");
  assert.equal(requestUrl(ORIGIN, "*"), `${ORIGIN}/*`);
});

test("requestUrl() throws 400 when the target is no URL", () => {
  for (const target of ["http://", "hello", ""]) {
    assert.throws(
      () => requestUrl(ORIGIN, target),
      (error) => error instanceof HttpError && error.status === 400,
    );
  }
});

test("originOf() normalises the host as the URL parser does", () => {
  assert.equal(originOf("Example.ORG:80"), "http://example.org");
  assert.equal(originOf("example.org:9090"), ORIGIN);
  assert.equal(originOf("[::1]:8080"), "http://[::1]:8080");
  for (let index = 0; index < 600; index++) assert.equal(originOf(`host${index}`), `http://host${index}`);
  assert.equal(originOf("Example.ORG:80"), "http://example.org");
});

test("originOf() throws 400 when the host is no authority", () => {
  for (const host of [
    "",
    "a b",
    "user@example.org",
    "example.org/path",
    "example.org?x",
    "a#b",
    "a\\b",
    "[::1",
    "256.256.256.256",
    "a:99999",
  ]) {
    assert.throws(
      () => originOf(host),
      (error) => error instanceof HttpError && error.status === 400,
      host,
    );
  }
});
