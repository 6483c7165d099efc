import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { HotCounterReceiver, HotCounterSender } from "./hot-counter.js";
import { LaneReceiver } from "./lane.js";
import { MessageInlets } from "./message-inlet.js";
import { MessageLine } from "./message-line.js";
import {
  CLOSED,
  HOT_TAGS,
  type LaneKind,
  type MessageShape,
  MessageSpace,
  messageLength,
  NOBODY,
} from "./message-space.js";
import { SharedWords } from "./words.js";

const SHAPE: MessageShape = { base: 32, shards: 3, slotsPerShard: 2, capacity: 4, hotCapacity: 2, valueWords: 16 };

function spaceOf(shape = SHAPE): MessageSpace {
  return new MessageSpace(new SharedWords(new SharedArrayBuffer((shape.base + messageLength(shape)) * 4)), shape);
}

describe("MessageSpace", () => {
  it("gives each part words of its own", () => {
    const space = spaceOf();
    const { words } = space;
    const owners = new Map<number, string>();
    const own = (name: string, first: number, count: number) => {
      for (let index = first; index < first + count; index++) {
        assert.ok(index >= SHAPE.base && index < words.length, `${name} lies within the words`);
        assert.equal(owners.get(index), undefined, `${name} has a word of its own`);
        owners.set(index, name);
      }
    };
    own("receivers", SHAPE.base, SHAPE.shards);
    for (let slot = 0; slot < space.slots; slot++) {
      own(`bell ${slot}`, space.bellOf(slot), 32);
      own(`values ${slot}`, space.valuesOf(slot), SHAPE.valueWords);
      for (let shard = 0; shard < SHAPE.shards; shard++) {
        const { base, capacity } = space.lane(slot, shard);
        own(`lane ${slot} ${shard}`, base, 32 + 2 * capacity);
        const hot = space.lane(slot, shard, "hot");
        assert.equal(hot.capacity, SHAPE.hotCapacity);
        own(`hot lane ${slot} ${shard}`, hot.base, 32 + 2 * hot.capacity);
        for (let tag = 0; tag < HOT_TAGS; tag++) own(`counter ${tag}`, space.counterWord(slot, shard, tag), 1);
      }
    }
    // What has no index of its own to ask for: each is seen to change a word that nobody has.
    for (let slot = 0; slot < space.slots; slot++) {
      for (const [count, change] of [
        [1, () => space.setWake(slot, 9)],
        [1, () => space.setRing(slot, 9)],
        [2, () => space.setWanted(slot, 1, { position: 7 })],
        [2, () => space.setWanted(slot, 1, { position: 7, kind: "hot" })],
        [1, () => space.markHot(slot, 1, 3)],
      ] as const) {
        const before = Array.from({ length: words.length }, (_, index) => words.read(index));
        change();
        const changed = before.flatMap((value, index) => (words.read(index) === value ? [] : [index]));
        assert.equal(changed.length, count);
        for (const index of changed) own("control", index, 1);
      }
    }
    for (let shard = 0; shard < SHAPE.shards; shard++) {
      const before = Array.from({ length: words.length }, (_, index) => words.read(index));
      for (let slot = 0; slot < space.slots; slot++) space.use(slot, shard, slot % 2 === 0 ? "usual" : "hot");
      const changed = before.flatMap((value, index) => (words.read(index) === value ? [] : [index]));
      assert.equal(changed.length, space.useWords);
      for (const index of changed) own(`uses of shard ${shard}`, index, 1);
    }
  });

  it("knows which lanes were used, with many shards too", () => {
    const space = spaceOf({ ...SHAPE, shards: 20 });
    assert.equal(space.useWords, 3, "80 lanes to each shard");
    const inlets = new MessageInlets(space, 7);
    assert.equal(inlets.open(), false);
    space.use(16, 7);
    space.use(15, 7, "hot");
    space.use(39, 7, "hot");
    space.use(39, 6);
    assert.deepEqual(
      [space.uses(16, 7), space.uses(16, 7, "hot"), space.uses(15, 7, "hot"), space.uses(39, 7), space.uses(39, 6)],
      [true, false, true, false, true],
    );
    assert.equal(inlets.open(), true);
    assert.deepEqual(
      inlets.opened.map(({ slot, from }) => [slot, from]),
      [
        [15, 7],
        [16, 8],
        [39, 19],
      ],
    );
    space.use(15, 7, "hot");
    assert.equal(inlets.open(), false);
    space.use(0, 7);
    assert.deepEqual([inlets.open(), inlets.opened.at(-1)?.slot], [true, 0]);
  });

  it("has one receiver for a shard at a time, until it is closed", () => {
    const space = spaceOf();
    assert.deepEqual(space.slotsOf(1), [2, 3]);
    assert.equal(space.receiverOf(1), NOBODY);
    assert.deepEqual([space.claim(2), space.claim(3), space.claim(4)], [true, false, true]);
    assert.deepEqual([space.receiverOf(1), space.receiverOf(2)], [2, 4]);
    space.retire(3);
    assert.equal(space.receiverOf(1), 2, "only the receiver gives the role back");
    space.abandon(1);
    assert.equal(space.receiverOf(1), 2, "only a shard without a receiver is abandoned");
    space.retire(2);
    assert.equal(space.claim(3), true);
    space.close(3);
    assert.deepEqual([space.receiverOf(1), space.claim(2)], [CLOSED, false]);
    space.abandon(0);
    assert.equal(space.receiverOf(0), CLOSED);
  });

  it("says whether a sender waits for what was released, also where the numbers wrap", () => {
    const space = spaceOf();
    const wants = (position: number, kind: LaneKind = "usual") =>
      space.wantsBefore(space.wantedWords(4, 1, kind), position);
    assert.equal(wants(100), false);
    space.setWanted(4, 1, { position: 5 });
    assert.deepEqual(
      [wants(5), wants(6), wants(100), wants(100, "hot"), space.wants(4, 1)],
      [false, true, true, false, true],
    );
    space.setWanted(4, 1, { position: 0x7fff_ffff });
    assert.deepEqual([wants(0x7fff_ffff), wants(-0x8000_0000)], [false, true]);
    space.setUnwanted(4, 1);
    assert.deepEqual([wants(-0x8000_0000), space.wants(4, 1)], [false, false]);
  });

  it("drops what is in a hot lane too when its receiver dies", () => {
    const space = spaceOf();
    space.claim(2);
    const line = new MessageLine(space, 0, { shard: 1, kind: "hot" });
    line.lane.push(1, 2);
    assert.equal(line.publish(), 2);
    space.bury(2);
    line.look();
    assert.equal(line.fateOf(0), "dropped");
    assert.equal(space.droppedOf(0, 1), 0, "nothing was in the other lane");
  });

  it("tells a sender what became of each message when its receiver dies: taken before, dropped, or waiting for the successor", () => {
    const space = spaceOf();
    space.claim(2);
    const line = new MessageLine(space, 0, { shard: 1 });
    const receiver = new LaneReceiver(space.words, space.lane(0, 1));
    const positions: number[] = [];
    for (let value = 0; value < 4; value++) {
      positions.push(line.lane.position);
      line.lane.push(value, 0);
    }
    assert.equal(line.publish(), 2);
    const fates = () => {
      line.look();
      return positions.map((position) => line.fateOf(position));
    };
    receiver.next();
    receiver.release();
    assert.deepEqual(fates(), ["taken", "waiting", "waiting", "waiting"]);
    // The first is settled by now, as a sender does after each look.
    positions.shift();
    space.bury(2);
    positions.push(line.lane.position);
    line.lane.push(4, 0);
    assert.equal(line.publish(), NOBODY, "the lane was empty, and there is nobody to ring");
    assert.deepEqual(fates(), ["dropped", "dropped", "dropped", "waiting"]);
    positions.splice(0, 3);
    assert.equal(space.claim(3), true);
    const successor = new LaneReceiver(space.words, space.lane(0, 1));
    assert.deepEqual([successor.next(), successor.first], [true, 4]);
    successor.release();
    assert.deepEqual(fates(), ["taken"]);
    positions[0] = line.lane.position;
    line.lane.push(5, 0);
    line.publish();
    space.close(3);
    assert.deepEqual(fates(), ["closed"]);
  });

  it("marks every counter of a dead sender, so that no amount lies where nobody looks", () => {
    const space = spaceOf();
    const counter = new HotCounterSender(space.words, space.counterWord(0, 1, 31), 1);
    // It dies between the amount and the bit.
    assert.equal(counter.add(7), true);
    assert.equal(space.takeHot(0, 1), 0);
    space.bury(0);
    assert.equal(space.takeHot(0, 1), -1);
    assert.equal(new HotCounterReceiver(space.words, space.counterWord(0, 1, 31)).take(), 7);
    assert.equal(space.takeHot(0, 1), 0);
  });
});
