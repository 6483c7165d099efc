import assert from "node:assert/strict";
import { test } from "node:test";
import type { PublishedFrame } from "./published-frame.js";
import { type Subscriber, Topics } from "./topics.js";
import type { SocketTransport } from "./transport.js";

test("Topics.publish() gives back what it shares in the write pool when a subscriber throws", () => {
  let sharedNow = 0;
  const transport = {
    share: () => {
      sharedNow += 1;
      return sharedNow;
    },
    unshare: () => {
      sharedNow -= 1;
    },
  } as unknown as SocketTransport;
  const subscriber = (deliver: (frame: PublishedFrame) => void): Subscriber => ({ deliver, missed: () => {} });
  const topics = new Topics();
  topics.subscribe(
    "news",
    subscriber((frame) => {
      assert.equal(frame.sharedIn(transport)?.length, 1);
      assert.equal(frame.deflatedNow({ windowBits: 15, level: 1, history: undefined })?.sharedIn(transport), undefined);
    }),
  );
  topics.subscribe(
    "news",
    subscriber(() => {
      throw new Error("a subscriber fails");
    }),
  );
  assert.throws(() => topics.publish("news", "x".repeat(10_000)), /a subscriber fails/);
  assert.equal(sharedNow, 0);
});
