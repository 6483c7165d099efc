import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { headerBytes, unmask, writeHeader } from "./frame.js";
import { announcedBytes, lengthEnd } from "./partial-frame.js";
import { textOf } from "./text.js";

const PARAMETERS = { seed: Number(process.env.RINGLOOM_SEED ?? Date.now() % 2 ** 31), numRuns: 300 };

function viewOf(bytes: Buffer): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}

test("unmask() takes the mask off any part of a payload, and touches nothing beside it", () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 70 }),
      fc.uint8Array({ minLength: 4, maxLength: 4 }),
      fc.nat(9),
      fc.nat(70),
      (payload, mask, before, cutAt) => {
        const cut = Math.min(cutAt, payload.length);
        const bytes = Buffer.alloc(before + payload.length + 5, 0xee);
        payload.forEach((byte, index) => {
          bytes[before + index] = byte ^ mask[index & 3]!;
        });
        const key = Buffer.from(mask).readInt32LE(0);
        unmask(viewOf(bytes), before, cut, key, 0);
        unmask(viewOf(bytes), before + cut, payload.length - cut, key, cut);
        assert.deepEqual([...bytes.subarray(before, before + payload.length)], [...payload]);
        assert.ok(bytes.subarray(0, before).every((byte) => byte === 0xee));
        assert.ok(bytes.subarray(before + payload.length).every((byte) => byte === 0xee));
      },
    ),
    PARAMETERS,
  );
});

test("writeHeader() writes the length in its shortest form, which announcedBytes() reads", () => {
  for (const length of [0, 1, 125, 126, 127, 65_535, 65_536, 2 ** 32 - 1, 2 ** 32, 2 ** 40 + 5]) {
    const out = Buffer.alloc(10);
    const end = writeHeader(out, 0, 2, length);
    assert.equal(end, headerBytes(length));
    assert.equal(lengthEnd(out[1]!), end);
    assert.equal(announcedBytes(out, 0), length);
    assert.equal(out[0], 0x82);
  }
});

test("textOf() reads ASCII and UTF-8, and refuses what is neither", () => {
  const check = (bytes: Buffer, expected: string | undefined): void => {
    const padded = Buffer.concat([Buffer.from("ab"), bytes, Buffer.from("\u00ff", "latin1")]);
    assert.equal(textOf(padded, viewOf(padded), 2, bytes.length), expected);
  };
  for (const text of ["", "a", "seven b", "eight by", "exactly nine", "grüße", "🙂".repeat(20), "\u0000"])
    check(Buffer.from(text), text);
  for (const bad of [[0x80], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80], [0xe2, 0x82]])
    check(Buffer.from(bad), undefined);
});
