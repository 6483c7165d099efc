import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { queryRecord, queryValue, queryValues } from "./query.js";

test("queryValue() finds the first value and decodes it", () => {
  assert.equal(queryValue("a=1&b=2&a=3", "a"), "1");
  assert.equal(queryValue("a=1&b=2", "b"), "2");
  assert.equal(queryValue("a=x+y%26z", "a"), "x y&z");
  assert.equal(queryValue("a%5B%5D=1", "a[]"), "1");
  assert.equal(queryValue("a", "a"), "");
  assert.equal(queryValue("a=", "a"), "");
  assert.equal(queryValue("ab=1", "a"), undefined);
  assert.equal(queryValue("", "a"), undefined);
});

test("queryValue() agrees with URLSearchParams, broken escapes included", () => {
  const piece = fc.constantFrom("a", "b", "=", "&", "+", "%", "%41", "%C3%A9", "%ff", "é", "c");
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
      const query = pieces.join("");
      const standard = new URLSearchParams(query);
      for (const name of ["a", "b", "c", "A", "ab"]) {
        assert.equal(queryValue(query, name), standard.get(name) ?? undefined, query);
      }
    }),
  );
});

test("queryValues() and queryRecord() give all of them", () => {
  assert.deepEqual(queryValues("a=1&b=2&a=3", "a"), ["1", "3"]);
  assert.deepEqual({ ...queryRecord("a=1&b=2&a=3") }, { a: "3", b: "2" });
});
