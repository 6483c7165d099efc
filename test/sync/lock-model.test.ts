/** Semaphores and locks for readers and writers under random asking, releasing and giving up. `RINGLOOM_SEED` replays a run. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setImmediate } from "node:timers/promises";
import fc from "fast-check";
import type { Guard } from "../../src/sync/guard.js";
import { rwLock } from "../../src/sync/rw-lock.js";
import { semaphore } from "../../src/sync/semaphore.js";
import { select } from "../../src/task/select.js";
import { randomRun } from "../support/random-run.js";

interface Step {
  readonly kind: "ask" | "select" | "release" | "giveUp";
  /** What is asked for, or who releases or gives up. */
  readonly pick: number;
}

const steps = fc.array(
  fc.record<Step>({
    kind: fc.constantFrom("ask", "ask", "ask", "select", "release", "release", "giveUp", "giveUp"),
    pick: fc.nat({ max: 1_000 }),
  }),
  { maxLength: 60, size: "max" },
);

/** One that asks. */
interface Asker {
  /** Permits, or of a lock: all of them to write and one to read. */
  readonly count: number;
  readonly controller: AbortController;
  guard: Guard | undefined;
  state: "waiting" | "holding" | "over";
}

/** Something that has permits: a lock for readers and writers is one whose writers take all. */
interface Subject {
  readonly permits: number;
  countOf(pick: number): number;
  ask(count: number, signal: AbortSignal): Promise<Guard>;
  select(count: number, signal: AbortSignal): Promise<Guard>;
}

const PERMITS = 4;
const READERS_MAX = 1_000;

function semaphoreSubject(): Subject {
  const permits = semaphore(PERMITS);
  return {
    permits: PERMITS,
    countOf: (pick) => 1 + (pick % PERMITS),
    ask: (count, signal) => permits.acquire(count, { signal }),
    select: async (count, signal) => (await select({ permit: permits.acquiring(count) }, { signal })).value,
  };
}

function rwLockSubject(): Subject {
  const lock = rwLock();
  return {
    permits: READERS_MAX,
    countOf: (pick) => (pick % 3 === 0 ? READERS_MAX : 1),
    ask: (count, signal) => (count === 1 ? lock.read({ signal }) : lock.write({ signal })),
    select: async (count, signal) =>
      (await select({ guard: count === 1 ? lock.reading() : lock.writing() }, { signal })).value,
  };
}

/** Who must hold now: in the order of asking, as long as there are permits. */
function serve(askers: readonly Asker[], permits: number): void {
  let left = permits;
  for (const { state, count } of askers) if (state === "holding") left -= count;
  for (const asker of askers) {
    if (asker.state !== "waiting") continue;
    if (asker.count > left) return;
    asker.state = "holding";
    left -= asker.count;
  }
}

async function check(subject: Subject, list: readonly Step[]): Promise<void> {
  const askers: Asker[] = [];
  const stepOf = async ({ kind, pick }: Step): Promise<void> => {
    if (kind === "ask" || kind === "select") {
      const controller = new AbortController();
      const asker: Asker = { count: subject.countOf(pick), controller, guard: undefined, state: "waiting" };
      askers.push(asker);
      const acquired =
        kind === "ask" ? subject.ask(asker.count, controller.signal) : subject.select(asker.count, controller.signal);
      acquired.then(
        (guard) => {
          asker.guard = guard;
        },
        () => {},
      );
    } else {
      const wanted = kind === "release" ? "holding" : "waiting";
      const some = askers.filter(({ state }) => state === wanted);
      const asker = some[pick % Math.max(1, some.length)];
      if (asker === undefined) return;
      asker.state = "over";
      if (kind === "giveUp") asker.controller.abort();
      else assert.equal(asker.guard?.release(), true);
    }
    serve(askers, subject.permits);
    await setImmediate();
    for (const { guard, state } of askers) assert.equal(guard?.isHeld ?? false, state === "holding");
  };
  for (const step of list) await stepOf(step);
}

describe("random asking, releasing and giving up", () => {
  for (const [what, make] of [
    ["a semaphore", semaphoreSubject],
    ["a lock for readers and writers", rwLockSubject],
  ] as const) {
    test(`of ${what} serves in order, as many as there is room for`, async () => {
      const property = fc.asyncProperty(steps, (list) => check(make(), list));
      await fc.assert(property, randomRun(what, 300));
    });
  }
});
