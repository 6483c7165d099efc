import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { randomRun } from "../../test/support/random-run.js";
import { AssertionError } from "../assert.js";
import { DRAIN_LOW_WATER_BYTES, SHARED_REFERENCES_MAX, WRITE_BLOCK_BYTES_MAX } from "../constants.js";
import { Outbox, type OutboxOwner } from "./outbox.js";
import { WritePool } from "./write-pool.js";

const SLOTS = 3;

/** An owner that remembers what it was told, and a kernel that takes as many bytes as a test wants. */
class Bench implements OutboxOwner {
  readonly pool: WritePool;
  readonly outbox: Outbox;
  readonly sending: ({ readonly offset: number; readonly length: number } | undefined)[] = [];
  readonly wire: number[][] = Array.from({ length: SLOTS }, () => []);
  readonly committed: number[][] = Array.from({ length: SLOTS }, () => []);
  readonly emptied: number[] = [];
  readonly drained: number[] = [];
  dirtyCount = 0;
  sendCount = 0;

  constructor(chunks = 4) {
    this.pool = new WritePool(chunks * WRITE_BLOCK_BYTES_MAX);
    this.outbox = new Outbox(this.pool, SLOTS, this);
  }

  startSend(slot: number, offset: number, length: number): void {
    assert.equal(this.sending[slot], undefined, "one send at a time");
    assert.ok(length > 0);
    this.sendCount += 1;
    this.sending[slot] = { offset, length };
  }

  outboxEmptied(slot: number): void {
    this.emptied.push(slot);
  }

  outboxDrained(slot: number): void {
    assert.ok(this.outbox.queuedBytes(slot) <= DRAIN_LOW_WATER_BYTES);
    this.drained.push(slot);
  }

  outboxDirty(): void {
    this.dirtyCount += 1;
  }

  /** Writes the next `length` bytes of the slot's sequence. False when the pool is exhausted. */
  write(slot: number, length: number, reserveLength = length): boolean {
    const offset = this.outbox.reserve(slot, reserveLength);
    if (offset === -1) return false;
    const start = this.committed[slot]!.length;
    for (let index = 0; index < length; index++) {
      const byte = (start + index) % 251;
      this.pool.bytes[offset + index] = byte;
      this.committed[slot]!.push(byte);
    }
    // What lies behind the commit must never be sent.
    this.pool.bytes.fill(255, offset + length, offset + reserveLength);
    this.outbox.commit(slot, length);
    return true;
  }

  /** Shares one copy of `length` bytes between slots, and forgets about it. */
  share(slots: readonly number[], length: number): void {
    const bytes = Uint8Array.from({ length }, (_, index) => (index * 7 + length) % 251);
    const shared = this.outbox.share(bytes);
    if (shared === -1) return;
    for (const slot of slots) {
      assert.ok(this.outbox.commitShared(slot, shared));
      for (const byte of bytes) this.committed[slot]!.push(byte);
    }
    this.outbox.unshare(shared);
  }

  /** The kernel takes at most `limit` bytes of the send under way. */
  take(slot: number, limit = Number.POSITIVE_INFINITY): void {
    const send = this.sending[slot];
    if (send === undefined) return;
    const count = Math.min(limit, send.length);
    for (let index = 0; index < count; index++) this.wire[slot]!.push(this.pool.bytes[send.offset + index]!);
    this.sending[slot] = undefined;
    this.outbox.sent(slot, count);
  }

  /** Flushes and takes until nothing is queued. */
  settle(): void {
    for (let round = 0; round < 10_000; round++) {
      this.outbox.flush();
      if (this.sending.every((send) => send === undefined) && !this.outbox.hasDrained) return;
      this.outbox.deliverDrained();
      for (let slot = 0; slot < SLOTS; slot++) this.take(slot);
    }
    assert.fail("the outbox does not settle");
  }

  drop(slot: number): void {
    this.outbox.drop(slot);
    this.sending[slot] = undefined;
    this.wire[slot] = [];
    this.committed[slot] = [];
  }
}

