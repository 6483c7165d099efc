import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { RingloomError } from "../errors.js";
import { lifeOf, Slab, type SlabShape, slabLength } from "../shared/slab.js";
import { SharedWords } from "../shared/words.js";
import { CARGO_REFUSED, Cargo } from "./cargo.js";

const SHAPE: SlabShape = { base: 64, lives: 1, deaths: 0, threads: 2, unitWords: 16, chunkUnits: 64, chunks: 2 };
const SLOT = 32;
/** The words begin somewhere within the memory. */
const BYTE_OFFSET = 256;

function rig() {
  const memory = new SharedArrayBuffer(BYTE_OFFSET + (SHAPE.base + slabLength(SHAPE)) * 4);
  const words = new SharedWords(memory, BYTE_OFFSET);
  const threads = [0, 1].map((thread) => {
    words.store(SHAPE.lives + thread, lifeOf(thread, thread + 1));
    const slab = new Slab(words, SHAPE, thread);
    return { slab, cargo: new Cargo(words, slab, memory, BYTE_OFFSET) };
  });
  const [sender, receiver] = threads;
  assert.ok(sender !== undefined && receiver !== undefined);
  return { words, sender, receiver };
}

describe("Cargo", () => {
  it("carries values from one thread's region to another thread, and the block home", () => {
    const { words, sender, receiver } = rig();
    const values = [["x".repeat(64), 320], undefined, { rows: [1, 2, { a: new Uint8Array(100) }] }, "y".repeat(3000)];
    for (const value of values) {
      const reference = sender.cargo.put(value);
      assert.notEqual(reference, CARGO_REFUSED);
      sender.slab.lendAt(SLOT, reference);
      assert.deepEqual(receiver.cargo.read(words.load(SLOT)), value);
      assert.equal(receiver.slab.releaseAt(SLOT), true);
      assert.equal(sender.slab.collect(), 1);
    }
    assert.equal(sender.slab.blocksNow, 0);
    assert.deepEqual(sender.cargo.counts, { encoded: values.length, notEncodable: 0, tooLarge: 0, noRoom: 0 });
  });

  it("finds a larger block when the estimate was too small", () => {
    const { sender } = rig();
    const value = { a: { b: "日".repeat(1500) } };
    const reference = sender.cargo.put(value);
    assert.deepEqual(sender.cargo.read(reference), value);
    assert.equal(sender.slab.blocksNow, 1);
  });

  it("refuses and counts what cannot go, and keeps no block of it", () => {
    const { sender } = rig();
    assert.equal(sender.cargo.put([() => 1]), CARGO_REFUSED);
    assert.equal(sender.cargo.put(new Uint8Array(SHAPE.chunkUnits * SHAPE.unitWords * 4)), CARGO_REFUSED);
    assert.equal(sender.cargo.put({ a: { b: "日".repeat(5000) } }), CARGO_REFUSED);
    const failure = new Error("no");
    const throwing = {
      get a(): never {
        throw failure;
      },
    };
    assert.throws(() => sender.cargo.put(throwing), failure);
    assert.equal(sender.slab.blocksNow, 0);
    const full = [sender.cargo.put("x".repeat(3000)), sender.cargo.put("x".repeat(3000))];
    assert.ok(full.every((reference) => reference !== CARGO_REFUSED));
    assert.equal(sender.cargo.put("x"), CARGO_REFUSED);
    assert.deepEqual(sender.cargo.counts, { encoded: 2, notEncodable: 1, tooLarge: 2, noRoom: 1 });
  });

  it("read() throws ERR_RINGLOOM_BAD_ENCODING when the length is damaged", () => {
    const { words, sender } = rig();
    const reference = sender.cargo.put("text");
    for (const length of [0, -1, 3, 6, 0x7fff_ffff]) {
      words.write(sender.slab.wordOf(reference), length);
      assert.throws(
        () => sender.cargo.read(reference),
        (error) => error instanceof RingloomError && error.code === "ERR_RINGLOOM_BAD_ENCODING",
      );
    }
  });
});
