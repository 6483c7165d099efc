import assert from "node:assert/strict";
import { test } from "node:test";
import { TrailerFields } from "./trailer-fields.js";

function add(fields: TrailerFields, isValue: boolean, text: string): boolean {
  return fields.add(isValue, Buffer.from(text, "latin1"), 0, text.length);
}

test("TrailerFields puts split names and values together and trims values", () => {
  const fields = new TrailerFields({ headersMax: 4, headerBytesMax: 100 });
  for (const [isValue, text] of [
    [false, "X"],
    [false, "-A"],
    [true, "1"],
    [true, "2 "],
    [false, "B"],
    [true, ""],
  ] as const) {
    assert.equal(add(fields, isValue, text), true);
  }
  assert.deepEqual(fields.list(), ["X-A", "12", "B", ""]);
});

test("TrailerFields.add() returns false beyond the limits", () => {
  const many = new TrailerFields({ headersMax: 1, headerBytesMax: 100 });
  assert.equal(add(many, false, "a") && add(many, true, "b"), true);
  assert.equal(add(many, false, "c"), false);
  assert.equal(add(new TrailerFields({ headersMax: 1, headerBytesMax: 3 }), false, "abcd"), false);
});
