/**
 * Published records (`src/shared/broadcast-logs.ts`): a reader that attaches sees everything from there on and in order, sleeps with no record in front of it, and is never overwritten below its hands; a reader that
 * is given up finds out.
 *
 * Slot 0 writes and slot 1 reads. A record's length is its number, since the bytes of the logs are no part of the model: each thread has an array of its own for them.
 */
import { Bell } from "../../../src/shared/bell.js";
import {
  BroadcastReader,
  type BroadcastShape,
  BroadcastWriter,
  broadcastLength,
  detachDead,
} from "../../../src/shared/broadcast-logs.js";
import type { Words } from "../../../src/shared/words.js";
import type { ModelProgram, ModelThread } from "../program.js";

const SHAPE: BroadcastShape = { slots: 2, capacity: 16 };
const BELL = broadcastLength(SHAPE);
const LENGTH = BELL + 32;
const WRITER = 0;
const READER = 1;
/** The words that the structure uses: the writer's TAIL, and the reader's STATE with its value for "behind". */
const TAIL = 0;
const READER_STATE = 17;
const BEHIND = 3;
/** Words of a record with 1 to 4 bytes, and with 9 to 12, which is as many as there may be. */
const SHORT_WORDS = 2;
const LONG_BYTES = 8;
const LONG_WORDS = 4;

/** What a program leaves out. */
type Omission = "claim" | "look";

function writerOf(words: Words): BroadcastWriter {
  return new BroadcastWriter(words, new Uint8Array(LENGTH * 4), SHAPE, WRITER);
}

function readerOf(words: Words): BroadcastReader {
  return new BroadcastReader(words, new Uint8Array(LENGTH * 4), SHAPE, READER);
}

function ring(words: Words): void {
  const bell = new Bell(words, BELL);
  if (bell.ring()) bell.notify();
}

function sleep(words: Words): void {
  const bell = new Bell(words, BELL);
  while (!bell.take()) {
    if (bell.fallAsleep()) words.wait(BELL, 0);
    bell.wokeUp();
  }
}

/** Publishes records of 1, 2, … bytes. */
function publishing(count: number): ModelThread {
  return (words) => {
    const writer = writerOf(words);
    for (let number = 1; number <= count; number++) {
      if (!writer.publish([new Uint8Array(number)], () => ring(words)))
        throw new Error("there is room for all of them");
    }
  };
}

/** Attaches and reads, asleep in between, until the last of `count` records. With "look", it goes to sleep behind `attach` and the records that it found then, without having seen that there are no more. */
function reading(count: number, omission?: Omission): ModelThread {
  return (words) => {
    const reader = readerOf(words);
    reader.attach();
    let last = 0;
    for (;;) {
      const isOver = words.load(TAIL) === count * SHORT_WORDS;
      for (let record = reader.next(); record !== undefined; record = omission === "look" ? undefined : reader.next()) {
        if (record === "missed") throw new Error("nobody gives this reader up");
        if (last !== 0 && record.length !== last + 1) throw new Error(`record ${record.length} came behind ${last}`);
        last = record.length;
      }
      if (last === count) return;
      // It attached behind the last one.
      if (last === 0 && isOver) return;
      sleep(words);
    }
  };
}

/** Publishes one record more than the log holds, and gives the reader up for it. With "claim", without asking whether it reads. */
function overtaking(omission?: Omission): ModelThread {
  return (words) => {
    const writer = writerOf(words);
    for (let number = 1; number <= SHAPE.capacity / LONG_WORDS + 1; number++) {
      const record = [new Uint8Array(LONG_BYTES + 1 + (number & 3))];
      if (writer.publish(record, () => {})) continue;
      if (omission === "claim") words.store(READER_STATE, BEHIND);
      else if (!writer.giveUp(READER)) continue;
      // A reader that attaches anew at this moment may take the room once more: nothing is published then, and nothing is lost.
      writer.publish(record, () => {});
    }
  };
}

/** Attaches and takes a record, or finds that it has missed some. */
const takingOne: ModelThread = (words) => {
  const reader = readerOf(words);
  reader.attach();
  reader.next();
};

/** The reader has not moved since before the first record: its thread attached, and does nothing. */
function attached(words: Words): void {
  readerOf(words).attach();
}

/** Whatever happened, a new writer of the slot can publish once dead readers are detached. */
function usable(words: Words): void {
  detachDead(words, READER);
  if (!writerOf(words).publish([new Uint8Array(1)], () => {})) throw new Error("the log is full, and nobody reads");
}

const programs: readonly ModelProgram[] = [
  {
    name: "broadcasts: publishing against attaching, reading and sleeping",
    length: LENGTH,
    threads: [publishing(2), reading(2)],
    finish: usable,
  },
  {
    name: "broadcasts: a reader is given up while it reads",
    length: LENGTH,
    threads: [overtaking(), takingOne],
    finish: usable,
  },
  {
    name: "broadcasts: a writer or a reader dies",
    length: LENGTH,
    threads: [publishing(2), takingOne],
    mortal: [0, 1],
    reaper: (words, killed) => killed === 1 && detachDead(words, READER),
    finish: usable,
  },
  {
    name: "broadcasts: a reader that never reads is given up",
    length: LENGTH,
    setup: attached,
    threads: [overtaking()],
    finish: usable,
  },
  {
    name: "broadcasts: planted: a writer overwrites without asking whether the reader reads",
    length: LENGTH,
    threads: [overtaking("claim"), takingOne],
    finish: usable,
    mustFail: /data race/,
  },
  {
    name: "broadcasts: planted: a reader sleeps before it has seen the log empty",
    length: LENGTH,
    threads: [publishing(3), reading(3, "look")],
    finish: usable,
    mustFail: /lost wake-up/,
  },
];

export default programs;
