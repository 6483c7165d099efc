/** The ring of a shared channel: every value is received once, in order, or belongs to somebody who died; nobody sleeps while there is a value or room, and the end comes behind the last value. */
import type { Bell } from "../../../src/shared/bell.js";
import { announceDeath, bellWord, joinGathering, leaveGathering } from "../../../src/shared/gathering.js";
import {
  buryRingThread,
  RING_BUSY,
  RING_ENDED,
  type RingShape,
  ringGathering,
  ringLength,
  ValueRing,
} from "../../../src/shared/value-ring.js";
import type { Words } from "../../../src/shared/words.js";
import type { ModelProgram, ModelThread } from "../program.js";
import { notedBy, TakeLog } from "../take-log.js";

/** One value in two cells, rounds of two bits. */
const ONE: RingShape = { base: 0, threads: 3, capacity: 1, cells: 2, roundBits: 2 };
const TWO: RingShape = { ...ONE, capacity: 2, cells: 4 };
/** Two words of payload for each cell: both must be the value. */
const PAYLOAD = ringLength(TWO);
const LOG = { base: PAYLOAD + 2 * TWO.cells, entries: 4 };
/** Values that a sender was told are in, one bit each. */
const SENT = LOG.base + 3 * LOG.entries;
const LENGTH = SENT + 1;

function joined(shape: RingShape, values: readonly number[] = []): (words: Words) => void {
  return (words) => {
    for (let thread = 0; thread < shape.threads; thread++)
      joinGathering(words, ringGathering(shape), { thread, life: thread + 1 });
    const ring = new ValueRing(words, shape, 0);
    for (const value of values) put(words, ring, value);
  };
}

/** Waits for a ring, as `LoopBell.next`. */
function nextRing(words: Words, shape: RingShape, ring: ValueRing): void {
  const bell: Bell = ring.gathering.ownBell;
  while (!bell.take()) {
    if (bell.fallAsleep()) words.wait(bellWord(ringGathering(shape), ring.gathering.self), 0);
    bell.wokeUp();
  }
}

function put(words: Words, ring: ValueRing, value: number): number {
  const cell = ring.claim();
  if (cell < 0) return cell;
  words.write(PAYLOAD + 2 * cell, value);
  words.write(PAYLOAD + 2 * cell + 1, value);
  ring.publish(cell);
  words.or(SENT, 1 << value);
  return cell;
}

function get(words: Words, ring: ValueRing, log: TakeLog): number {
  const cell = ring.take();
  if (cell < 0) return cell;
  const value = words.read(PAYLOAD + 2 * cell);
  if (value !== words.read(PAYLOAD + 2 * cell + 1)) throw new Error("a torn value");
  ring.release(cell);
  log.note(value);
  return cell;
}

/** Sends the values, and sleeps while there is no room. */
function sender(thread: number, shape: RingShape, values: readonly number[]): ModelThread {
  return (words) => {
    const ring = new ValueRing(words, shape, thread);
    for (const value of values) {
      let cell = put(words, ring, value);
      while (cell === RING_BUSY) {
        ring.senders.enter(thread);
        cell = put(words, ring, value);
        if (cell === RING_BUSY) nextRing(words, shape, ring);
      }
      if (cell === RING_ENDED) return;
    }
    // A wake that was for this thread is for another one if there is room.
    if (!ring.senders.leave(thread) && !ring.senders.isEmpty()) ring.wakeSender();
  };
}

/** Sends what there is room for. */
function trier(thread: number, shape: RingShape, values: readonly number[]): ModelThread {
  return (words) => {
    const ring = new ValueRing(words, shape, thread);
    for (const value of values) put(words, ring, value);
  };
}

