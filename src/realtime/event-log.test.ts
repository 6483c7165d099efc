import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { EventLog } from "./event-log.js";

function filled(count: number, countMax: number, bytesMax = 1_000_000): EventLog {
  const log = new EventLog(countMax, bytesMax);
  for (let n = 1; n <= count; n++)
    log.push({ n, text: `e${n}`, to: n % 5 === 0 ? "ada" : undefined, except: n % 7 === 0 ? "ada" : undefined });
  return log;
}

function numbers(log: EventLog, after: number, member: string): number[] {
  return [...log.after(after, member)].map(({ n }) => n);
}

describe("EventLog", () => {
  test("after() gives a member its own events, in order", () => {
    const log = filled(15, 100);
    assert.deepEqual(numbers(log, 3, "ada"), [4, 5, 6, 8, 9, 10, 11, 12, 13, 15]);
    assert.deepEqual(numbers(log, 3, "bo"), [4, 6, 7, 8, 9, 11, 12, 13, 14]);
    assert.deepEqual(numbers(log, 15, "bo"), []);
    assert.equal(log.last, 15);
  });

  test("the oldest go first, by count and by bytes", () => {
    const log = filled(2_000, 10);
    assert.deepEqual([log.length, log.droppedThrough, log.last], [10, 1_990, 2_000]);
    assert.deepEqual(numbers(log, 0, "bo")[0], 1_991);
    assert.deepEqual(numbers(log, 1_997, "bo"), [1_998, 1_999]);
    const small = filled(8, 100, 10);
    assert.deepEqual([small.length, small.droppedThrough], [2, 6]);
  });

  test("an event that is larger than all of the log leaves it empty", () => {
    const log = filled(3, 100, 20);
    log.push({ n: 4, text: "x".repeat(11), to: undefined, except: undefined });
    assert.deepEqual([log.length, log.droppedThrough, log.last], [0, 4, 4]);
    log.push({ n: 5, text: "x", to: undefined, except: undefined });
    assert.deepEqual(numbers(log, 4, "bo"), [5]);
  });

  test("dropThrough() lets go of what all have seen, and of nothing else", () => {
    const log = filled(9, 100);
    log.dropThrough(4);
    log.dropThrough(2);
    assert.deepEqual([log.length, log.droppedThrough, log.last], [5, 4, 9]);
    log.dropThrough(99);
    assert.deepEqual([log.length, log.last], [0, 9]);
  });
});
