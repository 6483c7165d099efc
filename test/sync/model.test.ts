/** Channels and `select` against a model that is too simple to be wrong: lists of values, senders and receivers. `RINGLOOM_SEED` replays a run. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setImmediate } from "node:timers/promises";
import fc from "fast-check";
import { type Channel, channel } from "../../src/sync/channel.js";
import { select } from "../../src/task/select.js";
import { randomRun } from "../support/random-run.js";

type Outcome = { readonly value: unknown } | { readonly error: string };

/** One operation, in the channel and in the model. */
interface Operation {
  readonly kind: "send" | "recv" | "trySend" | "tryRecv" | "giveUp" | "close" | "select";
  /** Which of those that wait gives up; which channels a select has. */
  readonly pick: number;
}

const operations = fc.array(
  fc.record<Operation>({
    kind: fc.constantFrom(
      "send",
      "send",
      "send",
      "recv",
      "recv",
      "recv",
      "trySend",
      "tryRecv",
      "giveUp",
      "select",
      "close",
    ),
    pick: fc.nat({ max: 1_000 }),
  }),
  { maxLength: 60 },
);

/** A sender or receiver of the model. */
interface Party {
  readonly id: number;
  readonly value: number;
}

/** What a channel should do. */
class ChannelModel {
  readonly capacity: number;
  readonly buffer: number[] = [];
  senders: Party[] = [];
  receivers: Party[] = [];
  isClosed = false;
  /** By the number of the operation. */
  readonly outcomes: Map<number, Outcome>;

  constructor(capacity: number, outcomes: Map<number, Outcome>) {
    this.capacity = capacity;
    this.outcomes = outcomes;
  }

  /** False when it cannot be done at once. */
  trySend(id: number, value: number): boolean {
    if (this.isClosed) return this.#end(id, { error: "ERR_RINGLOOM_CLOSED" });
    const receiver = this.receivers.shift();
    if (receiver !== undefined) this.#end(receiver.id, { value });
    else if (this.buffer.length < this.capacity) this.buffer.push(value);
    else return false;
    return this.#end(id, { value: undefined });
  }

  tryRecv(id: number): boolean {
    const sender = this.senders.shift();
    if (sender !== undefined) {
      this.buffer.push(sender.value);
      this.#end(sender.id, { value: undefined });
    }
    const value = this.buffer.shift();
    if (value !== undefined) return this.#end(id, { value });
    return this.isClosed ? this.#end(id, { error: "ERR_RINGLOOM_CLOSED" }) : false;
  }

  close(): void {
    this.isClosed = true;
    for (const { id } of [...this.senders, ...this.receivers]) this.#end(id, { error: "ERR_RINGLOOM_CLOSED" });
    this.senders = [];
    this.receivers = [];
  }

  giveUp(id: number): void {
    this.senders = this.senders.filter((party) => party.id !== id);
    this.receivers = this.receivers.filter((party) => party.id !== id);
    this.#end(id, { error: "ERR_RINGLOOM_ABORTED" });
  }

  #end(id: number, outcome: Outcome): true {
    this.outcomes.set(id, outcome);
    return true;
  }
}

/** What really came of the operations, by their number. */
class Observed {
  readonly outcomes = new Map<number, Outcome>();

  watch(id: number, promise: Promise<unknown>): void {
    promise.then(
      (value) => this.outcomes.set(id, { value }),
      (error: { code: string }) => this.outcomes.set(id, { error: error.code }),
    );
  }

  call(id: number, run: () => unknown): void {
    try {
      this.outcomes.set(id, { value: run() });
    } catch (error) {
      this.outcomes.set(id, { error: (error as { code: string }).code });
    }
  }
}

async function checkAgainstModel(capacity: number, list: readonly Operation[]): Promise<void> {
  const values = channel<number>(capacity);
  const expectedOutcomes = new Map<number, Outcome>();
  const model = new ChannelModel(capacity, expectedOutcomes);
  const observed = new Observed();
  const waiting = new Map<number, AbortController>();
  for (const [id, { kind, pick }] of list.entries()) {
    const controller = new AbortController();
    const options = { signal: controller.signal };
    waiting.set(id, controller);
    if (kind === "send") {
      if (!model.trySend(id, id + 1)) model.senders.push({ id, value: id + 1 });
      observed.watch(id, values.send(id + 1, options));
    } else if (kind === "recv") {
      if (!model.tryRecv(id)) model.receivers.push({ id, value: 0 });
      observed.watch(id, values.recv(options));
    } else if (kind === "select") {
      // With one branch that can happen it is a receive.
      if (!model.tryRecv(id)) model.receivers.push({ id, value: 0 });
      const selected = select({ values, never: channel<number>() }, options);
      observed.watch(
        id,
        selected.then(({ value }) => value),
      );
    } else if (kind === "trySend") {
      const isSent = model.trySend(id, id + 1);
      if (!model.isClosed) expectedOutcomes.set(id, { value: isSent });
      observed.call(id, () => values.trySend(id + 1));
    } else if (kind === "tryRecv") {
      const isReceived = model.tryRecv(id) && !("error" in (expectedOutcomes.get(id) ?? {}));
      if (!isReceived) expectedOutcomes.set(id, { value: undefined });
      observed.call(id, () => values.tryRecv());
    } else if (kind === "close") {
      model.close();
      values.close();
    } else {
      const parties = [...model.senders, ...model.receivers];
      const party = parties[pick % Math.max(1, parties.length)];
      if (party !== undefined) {
        model.giveUp(party.id);
        waiting.get(party.id)?.abort();
      }
    }
    assert.equal(values.length, model.buffer.length, `after operation ${id}`);
  }
  await setImmediate();
  assert.deepEqual(sorted(observed.outcomes), sorted(expectedOutcomes));
}

