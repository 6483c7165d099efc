/** Permits that threads share, as a mutex and as a semaphore: nobody is inside with another one, nobody sleeps while a permit is free, and the death of anybody at any step leaves the rest going. */
import type { Bell } from "../../../src/shared/bell.js";
import { announceDeath, bellWord, joinGathering, leaveGathering } from "../../../src/shared/gathering.js";
import { PermitSeeker } from "../../../src/shared/permit-seeker.js";
import {
  buryPermitsThread,
  NO_PERMIT,
  Permits,
  type PermitsShape,
  permitsGathering,
  permitsLength,
} from "../../../src/shared/permits.js";
import type { Words } from "../../../src/shared/words.js";
import type { ModelProgram, ModelThread } from "../program.js";

const MUTEX: PermitsShape = { base: 0, threads: 3, permits: 1 };
const PAIR: PermitsShape = { ...MUTEX, permits: 2 };
/** What only one may touch at a time: plain words, so that the checker sees whoever does. */
const DATA = permitsLength(PAIR);
/** How often a holder was told that the last one had died. */
const TOLD = DATA + 1;
/** By thread: how often it was inside. */
const DONE = TOLD + 1;
const LENGTH = DONE + 3;
/** The word of the mutex's permit, and the count of those that were abandoned. */
const PERMIT = DATA - PAIR.permits;
const ABANDONED_COUNT = PERMIT - 16;

function joined(shape: PermitsShape): (words: Words) => void {
  return (words) => {
    for (let thread = 0; thread < shape.threads; thread++)
      joinGathering(words, permitsGathering(shape), { thread, life: thread + 1 });
  };
}

/** Waits for a ring, as `LoopBell.next`. */
function nextRing(words: Words, shape: PermitsShape, thread: number, bell: Bell): void {
  while (!bell.take()) {
    if (bell.fallAsleep()) words.wait(bellWord(permitsGathering(shape), thread), 0);
    bell.wokeUp();
  }
}

type Inside = (words: Words, thread: number) => void;

/** Inside a mutex: one at a time may write. */
function alone(words: Words, thread: number): void {
  words.write(DATA, words.read(DATA) + 1);
  words.add(DONE + thread, 1);
}

function beside(words: Words, thread: number): void {
  words.add(DONE + thread, 1);
}

interface Use {
  readonly shape: PermitsShape;
  readonly times?: number;
  readonly inside?: Inside;
  /** What a thread that is owed an offer does at its end. */
  readonly isForgetful?: boolean;
}

/** Acquires and releases, as the class of the users does with one caller at a time. */
function user(thread: number, { shape, times = 1, inside = alone, isForgetful = false }: Use): ModelThread {
  return (words) => {
    const permits = new Permits(words, shape, thread);
    const seeker = new PermitSeeker(permits);
    for (let time = 0; time < times; time++) {
      let permit = permits.tryTake();
      while (permit === NO_PERMIT) {
        permit = seeker.seek();
        if (permit === NO_PERMIT) nextRing(words, shape, thread, permits.gathering.ownBell);
      }
      const wasAbandoned = permits.wasAbandoned;
      seeker.rest();
      if (wasAbandoned) words.add(TOLD, 1);
      inside(words, thread);
      permits.release(permit);
    }
    if (isForgetful) return;
    for (seeker.rest(); seeker.isOwed; seeker.rest()) nextRing(words, shape, thread, permits.gathering.ownBell);
  };
}

/** Waits, and gives up at once. */
function quitter(thread: number, shape: PermitsShape, isForgetful = false): ModelThread {
  return (words) => {
    const permits = new Permits(words, shape, thread);
    const seeker = new PermitSeeker(permits);
    const permit = seeker.seek();
    if (permit !== NO_PERMIT) permits.giveOn(permit, permits.wasAbandoned);
    if (isForgetful) {
      permits.waiting.leave(thread);
      return;
    }
    for (seeker.rest(); seeker.isOwed; seeker.rest()) nextRing(words, shape, thread, permits.gathering.ownBell);
  };
}

