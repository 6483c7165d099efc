/**
 * Small algorithms that everybody knows, right and broken: a look at how programs are written, and a proof with each run that the checker finds what it must.
 */
import type { Words } from "../../../src/shared/words.js";
import { Doorbell } from "../doorbell.js";
import type { ModelProgram, ModelThread } from "../program.js";

/** Two threads that enter a section if the other one has not announced itself: Dekker's first step, without the waiting. */
function dekker(isAnnouncedFirst: boolean): readonly ModelThread[] {
  return [0, 1].map((own) => (words) => {
    if (isAnnouncedFirst) words.store(own, 1);
    const isOtherThere = words.load(1 - own) === 1;
    if (!isAnnouncedFirst) words.store(own, 1);
    if (!isOtherThere) words.add(2, 1);
  });
}

function atMostOneEntered(words: Words): void {
  if (words.load(2) > 1) throw new Error("both threads entered");
}

const FLAG = 0;
const VALUE = 1;

/** A value and the flag that publishes it. */
function messagePassing(isPublishedFirst: boolean): readonly ModelThread[] {
  return [
    (words) => {
      if (isPublishedFirst) words.store(FLAG, 1);
      words.write(VALUE, 42);
      if (!isPublishedFirst) words.store(FLAG, 1);
    },
    (words) => {
      if (words.load(FLAG) === 1 && words.read(VALUE) !== 42) throw new Error("the value is not there");
    },
  ];
}

/** One thread sleeps until there is something, another one brings it and wakes who has announced to sleep. */
function parking(isRechecked: boolean): readonly ModelThread[] {
  const [items, parked] = [0, 1];
  return [
    (words) => {
      while (words.load(items) === 0) {
        words.store(parked, 1);
        if (isRechecked && words.load(items) > 0) break;
        words.wait(parked, 1);
      }
      words.add(items, -1);
    },
    (words) => {
      words.add(items, 1);
      if (words.exchange(parked, 0) === 1) words.notify(parked, 1);
    },
  ];
}

/** A thread that blocks in the kernel when there is nothing, another one that rings only if it must, and may die before it does. */
function doorbell(isReaperRinging: boolean): Pick<ModelProgram, "length" | "threads" | "mortal" | "reaper" | "finish"> {
  const [items, parked, bell, ended] = [0, 1, 2, 3];
  return {
    length: 4,
    threads: [
      (words) => {
        while (words.load(items) === 0 && words.load(ended) === 0) {
          words.store(parked, 1);
          if (words.load(items) === 0 && words.load(ended) === 0) new Doorbell(words, bell).sleep();
          words.store(parked, 0);
        }
      },
      (words) => {
        words.add(items, 1);
        if (words.load(parked) === 1) new Doorbell(words, bell).ring();
      },
    ],
    mortal: [1],
    reaper: (words) => {
      words.store(ended, 1);
      if (isReaperRinging) new Doorbell(words, bell).ring();
    },
    finish: () => {},
  };
}

/**
 * Treiber's stack of three nodes, numbered from 1: word 0 is the head, word n the node below node n. With `tagBits` the upper half of the head
 * counts the changes modulo 2 ** tagBits.
 */
class Treiber {
  readonly #words: Words;
  readonly #tagMask: number;

  constructor(words: Words, tagBits: number) {
    this.#words = words;
    this.#tagMask = (1 << tagBits) - 1;
  }

