/**
 * Messages between shards: a lane, a bell and the role of the receiver together (`src/shared/message-space.ts`). Nobody sleeps with a message in front of him or a ticket that is due, whoever becomes the receiver,
 * gives the role back, closes or dies; and what is taken is taken once.
 *
 * Shard 0 has the sender, in slot 0; shard 1 the receivers, in slots 2 and 3.
 */
import { Bell } from "../../../src/shared/bell.js";
import { HotCounterReceiver, HotCounterSender } from "../../../src/shared/hot-counter.js";
import { MessageInlet, MessageInlets } from "../../../src/shared/message-inlet.js";
import { MessageLine } from "../../../src/shared/message-line.js";
import { type MessageShape, MessageSpace, messageLength } from "../../../src/shared/message-space.js";
import type { Words } from "../../../src/shared/words.js";
import type { ModelProgram, ModelThread } from "../program.js";

const SHAPE: MessageShape = { base: 16, shards: 2, slotsPerShard: 2, capacity: 2, hotCapacity: 0, valueWords: 0 };
const LENGTH = SHAPE.base + messageLength(SHAPE);
const HOT_SHAPE: MessageShape = { ...SHAPE, hotCapacity: 2 };
const HOT_LENGTH = HOT_SHAPE.base + messageLength(HOT_SHAPE);
const SENDER = 0;
const FIRST = 2;
const SECOND = 3;
const TO = 1;
const TAG = 5;
/** Words in front: how many messages were taken, which fates the sender has seen, what came over the counter. */
const TAKEN = 0;
const SEEN_TAKEN = 1;
const SEEN_LOST = 2;
const SUM = 3;
/** Whether the receiver's io_uring is open. */
const RING_OPEN = 4;

/** What a program leaves out. */
type Omission = "told" | "look" | "release" | "wants" | "bits" | "dropped" | "successor" | "use";

function bellOf(words: Words, space: MessageSpace, slot: number): Bell {
  return new Bell(words, space.bellOf(slot));
}

/** What `ringDoorbell` does with a bell of the kind "atomics". */
function ring(words: Words, space: MessageSpace, slot: number): void {
  const bell = bellOf(words, space, slot);
  if (bell.ring()) bell.notify();
}

/** What `MessageSending` does when it publishes. With "told", it asks whether the doorbell is rung before that. */
function publish(words: Words, space: MessageSpace, line: MessageLine, omission?: Omission): void {
  const isRungEarly = omission === "told" && bellOf(words, space, FIRST).isRung;
  const receiver = line.publish();
  if (receiver < 0 || (omission === "told" ? isRungEarly : bellOf(words, space, receiver).isRung)) return;
  if (line.hadTakenAll()) ring(words, space, receiver);
}

/** `LoopBell.next`, one round of it. */
function sleep(words: Words, space: MessageSpace, slot: number): void {
  const bell = bellOf(words, space, slot);
  while (!bell.take()) {
    if (bell.fallAsleep()) words.wait(space.bellOf(slot), 0);
    bell.wokeUp();
  }
}

/** Sends so many messages, and with `isWaiting` waits for the fate of the last one. */
function sending(count: number, isWaiting: boolean, omission?: Omission): ModelThread {
  return (words) => {
    const space = new MessageSpace(words, SHAPE);
    const line = new MessageLine(space, SENDER, { shard: TO });
    for (let number = 1; number <= count; number++) {
      line.lane.push(number, -number);
      publish(words, space, line, omission);
    }
    if (!isWaiting) return;
    if (omission !== "wants") line.setWanted((line.lane.position - 1) | 0);
    for (;;) {
      line.look();
      const fate = line.fateOf((line.lane.position - 1) | 0);
      if (fate !== "waiting") {
        words.store(fate === "taken" ? SEEN_TAKEN : SEEN_LOST, 1);
        return ring(words, space, SECOND);
      }
      sleep(words, space, SENDER);
    }
  };
}

/** Takes what is there, as `MessageReceiving` does. With `isKept`, it keeps the cells. */
function take(words: Words, space: MessageSpace, inlet: MessageInlet, isKept = false): void {
  const { lane } = inlet;
  while (lane.next()) {
    const number = words.load(TAKEN) + 1;
    if (lane.first !== number || lane.second !== -number) throw new Error(`message ${lane.first} came, not ${number}`);
    words.store(TAKEN, number);
    if (isKept) continue;
    if (inlet.release()) ring(words, space, SENDER);
  }
}

function openLane(space: MessageSpace): MessageInlet {
  return new MessageInlet(space, TO, { slot: SENDER, kind: "usual" });
}

