/** What the checker finds, and what it takes for right. The classics are programs of their own: `programs/textbook.ts`. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Words } from "../../src/shared/words.js";
import { checkProgram, replaySchedule, type Verdict } from "./check.js";
import { Explorer } from "./explorer.js";
import type { ModelProgram, ModelThread } from "./program.js";
import textbook from "./programs/textbook.js";

type Extras = Partial<Omit<ModelProgram, "threads">>;

function program(threads: readonly ModelThread[], extras: Extras = {}): ModelProgram {
  return { name: "test", length: 8, threads, finish: () => {}, ...extras };
}

function check(threads: readonly ModelThread[], extras: Extras = {}): Verdict {
  return checkProgram(program(threads, extras));
}

function failureOf(threads: readonly ModelThread[], extras: Extras = {}): string {
  return check(threads, extras).failure?.message ?? "nothing failed";
}

/** Peterson's lock. `isTurnGiven` is what makes it work: without it both may insist on being first. */
function peterson(own: 0 | 1, isTurnGiven: boolean): ModelThread {
  const [turn, inside, other] = [2, 3, 1 - own];
  return (words) => {
    words.store(own, 1);
    words.store(turn, isTurnGiven ? other : own);
    while (words.load(other) === 1 && words.load(turn) === other);
    if (words.add(inside, 1) !== 0) throw new Error("two inside");
    words.add(inside, -1);
    words.store(own, 0);
  };
}