/** Receives so many values, or up to the end; sleeps while there is none. */
function receiver(thread: number, shape: RingShape, count: number): ModelThread {
  return (words) => {
    const ring = new ValueRing(words, shape, thread);
    const log = new TakeLog(words, LOG, thread);
    for (let n = 0; n < count; n++) {
      let cell = get(words, ring, log);
      while (cell === RING_BUSY) {
        ring.receivers.enter(thread);
        cell = get(words, ring, log);
        if (cell === RING_BUSY) nextRing(words, shape, ring);
      }
      if (cell === RING_ENDED) return;
    }
    if (!ring.receivers.leave(thread) && !ring.receivers.isEmpty()) ring.wakeReceiver();
  };
}

/** Receives what is there. */
function taker(thread: number, shape: RingShape, times: number): ModelThread {
  return (words) => {
    const ring = new ValueRing(words, shape, thread);
    const log = new TakeLog(words, LOG, thread);
    for (let n = 0; n < times; n++) get(words, ring, log);
  };
}

function closer(thread: number, shape: RingShape, values: readonly number[] = []): ModelThread {
  return (words) => {
    const ring = new ValueRing(words, shape, thread);
    for (const value of values) put(words, ring, value);
    ring.close();
  };
}

/** Thread 0 has claimed the first cell, and 4 is in the second one. */
function claimedBefore(words: Words): void {
  joined(TWO)(words);
  new ValueRing(words, TWO, 0).claim();
  put(words, new ValueRing(words, TWO, 2), 4);
}

/** Writes what {@link claimedBefore} has claimed. */
function finishingFirst(words: Words): void {
  words.write(PAYLOAD, 1);
  words.write(PAYLOAD + 1, 1);
  new ValueRing(words, TWO, 0).publish(0);
  words.or(SENT, 2);
}

interface Expected {
  readonly shape: RingShape;
  /** In the order of each sender. */
  readonly sent: readonly (readonly number[])[];
  /** Values that are sent in any case; else only those whose sender was told so. */
  readonly isAllSent?: boolean;
}

/** What was sent was received once, is there, or was lost with somebody who had taken it. */
function finish({ shape, sent, isAllSent = false }: Expected): (words: Words, killed: readonly number[]) => void {
  return (words, killed) => {
    const received = notedBy(words, LOG, 3);
    const ring = new ValueRing(words, shape, 2);
    const left: number[] = [];
    for (let cell = ring.take(); cell >= 0; cell = ring.take()) {
      left.push(words.read(PAYLOAD + 2 * cell));
      ring.release(cell);
    }
    const all = [...received, ...left];
    const known = sent.flat();
    for (const value of all) {
      if (!known.includes(value)) throw new Error(`${value} was received and never sent`);
      if (all.filter((other) => other === value).length > 1) throw new Error(`${value} was received twice`);
    }
    const told = known.filter((value) => (words.load(SENT) & (1 << value)) !== 0 || (isAllSent && killed.length === 0));
    const gone = told.filter((value) => !all.includes(value));
    // Who dies behind its release and before its note has received it all the same.
    if (killed.length === 0 && gone.length > 0) throw new Error(`${gone.join(" ")} was lost`);
    if (gone.length > killed.length) throw new Error(`${gone.join(" ")} was lost by ${killed.length} dead`);
    if (ring.lostCount > killed.length) throw new Error(`${ring.lostCount} are said to be lost`);
    for (const values of sent) mustBeInOrder(words, left, values);
    mustBeUsable(words, shape);
  };
}

/** Each receiver has got the values of a sender in the order in which they were sent. */
function mustBeInOrder(words: Words, left: readonly number[], values: readonly number[]): void {
  for (let thread = 0; thread < 3; thread++) {
    const own = notedBy(words, { base: LOG.base + thread * LOG.entries, entries: LOG.entries }, 1);
    for (const got of [own, left]) {
      const order = got.filter((value) => values.includes(value));
      if (order.some((value, n) => n > 0 && value < order[n - 1]!)) throw new Error(`${order.join(" ")} is no order`);
    }
  }
}

