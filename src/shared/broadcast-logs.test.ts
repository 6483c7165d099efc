import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  BroadcastReader,
  type BroadcastShape,
  BroadcastWriter,
  broadcastLength,
  detachDead,
  recordBytesMax,
} from "./broadcast-logs.js";
import { SharedWords } from "./words.js";

const PARAMETERS = { seed: Number(process.env.RINGLOOM_SEED ?? Date.now() % 2 ** 31), numRuns: 300 };

/** Writers and readers of all slots over fresh memory. `startAt` is where every log begins, so that positions can be made to wrap. */
function open(shape: BroadcastShape, startAt = 0) {
  const buffer = new SharedArrayBuffer(broadcastLength(shape) * 4);
  const words = new SharedWords(buffer);
  const bytes = new Uint8Array(buffer);
  for (let slot = 0; slot < shape.slots; slot++) words.store(slot * 16, startAt);
  const slots = Array.from({ length: shape.slots }, (_, slot) => slot);
  return {
    words,
    writers: slots.map((slot) => new BroadcastWriter(words, bytes, shape, slot)),
    readers: slots.map((slot) => new BroadcastReader(words, bytes, shape, slot)),
    again: (slot: number) => new BroadcastWriter(words, bytes, shape, slot),
  };
}

const text = (record: Uint8Array | "missed" | undefined) =>
  record instanceof Uint8Array ? Buffer.from(record).toString() : record;
const parts = (...texts: readonly string[]) => texts.map((part) => Buffer.from(part));
const nobody = (slot: number) => assert.fail(`slot ${slot} need not be rung`);

test("BroadcastWriter.publish() reaches every attached reader but its own, and rings those that had read everything", () => {
  const { writers, readers } = open({ slots: 3, capacity: 64 });
  assert.equal(writers[0]!.hasReaders, false);
  assert.ok(writers[0]!.publish(parts("before"), nobody));
  for (const reader of readers) reader.attach();
  assert.equal(writers[0]!.hasReaders, true);
  const rung: number[] = [];
  assert.ok(writers[0]!.publish(parts("a", "bc"), (slot) => rung.push(slot)));
  assert.deepEqual(rung, [1, 2]);
  // They have been rung, and look at everything then.
  assert.ok(writers[0]!.publish(parts(""), nobody));
  assert.deepEqual(
    [1, 1, 1].map((slot) => text(readers[slot]!.next())),
    ["abc", "", undefined],
  );
  assert.equal(readers[0]!.next(), undefined);
  assert.ok(writers[0]!.publish(parts("next"), (slot) => rung.push(slot)));
  assert.deepEqual(rung, [1, 2, 1]);
  assert.deepEqual(
    [2, 2, 2, 2].map((slot) => text(readers[slot]!.next())),
    ["abc", "", "next", undefined],
  );
  readers[1]!.detach();
  readers[2]!.detach();
  assert.equal(writers[0]!.hasReaders, false);
  assert.equal(writers[1]!.hasReaders, true);
});

test("BroadcastWriter.publish() refuses what the slowest reader has left no room for, and gives it up when told to", () => {
  const shape = { slots: 3, capacity: 64 };
  const { writers, readers, words } = open(shape);
  readers[1]!.attach();
  readers[2]!.attach();
  const [writer] = writers;
  const record = [new Uint8Array(recordBytesMax(shape))];
  while (writer!.publish(record, () => {})) readers[2]!.next();
  assert.equal(writer!.slowest, 1);
  const cursor = writer!.cursorOf(1);
  assert.ok(readers[1]!.next() instanceof Uint8Array);
  assert.notEqual(writer!.cursorOf(1), cursor);
  while (writer!.publish(record, () => {})) readers[2]!.next();
  assert.ok(writer!.giveUp(1));
  assert.equal(writer!.giveUp(1), false, "it is given up already");
  assert.ok(writer!.publish(record, () => {}));
  assert.equal(readers[1]!.next(), "missed");
  assert.equal(readers[1]!.next(), undefined, "it begins anew where the log ends");
  assert.ok(writer!.publish(parts("later"), () => {}));
  assert.equal(text(readers[1]!.next()), "later");
  // A dead reader holds nobody up.
  while (writer!.publish(record, () => {})) readers[2]!.next();
  detachDead(words, 1);
  assert.ok(writer!.publish(record, () => {}));
});

test("a successor of a writer goes on where that one stopped", () => {
  const { writers, readers, again } = open({ slots: 2, capacity: 64 }, -20);
  readers[1]!.attach();
  assert.ok(writers[0]!.publish(parts("of the first"), () => {}));
  assert.ok(again(0).publish(parts("of the second"), () => {}));
  assert.deepEqual(
    [1, 1, 1].map(() => text(readers[1]!.next())),
    ["of the first", "of the second", undefined],
  );
});

test("readers get what each writer has published since they attached, in its order and whole, wherever positions wrap", () => {
  const slots = 3;
  const step = fc.record({
    slot: fc.nat(slots - 1),
    what: fc.constantFrom("publish", "publish", "read", "read", "attach", "detach", "give up"),
    bytes: fc.nat(60),
  });
  const start = fc.constantFrom(0, -1, -63, 5);
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), start, (steps, startAt) => {
      const { writers, readers } = open({ slots, capacity: 64 }, startAt);
      // By reader: what it is still to get, by writer.
      const due = Array.from({ length: slots }, () => Array.from({ length: slots }, (): string[] => []));
      const missing = new Set<number>();
      let number = 0;
      for (const { slot, what, bytes } of steps) {
        const reader = readers[slot]!;
        if (what === "publish") {
          number += 1;
          const record = `${slot}:${number}:`.padEnd(bytes, "x");
          const isPublished = writers[slot]!.publish(parts(record.slice(0, 3), record.slice(3)), () => {});
          for (const [other, queues] of due.entries()) {
            if (isPublished && other !== slot && readers[other]!.isAttached) queues[slot]!.push(record);
          }
          if (!isPublished)
            assert.ok(due[writers[slot]!.slowest]![slot]!.length > 0, "who holds up has something to read");
        } else if (what === "read") {
          const record = text(reader.next());
          if (record === "missed") {
            assert.ok(missing.delete(slot));
            due[slot] = due[slot]!.map(() => []);
          } else if (record === undefined) {
            assert.ok(!reader.isAttached || due[slot]!.every((queue) => queue.length === 0));
          } else {
            assert.equal(record, due[slot]![Number(record[0])]!.shift());
          }
        } else if (what === "attach" && !reader.isAttached) {
          reader.attach();
        } else if (what === "detach") {
          reader.detach();
          missing.delete(slot);
          due[slot] = due[slot]!.map(() => []);
        } else if (what === "give up") {
          const other = (slot + 1) % slots;
          const isGivenUp = writers[slot]!.giveUp(other);
          assert.equal(isGivenUp, readers[other]!.isAttached && !missing.has(other));
          if (isGivenUp) missing.add(other);
        }
      }
    }),
    PARAMETERS,
  );
});
