import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { type Attempt, type Race, race } from "./race.js";
import { interleaveFamilies } from "./resolver.js";

interface Fake extends Attempt<string> {
  readonly address: string;
  readonly win: () => Promise<void>;
  readonly lose: () => Promise<void>;
  isAbandoned: boolean;
}

function fakeAttempt(address: string): Fake {
  let settle: { resolve(value: string): void; reject(error: unknown): void } | undefined;
  const outcome = new Promise<string>((resolve, reject) => {
    settle = { resolve, reject };
  });
  const fake: Fake = {
    address,
    outcome,
    isAbandoned: false,
    abandon: () => (fake.isAbandoned = true),
    win: async () => {
      settle?.resolve(address);
      await turn();
    },
    lose: async () => {
      settle?.reject(new Error(`lost ${address}`));
      await turn();
    },
  };
  return fake;
}

async function turn(): Promise<void> {
  for (let index = 0; index < 5; index++) await Promise.resolve();
}

async function withRace(
  addresses: readonly string[],
  body: (begun: readonly Fake[], running: Race<string>) => Promise<void>,
): Promise<void> {
  mock.timers.enable({ apis: ["setTimeout"] });
  try {
    const begun: Fake[] = [];
    const running = race<string>({
      addresses,
      attemptDelayMs: 250,
      begin: (address) => {
        const attempt = fakeAttempt(address);
        begun.push(attempt);
        return attempt;
      },
      failed: (failures) => new Error(failures.map(({ error }) => (error as Error).message).join(", ")),
    });
    await body(begun, running);
  } finally {
    mock.timers.reset();
  }
}

test("race() begins the next attempt when the one before takes a while, and the first that stands wins", async () => {
  await withRace(["a", "b", "c"], async (begun, { winner }) => {
    mock.timers.tick(249);
    assert.equal(begun.length, 1);
    mock.timers.tick(1);
    assert.equal(begun.length, 2);
    await begun[0]?.win();
    assert.equal(await winner, "a");
    assert.deepEqual(
      begun.map(({ isAbandoned }) => isAbandoned),
      [false, true],
    );
    mock.timers.tick(10_000);
    assert.equal(begun.length, 2, "no attempt after the end");
  });
});

test("race() begins the next attempt at once when one fails, and waits anew behind it", async () => {
  await withRace(["a", "b", "c"], async (begun, { winner }) => {
    mock.timers.tick(200);
    await begun[0]?.lose();
    assert.equal(begun.length, 2);
    mock.timers.tick(249);
    assert.equal(begun.length, 2);
    mock.timers.tick(1);
    assert.equal(begun.length, 3);
    await begun[2]?.lose();
    await begun[1]?.win();
    assert.equal(await winner, "b");
  });
});

test("race() fails when all have, in the order of the addresses", async () => {
  await withRace(["a", "b"], async (begun, { winner }) => {
    mock.timers.tick(250);
    await begun[1]?.lose();
    await begun[0]?.lose();
    await assert.rejects(winner, /^Error: lost a, lost b$/);
  });
});

test("race() closes a winner that comes after the end", async () => {
  await withRace(["a", "b"], async (begun, { winner, cancel }) => {
    mock.timers.tick(250);
    cancel(new Error("enough"));
    await assert.rejects(winner, /enough/);
    await begun[0]?.win();
    await begun[1]?.win();
    assert.deepEqual(
      begun.map(({ isAbandoned }) => isAbandoned),
      [true, true],
    );
  });
});

test("interleaveFamilies() lets the families take turns, beginning with the first, and tries no address twice", () => {
  assert.deepEqual(interleaveFamilies(["::1", "::2", "::1", "1.1.1.1", "2.2.2.2", "3.3.3.3"]), [
    "::1",
    "1.1.1.1",
    "::2",
    "2.2.2.2",
    "3.3.3.3",
  ]);
  assert.deepEqual(interleaveFamilies(["1.1.1.1", "::1", "::2"]), ["1.1.1.1", "::1", "::2"]);
  assert.deepEqual(interleaveFamilies(["1.1.1.1"]), ["1.1.1.1"]);
  assert.deepEqual(interleaveFamilies([]), []);
});