/** Whoever comes afterwards can fill it and empty it, unless it has ended. */
function mustBeUsable(words: Words, shape: RingShape): void {
  const ring = new ValueRing(words, shape, 0);
  if (ring.isClosing) {
    if (ring.take() !== RING_ENDED || ring.claim() !== RING_ENDED) throw new Error("the end is not there");
    return;
  }
  for (let turn = 0; turn < 3; turn++) {
    for (let n = 0; n < shape.capacity; n++) {
      const cell = ring.claim();
      if (cell < 0) throw new Error("the ring is stuck");
      ring.publish(cell);
    }
    if (ring.claim() !== RING_BUSY) throw new Error("there is room beyond the capacity");
    for (let n = 0; n < shape.capacity; n++) ring.release(ring.take());
    if (ring.take() !== RING_BUSY) throw new Error("there is a value too many");
  }
}

function reaper(shape: RingShape): (words: Words, killed: number) => void {
  return (words, killed) => buryRingThread(words, shape, killed);
}

/** A reaper that clears the life and tells everybody, and leaves the cells. */
function careless(words: Words, killed: number): void {
  leaveGathering(words, ringGathering(ONE), killed);
  announceDeath(words, ringGathering(ONE));
}

/** Publishes before it has written. */
function publishingFirst(words: Words): void {
  const ring = new ValueRing(words, ONE, 0);
  const cell = ring.claim();
  if (cell < 0) return;
  ring.publish(cell);
  words.write(PAYLOAD + 2 * cell, 1);
  words.write(PAYLOAD + 2 * cell + 1, 1);
}

/** Gives the cell back before it has read. */
function releasingFirst(words: Words): void {
  const ring = new ValueRing(words, ONE, 1);
  const cell = ring.take();
  if (cell < 0) return;
  ring.release(cell);
  new TakeLog(words, LOG, 1).note(words.read(PAYLOAD + 2 * cell));
}

/** Waits for a value without a look behind its entering. */
function sleepingBlindly(words: Words): void {
  const ring = new ValueRing(words, ONE, 1);
  const log = new TakeLog(words, LOG, 1);
  while (get(words, ring, log) === RING_BUSY) {
    ring.receivers.enter(1);
    nextRing(words, ONE, ring);
  }
}

/** What was sent before the closing was received, since the receiver goes on to the end. */
function allReceived(words: Words, killed: readonly number[]): void {
  const received = notedBy(words, LOG, 3);
  if (killed.length === 0 && !received.includes(1)) throw new Error("1 was not received before the end");
}

/** A receiver that takes the wish to close for the end. */
function takingTheFlagForTheEnd(words: Words): void {
  const ring = new ValueRing(words, ONE, 1);
  const log = new TakeLog(words, LOG, 1);
  while (!ring.isClosing) {
    ring.receivers.enter(1);
    if (get(words, ring, log) < 0 && !ring.isClosing) nextRing(words, ONE, ring);
  }
}

const one = { length: LENGTH, setup: joined(ONE) };
const two = { length: LENGTH, setup: joined(TWO) };

/** The order of three threads that sleep and wake each other. */
const MANY = "there are more orders than an hour has time for";

