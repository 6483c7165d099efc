/** A thread ends of its own accord while others send it something that is for this life of it alone (`src/scheduler/leaving.ts`): whoever sent to a thread that stays is heard, and who comes too late means the next one. */
import { Leaving, type LeavingShape } from "../../../src/scheduler/leaving.js";
import type { Words } from "../../../src/shared/words.js";
import type { ModelProgram, ModelThread } from "../program.js";

const LEAVER = 0;
const SENDERS = [1, 2];
const THREADS = 3;
const SHAPE: LeavingShape = { threads: THREADS, states: 0, keeps: THREADS, epochs: 2 * THREADS };
/** By sender: 1 + the epoch that it meant. */
const MEANT = 3 * THREADS;
/** By sender: its hint. */
const HINTS = MEANT + THREADS;
/** By sender: the leaver has run what it sent. */
const RUNS = HINTS + THREADS;
const HAS_LEFT = RUNS + THREADS;
const HAS_ENDED = HAS_LEFT + 1;
const LENGTH = HAS_ENDED + 1;
const ATTEMPTS = 2;

/** What a planted bug leaves out. */
type Omission = "keeps" | "work" | "keep";

function hasWork(words: Words): boolean {
  return SENDERS.some((sender) => words.load(HINTS + sender) !== 0);
}

function runAll(words: Words): void {
  for (const sender of SENDERS) {
    if (words.exchange(HINTS + sender, 0) === 0) continue;
    if (words.load(MEANT + sender) !== 1) throw new Error("what the thread was sent is for another one");
    words.add(RUNS + sender, 1);
  }
}

/** Has nothing to do, and tries to leave. */
function leaver(omission?: Omission): ModelThread {
  return (words) => {
    const leaving = new Leaving(words, omission === "keeps" ? { ...SHAPE, threads: 0 } : SHAPE, LEAVER);
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      runAll(words);
      if (!leaving.tryLeave(() => omission !== "work" && hasWork(words))) continue;
      words.store(HAS_LEFT, 1);
      return;
    }
  };
}

function sender(self: number, omission?: Omission): ModelThread {
  return (words) => {
    const leaving = new Leaving(words, SHAPE, self);
    function send(epoch: number): void {
      words.store(MEANT + self, 1 + epoch);
      words.store(HINTS + self, 1);
    }
    if (omission !== "keep") return leaving.whileKept(LEAVER, send);
    // As it was: whoever lives is taken to stay.
    send(words.load(SHAPE.epochs + LEAVER));
  };
}

/** A getter of what is sent sends something itself, to another thread. */
function nestedSender(self: number, other: number): ModelThread {
  return (words) => {
    const leaving = new Leaving(words, SHAPE, self);
    leaving.whileKept(LEAVER, (epoch) => {
      leaving.whileKept(other, () => undefined);
      words.store(MEANT + self, 1 + epoch);
      words.store(HINTS + self, 1);
    });
  };
}

/** What waits for a thread that is gone would wait for ever, and what waits for the next one must not be taken by this one. */
function isHeard(words: Words): void {
  const hasLeft = words.load(HAS_LEFT) === 1;
  for (const self of SENDERS) {
    const meant = words.load(MEANT + self) - 1;
    if (meant === -1) continue;
    if (meant === 0 && hasLeft && words.load(RUNS + self) !== 1) throw new Error("sent to a thread that is gone");
    if (meant === 1 && !hasLeft) throw new Error("sent to the successor of a thread that stays");
  }
}

/** The thread ends, and is buried while somebody sends: whoever has sent looks again. */
function undertaker(words: Words): void {
  const leaving = new Leaving(words, SHAPE, LEAVER);
  leaving.buryBegin(LEAVER);
  // The reaper: what it finds is put right.
  if (words.load(MEANT + 1) === 1 && words.exchange(HINTS + 1, 0) === 1) words.add(RUNS + 1, 1);
  words.store(SHAPE.epochs + LEAVER, 1);
  leaving.buryEnd(LEAVER);
  words.store(HAS_ENDED, 1);
}

function watchfulSender(looksAgain: boolean): ModelThread {
  return (words) => {
    const leaving = new Leaving(words, SHAPE, 1);
    leaving.whileKept(LEAVER, (epoch) => {
      words.store(MEANT + 1, 1 + epoch);
      words.store(HINTS + 1, 1);
      // Moved to where it is found.
      if (looksAgain && !leaving.isThere(LEAVER, epoch) && words.exchange(HINTS + 1, 0) === 1) words.add(RUNS + 1, 1);
    });
  };
}

/** What meant the dead thread was found by the reaper, or by the sender itself. */
function isFound(words: Words): void {
  if (words.load(MEANT + 1) === 1 && words.load(RUNS + 1) === 0) throw new Error("nobody looks at the hint");
  if (words.load(MEANT + 1) === 2 && words.load(HINTS + 1) === 0) throw new Error("the successor has no hint");
}

const program = { length: LENGTH, finish: isHeard };

const programs: readonly ModelProgram[] = [
  { ...program, name: "leaving: a thread ends while another one sends to it", threads: [leaver(), sender(1)] },
  { ...program, name: "leaving: a thread ends while two others send to it", threads: [leaver(), sender(1), sender(2)] },
  {
    ...program,
    name: "leaving: a thread ends while another one sends to it, and to a third one in the middle of that",
    threads: [leaver(), nestedSender(1, 2)],
  },
  {
    name: "leaving: a thread is buried while another one sends to it",
    length: LENGTH,
    threads: [undertaker, watchfulSender(true)],
    finish: isFound,
  },
  {
    ...program,
    name: "leaving, planted: who sends keeps nobody",
    threads: [leaver(), sender(1, "keep")],
    mustFail: /gone/,
  },
  {
    ...program,
    name: "leaving, planted: the thread does not look who keeps it",
    threads: [leaver("keeps"), sender(1)],
    mustFail: /gone/,
  },
  {
    ...program,
    name: "leaving, planted: the thread does not look for work once more",
    threads: [leaver("work"), sender(1)],
    mustFail: /gone/,
  },
  {
    name: "leaving, planted: who has sent to a thread that dies does not look again",
    length: LENGTH,
    threads: [undertaker, watchfulSender(false)],
    finish: isFound,
    mustFail: /nobody/,
  },
];

export default programs;
