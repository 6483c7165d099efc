import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { AssertionError } from "../assert.js";
import { emptyLane, LaneReceiver, LaneSender, laneLength, SUM_MAX } from "./lane.js";
import { SharedWords } from "./words.js";

function laneOf(capacity: number, indexBits = 32, startAt = 0) {
  const words = new SharedWords(new SharedArrayBuffer(laneLength(capacity) * 4));
  words.store(0, startAt);
  words.store(16, startAt);
  const shape = { base: 0, capacity, indexBits };
  return { words, shape, sender: new LaneSender(words, shape), receiver: new LaneReceiver(words, shape) };
}

function takeAll(receiver: LaneReceiver): [number, number][] {
  const taken: [number, number][] = [];
  while (receiver.next()) taken.push([receiver.first, receiver.second]);
  return taken;
}

describe("Lane", () => {
  it("tells its sender what was taken, also when the counters wrap and for what a dead sender has left", () => {
    const { words, shape, sender, receiver } = laneOf(4, 4, 14);
    const positions: number[] = [];
    for (let value = 0; value < 4; value++) {
      positions.push(sender.position);
      sender.push(value, 10 + value);
    }
    sender.flush();
    assert.deepEqual([sender.roomFor(1), sender.hasTaken(positions[0]!)], [0, false]);
    receiver.next();
    receiver.next();
    assert.equal(sender.roomFor(1), 0, "taken and not released");
    receiver.release();
    assert.equal(sender.roomFor(1), 2);
    assert.deepEqual(
      positions.map((position) => sender.hasTaken(position)),
      [true, true, false, false],
    );
    const left: [number, number, number][] = [];
    new LaneSender(words, shape).visitUnreleased((...message) => left.push(message));
    assert.deepEqual(left, [
      [positions[2], 2, 12],
      [positions[3], 3, 13],
    ]);
  });

  it("is emptied for a dead receiver: what it had not released is dropped, and what comes later stays", () => {
    const { words, shape, sender } = laneOf(4);
    const drops: number[] = [];
    emptyLane(words, shape, (end) => drops.push(end));
    assert.equal(drops.length, 0, "there was nothing to drop");
    const position = sender.position;
    sender.push(1, 1);
    sender.flush();
    emptyLane(words, shape, (end) => {
      sender.look();
      assert.equal(sender.hasTaken(position), false, "noted before the sender can see it");
      drops.push(end);
    });
    assert.deepEqual(drops, [sender.position]);
    sender.look();
    assert.equal(sender.hasTaken(position), true);
    assert.equal(sender.isBefore(position, sender.position), true);
    sender.push(2, 2);
    assert.equal(sender.flush(), true, "the lane was empty");
    assert.deepEqual(takeAll(new LaneReceiver(words, shape)), [[2, 2]]);
  });

  it("hands messages over in order, and only those that were flushed", () => {
    const { sender, receiver } = laneOf(8);
    assert.equal(sender.push(1, -7), true);
    assert.equal(sender.push(2, 0x7fff_ffff), true);
    assert.equal(receiver.next(), false);
    assert.equal(sender.unflushedCount, 2);
    sender.flush();
    sender.push(3, 0);
    assert.deepEqual(takeAll(receiver), [
      [1, -7],
      [2, 0x7fff_ffff],
    ]);
  });

  it("push() says no when the lane is full, until the receiver releases", () => {
    const { sender, receiver } = laneOf(2);
    assert.deepEqual([sender.push(1, 1), sender.push(2, 2), sender.push(3, 3)], [true, true, false]);
    sender.flush();
    assert.equal(receiver.next(), true);
    assert.equal(sender.push(3, 3), false, "a taken cell is the receiver's until it is released");
    receiver.release();
    assert.equal(sender.push(3, 3), true);
    assert.equal(sender.push(4, 4), false);
    sender.flush();
    assert.deepEqual(takeAll(receiver), [
      [2, 2],
      [3, 3],
    ]);
  });

  it("flush() asks for the doorbell only when the receiver had taken everything", () => {
    const { sender, receiver } = laneOf(8);
    assert.equal(sender.flush(), false, "nothing to flush");
    sender.push(1, 1);
    assert.equal(sender.flush(), true);
    sender.push(2, 2);
    assert.equal(sender.flush(), false, "the receiver has not released the first");
    takeAll(receiver);
    assert.equal(receiver.isIdle(), true);
    sender.push(3, 3);
    assert.equal(sender.flush(), true);
    assert.equal(receiver.isIdle(), false);
  });

  for (const [indexBits, startAt] of [
    [32, 0x7fff_fffe],
    [32, -3],
    [3, 5],
    [2, 3],
  ] as const) {
    it(`loses nothing when counters of ${indexBits} bits wrap from ${startAt}`, () => {
      const { sender, receiver } = laneOf(2, indexBits, startAt);
      const seen: number[] = [];
      for (let index = 0; index < 40; index++) {
        assert.equal(sender.push(index, 0), true);
        if (index % 2 === 0) continue;
        assert.equal(sender.push(99, 0), false, "full at exactly its capacity");
        sender.flush();
        seen.push(...takeAll(receiver).map(([first]) => first));
        receiver.release();
      }
      assert.deepEqual(seen, [...Array(40).keys()]);
    });
  }

  it("pushSum() adds to the newest message of its tag until that is flushed, and chunks at 2^32 - 1", () => {
    const { sender, receiver } = laneOf(8);
    sender.pushSum(7, 1);
    sender.pushSum(7, 2);
    sender.pushSum(8, 1);
    sender.pushSum(7, 4);
    sender.flush();
    sender.pushSum(7, SUM_MAX);
    sender.pushSum(7, 1);
    sender.flush();
    assert.deepEqual(
      takeAll(receiver).map(([first, second]) => [first, second >>> 0]),
      [
        [7, 3],
        [8, 1],
        [7, 4],
        [7, SUM_MAX],
        [7, 1],
      ],
    );
  });

  it("pushSum() still sums when the lane is full", () => {
    const { sender, receiver } = laneOf(1);
    assert.equal(sender.pushSum(7, 1), true);
    assert.equal(sender.pushSum(7, 1), true);
    assert.equal(sender.pushSum(8, 1), false);
    sender.flush();
    assert.equal(sender.pushSum(7, 1), false, "the flushed message is the receiver's");
    assert.deepEqual(takeAll(receiver), [[7, 2]]);
  });

  it("new ends go on where dead ones were: nothing published is lost, what was taken and not released comes again", () => {
    const { words, shape, sender, receiver } = laneOf(4);
    sender.push(1, 1);
    sender.push(2, 2);
    sender.flush();
    sender.push(3, 3);
    receiver.next();
    receiver.release();
    receiver.next();
    const successor = new LaneSender(words, shape);
    successor.push(4, 4);
    successor.flush();
    assert.deepEqual(takeAll(new LaneReceiver(words, shape)), [
      [2, 2],
      [4, 4],
    ]);
  });

  it("refuses shapes that cannot work", () => {
    const words = new SharedWords(new SharedArrayBuffer(4096));
    for (const shape of [
      { base: 0, capacity: 3 },
      { base: 0, capacity: 0 },
      { base: 0, capacity: 4, indexBits: 2 },
      { base: 0, capacity: 4, indexBits: 33 },
      { base: 0, capacity: 1024 },
      { base: -16, capacity: 4 },
    ]) {
      assert.throws(() => new LaneSender(words, shape), AssertionError);
      assert.throws(() => new LaneReceiver(words, shape), AssertionError);
    }
  });
});