const programs: readonly ModelProgram[] = [
  {
    ...one,
    name: "value ring: a sender waits for room, a receiver for values",
    threads: [sender(0, ONE, [1, 2]), receiver(1, ONE, 2)],
    finish: finish({ shape: ONE, sent: [[1, 2]], isAllSent: true }),
  },
  {
    ...two,
    name: "value ring: two senders and a receiver that tries",
    threads: [trier(0, TWO, [1, 2]), trier(1, TWO, [4]), taker(2, TWO, 2)],
    finish: finish({ shape: TWO, sent: [[1, 2], [4]] }),
  },
  {
    ...two,
    name: "value ring: two receivers share two values while a third comes",
    setup: joined(TWO, [1, 2]),
    threads: [trier(0, TWO, [3]), taker(1, TWO, 1), taker(2, TWO, 1)],
    finish: finish({ shape: TWO, sent: [[1, 2, 3]] }),
  },
  {
    ...one,
    name: "value ring: rounds wrap while both sides try",
    threads: [trier(0, ONE, [1, 2, 3, 4, 5]), taker(1, ONE, 4)],
    finish: finish({ shape: ONE, sent: [[1, 2, 3, 4, 5]] }),
  },
  {
    ...one,
    name: "value ring: closing against a receiver that waits",
    threads: [closer(0, ONE, [1]), receiver(1, ONE, 3)],
    finish: finish({ shape: ONE, sent: [[1]], isAllSent: true }),
  },
  {
    ...one,
    name: "value ring: closing against a sender and a receiver that tries",
    threads: [closer(0, ONE), taker(1, ONE, 2), trier(2, ONE, [4])],
    finish: finish({ shape: ONE, sent: [[4]] }),
  },
  {
    ...one,
    name: "value ring: a sender or a receiver may die, or both",
    threads: [trier(0, ONE, [1, 2]), taker(1, ONE, 1)],
    mortal: [0, 1],
    deathsMax: 2,
    reaper: reaper(ONE),
    finish: finish({ shape: ONE, sent: [[1, 2]] }),
  },
  {
    ...one,
    name: "value ring: one of two senders may die, a receiver waits for the other one's",
    threads: [trier(0, TWO, [1]), receiver(1, TWO, 1), trier(2, TWO, [4])],
    mortal: [0],
    reaper: reaper(TWO),
    setup: joined(TWO),
    finish: finish({ shape: TWO, sent: [[1], [4]] }),
    isDeep: true,
    isBounded: MANY,
  },
  {
    ...two,
    name: "value ring: a sender that may die has claimed a cell in front of a value that somebody waits for",
    setup: claimedBefore,
    threads: [finishingFirst, receiver(1, TWO, 1)],
    mortal: [0],
    reaper: reaper(TWO),
    finish: finish({ shape: TWO, sent: [[1], [4]] }),
  },
  {
    ...two,
    name: "value ring: a sender gives up a cell in front of a value that somebody waits for",
    setup: claimedBefore,
    threads: [(words) => new ValueRing(words, TWO, 0).giveUp(0), receiver(1, TWO, 1), trier(2, TWO, [5])],
    finish: finish({ shape: TWO, sent: [[4, 5]] }),
  },
  {
    ...one,
    name: "value ring: one of two receivers may die, a sender waits for room",
    setup: joined(ONE, [1]),
    threads: [sender(0, ONE, [2]), taker(1, ONE, 1), taker(2, ONE, 1)],
    mortal: [1],
    reaper: reaper(ONE),
    finish: finish({ shape: ONE, sent: [[1, 2]] }),
  },
  {
    ...one,
    name: "value ring, planted: a value is published before it is written",
    threads: [publishingFirst, taker(1, ONE, 1)],
    finish: finish({ shape: ONE, sent: [[1]] }),
    mustFail: /data race/,
  },
  {
    ...one,
    name: "value ring, planted: a cell is given back before it is read",
    setup: joined(ONE, [1]),
    threads: [trier(0, ONE, [2, 3]), releasingFirst, taker(2, ONE, 1)],
    finish: finish({ shape: ONE, sent: [[1, 2, 3]] }),
    mustFail: /data race/,
  },
  {
    ...one,
    name: "value ring, planted: no look at the values behind the entering",
    threads: [trier(0, ONE, [1]), sleepingBlindly],
    finish: finish({ shape: ONE, sent: [[1]] }),
    mustFail: /lost wake-up/,
  },
  {
    ...one,
    name: "value ring, planted: the wish to close is taken for the end",
    threads: [closer(0, ONE, [1]), takingTheFlagForTheEnd],
    finish: allReceived,
    mustFail: /was not received before the end/,
  },
  {
    ...one,
    name: "value ring, planted: the reaper leaves what the dead had claimed",
    threads: [trier(0, ONE, [1]), trier(2, ONE, [4])],
    mortal: [0],
    reaper: careless,
    finish: finish({ shape: ONE, sent: [[1], [4]] }),
    mustFail: /the ring is stuck/,
  },
];

export default programs;