/** As a {@link quitter}, who takes its debt for settled when somebody has died, whoever that was. */
function forgivingQuitter(words: Words): void {
  const permits = new Permits(words, MUTEX, 1);
  const { gathering, waiting } = permits;
  const { deaths } = gathering;
  waiting.enter(1);
  const permit = permits.tryTake();
  if (permit !== NO_PERMIT) permits.giveOn(permit, permits.wasAbandoned);
  let isOwed = !waiting.leave(1);
  while (isOwed) {
    isOwed = gathering.deaths === deaths;
    const offered = permits.takeOffered();
    if (offered !== NO_PERMIT) return permits.giveOn(offered, permits.wasAbandoned);
    if (isOwed) nextRing(words, MUTEX, 1, gathering.ownBell);
  }
}

/** What everybody sees of the death of a thread that has to do with none of it. */
function announcer(words: Words): void {
  announceDeath(words, permitsGathering(MUTEX));
}

/** Does nothing with the permits, but to die where a program lets it. */
function bystander(words: Words): void {
  words.add(DONE + 2, 1);
}

/** Gives back one of two permits, which it holds from the beginning. */
function pairHolder(thread: number): ModelThread {
  return (words) => new Permits(words, PAIR, thread).release(thread);
}

/** Waits and gives up at once, when somebody has died before that who has to do with none of it. */
function bereavedQuitter(words: Words): void {
  const permits = new Permits(words, MUTEX, 1);
  const seeker = new PermitSeeker(permits);
  announceDeath(words, permitsGathering(MUTEX));
  const permit = seeker.seek();
  if (permit !== NO_PERMIT) permits.giveOn(permit, permits.wasAbandoned);
  for (seeker.rest(); seeker.isOwed; seeker.rest()) nextRing(words, MUTEX, 1, permits.gathering.ownBell);
}

/** Takes the mutex if it is free, and gives it back. */
function trier(thread: number): ModelThread {
  return (words) => {
    const permits = new Permits(words, MUTEX, thread);
    if (permits.tryTake() === NO_PERMIT) return;
    alone(words, thread);
    permits.release(0);
  };
}

function finish(shape: PermitsShape, times: number): (words: Words, killed: readonly number[]) => void {
  return (words, killed) => {
    for (let thread = 0; thread < shape.threads; thread++) {
      const done = words.load(DONE + thread);
      if (!killed.includes(thread) && thread < times && done !== 1)
        throw new Error(`${thread} was inside ${done} times`);
    }
    for (const thread of killed) joinGathering(words, permitsGathering(shape), { thread, life: thread + 9 });
    const permits = new Permits(words, shape, 0);
    const abandoned = permits.abandonedCount;
    if (killed.length === 0 && abandoned !== 0) throw new Error("somebody was taken for dead");
    if (abandoned > killed.length) throw new Error(`${abandoned} permits were abandoned by ${killed.length} dead`);
    // What was abandoned is told once: to somebody inside, or to the one who comes now.
    let told = words.load(TOLD);
    for (let n = 0; n < shape.permits; n++) {
      if (permits.tryTake() === NO_PERMIT) throw new Error("a permit is gone");
      if (permits.wasAbandoned) told += 1;
    }
    if (permits.tryTake() !== NO_PERMIT) throw new Error("there is a permit too many");
    const unheard = killed.some((thread) => words.load(DONE + thread) === 0) ? killed.length : 0;
    if (told > abandoned || told + unheard < abandoned)
      throw new Error(`${abandoned} were abandoned, and ${told} told`);
  };
}

function reaper(shape: PermitsShape): (words: Words, killed: number) => void {
  return (words, killed) => buryPermitsThread(words, shape, killed);
}

/** Thread 0 holds the mutex. */
function held(words: Words): void {
  joined(MUTEX)(words);
  new Permits(words, MUTEX, 0).tryTake();
}

/** Thread 0 holds the mutex, and thread 1 waits for it. */
function heldAndWaited(words: Words): void {
  held(words);
  new Permits(words, MUTEX, 1).waiting.enter(1);
}

/** Threads 0 and 1 hold the two permits. */
function bothHeld(words: Words): void {
  joined(PAIR)(words);
  new Permits(words, PAIR, 0).tryTake();
  new Permits(words, PAIR, 1).tryTake();
}

