/** Each case runs the other side as a whole at one step of the first, at every step in turn. `test/model` interleaves both sides step by step. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { BELL_WORDS, Bell } from "./bell.js";
import { SharedWords } from "./words.js";

/** Words that call `meanwhile` before the access number `step`. */
class InterruptedWords extends SharedWords {
  step = -1;
  meanwhile: () => void = () => {};
  #count = 0;

  override load(index: number): number {
    this.#tick();
    return super.load(index);
  }

  override store(index: number, value: number): void {
    this.#tick();
    super.store(index, value);
  }

  override exchange(index: number, value: number): number {
    this.#tick();
    return super.exchange(index, value);
  }

  override add(index: number, value: number): number {
    this.#tick();
    return super.add(index, value);
  }

  override or(index: number, value: number): number {
    this.#tick();
    return super.or(index, value);
  }

  override compareExchange(index: number, expected: number, replacement: number): number {
    this.#tick();
    return super.compareExchange(index, expected, replacement);
  }

  #tick(): void {
    this.#count += 1;
    if (this.#count - 1 !== this.step) return;
    this.step = -1;
    this.meanwhile();
  }
}

/** Runs `body` with the second side at each step of the first, and once behind all of them. */
function atEachStep(steps: number, body: (words: InterruptedWords) => void): void {
  for (let step = 0; step <= steps; step++) {
    const words = new InterruptedWords(new SharedArrayBuffer(2 * BELL_WORDS * 4));
    words.step = step;
    body(words);
  }
}

describe("Bell", () => {
  test("ring() asks for a wake-up only when the owner may be asleep, and once", () => {
    const bell = new Bell(new SharedWords(new SharedArrayBuffer(BELL_WORDS * 4)), 0);
    assert.equal(bell.ring(), false, "awake");
    assert.equal(bell.take(), true);
    assert.equal(bell.take(), false);
    assert.equal(bell.fallAsleep(), true);
    assert.equal(bell.ring(), true);
    assert.equal(bell.ring(), false, "somebody else wakes it");
    bell.wokeUp();
    assert.equal(bell.take(), true);
  });

  test("a ring at any step of falling asleep keeps the owner awake, or wakes it", () => {
    atEachStep(2, (words) => {
      const bell = new Bell(words, BELL_WORDS);
      let mustWake = false;
      words.meanwhile = () => {
        mustWake = bell.ring() || mustWake;
      };
      const mayBlock = bell.fallAsleep();
      words.meanwhile();
      assert.ok(!mayBlock || mustWake || !bell.take(), "asleep, rung, and nobody wakes it");
    });
  });

  test("an owner that falls asleep at any step of a ring stays awake, or is woken", () => {
    atEachStep(2, (words) => {
      const bell = new Bell(words, 0);
      let mayBlock: boolean | undefined;
      words.meanwhile = () => {
        mayBlock ??= bell.fallAsleep();
      };
      const mustWake = bell.ring();
      words.meanwhile();
      assert.ok(mustWake || mayBlock === false);
    });
  });

  test("a ring at any step of take() is found then or the next time", () => {
    atEachStep(2, (words) => {
      const bell = new Bell(words, 0);
      bell.ring();
      let published = 1;
      let found = 0;
      words.meanwhile = () => {
        published = 2;
        bell.ring();
      };
      if (bell.take()) found = published;
      while (bell.take()) found = published;
      assert.equal(found, published);
    });
  });

  test("exactly one of closer and user closes the descriptor, whoever comes when, and none uses it after", () => {
    for (const isInside of [true, false]) {
      atEachStep(4, (words) => {
        const bell = new Bell(words, 0);
        if (isInside) bell.enter();
        let closedCount = 0;
        let closerRan = false;
        words.meanwhile = () => {
          if (!closerRan && bell.close()) closedCount += 1;
          closerRan = true;
        };
        const isOpen = bell.enter();
        if (isOpen) assert.equal(closedCount, 0, "in use");
        if (bell.leave()) closedCount += 1;
        words.meanwhile();
        if (isInside && bell.leave()) closedCount += 1;
        assert.equal(closedCount, 1);
        assert.equal(bell.isClosed, true);
        assert.equal(bell.enter(), false);
        assert.equal(bell.leave(), false);
        assert.equal(bell.close(), false);
      });
    }
  });
});
