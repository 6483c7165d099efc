import assert from "node:assert/strict";
import { test } from "node:test";
import { HttpError } from "./http-error.js";
import { LARGE_BODY_BYTES_MIN, LargeBodyPool } from "./large-body-pool.js";

test("LargeBodyPool.acquire() throws 503 and counts it when every place is taken", () => {
  const pool = new LargeBodyPool({ blocks: 2 });
  const first = pool.acquire(40_000, true);
  pool.acquire(40_000, false);
  assert.throws(
    () => pool.acquire(40_000, true),
    (error) => error instanceof HttpError && error.code === "ERR_RINGLOOM_OVERLOADED" && error.status === 503,
  );
  assert.equal(pool.exhausted, 1);
  pool.release(first);
  pool.acquire(40_000, true);
  assert.equal(pool.inUse, 2);
});

test("LargeBodyPool.acquire() gives memory of exactly the body's size when the user keeps it", () => {
  const pool = new LargeBodyPool();
  const { bytes, reusable } = pool.acquire(40_001, true);
  assert.equal(bytes.length, 40_001);
  assert.equal(bytes.buffer.byteLength, 40_001);
  assert.equal(reusable, false);
});

test("LargeBodyPool.release() has the next body use a block again when nobody keeps it", () => {
  const pool = new LargeBodyPool({ blockBytes: LARGE_BODY_BYTES_MIN });
  const first = pool.acquire(LARGE_BODY_BYTES_MIN, false);
  assert.equal(first.reusable, true);
  pool.release(first);
  assert.equal(pool.freeBlocks, 1);
  assert.equal(pool.acquire(LARGE_BODY_BYTES_MIN, false).bytes, first.bytes);
  assert.equal(pool.freeBlocks, 0);
});

test("LargeBodyPool.acquire() allocates when a body is larger than a block", () => {
  const pool = new LargeBodyPool({ blockBytes: LARGE_BODY_BYTES_MIN });
  const body = pool.acquire(LARGE_BODY_BYTES_MIN + 1, false);
  assert.equal(body.bytes.length, LARGE_BODY_BYTES_MIN + 1);
  pool.release(body);
  assert.equal(pool.freeBlocks, 0);
  assert.equal(pool.inUse, 0);
});

test("LargeBodyPool.release() asserts when a block is released twice", () => {
  const pool = new LargeBodyPool();
  const body = pool.acquire(1, false);
  pool.acquire(1, false);
  pool.release(body);
  assert.throws(() => pool.release(body), { code: "ERR_RINGLOOM_ASSERTION" });
});

test("LargeBodyPool.constructor() throws RangeError when a size is out of range", () => {
  assert.throws(() => new LargeBodyPool({ blocks: 0 }), RangeError);
  assert.throws(() => new LargeBodyPool({ blockBytes: 1024 }), RangeError);
});
