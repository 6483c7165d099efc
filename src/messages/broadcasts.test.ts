import assert from "node:assert/strict";
import { test } from "node:test";
import { broadcastLength } from "../shared/broadcast-logs.js";
import { ShardBroadcasts } from "./broadcasts.js";

/** Two threads' ends over one memory. `ring` is called for each record that wakes somebody. */
function pair(ring: (slot: number) => void): readonly [ShardBroadcasts, ShardBroadcasts] {
  const shape = { slots: 2, capacity: 1_024 };
  const share = { words: new SharedArrayBuffer(broadcastLength(shape) * 4), shape };
  const end = (slot: number): ShardBroadcasts => new ShardBroadcasts(share, { slot, ring, now: () => 0 });
  return [end(0), end(1)];
}

test("ShardBroadcasts.look() hands out what comes behind a record at which its listener throws, though nobody rings again", async () => {
  const rung: number[] = [];
  const [writer, reader] = pair((slot) => rung.push(slot));
  const seen: string[] = [];
  const isAll = new Promise<void>((resolve) => {
    reader.listen({
      record: (bytes) => {
        const text = Buffer.from(bytes).toString();
        if (text === "bad") throw new Error("a listener fails");
        seen.push(text);
        if (seen.length === 3) resolve();
      },
      missed: () => assert.fail("nothing is missed"),
    });
  });
  for (const text of ["one", "bad", "two", "three"]) assert.ok(writer.publish([Buffer.from(text)]));
  assert.deepEqual(rung, [1], "only the first one rings");
  assert.throws(() => reader.look(), /a listener fails/);
  assert.deepEqual(seen, ["one"]);
  await isAll;
  assert.deepEqual(seen, ["one", "two", "three"]);
});
