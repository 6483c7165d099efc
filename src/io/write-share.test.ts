import assert from "node:assert/strict";
import { test } from "node:test";
import { WRITE_BLOCK_BYTES_MIN } from "../constants.js";
import { mayQueue, QUEUED_BYTES_MAX, writeShare } from "./write-share.js";

const KIB = 1024;
const MIB = 1024 * KIB;

function pool(sizeBytes: number, takenBytes: number): { writeBytes: Uint8Array; writeRoomBytes: number } {
  return { writeBytes: { length: sizeBytes } as Uint8Array, writeRoomBytes: sizeBytes - takenBytes };
}

test("writeShare() is what keeps a fast peer busy while the pool is empty, and less the fuller it is", () => {
  assert.equal(writeShare(pool(16 * MIB, 0), QUEUED_BYTES_MAX), 256 * KIB);
  assert.equal(writeShare(pool(16 * MIB, 8 * MIB), QUEUED_BYTES_MAX), 128 * KIB);
  assert.equal(writeShare(pool(16 * MIB, 0), 1_000), 1_000);
});

test("writeShare() gives half of the pool to whoever comes", () => {
  assert.equal(writeShare(pool(4 * MIB, 0), MIB), MIB);
  assert.equal(writeShare(pool(4 * MIB, MIB), MIB), MIB);
  assert.equal(writeShare(pool(4 * MIB, 1.5 * MIB), MIB), MIB / 2);
  assert.equal(writeShare(pool(4 * MIB, 2 * MIB), MIB), MIB / 32);
});

test("writeShare() keeps a quarter of the pool for smallest blocks, however many peers do not read", () => {
  const size = 16 * MIB;
  let taken = 0;
  for (let peer = 0; peer < 5_000; peer++) taken += writeShare(pool(size, taken), QUEUED_BYTES_MAX);
  assert.equal(writeShare(pool(size, taken), QUEUED_BYTES_MAX), WRITE_BLOCK_BYTES_MIN);
  assert.ok(taken < size, `${taken} bytes are taken`);
});

test("mayQueue() allows a whole message to a connection with nothing queued, where the pool can spare it", () => {
  const half = pool(4 * MIB, 2 * MIB);
  assert.equal(mayQueue(half, { queued: 0, length: MIB, max: MIB }), true);
  assert.equal(mayQueue(half, { queued: 0, length: MIB + 1, max: MIB }), false);
  assert.equal(mayQueue(half, { queued: 1, length: 32 * KIB, max: MIB }), false);
  assert.equal(mayQueue(half, { queued: 1, length: 32 * KIB - 1, max: MIB }), true);
  assert.equal(mayQueue(pool(4 * MIB, 4 * MIB), { queued: 0, length: 512, max: MIB }), true);
});