/** Becomes the receiver when nobody is, and sleeps until `count` messages were taken by anyone. With "look", it looks into its lane before it has the role. */
function receiving(slot: number, count: number, omission?: Omission): ModelThread {
  return (words) => {
    const space = new MessageSpace(words, SHAPE);
    let lane: MessageInlet | undefined;
    for (;;) {
      if (lane === undefined) {
        const early = omission === "look" ? openLane(space) : undefined;
        const isThere = early?.lane.next() ?? true;
        if (space.claim(slot)) {
          lane = openLane(space);
          if (isThere) take(words, space, lane);
        }
      } else take(words, space, lane);
      if (words.load(TAKEN) === count) return;
      sleep(words, space, slot);
    }
  };
}

/** Becomes the receiver when the first one is dead, and takes until the sender's ticket is settled. */
const succeeding: ModelThread = (words) => {
  const space = new MessageSpace(words, SHAPE);
  let lane: MessageInlet | undefined;
  for (;;) {
    if (lane === undefined && space.claim(SECOND)) lane = openLane(space);
    if (lane !== undefined) take(words, space, lane);
    if (words.load(SEEN_TAKEN) + words.load(SEEN_LOST) > 0) return;
    sleep(words, space, SECOND);
  }
};

/** Has the role from the start, and sleeps until it has taken one message. */
const takingOne: ModelThread = (words) => {
  const space = new MessageSpace(words, SHAPE);
  const lane = openLane(space);
  for (;;) {
    take(words, space, lane);
    if (words.load(TAKEN) === 1) return;
    sleep(words, space, FIRST);
  }
};

/** Has the role from the start, and takes what is there together, as `nextEvents` does: the cells go back at the end. With "wants", it asks whether the sender waits before that. */
function takingTogether(count: number, omission?: Omission): ModelThread {
  return (words) => {
    const space = new MessageSpace(words, SHAPE);
    const inlet = openLane(space);
    for (;;) {
      for (;;) {
        const before = inlet.lane.position;
        take(words, space, inlet, true);
        if (inlet.lane.position === before) break;
        const isWanted = space.wantsBefore(space.wantedWords(SENDER, TO, "usual"), inlet.lane.position);
        const isWantedBehind = inlet.release();
        if (omission === "wants" ? isWanted : isWantedBehind) ring(words, space, SENDER);
      }
      if (words.load(TAKEN) === count) return;
      sleep(words, space, FIRST);
    }
  };
}

/** Has the role from the start, takes what is there once, and gives the role back. With "release", before the cells. */
function handingOver(omission?: Omission): ModelThread {
  return (words) => {
    const space = new MessageSpace(words, SHAPE);
    const lane = openLane(space);
    take(words, space, lane, omission === "release");
    space.retire(FIRST);
    ring(words, space, SECOND);
  };
}

/** Has the role from the start, takes what is there once, and closes. */
const closing: ModelThread = (words) => {
  const space = new MessageSpace(words, SHAPE);
  take(words, space, openLane(space));
  space.close(FIRST);
  if (space.wants(SENDER, TO)) ring(words, space, SENDER);
};

/** Sends one message and tells the receiver by its ring, if it has one: where that is closed by then, its number may be another thread's ring, and the message is lost. */
const telling: ModelThread = (words) => {
  const space = new MessageSpace(words, SHAPE);
  const line = new MessageLine(space, SENDER, { shard: TO });
  line.lane.push(1, -1);
  line.publish();
  const receiver = space.receiverOf(TO);
  if (receiver < 0) return;
  if (space.ringOf(receiver) < 0 || words.load(RING_OPEN) === 1) ring(words, space, receiver);
};

/** Has the role and a ring, which ends. Then it gives the ring up, looks once more, and sleeps until it has taken one message. With "look", it looks before. */
function endingRing(omission?: Omission): ModelThread {
  return (words) => {
    const space = new MessageSpace(words, SHAPE);
    const lane = openLane(space);
    words.store(RING_OPEN, 0);
    if (omission === "look") take(words, space, lane);
    space.setRing(FIRST, -1);
    if (omission !== "look") take(words, space, lane);
    while (words.load(TAKEN) < 1) {
      sleep(words, space, FIRST);
      take(words, space, lane);
    }
  };
}

/** Sends so many messages by the hot lane. With "use", it says that it uses the lane only behind the first. */
function sendingHot(count: number, omission?: Omission): ModelThread {
  return (words) => {
    const space = new MessageSpace(words, HOT_SHAPE);
    if (omission !== "use") space.use(SENDER, TO, "hot");
    const line = new MessageLine(space, SENDER, { shard: TO, kind: "hot" });
    for (let number = 1; number <= count; number++) {
      line.lane.push(number, -number);
      publish(words, space, line);
    }
    if (omission === "use") space.use(SENDER, TO, "hot");
  };
}

