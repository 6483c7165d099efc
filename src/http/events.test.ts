import assert from "node:assert/strict";
import { test } from "node:test";
import { formatEvent } from "./events.js";

test("formatEvent() writes one data line per line of text, whatever ends it", () => {
  assert.equal(formatEvent({ data: "a\nb\r\nc\rd" }), "data: a\ndata: b\ndata: c\ndata: d\n\n");
  assert.equal(formatEvent({ data: { x: 1 } }), 'data: {"x":1}\n\n');
  assert.equal(formatEvent({ event: "e", id: "7", retryMs: 5, data: "" }), "event: e\nid: 7\nretry: 5\ndata: \n\n");
  assert.equal(formatEvent({ comment: "hi" }), ": hi\n\n");
});

test("formatEvent() throws for what would start another field", () => {
  assert.throws(() => formatEvent({ event: "a\ndata: b" }), TypeError);
  assert.throws(() => formatEvent({ id: "a\0" }), TypeError);
  assert.throws(() => formatEvent({ retryMs: -1 }), RangeError);
});