test("Outbox.flush() starts one send for what one turn committed when it fits 64 KiB", () => {
  const bench = new Bench();
  for (let index = 0; index < 200; index++) assert.ok(bench.write(0, 300));
  bench.outbox.flush();
  assert.equal(bench.sendCount, 1);
  assert.deepEqual(bench.sending[0]?.length, 60_000);
  bench.take(0);
  assert.deepEqual(bench.wire[0], bench.committed[0]);
  assert.deepEqual(bench.emptied, [0]);
  assert.equal(bench.pool.blocksNow, 0);
});

test("Outbox.commit() tells of the first dirty connection once a turn", () => {
  const bench = new Bench();
  bench.write(0, 10);
  bench.write(0, 10);
  bench.write(1, 10);
  assert.equal(bench.dirtyCount, 1);
  assert.equal(bench.outbox.hasDirty, true);
  bench.outbox.flush();
  assert.equal(bench.outbox.hasDirty, false);
  bench.write(2, 10);
  assert.equal(bench.dirtyCount, 2);
});

test("Outbox.reserve() never gives room in a block that is being sent", () => {
  const bench = new Bench();
  bench.write(0, 10);
  bench.outbox.flush();
  const { offset } = bench.sending[0]!;
  const next = bench.outbox.reserve(0, 10);
  assert.notEqual(Math.floor(next / 512), Math.floor(offset / 512));
  bench.outbox.abort(0);
  assert.equal(bench.pool.blocksNow, 1);
});

test("Outbox throws when a second reservation is opened, or another slot or more bytes are committed", () => {
  const bench = new Bench();
  bench.outbox.reserve(0, 10);
  assert.equal(bench.outbox.reservedSlot, 0);
  assert.throws(() => bench.outbox.reserve(1, 10), AssertionError);
  assert.throws(() => bench.outbox.commit(1, 10), AssertionError);
  assert.throws(() => bench.outbox.commit(0, 11), AssertionError);
});

test("Outbox.sent() sends the rest of a block with the next flush when the kernel took a part", () => {
  const bench = new Bench();
  bench.write(0, 1000);
  bench.outbox.flush();
  bench.take(0, 300);
  assert.equal(bench.outbox.queuedBytes(0), 700);
  bench.outbox.flush();
  assert.equal(bench.sending[0]?.length, 700);
  bench.take(0, 0);
  bench.outbox.flush();
  assert.equal(bench.sending[0]?.length, 700);
  bench.take(0);
  assert.deepEqual(bench.wire[0], bench.committed[0]);
  assert.equal(bench.pool.blocksNow, 0);
});

test("Outbox.drop() gives every block and an open reservation back, also of a slot that is dirty", () => {
  const bench = new Bench();
  for (let index = 0; index < 3; index++) bench.write(0, WRITE_BLOCK_BYTES_MAX);
  bench.outbox.flush();
  bench.outbox.reserve(0, 100);
  bench.drop(0);
  assert.equal(bench.outbox.reservedSlot, -1);
  assert.equal(bench.pool.blocksNow, 0);
  assert.equal(bench.outbox.queuedBytes(0), 0);
  bench.write(0, 5);
  bench.settle();
  assert.deepEqual(bench.wire[0], bench.committed[0]);
});

test("Outbox.drop() forgets a request to be told when drained", () => {
  const bench = new Bench();
  bench.outbox.requestDrained(0);
  bench.drop(0);
  bench.settle();
  bench.outbox.requestDrained(0);
  bench.outbox.flush();
  bench.drop(0);
  bench.settle();
  assert.deepEqual(bench.drained, []);
});

test("Outbox.deliverDrained() leaves what a callback asks for to the next call, and waits when more was committed meanwhile", () => {
  const bench = new Bench();
  let again = 3;
  bench.outboxDrained = (slot) => {
    bench.drained.push(slot);
    if (again-- > 0) bench.outbox.requestDrained(slot);
    bench.outbox.flush();
  };
  bench.outbox.requestDrained(0);
  bench.outbox.flush();
  for (let call = 1; call <= 4; call++) {
    bench.outbox.deliverDrained();
    assert.equal(bench.drained.length, call);
  }
  assert.equal(bench.outbox.hasDrained, false);
  bench.outbox.requestDrained(1);
  bench.outbox.flush();
  bench.write(1, WRITE_BLOCK_BYTES_MAX);
  bench.outbox.deliverDrained();
  assert.equal(bench.drained.length, 4);
  bench.settle();
  assert.equal(bench.drained.length, 5);
});

