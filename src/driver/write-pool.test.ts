import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { randomRun } from "../../test/support/random-run.js";
import { AssertionError } from "../assert.js";
import { WRITE_BLOCK_BYTES_MAX, WRITE_BLOCK_BYTES_MIN, WRITE_TIERS } from "../constants.js";
import { tierBytes, tierFor, WritePool } from "./write-pool.js";

test("tierFor() is the smallest tier whose blocks hold the size", () => {
  for (const size of [0, 1, 511, 512, 513, 1024, 1025, 4096, 32768, 32769, 65535, 65536]) {
    const tier = tierFor(size);
    assert.ok(tierBytes(tier) >= size);
    assert.ok(tier === 0 || tierBytes(tier - 1) < size, `a smaller tier holds ${size}`);
  }
  assert.equal(tierFor(WRITE_BLOCK_BYTES_MAX), WRITE_TIERS - 1);
  assert.throws(() => tierFor(WRITE_BLOCK_BYTES_MAX + 1), AssertionError);
});

test("WritePool.release() throws when the block is free or no block", () => {
  const pool = new WritePool(WRITE_BLOCK_BYTES_MAX);
  const block = pool.acquire(0);
  pool.release(block);
  assert.throws(() => pool.release(block), AssertionError);
  assert.throws(() => pool.release(pool.bytes.length), AssertionError);
});

test("WritePool.acquire() uses every byte of every tier", () => {
  for (let tier = 0; tier < WRITE_TIERS; tier++) {
    const pool = new WritePool(3 * WRITE_BLOCK_BYTES_MAX);
    const blocks = new Set<number>();
    for (let block = pool.acquire(tier); block !== -1; block = pool.acquire(tier)) {
      assert.equal(pool.sizeOf(block), tierBytes(tier));
      blocks.add(block);
    }
    assert.equal(blocks.size * tierBytes(tier), pool.bytes.length);
    for (const block of blocks) pool.release(block);
    assert.equal(pool.blocksNow, 0);
  }
});

test("WritePool.acquire() finds an empty chunk that another tier keeps beside a chunk in use", () => {
  const pool = new WritePool(2 * WRITE_BLOCK_BYTES_MAX);
  const small: number[] = [];
  for (let block = pool.acquire(0); block !== -1; block = pool.acquire(0)) small.push(block);
  const firstChunk = small.filter((block) => block < WRITE_BLOCK_BYTES_MAX);
  for (const block of firstChunk) pool.release(block);
  const [inSecond] = small.filter((block) => block >= WRITE_BLOCK_BYTES_MAX);
  pool.release(inSecond!);
  assert.notEqual(pool.acquire(WRITE_TIERS - 1), -1);
});

test("WritePool keeps to a model under random acquires and releases", () => {
  // Mostly large blocks, so that chunks are filled and emptied again and again.
  const tier = fc.oneof(
    { weight: 4, arbitrary: fc.integer({ min: 5, max: 7 }) },
    { weight: 1, arbitrary: fc.integer({ min: 0, max: 7 }) },
  );
  const steps = fc.array(fc.record({ tier, isRelease: fc.boolean(), pick: fc.nat() }), {
    minLength: 20,
    maxLength: 300,
  });
  const property = fc.property(fc.integer({ min: 1, max: 4 }), steps, (chunks, plan) => {
    const pool = new WritePool(chunks * WRITE_BLOCK_BYTES_MAX);
    const taken = new Map<number, number>();
    for (const { tier, isRelease, pick } of plan) {
      if (!isRelease) acquireAndCheck(pool, taken, tier, chunks);
      else if (taken.size > 0) releaseOne(pool, taken, pick);
      assert.equal(pool.blocksNow, taken.size);
    }
    for (const block of taken.keys()) pool.release(block);
    assert.equal(pool.blocksNow, 0);
    // An empty pool can give all of its chunks to any tier.
    for (let chunk = 0; chunk < chunks; chunk++) assert.notEqual(pool.acquire(WRITE_TIERS - 1), -1);
  });
  fc.assert(property, randomRun("WritePool", 300));
});

/** The model: a block is free memory, aligned, and there is one unless each chunk is full or used by another tier. */
function acquireAndCheck(pool: WritePool, taken: Map<number, number>, tier: number, chunks: number): void {
  const size = tierBytes(tier);
  const block = pool.acquire(tier);
  if (block === -1) {
    for (let chunk = 0; chunk < chunks; chunk++) {
      const inside = [...taken].filter(([offset]) => Math.floor(offset / WRITE_BLOCK_BYTES_MAX) === chunk);
      assert.ok(inside.length > 0, "a pool with an empty chunk is not exhausted");
      const isSameTier = inside[0]![1] === size;
      assert.ok(
        !isSameTier || inside.length * size === WRITE_BLOCK_BYTES_MAX,
        "a pool with a free block of the tier is not exhausted",
      );
    }
    return;
  }
  assert.equal(block % WRITE_BLOCK_BYTES_MIN, 0);
  assert.ok(block >= 0 && block + size <= pool.bytes.length);
  assert.equal(
    Math.floor(block / WRITE_BLOCK_BYTES_MAX),
    Math.floor((block + size - 1) / WRITE_BLOCK_BYTES_MAX),
    "a block lies in one chunk",
  );
  for (const [offset, length] of taken)
    assert.ok(block + size <= offset || offset + length <= block, "blocks do not overlap");
  taken.set(block, size);
}

function releaseOne(pool: WritePool, taken: Map<number, number>, pick: number): void {
  const block = [...taken.keys()][pick % taken.size]!;
  assert.equal(pool.sizeOf(block), taken.get(block));
  pool.release(block);
  taken.delete(block);
}