/** Has the role from the start, opens the lanes that are in use, and sleeps until `count` messages were taken. */
function receivingHot(count: number): ModelThread {
  return (words) => {
    const space = new MessageSpace(words, HOT_SHAPE);
    const inlets = new MessageInlets(space, TO);
    for (;;) {
      inlets.open();
      for (const inlet of inlets.opened) take(words, space, inlet);
      if (words.load(TAKEN) === count) return;
      sleep(words, space, FIRST);
    }
  };
}

function withRing(words: Words): void {
  const space = new MessageSpace(words, SHAPE);
  space.claim(FIRST);
  space.setRing(FIRST, 7);
  words.store(RING_OPEN, 1);
}

function withHotReceiver(words: Words): void {
  new MessageSpace(words, HOT_SHAPE).claim(FIRST);
}

function withReceiver(words: Words): void {
  new MessageSpace(words, SHAPE).claim(FIRST);
}

/** What `MessageKeeper.leave` does: wakes everybody whatever the words say. */
function burying(slot: number, omission?: Omission): (words: Words) => void {
  return (words) => {
    const space = new MessageSpace(omission === "dropped" ? forgetful(words) : words, SHAPE);
    if (omission !== "bits") space.bury(slot);
    if (omission === "successor") space.abandon(TO);
    for (const woken of [SENDER, FIRST, SECOND].filter((one) => one !== slot)) {
      const bell = bellOf(words, space, woken);
      bell.ring();
      bell.notify();
    }
  };
}

/** Words on which the supervisor's note of what was dropped is not written. */
function forgetful(words: Words): Words {
  const probe = new MessageSpace(words, SHAPE);
  // The note is the third word of a line, whose lane begins 48 words behind.
  const dropped = probe.lane(SENDER, TO).base - 48 + 2;
  return new Proxy(words, {
    get(target, name) {
      if (name === "store") return (index: number, value: number) => index !== dropped && target.store(index, value);
      const found: unknown = Reflect.get(target, name, target);
      return typeof found === "function" ? (...args: number[]) => Reflect.apply(found, target, args) : found;
    },
  });
}

/** Adds once, and rings. */
const adding: ModelThread = (words) => {
  const space = new MessageSpace(words, SHAPE);
  const counter = new HotCounterSender(words, space.counterWord(SENDER, TO, TAG), 100);
  for (const amount of [2, 3]) {
    if (!counter.add(amount)) continue;
    space.markHot(SENDER, TO, TAG);
    const receiver = space.receiverOf(TO);
    if (receiver >= 0) ring(words, space, receiver);
  }
  // The end of a turn.
  if (!counter.flush()) return;
  space.markHot(SENDER, TO, TAG);
  ring(words, space, FIRST);
};

/** Takes what the bits say, until `total` has come or, after a death, nothing more is there. */
function counting(total: number): ModelThread {
  return (words) => {
    const space = new MessageSpace(words, SHAPE);
    const counter = new HotCounterReceiver(words, space.counterWord(SENDER, TO, TAG));
    for (;;) {
      const bits = space.takeHot(SENDER, TO);
      if ((bits & (1 << TAG)) !== 0) words.store(SUM, words.load(SUM) + counter.take());
      if (words.load(SUM) === total || bits === -1) return;
      sleep(words, space, FIRST);
    }
  };
}

function expect(index: number, value: number, what: string): (words: Words) => void {
  return (words) => {
    if (words.load(index) !== value) throw new Error(`${what}: ${words.load(index)}, not ${value}`);
  };
}

/** A ticket that says "taken" stands for a message that was taken. */
function honest(words: Words): void {
  if (words.load(SEEN_TAKEN) === 1 && words.load(TAKEN) < 1) throw new Error("a ticket lied");
  if (words.load(SEEN_TAKEN) + words.load(SEEN_LOST) !== 1) throw new Error("a ticket is settled once");
}

/** What a dead sender had added to the word is there or was taken. */
function counted(words: Words): void {
  const space = new MessageSpace(words, SHAPE);
  const left = words.load(space.counterWord(SENDER, TO, TAG));
  const isMarked = space.takeHot(SENDER, TO) !== 0;
  if (left !== 0 && !isMarked) throw new Error("an amount lies where nobody looks");
}

