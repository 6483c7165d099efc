/** Message lanes and hot counters: order, conservation, the doorbell, and the death of either end. Capacity 2 with counters of 2 bits, so that they wrap. */
import { HotCounterReceiver, HotCounterSender } from "../../../src/shared/hot-counter.js";
import { LaneReceiver, LaneSender, type LaneShape, laneLength, SUM_MAX } from "../../../src/shared/lane.js";
import type { Words } from "../../../src/shared/words.js";
import type { ModelProgram, ModelThread } from "../program.js";

/** Words in front of the lane: how many messages the sender got in, how many the receiver took, and whether the receiver sleeps. */
const ACCEPTED = 0;
const TAKEN = 1;
const PARKED = 2;
const COUNTER = 3;
/** What the adding thread still owes at its end, and the upper half of what was taken. */
const OWED = 4;
const TAKEN_HIGH = 5;
const BASE = 16;
const TAIL = BASE;
const CELLS = BASE + 32;
const SHAPE: LaneShape = { base: BASE, capacity: 2, indexBits: 2 };
const LENGTH = BASE + laneLength(SHAPE.capacity);

/** Counters that are about to wrap. */
function setup(words: Words): void {
  words.store(TAIL, 3);
  words.store(TAIL + 16, 3);
}

/** Sends 1, 2, 3 …, as many as find room, and flushes after each `batch`. */
function sending(count: number, batch = 1): ModelThread {
  return (words) => {
    const sender = new LaneSender(words, SHAPE);
    let next = 1;
    for (let index = 1; index <= count; index++) {
      if (sender.push(next, -next)) next += 1;
      if (index % batch !== 0) continue;
      sender.flush();
      words.store(ACCEPTED, next - 1);
    }
  };
}

/** Takes what it finds in some looks. */
function receiving(looks: number): ModelThread {
  return (words) => {
    const receiver = new LaneReceiver(words, SHAPE);
    for (let look = 0; look < looks; look++) take(words, receiver);
  };
}

function take(words: Words, receiver: LaneReceiver): void {
  const taken = words.load(TAKEN);
  let expected = taken;
  while (receiver.next()) {
    expected += 1;
    check(receiver, expected);
  }
  if (expected === taken) return;
  // First noted, then released: a receiver that dies between has taken, and its successor takes once more.
  words.store(TAKEN, expected);
  receiver.release();
}

function check(receiver: LaneReceiver, expected: number): void {
  if (receiver.first === expected && receiver.second === -expected) return;
  throw new Error(`message ${receiver.first}, ${receiver.second} came instead of ${expected}`);
}

/** What is still in the lane continues what was taken, and together it is what was sent. */
function conserved(words: Words, killed: readonly number[]): void {
  const receiver = new LaneReceiver(words, SHAPE);
  const taken = words.load(TAKEN);
  let last = 0;
  while (receiver.next()) {
    // A receiver that died before it released leaves messages that it had taken.
    if (last === 0) {
      last = killed.includes(1) ? receiver.first - 1 : taken;
      if (last > taken) throw new Error(`message ${taken + 1} was given back before it was taken`);
    }
    last += 1;
    check(receiver, last);
  }
  const total = Math.max(last, taken);
  const accepted = words.load(ACCEPTED);
  // A sender that died may have flushed and not noted it.
  const surplus = killed.includes(0) ? 1 : 0;
  if (total < accepted || total > accepted + surplus) throw new Error(`${accepted} were sent and ${total} came`);
  if (last > 0 && last < taken) throw new Error("what is left was taken before");
}

/** Sleeps until `count` messages have come. */
function parking(count: number, isRechecked: boolean): ModelThread {
  return (words) => {
    const receiver = new LaneReceiver(words, SHAPE);
    for (;;) {
      take(words, receiver);
      if (words.load(TAKEN) === count) return;
      words.store(PARKED, 1);
      if (isRechecked && !receiver.isIdle()) words.store(PARKED, 0);
      else words.wait(PARKED, 1);
    }
  };
}

/** Sends `count` messages and rings when the lane says so. */
function ringing(count: number): ModelThread {
  return (words) => {
    const sender = new LaneSender(words, SHAPE);
    for (let next = 1; next <= count; next++) {
      if (!sender.push(next, -next)) throw new Error("the lane has room for all");
      if (sender.flush()) wake(words);
    }
    words.store(ACCEPTED, count);
  };
}

function wake(words: Words): void {
  if (words.exchange(PARKED, 0) === 1) words.notify(PARKED, 1);
}

/** A sender that shows its tail before the message is there. */
function publishingFirst(words: Words): void {
  const tail = words.load(TAIL);
  words.store(TAIL, (tail + 1) & 3);
  words.write(CELLS + 2 * (tail & 1), 1);
  words.write(CELLS + 2 * (tail & 1) + 1, -1);
  words.store(ACCEPTED, 1);
}

/** A sender that tells a full lane by its tail being below the head, as if neither ever wrapped. */
function comparingIndexes(words: Words): void {
  let tail = words.load(TAIL);
  for (let next = 1; next <= 3; next++) {
    if (tail >= words.load(TAIL + 16) + 2) continue;
    words.write(CELLS + 2 * (tail & 1), next);
    words.write(CELLS + 2 * (tail & 1) + 1, -next);
    tail = (tail + 1) & 3;
    words.store(TAIL, tail);
    words.store(ACCEPTED, next);
  }
}

/** A sender that looks whether the receiver has everything before it publishes. */
function lookingFirst(words: Words): void {
  const tail = words.load(TAIL);
  const isEmpty = words.load(TAIL + 16) === tail;
  for (let next = 1; next <= 2; next++) {
    words.write(CELLS + 2 * ((tail + next - 1) & 1), next);
    words.write(CELLS + 2 * ((tail + next - 1) & 1) + 1, -next);
    words.store(TAIL, (tail + next) & 3);
    if (next === 1 ? isEmpty : false) wake(words);
  }
  words.store(ACCEPTED, 2);
}