/** Waits from the beginning, and passes on what it is offered. */
function passer(words: Words): void {
  const permits = new Permits(words, MUTEX, 1);
  if (permits.waiting.leave(1)) return;
  while (permits.takeOffered() === NO_PERMIT) nextRing(words, MUTEX, 1, permits.gathering.ownBell);
  permits.giveOn(0, permits.wasAbandoned);
}

/** Gives back what it holds from the beginning. */
function holder(words: Words): void {
  alone(words, 0);
  new Permits(words, MUTEX, 0).release(0);
}

/** A releaser that stores the permit free when nobody waits, and does not look again. */
function hasty(words: Words): void {
  alone(words, 0);
  const permits = new Permits(words, MUTEX, 0);
  if (permits.waiting.isEmpty()) words.store(PERMIT, 0);
  else permits.release(0);
}

/** Takes a free permit in two steps. */
function checking(words: Words): void {
  if (words.load(PERMIT) !== 0) return;
  words.store(PERMIT, 3);
  alone(words, 2);
  new Permits(words, MUTEX, 2).release(0);
}

/** A reaper that frees what was held, and nothing else. */
function careless(words: Words, killed: number): void {
  leaveGathering(words, permitsGathering(MUTEX), killed);
  if (words.compareExchange(PERMIT, killed + 1, 1 << 9) === killed + 1) words.add(ABANDONED_COUNT, 1);
  announceDeath(words, permitsGathering(MUTEX));
}

/** A reaper that tells nobody. */
function silent(words: Words, killed: number): void {
  leaveGathering(words, permitsGathering(MUTEX), killed);
  new Permits(words, MUTEX, killed).reap();
}

/** A reaper that clears the dead thread's life last, so that others go on to offer it permits. */
function lateReaper(words: Words, killed: number): void {
  const permits = new Permits(words, MUTEX, killed);
  permits.waiting.leave(killed);
  const found = words.load(PERMIT);
  if ((found & 0xff) === killed + 1) words.compareExchange(PERMIT, found, 0);
  leaveGathering(words, permitsGathering(MUTEX), killed);
  announceDeath(words, permitsGathering(MUTEX));
}

const mutex = { length: LENGTH, setup: joined(MUTEX) };
const handed = { length: LENGTH, setup: held };
const pair = { length: LENGTH, setup: joined(PAIR) };
const use = { shape: MUTEX };

/** The order of three threads that sleep and wake each other. */
const MANY = "there are more orders than an hour has time for";