const programs: readonly ModelProgram[] = [
  {
    name: "messages: sending against becoming the receiver",
    length: LENGTH,
    threads: [sending(2, false), receiving(FIRST, 2)],
    finish: expect(TAKEN, 2, "messages taken"),
  },
  {
    name: "messages: planted bug, looking before having the role",
    length: LENGTH,
    threads: [sending(1, false), receiving(FIRST, 1, "look")],
    finish: expect(TAKEN, 1, "messages taken"),
    mustFail: /lost wake-up/,
  },
  {
    name: "messages: planted bug, asking whether the receiver is told before there is anything to tell",
    length: LENGTH,
    threads: [sending(2, false, "told"), receiving(FIRST, 2)],
    finish: expect(TAKEN, 2, "messages taken"),
    mustFail: /lost wake-up/,
  },
  {
    name: "messages: telling by a ring that is given up",
    length: LENGTH,
    setup: withRing,
    threads: [telling, endingRing()],
    finish: expect(TAKEN, 1, "messages taken"),
  },
  {
    name: "messages: planted bug, looking before the ring is given up",
    length: LENGTH,
    setup: withRing,
    threads: [telling, endingRing("look")],
    finish: expect(TAKEN, 1, "messages taken"),
    mustFail: /lost wake-up/,
  },
  {
    name: "messages: a hot lane is opened while the receiver goes to sleep",
    length: HOT_LENGTH,
    setup: withHotReceiver,
    threads: [sendingHot(2), receivingHot(2)],
    finish: expect(TAKEN, 2, "messages taken"),
  },
  {
    name: "messages: planted bug, a hot lane is used before it is said to be",
    length: HOT_LENGTH,
    setup: withHotReceiver,
    threads: [sendingHot(1, "use"), receivingHot(1)],
    finish: expect(TAKEN, 1, "messages taken"),
    mustFail: /lost wake-up/,
  },
  {
    name: "messages: one receiver hands over to another",
    length: LENGTH,
    setup: withReceiver,
    threads: [sending(2, false), handingOver(), receiving(SECOND, 2)],
    finish: expect(TAKEN, 2, "messages taken"),
  },
  {
    name: "messages: planted bug, handing over before releasing",
    length: LENGTH,
    setup: withReceiver,
    threads: [sending(1, false), handingOver("release"), receiving(SECOND, 1)],
    finish: expect(TAKEN, 1, "messages taken"),
    mustFail: /came, not/,
  },
  {
    name: "messages: a ticket for messages that are taken together",
    length: LENGTH,
    setup: withReceiver,
    threads: [sending(2, true), takingTogether(2)],
    finish: expect(SEEN_TAKEN, 1, "tickets"),
  },
  {
    name: "messages: planted bug, asking whether the sender waits before what was taken together is released",
    length: LENGTH,
    setup: withReceiver,
    threads: [sending(2, true), takingTogether(2, "wants")],
    finish: expect(SEEN_TAKEN, 1, "tickets"),
    mustFail: /lost wake-up/,
  },
  {
    name: "messages: a ticket, and a receiver that may die and has a successor",
    length: LENGTH,
    setup: withReceiver,
    threads: [sending(1, true), takingOne],
    mortal: [1],
    reaper: (words) => {
      burying(FIRST)(words);
      succeeding(words);
    },
    finish: honest,
  },
  {
    name: "messages: a ticket, and a receiver that may die and has none",
    length: LENGTH,
    setup: withReceiver,
    threads: [sending(1, true), takingOne],
    mortal: [1],
    reaper: burying(FIRST, "successor"),
    finish: honest,
  },
  {
    name: "messages: planted bug, what is dropped is not noted",
    length: LENGTH,
    setup: withReceiver,
    threads: [sending(1, true), takingOne],
    mortal: [1],
    reaper: (words) => {
      burying(FIRST, "dropped")(words);
      succeeding(words);
    },
    finish: honest,
    mustFail: /a ticket lied/,
  },
  {
    name: "messages: a ticket, and a receiver that closes",
    length: LENGTH,
    setup: withReceiver,
    threads: [sending(1, true), closing],
    finish: honest,
  },
  {
    name: "messages: planted bug, a ticket without asking to be rung",
    length: LENGTH,
    setup: withReceiver,
    threads: [sending(1, true, "wants"), closing],
    finish: honest,
    mustFail: /lost wake-up/,
  },
  {
    name: "messages: hot counts, and a sender that may die",
    length: LENGTH,
    setup: withReceiver,
    threads: [adding, counting(5)],
    mortal: [0],
    reaper: burying(SENDER),
    finish: counted,
  },
  {
    name: "messages: planted bug, the counters of a dead sender are not looked at",
    length: LENGTH,
    setup: withReceiver,
    threads: [adding, (words) => void new MessageSpace(words, SHAPE).takeHot(SENDER, TO)],
    mortal: [0],
    reaper: burying(SENDER, "bits"),
    finish: counted,
    mustFail: /nobody looks/,
  },
];

export default programs;
