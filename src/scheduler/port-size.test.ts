import assert from "node:assert/strict";
import { test } from "node:test";
import { toPortForm } from "./port-form.js";
import { portSize } from "./port-size.js";

const MIB = 1_048_576;

/** In MiB, rounded. */
function sizeOf(value: unknown): number {
  return Math.round(portSize(toPortForm(value).value) / MIB);
}

test("portSize() counts strings and binary data wherever they are", () => {
  const bytes = new Uint8Array(MIB);
  assert.equal(sizeOf(bytes), 1);
  assert.equal(sizeOf("a".repeat(3 * MIB)), 3);
  assert.equal(sizeOf({ a: [bytes.slice(), { b: new ArrayBuffer(2 * MIB) }] }), 3);
  assert.equal(sizeOf(new Map([[new Uint8Array(MIB), new Set([new Float64Array(MIB / 4)])]])), 3);
  assert.equal(sizeOf(Object.assign(new (class Box {})(), { bytes })), 1);
  assert.equal(sizeOf(new Array(200_000).fill(0)), 2);
});

test("portSize() counts a buffer once, and of a copied view its own bytes", () => {
  const buffer = new ArrayBuffer(4 * MIB);
  assert.equal(sizeOf([new Uint8Array(buffer), new Uint8Array(buffer), buffer]), 4);
  assert.equal(sizeOf(new Uint8Array(buffer, 0, MIB)), 1);
  assert.equal(sizeOf(new Uint8Array(new SharedArrayBuffer(4 * MIB))), 0);
  const ring: unknown[] = [buffer];
  ring.push(ring);
  assert.equal(sizeOf(ring), 4);
});
