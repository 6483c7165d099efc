import assert from "node:assert/strict";
import { test } from "node:test";
import { SharedWords } from "../shared/words.js";
import { NOBODY, Places, placesLength } from "./places.js";
import { ShardIds } from "./shard-ids.js";

const SHARDS = 2;
const IDS = 4;

function scene(): { ids: ShardIds; places: Places } {
  const words = new SharedWords(new SharedArrayBuffer(placesLength(SHARDS) * Int32Array.BYTES_PER_ELEMENT));
  const places = new Places(words, 0, SHARDS);
  return { ids: new ShardIds(places, IDS), places };
}

function holders(places: Places): number[] {
  return Array.from({ length: places.count }, (_, place) => places.holderOf(place));
}

test("ShardIds.admit() gives each shard its own id, and the successor of a dead one the same", () => {
  const { ids, places } = scene();
  assert.deepEqual([ids.admit(1), ids.admit(0)], [1, 0]);
  assert.deepEqual(ids.leave(1, true), { isReplaced: true });
  assert.deepEqual(holders(places), [0, 1]);
  assert.equal(ids.admit(1), 1);
});

test("ShardIds.leave() hands the place to the thread that has taken over", () => {
  const { ids, places } = scene();
  ids.admit(0);
  ids.admit(1);
  const successor = ids.admit(0);
  assert.equal(successor, 2);
  assert.deepEqual(holders(places), [0, 1], "until the first one has ended");
  assert.deepEqual(ids.leave(0, true), { isReplaced: false, successor });
  assert.deepEqual(holders(places), [2, 1]);
  assert.deepEqual([ids.admit(0), ids.admit(0), ids.admit(0)], [3, 0, undefined]);
});

test("ShardIds.leave() takes back the id of a thread that never served its place", () => {
  const { ids, places } = scene();
  ids.admit(0);
  const successor = ids.admit(0)!;
  assert.deepEqual(ids.leave(successor, true), { isReplaced: false, successor: 0 });
  assert.deepEqual(holders(places), [0, 1]);
  assert.deepEqual([ids.admit(0), ids.admit(0)], [3, successor]);
});

test("ShardIds.handOver() gives the place to who is there to take over, while the other one is still there", () => {
  const { ids, places } = scene();
  ids.admit(0);
  ids.handOver(0);
  assert.deepEqual(holders(places), [0, 1], "there is nobody");
  const successor = ids.admit(0)!;
  ids.handOver(0);
  assert.deepEqual(holders(places), [successor, 1]);
  ids.handOver(0);
  assert.deepEqual(holders(places), [successor, 1], "it has none any more");
  assert.deepEqual(ids.leave(0, true), { isReplaced: false, successor }, "what it had not begun is for the other one");
  assert.deepEqual(ids.leave(successor, true), { isReplaced: true });
  assert.equal(ids.admit(0), successor);
});

test("ShardIds.leave() gives nothing back to a thread that ends when who has taken over crashes before it", () => {
  const { ids, places } = scene();
  ids.admit(0);
  const successor = ids.admit(0)!;
  ids.handOver(0);
  assert.deepEqual(ids.leave(successor, true), { isReplaced: true }, "the place waits for the next one");
  assert.deepEqual(holders(places), [successor, 1]);
  assert.equal(ids.admit(0), successor);
  assert.deepEqual(ids.leave(0, true), { isReplaced: false, successor });
  assert.deepEqual(holders(places), [successor, 1]);
});

test("ShardIds.handOver() does not choose a thread that ends, whatever its id", () => {
  const { ids, places } = scene();
  ids.admit(0);
  const second = ids.admit(0)!;
  ids.handOver(0);
  ids.leave(0, true);
  const [third, fourth] = [ids.admit(0)!, ids.admit(0)!];
  ids.handOver(second);
  ids.handOver(third);
  assert.deepEqual(holders(places), [fourth, 1], `of ${second}, ${third} and ${fourth}`);
  assert.deepEqual(ids.leave(fourth, false), { isReplaced: false });
  assert.deepEqual(holders(places), [NOBODY, 1], "nobody will come");
});

test("ShardIds.endReplacing() leaves no place to somebody who will not come", () => {
  const { ids, places } = scene();
  ids.admit(0);
  ids.admit(1);
  ids.leave(1, true);
  assert.equal(places.servedCount, 2);
  assert.deepEqual(ids.endReplacing(), [1]);
  assert.deepEqual(holders(places), [0, NOBODY]);
  assert.equal(places.servedCount, 1);
  assert.deepEqual(ids.leave(0, false), { isReplaced: false });
  assert.equal(places.servedCount, 0);
});