  push(node: number): void {
    for (;;) {
      const head = this.#words.load(0);
      this.#words.store(node, head & 0xff);
      if (this.#words.compareExchange(0, head, this.#following(head) | node) === head) return;
    }
  }

  pop(): number {
    for (;;) {
      const head = this.#words.load(0);
      const node = head & 0xff;
      if (node === 0) return 0;
      const below = this.#words.load(node);
      if (this.#words.compareExchange(0, head, this.#following(head) | below) === head) return node;
    }
  }

  takeAll(): number {
    return this.#words.exchange(0, 0);
  }

  #following(head: number): number {
    return (((head >> 8) + 1) & this.#tagMask) << 8;
  }
}

/** A pop against some pops and a push of the first node: who reads the node below and then sleeps may put back a node that is gone. */
function treiberPops(
  tagBits: number,
  pops = 2,
): Pick<ModelProgram, "length" | "setup" | "threads" | "finish" | "nameOf"> {
  const take = (words: Words, node: number): void => {
    if (node !== 0 && words.add(3 + node, 1) !== 0) throw new Error(`node ${node} was taken twice`);
  };
  return {
    length: 7,
    nameOf: (index) => (index === 0 ? "head" : index < 4 ? `below node ${index}` : `owners of node ${index - 3}`),
    setup: (words) => {
      const stack = new Treiber(words, tagBits);
      for (const node of [3, 2, 1]) stack.push(node);
    },
    threads: [
      (words) => take(words, new Treiber(words, tagBits).pop()),
      (words) => {
        const stack = new Treiber(words, tagBits);
        const node = stack.pop();
        take(words, node);
        for (let more = 1; more < pops; more++) take(words, stack.pop());
        if (node === 0) return;
        words.add(3 + node, -1);
        stack.push(node);
      },
    ],
    finish: (words) => {
      const stack = new Treiber(words, tagBits);
      for (let node = stack.pop(); node !== 0; node = stack.pop()) take(words, node);
      for (const node of [1, 2, 3]) {
        if (words.load(3 + node) !== 1) throw new Error(`node ${node} is there ${words.load(3 + node)} times`);
      }
    },
  };
}

/** Pushers that may die against a taker of everything; word 3 + node counts how often a node was taken. */
function treiberTakeAll(): Pick<ModelProgram, "length" | "threads" | "finish"> {
  const takeAll = (words: Words): void => {
    for (let node = new Treiber(words, 0).takeAll(); node !== 0; node = words.load(node)) words.add(3 + node, 1);
  };
  const push = (node: number) => (words: Words) => new Treiber(words, 0).push(node);
  return {
    length: 7,
    threads: [push(1), push(2), takeAll],
    finish: (words, killed) => {
      takeAll(words);
      for (const node of [1, 2]) {
        const count = words.load(3 + node);
        if (count > 1 || (count === 0 && !killed.includes(node - 1)))
          throw new Error(`node ${node} came ${count} times`);
      }
    },
  };
}

/** Threads that claim word 0; the reaper frees what a dead one held. Word 1 counts the claims that ended well. */
function claiming(isOwnerNamed: boolean): Pick<ModelProgram, "length" | "threads" | "mortal" | "reaper" | "finish"> {
  const claim = (thread: number) => (words: Words) => {
    const mark = isOwnerNamed ? thread + 1 : 9;
    if (words.compareExchange(0, 0, mark) !== 0) return;
    if (!isOwnerNamed) words.store(2, thread + 1);
    words.add(1, 1);
    words.store(0, 0);
  };
  return {
    length: 3,
    threads: [claim(0), claim(1)],
    mortal: [0],
    reaper: (words, killed) => {
      if (isOwnerNamed) words.compareExchange(0, killed + 1, 0);
      else if (words.load(2) === killed + 1) words.compareExchange(0, 9, 0);
    },
    finish: (words) => {
      if (words.load(0) !== 0) throw new Error("the claim outlived who made it");
    },
  };
}

const programs: readonly ModelProgram[] = [
  {
    name: "textbook: two threads announce themselves, then look",
    length: 3,
    threads: dekker(true),
    finish: atMostOneEntered,
  },
  {
    name: "textbook: two threads look, then announce themselves",
    length: 3,
    threads: dekker(false),
    finish: atMostOneEntered,
    mustFail: /both threads entered/,
  },
  {
    name: "textbook: a value is written, then published",
    length: 2,
    threads: messagePassing(false),
    finish: () => {},
  },
  {
    name: "textbook: a value is published, then written",
    length: 2,
    threads: messagePassing(true),
    finish: () => {},
    mustFail: /data race: word 1/,
  },
  {
    name: "textbook: announce, recheck, sleep",
    length: 2,
    threads: parking(true),
    finish: () => {},
  },
  {
    name: "textbook: announce and sleep without a recheck",
    length: 2,
    threads: parking(false),
    finish: () => {},
    mustFail: /lost wake-up: thread a/,
  },
  { name: "textbook: a doorbell of the kernel, rung by the reaper too", ...doorbell(true) },
  {
    name: "textbook: a doorbell of the kernel, not rung by the reaper",
    ...doorbell(false),
    mustFail: /lost wake-up: thread a/,
  },
  { name: "textbook: Treiber's stack, pops with a count in the head", ...treiberPops(8) },
  { name: "textbook: Treiber's stack, more pops with a count in the head", ...treiberPops(8, 3) },
  {
    name: "textbook: Treiber's stack, pops without a count in the head",
    ...treiberPops(0),
    mustFail: /was taken twice|is there \d times/,
  },
  {
    name: "textbook: Treiber's stack, pops with a count of two bits that wraps around",
    ...treiberPops(2, 3),
    mustFail: /was taken twice|is there \d times/,
  },
  {
    name: "textbook: Treiber's stack, pushes that may die against take-all",
    ...treiberTakeAll(),
    mortal: [0, 1],
    deathsMax: 2,
  },
  { name: "textbook: a claim that names its owner in the same step", ...claiming(true) },
  {
    name: "textbook: a claim that names its owner one step later",
    ...claiming(false),
    mustFail: /the claim outlived who made it/,
  },
];

export default programs;