const programs: readonly ModelProgram[] = [
  {
    ...mutex,
    name: "permits: a mutex, two threads",
    threads: [user(0, use), user(1, use)],
    finish: finish(MUTEX, 2),
  },
  {
    ...handed,
    name: "permits: a mutex is given back while two threads come",
    threads: [holder, user(1, use), user(2, use)],
    finish: finish(MUTEX, 3),
    isDeep: true,
  },
  {
    ...handed,
    name: "permits: a mutex is given back while one gives up waiting and one comes",
    threads: [holder, quitter(1, MUTEX), user(2, use)],
    finish: finish(MUTEX, 1),
    isDeep: true,
  },
  {
    ...handed,
    name: "permits: a mutex is given back while one gives up waiting, and an old death is none of theirs",
    threads: [holder, bereavedQuitter],
    finish: finish(MUTEX, 1),
  },
  {
    ...handed,
    name: "permits: a mutex is given back while one gives up waiting and hears of a death",
    threads: [holder, quitter(1, MUTEX), announcer],
    finish: finish(MUTEX, 1),
  },
  {
    ...handed,
    name: "permits: a mutex is given back while one gives up waiting and a third thread dies",
    threads: [holder, quitter(1, MUTEX), bystander],
    mortal: [2],
    reaper: reaper(MUTEX),
    finish: finish(MUTEX, 1),
    isDeep: true,
  },
  {
    ...handed,
    name: "permits: who gives a mutex back may die while the other one gives up waiting, or that one",
    threads: [holder, quitter(1, MUTEX)],
    mortal: [0, 1],
    reaper: reaper(MUTEX),
    finish: finish(MUTEX, 1),
  },
  {
    ...pair,
    setup: bothHeld,
    name: "permits: two are given back while one gives up waiting, and either giver may die",
    threads: [pairHolder(0), pairHolder(1), quitter(2, PAIR)],
    mortal: [0, 1],
    reaper: reaper(PAIR),
    finish: finish(PAIR, 0),
    isDeep: true,
  },
  {
    ...handed,
    name: "permits: a mutex is given back while two threads wait and give up",
    threads: [holder, quitter(1, MUTEX), quitter(2, MUTEX)],
    finish: finish(MUTEX, 1),
    isDeep: true,
  },
  {
    ...handed,
    name: "permits: a mutex is given back while one waits and another one tries",
    threads: [holder, user(1, use), trier(2)],
    finish: finish(MUTEX, 2),
  },
  {
    ...handed,
    name: "permits: the holder of a mutex or the one that waits may die, or both",
    threads: [holder, user(1, use)],
    mortal: [0, 1],
    deathsMax: 2,
    reaper: reaper(MUTEX),
    finish: finish(MUTEX, 2),
  },
  {
    ...handed,
    name: "permits: the one that is offered a mutex may die, another one tries",
    setup: heldAndWaited,
    threads: [holder, passer, trier(2)],
    mortal: [1],
    reaper: reaper(MUTEX),
    finish: finish(MUTEX, 1),
  },
  {
    ...handed,
    name: "permits: the first that waits may die, another one waits too",
    threads: [holder, quitter(1, MUTEX), user(2, use)],
    mortal: [1],
    reaper: reaper(MUTEX),
    finish: finish(MUTEX, 1),
    isDeep: true,
    isBounded: MANY,
  },
  {
    ...mutex,
    name: "permits: a mutex, either may die",
    threads: [user(0, use), user(1, use)],
    mortal: [0, 1],
    reaper: reaper(MUTEX),
    finish: finish(MUTEX, 2),
  },
  {
    ...mutex,
    name: "permits: a mutex, three threads",
    threads: [user(0, use), user(1, use), user(2, use)],
    finish: finish(MUTEX, 3),
    isDeep: true,
    isBounded: MANY,
  },
  {
    ...pair,
    name: "permits: two permits, three threads",
    threads: [0, 1, 2].map((thread) => user(thread, { shape: PAIR, inside: beside })),
    finish: finish(PAIR, 3),
    isDeep: true,
    isBounded: MANY,
  },
  {
    ...handed,
    name: "permits, planted: a permit is stored free without another look at who waits",
    threads: [hasty, user(1, use)],
    finish: finish(MUTEX, 2),
    mustFail: /lost wake-up/,
  },
  {
    ...mutex,
    name: "permits, planted: a permit is taken in two steps",
    threads: [user(0, use), user(1, use), checking],
    finish: finish(MUTEX, 2),
    mustFail: /data race|gives a permit back/,
  },
  {
    ...handed,
    name: "permits, planted: who gives up waiting keeps what it was offered",
    threads: [holder, quitter(1, MUTEX, true), user(2, use)],
    finish: finish(MUTEX, 1),
    mustFail: /lost wake-up/,
  },
  {
    ...handed,
    name: "permits, planted: a death cancels what a living thread still owes",
    threads: [holder, forgivingQuitter, announcer],
    finish: finish(MUTEX, 1),
    mustFail: /a permit is gone/,
  },
  {
    ...handed,
    name: "permits, planted: the reaper forgets what was offered",
    threads: [holder, user(1, use)],
    mortal: [1],
    reaper: careless,
    finish: finish(MUTEX, 2),
    mustFail: /a permit is gone/,
  },
  {
    ...handed,
    name: "permits, planted: the reaper tells nobody",
    threads: [holder, user(1, use)],
    mortal: [0],
    reaper: silent,
    finish: finish(MUTEX, 2),
    mustFail: /lost wake-up/,
  },
  {
    ...handed,
    name: "permits, planted: a dead thread is still offered permits",
    threads: [holder, user(1, use)],
    mortal: [1],
    reaper: lateReaper,
    finish: finish(MUTEX, 2),
    mustFail: /a permit is gone/,
  },
];

export default programs;