function sorted(outcomes: Map<number, Outcome>): [number, Outcome][] {
  return [...outcomes].sort(([a], [b]) => a - b);
}

/** A `select` over some of three channels: one that sends to or receives from each, by bits. */
interface Choice {
  readonly receives: number;
  readonly sends: number;
  /** It gives up after all have begun. */
  readonly givesUp: boolean;
}

const choices = fc.array(
  fc.record<Choice>({ receives: fc.nat({ max: 7 }), sends: fc.nat({ max: 7 }), givesUp: fc.boolean() }),
  { maxLength: 40 },
);

/** One that was begun. Each sends values that nobody else sends. */
interface Begun {
  readonly choice: Choice;
  readonly controller: AbortController;
  readonly selected: Promise<{ readonly which: string; readonly value: unknown } | undefined>;
  result: { readonly which: string; readonly value: unknown } | undefined;
  isPending: boolean;
}

function begin(channels: readonly Channel<number>[], choice: Choice, id: number): Begun {
  const controller = new AbortController();
  const branches: Record<string, Channel<number> | ReturnType<Channel<number>["sending"]>> = {};
  for (const [n, values] of channels.entries()) {
    if ((choice.receives & (1 << n)) !== 0) branches[`receive ${n}`] = values;
    if ((choice.sends & (1 << n)) !== 0) branches[`send ${n}`] = values.sending(id * 3 + n);
  }
  const selected = select(branches, { signal: controller.signal }).catch(() => undefined);
  const begun: Begun = { choice, controller, selected, result: undefined, isPending: true };
  selected.then((result) => {
    begun.result = result;
    begun.isPending = false;
  });
  return begun;
}

/** Whatever was sent by a branch that won is received once or still there, and nothing else is. */
function checkConserved(channels: readonly Channel<number>[], all: readonly Begun[]): void {
  const sent = all.flatMap(({ result }, id) =>
    result?.which.startsWith("send") === true ? [id * 3 + Number(result.which.slice(-1))] : [],
  );
  const received = all.flatMap(({ result }) => (result?.which.startsWith("receive") === true ? [result.value] : []));
  const left = channels.flatMap((values) => Array.from({ length: values.length }, () => values.tryRecv()));
  assert.deepEqual([...received, ...left].sort(), sent.sort());
}

/** Two that wait could not have served each other, and a channel would not have served one. */
function checkNoneMissed(channels: readonly Channel<number>[], all: readonly Begun[]): void {
  const waiting = all.filter((one) => one.isPending);
  for (const [n, { length, capacity }] of channels.entries()) {
    const receivers = waiting.filter(({ choice }) => (choice.receives & (1 << n)) !== 0);
    const senders = waiting.filter(({ choice }) => (choice.sends & (1 << n)) !== 0);
    if (receivers.length > 0) assert.equal(length, 0, `channel ${n} has values and receivers`);
    if (senders.length > 0) assert.equal(length, capacity, `channel ${n} has room and senders`);
    const pair = receivers.find((receiver) => senders.some((sender) => sender !== receiver));
    assert.equal(pair, undefined, `channel ${n} has senders and receivers`);
  }
}

async function checkSelects(list: readonly Choice[]): Promise<void> {
  const channels = [channel<number>(0), channel<number>(1), channel<number>(2)];
  const all: Begun[] = [];
  for (const choice of list) {
    all.push(begin(channels, choice, all.length));
    if (all.length % 3 === 0) await setImmediate();
  }
  await setImmediate();
  checkNoneMissed(channels, all);
  for (const { choice, controller } of all) if (choice.givesUp) controller.abort();
  await setImmediate();
  checkNoneMissed(channels, all);
  for (const { controller } of all) controller.abort();
  await setImmediate();
  checkConserved(channels, all);
}

describe("random operations", () => {
  test("of a channel do what the model does", async () => {
    const capacities = fc.nat({ max: 4 });
    await fc.assert(fc.asyncProperty(capacities, operations, checkAgainstModel), randomRun("channel model", 500));
  });

  test("of selects lose no value, invent none, and leave no two waiting that could go on", async () => {
    await fc.assert(fc.asyncProperty(choices, checkSelects), randomRun("select model", 500));
  });
});