const AMOUNTS = [2, 1, 2];
const TOTAL = 5;

/** Adds the amounts and flushes. */
function counting(threshold: number): ModelThread {
  return (words) => {
    const sender = new HotCounterSender(words, COUNTER, threshold);
    for (const amount of AMOUNTS) if (sender.add(amount)) wake(words);
    if (sender.flush()) wake(words);
    words.store(OWED, sender.owed);
  };
}

/** Takes until `total` has come, and sleeps in between. */
function countParking(total: number, isRechecked: boolean): ModelThread {
  return (words) => {
    const receiver = new HotCounterReceiver(words, COUNTER);
    while (receiver.total < BigInt(total)) {
      words.store(PARKED, 1);
      if (isRechecked && receiver.take() > 0) words.store(PARKED, 0);
      else {
        words.wait(PARKED, 1);
        receiver.take();
      }
    }
    words.store(TAKEN, Number(receiver.total));
  };
}

/** All came, and nothing twice. */
function cameOnce(total: number): ModelProgram["finish"] {
  return (words) => {
    if (words.load(TAKEN) !== total || words.load(COUNTER) !== 0 || words.load(OWED) !== 0)
      throw new Error(`${words.load(TAKEN)} came of ${total}`);
  };
}

/** Adds once, far below the threshold, and does not flush. */
const addingOnce: ModelThread = (words) => {
  if (new HotCounterSender(words, COUNTER, 100).add(1)) wake(words);
};

/** The same with a sender that only knows its threshold. */
const starving: ModelThread = (words) => {
  const [owed, threshold] = [1, 100];
  if (owed >= threshold && words.add(COUNTER, owed) === 0) wake(words);
};

const takingTwice: ModelThread = (words) => {
  const receiver = new HotCounterReceiver(words, COUNTER);
  receiver.take();
  receiver.take();
  words.store(TAKEN, Number(receiver.total & 0xffff_ffffn) | 0);
  words.store(TAKEN_HIGH, Number(receiver.total >> 32n));
};

/** A sender that adds without asking whether the word has room. */
function overflowing(words: Words): void {
  for (const amount of AMOUNTS) words.add(COUNTER, amount);
}

/** Room for 3 of the 5 that are added, so that the sum is chunked. */
function nearlyFull(words: Words): void {
  words.store(COUNTER, (SUM_MAX - 3) | 0);
}

function sumConserved(words: Words): void {
  const taken = words.load(TAKEN_HIGH) * 2 ** 32 + (words.load(TAKEN) >>> 0);
  const lost = SUM_MAX - 3 + TOTAL - taken - words.load(OWED) - (words.load(COUNTER) >>> 0);
  if (lost !== 0) throw new Error(`${lost} were lost`);
}

const programs: readonly ModelProgram[] = [
  { name: "lane: one by one", length: LENGTH, setup, threads: [sending(4), receiving(3)], finish: conserved },
  { name: "lane: in batches", length: LENGTH, setup, threads: [sending(4, 2), receiving(3)], finish: conserved },
  {
    name: "lane: either end may die",
    length: LENGTH,
    setup,
    threads: [sending(3), receiving(2)],
    mortal: [0, 1],
    deathsMax: 2,
    finish: conserved,
  },
  {
    name: "lane: the doorbell wakes a receiver that sleeps",
    length: LENGTH,
    setup,
    threads: [ringing(2), parking(2, true)],
    finish: conserved,
  },
  {
    name: "lane: a receiver that sleeps without a recheck",
    length: LENGTH,
    setup,
    threads: [ringing(2), parking(2, false)],
    finish: conserved,
    mustFail: /lost wake-up/,
  },
  {
    name: "lane: a sender that looks before it publishes whether to ring",
    length: LENGTH,
    setup,
    threads: [lookingFirst, parking(2, true)],
    finish: conserved,
    mustFail: /lost wake-up/,
  },
  {
    name: "lane: a message written after its publication",
    length: LENGTH,
    setup,
    threads: [publishingFirst, receiving(1)],
    finish: conserved,
    mustFail: /data race|came instead/,
  },
  {
    name: "lane: indexes compared as if they never wrapped",
    length: LENGTH,
    setup,
    threads: [comparingIndexes, receiving(2)],
    finish: conserved,
    mustFail: /data race|came instead|were sent/,
  },
  {
    name: "hot counter: chunks and the rest are conserved",
    length: LENGTH,
    setup: nearlyFull,
    threads: [counting(1), takingTwice],
    finish: sumConserved,
  },
  {
    name: "hot counter: a sum that runs over",
    length: LENGTH,
    setup: nearlyFull,
    threads: [overflowing, takingTwice],
    finish: sumConserved,
    mustFail: /were lost/,
  },
  {
    name: "hot counter: the receiver sleeps and gets all, below the threshold too",
    length: LENGTH,
    threads: [counting(4), countParking(TOTAL, true)],
    finish: cameOnce(TOTAL),
  },
  {
    name: "hot counter: a receiver that sleeps without a recheck",
    length: LENGTH,
    threads: [counting(4), countParking(TOTAL, false)],
    finish: () => {},
    mustFail: /lost wake-up/,
  },
  {
    name: "hot counter: the first update is not starved by the threshold",
    length: LENGTH,
    threads: [addingOnce, countParking(1, true)],
    finish: cameOnce(1),
  },
  {
    name: "hot counter: a threshold that starves the first update",
    length: LENGTH,
    threads: [starving, countParking(1, true)],
    finish: () => {},
    mustFail: /lost wake-up/,
  },
];

export default programs;