describe("checkProgram()", () => {
  for (const one of textbook) {
    test(`is right about ${one.name}`, () => {
      const { isOk, isExhaustive, summary } = checkProgram(one);
      assert.ok(isOk, summary);
      assert.equal(isExhaustive, one.mustFail === undefined);
    });
  }

  test("finds no fault in Peterson's lock, and says that its loops are cut", () => {
    const bounds = { stepsMax: 16, isBounded: "loops" };
    const { isOk, isExhaustive, summary, executions } = check([peterson(0, true), peterson(1, true)], bounds);
    assert.deepEqual({ isOk, isExhaustive, summary }, { isOk: true, isExhaustive: false, summary: "bounded: loops" });
    assert.ok(executions > 10);
  });

  test("finds two threads in Peterson's lock when each takes the turn for itself", () => {
    const message = failureOf([peterson(0, false), peterson(1, false)], { stepsMax: 9 });
    assert.match(message, /^thread [ab] threw Error: two inside/);
  });

  test("counts the executions that differ: writes of one word in every order, reads of one word in one", () => {
    const write: ModelThread = (words) => words.store(0, 1);
    const read: ModelThread = (words) => void words.load(0);
    assert.equal(check([write, write, write]).executions, 6);
    assert.equal(check([read, read, read]).executions, 1);
    // The writer before, between and after the three reads, each of which is before or after it.
    assert.equal(check([write, read, read, read]).executions, 8);
  });

  test("sees what the error of a thread says and where it is", () => {
    const verdict = check([(words) => assert.equal(words.load(0), 1, "no one")]);
    assert.match(
      verdict.failure?.message ?? "",
      /^thread a threw AssertionError: no one \(.*test\/model\/engine\.test\.js/,
    );
    assert.equal(verdict.isOk, false);
  });

  test("sees what finish throws, in the one order in which it does", () => {
    const finish = (words: Words): void => assert.notEqual(words.load(0), 21, "twenty-one");
    const threads: ModelThread[] = [
      (words) => words.store(0, 2 * words.load(0) + 1),
      (words) => void words.compareExchange(0, 1, 10),
      (words) => void words.compareExchange(0, 10, 21),
    ];
    assert.match(failureOf(threads, { finish }), /^at the end: AssertionError: twenty-one/);
  });
});

describe("checkProgram() and payload", () => {
  const [flag, payload] = [0, 1];
  const readIfPublished: ModelThread = (words) => {
    if (words.load(flag) !== 0) words.read(payload);
  };

  test("takes a read-modify-write for a publication and for an acquisition", () => {
    const threads: ModelThread[] = [
      (words) => {
        words.write(payload, 1);
        words.or(flag, 1);
      },
      (words) => {
        if (words.exchange(flag, 2) === 1) words.write(payload, 2);
      },
    ];
    assert.equal(failureOf(threads), "nothing failed");
  });

  test("takes an atomic that leaves the value as it was for a publication too, in both orders", () => {
    const setup = (words: Words): void => words.store(flag, 1);
    const touch = (deed: (words: Words) => void) => (words: Words) => {
      words.or(flag, 1);
      deed(words);
    };
    const threads: ModelThread[] = [
      (words) => {
        words.write(payload, 1);
        words.or(flag, 1);
      },
      touch((words) => words.read(payload)),
    ];
    assert.match(failureOf(threads, { setup }), /^data race: word 1 is (read|written) by thread/);
  });

  test("does not take a compareExchange that fails for a publication", () => {
    const threads: ModelThread[] = [
      (words) => {
        words.write(payload, 1);
        words.compareExchange(flag, 7, 8);
      },
      (words) => {
        words.load(flag);
        words.read(payload);
      },
    ];
    assert.match(failureOf(threads), /^data race: word 1/);
  });

  test("knows that a store by somebody else hides the publication before it", () => {
    const threads: ModelThread[] = [
      (words) => {
        words.write(payload, 1);
        words.store(flag, 1);
      },
      (words) => words.store(flag, 2),
      readIfPublished,
    ];
    assert.match(failureOf(threads), /^data race: word 1/);
  });

  test("finds a write that comes after the reads it races with", () => {
    const threads: ModelThread[] = [
      (words) => {
        words.read(payload);
        words.store(flag, 1);
      },
      (words) => {
        words.load(flag);
        words.write(payload, 1);
      },
    ];
    assert.match(failureOf(threads), /^data race: word 1 is written by thread b and read by thread a/);
  });

  test("refuses a word that is both control and payload, and one that does not exist", () => {
    const mixed: ModelThread = (words) => {
      words.store(0, 1);
      words.write(0, 2);
    };
    assert.match(
      failureOf([mixed], { nameOf: () => "head" }),
      /^word 0 \(head\) is touched both atomically and plainly/,
    );
    assert.equal(failureOf([(words) => void words.load(8)]), "thread a touches word 8, but the program has 8 words");
    assert.match(failureOf([(words) => words.write(-1, 0)]), /^thread a touches word -1/);
    assert.match(failureOf([(words) => void words.load(Number.NaN)]), /^thread a touches word NaN/);
  });
});

describe("checkProgram() and sleep", () => {
  const wait: ModelThread = (words) => void words.wait(0, 0);

  test("wakes who has slept longest, and only as many as the count says", () => {
    const notify: ModelThread = (words) => void words.notify(0, 1);
    const { lines } = replaySchedule(program([wait, wait, notify]), "b2a2c2");
    assert.deepEqual(lines.slice(-2), ["   6 thread c   notify(0, 1) wakes 1", "   7 thread b   wait(0) is woken"]);
    const single: ModelThread = (words) => {
      words.store(0, 1);
      words.notify(0, 1);
    };
    assert.match(failureOf([wait, wait, single]), /^lost wake-up: thread ([ab] waits|a and thread b wait) for ever/);
  });

  test("finds a wake-up that comes too early although a store could have kept the thread awake", () => {
    // A random program found this: a wait that does not sleep depends on the notify all the same, or this order is left out.
    const threads: ModelThread[] = [
      (words) => void words.wait(0, 0),
      (words) => words.store(0, 1),
      (words) => void words.notify(0),
    ];
    assert.match(failureOf(threads), /^lost wake-up: thread a/);
  });

  test("lets a wait time out only if the program says so", () => {
    const timed: ModelThread = (words) => {
      if (words.wait(0, 0, 5) === "timed-out") throw new Error("timed out");
    };
    assert.match(failureOf([timed]), /^lost wake-up: thread a/);
    assert.match(failureOf([timed], { hasTimeouts: true }), /^thread a threw Error: timed out/);
    assert.match(failureOf([wait], { hasTimeouts: true }), /^lost wake-up: thread a/);
  });
});

describe("checkProgram() and death", () => {
  test("kills a mortal thread before each step that others can notice, and runs the reaper then", () => {
    const seen = new Set<string>();
    const verdict = check(
      [
        (words) => {
          words.write(2, 5);
          words.write(3, 6);
          words.store(0, 1);
          words.load(1);
          words.add(0, 1);
        },
      ],
      {
        mortal: [0],
        reaper: (words, killed) => {
          assert.equal(killed, 0);
          words.store(1, 10 + words.load(0));
          words.write(4, words.read(2) + words.read(3));
        },
        finish: (words, killed) => {
          const figures = [0, 1, 2, 3, 4].map((index) => words.load(index));
          seen.add(`${figures.join(" ")} ${killed.join()}`);
        },
      },
    );
    assert.equal(verdict.failure, undefined);
    assert.equal(verdict.deaths, 6);
    // Nothing, half a payload, all of it, the first store, all but the end; and nobody dead.
    assert.deepEqual([...seen].sort(), [
      "0 10 0 0 0 0",
      "0 10 5 0 5 0",
      "0 10 5 6 11 0",
      "1 11 5 6 11 0",
      "2 0 5 6 0 ",
      "2 12 5 6 11 0",
    ]);
  });

  test("kills a thread that sleeps, before and after it is notified", () => {
    const outcomes = new Set<string>();
    const wait: ModelThread = (words) => void words.wait(0, 0, 1);
    const notifyOne: ModelThread = (words) => void words.add(2, words.notify(0, 1));
    const { failure } = check([wait, wait, notifyOne], {
      mortal: [0],
      reaper: (words) => void words.add(2, 10 * words.notify(0) + 100),
      hasTimeouts: true,
      finish: (words) => void outcomes.add(`${words.load(2)}`),
    });
    assert.equal(failure, undefined);
    // 111: the one that dies was notified and the other one was still asleep for the reaper. 101: the dead one was not in the way of the other.
    assert.deepEqual([...outcomes].sort(), ["0", "1", "100", "101", "110", "111"]);
  });

  test("lets a thread die between the notification and its waking, so that the wake-up is lost with it", () => {
    const passOn: ModelThread = (words) => {
      words.wait(0, 0);
      words.notify(0, 1);
    };
    const begin: ModelThread = (words) => {
      words.store(0, 1);
      words.notify(0, 1);
    };
    const chain = program([passOn, passOn, begin], { mortal: [0] });
    const asleep = new Explorer(chain, { deaths: [{ thread: 0, position: 2 }] }).run();
    assert.equal(asleep.failure, "lost wake-up: thread b waits for ever and nobody is left to notify");
    assert.equal(checkProgram({ ...chain, reaper: (words) => void words.notify(0) }).failure, undefined);
  });

  test("gives finish the thread that has died, and kills nobody who is not mortal", () => {
    const died = new Set<string>();
    const finish = (_: Words, killed: readonly number[]): void => void died.add(killed.join());
    const store: ModelThread = (words) => words.store(0, 1);
    check([store, store, store], { mortal: [1, 2], finish });
    assert.deepEqual([...died].sort(), ["", "1", "2"]);
    assert.throws(() => check([store], { mortal: [1] }), /^RangeError: Cannot check test: there is no thread 1/);
  });

  test("kills two threads in one execution if the program says so, and runs the reapers one behind the other in both orders", () => {
    const seen = new Set<string>();
    const [busy, log] = [0, 1];
    const two = {
      mortal: [0, 1],
      reaper: (words: Words, killed: number) => {
        assert.equal(words.exchange(busy, 1), 0, "the other reaper is at work");
        words.write(3, killed);
        words.store(log, 10 * words.load(log) + killed + 1);
        words.store(busy, 0);
      },
      finish: (words: Words, killed: readonly number[]) => void seen.add(`${killed} ${words.load(log)}`),
    };
    const threads: ModelThread[] = [2, 4].map((word) => (words) => words.store(word, 1));
    assert.equal(check(threads, two).failure, undefined);
    assert.deepEqual([...seen].sort(), [" 0", "0 1", "1 2"]);
    const verdict = check(threads, { ...two, deathsMax: 2 });
    assert.deepEqual([verdict.failure, verdict.isExhaustive], [undefined, true]);
    assert.deepEqual([...seen].sort(), [" 0", "0 1", "0,1 12", "0,1 21", "1 2"]);
    // Before the step and behind it: 2 deaths of each alone, and the 4 pairs.
    assert.equal(verdict.deaths, 8);
  });

  test("finds what breaks by a second death alone, and replays it", () => {
    // Two threads do the same, each in case that the other one dies.
    const work: ModelThread = (words) => words.store(0, 1);
    const redundant: ModelProgram = {
      name: "redundant",
      length: 2,
      threads: [work, work],
      mortal: [0, 1],
      reaper: (words) => void words.add(1, 1),
      finish: (words) => assert.equal(words.load(0), 1, "nobody did it"),
    };
    assert.equal(checkProgram(redundant).failure, undefined);
    const { failure } = checkProgram({ ...redundant, deathsMax: 2 });
    assert.match(failure?.message ?? "", /nobody did it/);
    assert.match(failure?.schedule ?? "", /^a@1:b@1:[a-d\d]+$/);
    const { failure: again, lines } = replaySchedule(redundant, failure!.schedule);
    assert.equal(again, failure?.message);
    assert.ok(lines.some((line) => line.includes("the other reaper")));
  });

  test("lets the reaper see what the dead thread wrote without a race", () => {
    const threads: ModelThread[] = [(words) => words.write(0, 1), (words) => words.store(1, 1)];
    assert.equal(failureOf(threads, { mortal: [0], reaper: (words) => void words.read(0) }), "nothing failed");
    const alive: ModelThread[] = [(words) => words.store(1, 1), (words) => words.write(0, 1)];
    assert.match(failureOf(alive, { mortal: [0], reaper: (words) => void words.read(0) }), /^data race: word 0/);
  });
});

describe("checkProgram() and threads that cannot be checked", () => {
  test("finds a thread that is not a function of what it reads", () => {
    let runs = 0;
    const moody: ModelThread = (words) => {
      words.load(runs++ % 2);
      words.store(2, 1);
      words.store(3, 1);
    };
    const other: ModelThread = (words) => {
      words.store(2, 2);
      words.store(3, 2);
    };
    assert.match(failureOf([moody, other]), /^thread a is not a function of what it reads: .* something else/);
    let calls = 0;
    const leaving: ModelThread = (words) => {
      if (calls++ > 0) return;
      words.store(2, 1);
      words.store(3, 1);
    };
    assert.match(failureOf([leaving, other]), /^thread a is not a function of what it reads: .* ended/);
  });

  test("finds a thread that catches what stops it", () => {
    const attempts: ModelThread[] = [
      (words) => {
        try {
          words.wait(0, 0);
        } catch {}
      },
      (words) => {
        try {
          words.wait(0, 0);
        } finally {
          words.store(2, 0);
        }
      },
      (words) => {
        try {
          words.wait(0, 0);
        } catch {
          throw new Error("something went wrong");
        }
      },
    ];
    const other: ModelThread = (words) => {
      words.store(0, 1);
      words.notify(0);
    };
    for (const attempt of attempts) {
      assert.match(failureOf([attempt, other]), /^thread a caught what the checker stops it with/);
    }
  });

  test("reports a failure also when the thread catches it", () => {
    const hiding: ModelThread = (words) => {
      try {
        words.load(99);
      } catch {}
    };
    assert.match(failureOf([hiding]), /^thread a touches word 99/);
  });

  test("fails a program that it cannot explore to its end, unless the program says that", () => {
    const spin: ModelThread = (words) => {
      while (words.load(0) === 0);
    };
    const store: ModelThread = (words) => words.store(0, 1);
    const cut = check([spin, store], { stepsMax: 5 });
    assert.deepEqual([cut.isOk, cut.isExhaustive], [false, false]);
    assert.match(cut.summary, /^NOT exhaustive: \d+ executions were cut after too many steps/);
    assert.equal(check([spin, store], { stepsMax: 5, isBounded: "spins" }).summary, "bounded: spins");
    const short = check([store, store, store], { executionsMax: 3 });
    assert.deepEqual([short.isOk, short.executions], [false, 3]);
    assert.equal(checkProgram(program([store, store, store], { executionsMax: 3 }), { isDeep: true }).executions, 6);
  });

  test("fails a planted bug that is not found, and one that fails with another message", () => {
    const thrower: ModelThread = () => {
      throw new Error("this");
    };
    const none = check([(words) => words.store(0, 1)], { mustFail: /this/ });
    assert.deepEqual([none.isOk, none.summary], [false, "planted bug not found: nothing failed"]);
    const other = check([thrower], { mustFail: /that/ });
    assert.equal(other.isOk, false);
    assert.match(other.summary, /^planted bug not found: thread a threw Error: this/);
    assert.equal(check([thrower], { mustFail: /this/ }).isOk, true);
  });
});

describe("replaySchedule()", () => {
  test("fails the same way as the check did, for every planted bug of the textbook", () => {
    for (const one of textbook) {
      if (one.mustFail === undefined) continue;
      const { failure } = checkProgram(one);
      assert.ok(failure !== undefined);
      const { lines, failure: again } = replaySchedule(one, failure.schedule);
      assert.equal(again, failure.message);
      assert.ok(lines.length > 0);
    }
  });

  test("names each step, each word and who makes it", () => {
    const one = textbook.find(({ name }) => name.includes("more pops with a count"));
    const { lines, failure } = replaySchedule(one!, "a3b2a");
    assert.equal(failure, undefined);
    assert.deepEqual(lines.slice(0, 6), [
      "   1 thread a   starts",
      "   2 thread a   load(0 head) = 769",
      "   3 thread a   load(1 below node 1) = 2",
      "   4 thread b   starts",
      "   5 thread b   load(0 head) = 769",
      "   6 thread a   compareExchange(0 head, 769, 1026) = 769, replaced",
    ]);
  });

  test("replays a death, and a step that the memory refuses", () => {
    const dying = program([(words) => words.store(0, 1), (words) => words.store(1, 1)], {
      mortal: [0],
      reaper: (words) => words.store(2, 1),
      finish: (words) => assert.equal(words.load(2), 0, "reaped"),
    });
    const { failure } = checkProgram(dying);
    assert.match(failure?.schedule ?? "", /^a@1:[abc\d]+$/);
    const replay = replaySchedule(dying, failure!.schedule);
    assert.equal(replay.failure, failure!.message);
    assert.ok(replay.lines.some((line) => line.endsWith("thread a   dies")));
    assert.ok(replay.lines.some((line) => line.includes("the reaper store(2, 1)")));

    const straying = program([(words) => words.store(0, 1), (words) => words.store(9, 1)]);
    const stray = checkProgram(straying).failure;
    assert.equal(replaySchedule(straying, stray!.schedule).failure, stray!.message);
  });

  test("throws for what is no schedule, and for one that the program does not have", () => {
    const one = program([(words) => words.store(0, 1)]);
    assert.throws(() => replaySchedule(one, "hello there"), /^SyntaxError: Cannot replay "hello there"/);
    assert.throws(() => replaySchedule(one, "a3"), /^RangeError: Cannot replay: at step 3 of the schedule thread a/);
    const long = program([(words) => void (words.add(0, 1) + words.add(0, 1)), (words) => words.store(1, 1)]);
    assert.throws(
      () => replaySchedule(long, "a2b3a"),
      /^RangeError: Cannot replay: at step 5 of the schedule thread b/,
    );
    assert.throws(
      () => replaySchedule(one, "c"),
      /^RangeError: Cannot replay: at step 1 of the schedule thread c, which there is not, has/,
    );
  });
});
