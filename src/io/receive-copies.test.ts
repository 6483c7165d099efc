import assert from "node:assert/strict";
import { test } from "node:test";
import { ReceiveCopies } from "./receive-copies.js";

test("ReceiveCopies.copy() gives memory that later copies and the source leave alone", () => {
  const copies = new ReceiveCopies();
  for (const source of [new Uint8Array(70_000), Buffer.alloc(70_000)]) {
    const kept: Buffer[] = [];
    for (let index = 0; index < 200; index++) {
      const length = index % 20 === 19 ? 50_000 : 1 + index * 7;
      source.fill(index, 10, 10 + length);
      const copied = copies.copy(source, 10, length);
      assert.equal(copied.length, length);
      kept.push(copied);
      source.fill(255);
    }
    for (const [index, copied] of kept.entries()) assert.ok(copied.every((byte) => byte === index));
  }
});

test("ReceiveCopies.copy() shares blocks among small pieces only", () => {
  const copies = new ReceiveCopies();
  const source = new Uint8Array(64 * 1024);
  const [one, two] = [copies.copy(source, 0, 100), copies.copy(source, 0, 100)];
  assert.equal(one.buffer, two.buffer);
  assert.equal(two.byteOffset, one.byteOffset + 100);
  assert.equal(copies.copy(source, 0, 60_000).buffer.byteLength, 60_000);
});
