import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { test } from "node:test";
import { JoinedPieces } from "./joined-pieces.js";

test("small pieces lie together, in order, and large ones by themselves", () => {
  const joined = new JoinedPieces();
  const pieces: Buffer[] = [];
  const all: Buffer[] = [];
  const lengths = [1, 1, 1_024, 1_025, 1, 5_000, ...Array<number>(40_000).fill(1), 300, 20_000, 2, 3];
  for (const [index, length] of lengths.entries()) {
    const piece = Buffer.alloc(length, index);
    all.push(piece);
    const longer = joined.join(pieces.at(-1), piece);
    if (longer === undefined) pieces.push(piece);
    else pieces[pieces.length - 1] = longer;
  }
  assert.ok(Buffer.concat(pieces).equals(Buffer.concat(all)));
  assert.ok(pieces.length < 20, `${pieces.length} pieces`);
});

test("a piece that was taken is not written behind", () => {
  const joined = new JoinedPieces();
  const first = joined.join(Buffer.from("a"), Buffer.from("b"));
  assert.equal(first?.toString(), "ab");
  assert.equal(joined.join(undefined, Buffer.from("c")), undefined);
  assert.equal(joined.join(Buffer.from("c"), Buffer.from("d"))?.toString(), "cd");
  assert.equal(first?.toString(), "ab");
});
