import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { AssertionError } from "../assert.js";
import { HotCounterReceiver, HotCounterSender } from "./hot-counter.js";
import { SUM_MAX } from "./lane.js";
import { SharedWords } from "./words.js";

function counterOf(threshold?: number) {
  const words = new SharedWords(new SharedArrayBuffer(64));
  return { sender: new HotCounterSender(words, 3, threshold), receiver: new HotCounterReceiver(words, 3) };
}

describe("HotCounter", () => {
  it("takes what was added as one sum", () => {
    const { sender, receiver } = counterOf();
    for (let amount = 1; amount <= 10; amount++) sender.add(amount);
    assert.equal(receiver.take(), 55);
    assert.equal(receiver.take(), 0);
    assert.equal(receiver.total, 55n);
  });

  it("publishes and wakes at the first update, whatever the threshold, and then not before the threshold", () => {
    const { sender, receiver } = counterOf(100);
    assert.equal(sender.add(1), true, "the first update is not starved");
    assert.equal(sender.add(98), false);
    assert.equal(sender.owed, 98);
    assert.equal(sender.add(2), false, "published, and the receiver was woken already");
    assert.equal(sender.owed, 0);
    sender.add(5);
    assert.equal(receiver.take(), 101);
    assert.equal(sender.add(1), true, "the receiver has taken everything: again a first update");
    assert.equal(receiver.take(), 6);
  });

  it("flush() publishes what is below the threshold", () => {
    const { sender, receiver } = counterOf(100);
    assert.equal(sender.flush(), false);
    sender.add(1);
    sender.add(2);
    assert.equal(receiver.take(), 1);
    assert.equal(sender.flush(), true);
    assert.equal(receiver.take(), 2);
  });

  it("chunks sums beyond 2^32 - 1 and totals in 64 bits", () => {
    const { sender, receiver } = counterOf();
    for (let index = 0; index < 5; index++) sender.add(SUM_MAX);
    assert.equal(sender.owed, 4 * SUM_MAX);
    let chunks = 0;
    for (;;) {
      if (receiver.take() > 0) chunks += 1;
      else if (!sender.flush()) break;
    }
    assert.equal(chunks, 5);
    assert.equal(receiver.total, 5n * 0xffff_ffffn);
  });

  it("refuses amounts that are no unsigned words, and adds nothing of them", () => {
    const { sender, receiver } = counterOf();
    for (const amount of [-1, 0.5, Number.NaN, SUM_MAX + 1]) assert.throws(() => sender.add(amount), AssertionError);
    assert.equal(sender.add(0), false);
    assert.equal(receiver.take(), 0);
  });
});