test("Outbox.reserve() falls back to a smaller block when the pool has no large one", () => {
  const bench = new Bench(1);
  for (let index = 0; index < 127; index++) assert.ok(bench.write(0, 512));
  assert.ok(bench.write(1, 512));
  assert.equal(bench.outbox.reserve(1, 1), -1);
  assert.equal(bench.outbox.reservedSlot, -1);
  bench.settle();
  assert.deepEqual(bench.wire, bench.committed);
});

test("Outbox.commitShared() keeps one copy for all connections, in order with what is copied, until the last has sent it", () => {
  const bench = new Bench();
  bench.write(0, 100);
  bench.share([0, 1, 2, 0], 5_000);
  bench.write(0, 50);
  assert.equal(bench.pool.blocksNow, 3, "what slot 0 wrote before and after, and one copy");
  assert.equal(bench.outbox.queuedBytes(0), 10_150);
  bench.drop(2);
  bench.settle();
  assert.deepEqual(bench.wire, bench.committed);
  assert.equal(bench.sendCount, 5);
  assert.equal(bench.pool.blocksNow, 0);
});

test("Outbox.commitShared() refuses when too many references wait, and goes on when they have gone", () => {
  const bench = new Bench();
  const shared = bench.outbox.share(Buffer.from("shared"));
  for (let count = 0; count < SHARED_REFERENCES_MAX; count++) assert.ok(bench.outbox.commitShared(0, shared));
  assert.equal(bench.outbox.commitShared(1, shared), false);
  assert.equal(bench.outbox.queuedBytes(1), 0);
  bench.drop(0);
  assert.equal(bench.outbox.commitShared(1, shared), true);
  bench.outbox.unshare(shared);
  assert.equal(bench.pool.blocksNow, 1);
  bench.drop(1);
  assert.equal(bench.pool.blocksNow, 0);
});

const slot = fc.integer({ min: 0, max: SLOTS - 1 });
const size = fc.oneof(fc.integer({ min: 1, max: 600 }), fc.integer({ min: 1, max: WRITE_BLOCK_BYTES_MAX }));
const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant("write" as const), slot, size, unused: fc.integer({ min: 0, max: 700 }) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("abort" as const), slot, size }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant("share" as const), slots: fc.array(slot, { maxLength: 4 }), size }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("flush" as const) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("take" as const),
      slot,
      size: fc.oneof(fc.nat(1000), fc.constant(WRITE_BLOCK_BYTES_MAX)),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("drained" as const), slot }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("drop" as const), slot }) },
);

test("Outbox keeps to a model of byte queues under random writes, partial sends and drops", () => {
  const property = fc.property(fc.integer({ min: 1, max: 4 }), fc.array(step, { maxLength: 60 }), (chunks, steps) => {
    const bench = new Bench(chunks);
    const wanting = new Set<number>();
    for (const action of steps) {
      if (action.kind === "write")
        bench.write(action.slot, action.size, Math.min(action.size + action.unused, WRITE_BLOCK_BYTES_MAX));
      else if (action.kind === "share") bench.share(action.slots, action.size);
      else if (action.kind === "abort") abortOne(bench, action.slot, action.size);
      else if (action.kind === "flush") {
        bench.outbox.deliverDrained();
        bench.outbox.flush();
      } else if (action.kind === "take") bench.take(action.slot, action.size);
      else if (action.kind === "drop") {
        bench.drop(action.slot);
        wanting.delete(action.slot);
      } else {
        bench.outbox.requestDrained(action.slot);
        wanting.add(action.slot);
      }
      for (const told of bench.drained.splice(0))
        assert.equal(wanting.delete(told), true, "drained is told once for a request");
      for (let index = 0; index < SLOTS; index++) {
        assert.equal(bench.outbox.queuedBytes(index), bench.committed[index]!.length - bench.wire[index]!.length);
      }
    }
    bench.settle();
    for (const told of bench.drained) wanting.delete(told);
    assert.equal(wanting.size, 0, "every request to be told was answered");
    assert.deepEqual(bench.wire, bench.committed);
    assert.equal(bench.pool.blocksNow, 0);
  });
  fc.assert(property, randomRun("Outbox", 150));
});

function abortOne(bench: Bench, index: number, length: number): void {
  if (bench.outbox.reserve(index, length) === -1) return;
  bench.outbox.abort(index);
}
