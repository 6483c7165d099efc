/** Values that shared memory does not take: large ones, those that are handed over, and those with shared memory in them. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";
import { MessageChannel } from "node:worker_threads";
import { RingloomError } from "../../src/errors.js";
import { currentSeat } from "../../src/scheduler/current-seat.js";
import { pinned, roundRobin, stealable } from "../../src/scheduler/placement.js";
import { type Scheduler, startScheduler } from "../../src/scheduler/scheduler.js";
import { tasks } from "../../src/scheduler/tasks.js";
import type * as PortedModule from "./ported-module.js";

const COMPUTE = 2;
const MIB = 1_048_576;
const STEP = 4096;
const work = tasks<typeof PortedModule>(new URL("./ported-module.js", import.meta.url));
const onFirst = work.with({ placement: pinned(0) });
let scheduler: Scheduler;

beforeEach(() => {
  scheduler = startScheduler({ compute: COMPUTE });
});
afterEach(() => scheduler.close());

function withCode(code: string, text = /(?:)/): (error: unknown) => boolean {
  return (error) => error instanceof RingloomError && error.code === code && text.test(error.message);
}

async function until(isTrue: () => boolean): Promise<void> {
  for (let tries = 0; !isTrue(); tries++) {
    assert.ok(tries < 2000, "it comes true in the end");
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Nothing is left behind on any thread: no task, no block of shared memory, no value that was sent and neither taken nor dropped, unless it is gone with a thread. */
async function assertAtRest(): Promise<void> {
  await until(() => scheduler.stats.inFlight === 0);
  const { blocks, ports } = scheduler.stats;
  assert.equal(blocks, 0);
  assert.ok(ports <= 2 * (COMPUTE + 1), `${ports} ports`);
  const own = currentSeat("test").values.ports;
  assert.equal(own.heldNow, 0);
  let underWay = own.counts.sent - own.counts.taken - own.counts.dropped;
  for (let thread = 0; thread < COMPUTE; thread++) {
    const held = await work.with({ placement: pinned(thread) }).held();
    assert.equal(held.values, 0);
    assert.ok(held.ports <= 2 * (COMPUTE + 1), `${held.ports} ports`);
    underWay += held.sent - held.taken - held.dropped;
  }
  if (scheduler.stats.deaths === 0) assert.equal(underWay, 0);
}

function pattern(size: number): Uint8Array {
  const bytes = new Uint8Array(size);
  for (let index = 0; index < size; index += STEP) bytes[index] = (index / STEP) & 0x7f;
  return bytes;
}

describe("a value that is too large for shared memory", () => {
  test("goes there and back by port, and is counted", async () => {
    const bytes = pattern(3 * MIB);
    const text = "日本".repeat(MIB);
    assert.deepEqual(await work.identity(bytes), bytes);
    assert.equal(scheduler.stats.ported, 2);
    assert.equal(await work.identity(text), text);
    assert.equal(scheduler.stats.ported, 4);
    assert.equal(bytes.byteLength, 3 * MIB);
    await assertAtRest();
  });

  test("may have 64 MiB", async () => {
    const bytes = pattern(64 * MIB);
    const raised = await work.raise(bytes);
    assert.equal(raised.length, bytes.length);
    for (let index = 0; index < bytes.length; index += STEP) assert.equal(raised[index], bytes[index]! + 1);
    await assertAtRest();
  });

  test("keeps what the codec keeps: Buffers, the own bytes of views, cycles, holes and undefined", async () => {
    const pool = new Uint8Array(4 * MIB).fill(9);
    const value = {
      large: Buffer.alloc(2 * MIB, 1),
      list: [Buffer.from("small"), 0, undefined, { doubles: new Float64Array(pool.buffer, 8, 2) }],
      ["__proto__"]: 1,
      self: undefined as unknown,
    };
    value.self = value;
    delete value.list[1];
    const back = (await work.identity(value)) as typeof value;
    assert.ok(Buffer.isBuffer(back.large) && Buffer.isBuffer(back.list[0]));
    assert.equal(String(back.list[0]), "small");
    assert.equal(back.self, back);
    assert.ok(!(1 in back.list) && 2 in back.list);
    assert.equal((back.list[3] as { doubles: Float64Array }).doubles.buffer.byteLength, 16);
    assert.ok(Buffer.isBuffer(await work.identity(Buffer.alloc(2 * MIB))));
    await assertAtRest();
  });

  test("goes wherever the placement says, and else where there is room", async () => {
    const bytes = pattern(2 * MIB);
    const total = await work.sum(bytes);
    for (const placement of [pinned(0), pinned(1), roundRobin(), stealable(1), stealable()]) {
      assert.equal(await work.with({ placement }).sum(bytes), total);
    }
    const word = new Int32Array(new SharedArrayBuffer(8));
    const blocked = onFirst.block(word);
    await until(() => Atomics.load(word, 1) === 1);
    for (let index = 0; index < 5; index++) assert.equal(await work.with({ placement: pinned(1) }).sum(bytes), total);
    Atomics.store(word, 0, 1);
    Atomics.notify(word, 0);
    await blocked;
    await assertAtRest();
  });

  test("crosses between compute threads too, which the main thread introduces to each other", async () => {
    const counts = await Promise.all([
      onFirst.nested(2 * MIB, 8),
      work.with({ placement: pinned(1) }).nested(2 * MIB, 8),
    ]);
    assert.deepEqual(counts, [8 * 2 * 512, 8 * 2 * 512]);
    await assertAtRest();
  });

  test("leaves nothing behind, 500 times", { timeout: 120_000 }, async () => {
    const bytes = pattern(MIB + 1);
    const total = await work.sum(bytes);
    for (let round = 0; round < 25; round++) {
      const calls = Array.from({ length: 20 }, (_, n) =>
        n % 2 === 0 ? work.sum(bytes) : work.raise(bytes).then(() => total),
      );
      for (const one of await Promise.all(calls)) assert.equal(one, total);
    }
    assert.equal(scheduler.stats.ported, 1 + 500 + 250);
    await assertAtRest();
  });

  test("is dropped when its task is given up before it begins", async () => {
    const word = new Int32Array(new SharedArrayBuffer(8));
    await onFirst.nothing();
    const blocked = onFirst.block(word);
    await until(() => Atomics.load(word, 1) === 1);
    const controller = new AbortController();
    const calls = Array.from({ length: 20 }, () =>
      work.with({ placement: pinned(0), signal: controller.signal }).sum(pattern(2 * MIB)),
    );
    controller.abort();
    for (const one of calls) await assert.rejects(one, withCode("ERR_RINGLOOM_ABORTED"));
    Atomics.store(word, 0, 1);
    Atomics.notify(word, 0);
    await blocked;
    await assertAtRest();
  });

  test("is dropped when it comes back to a call that was given up", async () => {
    const controller = new AbortController();
    const calls = Array.from({ length: 10 }, () => work.with({ signal: controller.signal }).raise(pattern(2 * MIB)));
    setTimeout(() => controller.abort(), 5);
    await Promise.allSettled(calls);
    await assertAtRest();
  });

  test("is dropped when its function cannot be had", async () => {
    const missing = tasks<{ missing(bytes: Uint8Array): void }>(new URL("./ported-module.js", import.meta.url));
    await assert.rejects(missing.missing(pattern(2 * MIB)), withCode("ERR_RINGLOOM_NO_SUCH_FUNCTION"));
    await assertAtRest();
  });

  test("finds no way out of a full slab refused, from 64 KiB on", async () => {
    const bytes = new Uint8Array(500_000).fill(3);
    const calls = Array.from({ length: 60 }, () => work.sum(bytes));
    const total = Math.ceil(bytes.length / STEP) * 3;
    for (const one of await Promise.all(calls)) assert.equal(one, total);
    assert.ok(scheduler.stats.ported > 0);
    await assertAtRest();
  });
});

describe("values that are under way to one thread", () => {
  /** Keeps the first thread busy until the answer is called. */
  async function holdUp(): Promise<() => Promise<unknown>> {
    const word = new Int32Array(new SharedArrayBuffer(8));
    await onFirst.nothing();
    const blocked = onFirst.block(word);
    await until(() => Atomics.load(word, 1) === 1);
    return () => {
      Atomics.store(word, 0, 1);
      Atomics.notify(word, 0);
      return blocked;
    };
  }

  test("are bounded, those included whose calls were given up, and others are sent meanwhile", async () => {
    await scheduler.close();
    scheduler = startScheduler({ compute: COMPUTE, portMib: 5 });
    const bytes = pattern(2 * MIB);
    const total = await work.sum(bytes);
    const release = await holdUp();
    const controller = new AbortController();
    const givenUp = onFirst.with({ signal: controller.signal }).sum(bytes);
    const waiting = onFirst.sum(bytes);
    await assert.rejects(onFirst.sum(bytes), withCode("ERR_RINGLOOM_OVERLOADED", /under way/));
    controller.abort();
    await assert.rejects(givenUp, withCode("ERR_RINGLOOM_ABORTED"));
    await assert.rejects(onFirst.sum(bytes), withCode("ERR_RINGLOOM_OVERLOADED"));
    const kept = new Uint8Array(MIB * 2);
    await assert.rejects(onFirst.with({ transfer: [kept] }).sum(kept), withCode("ERR_RINGLOOM_OVERLOADED"));
    assert.equal(kept.length, 2 * MIB, "what is refused is not handed over");
    assert.equal(await work.with({ placement: pinned(1) }).sum(bytes), total);
    await release();
    assert.equal(await waiting, total);
    assert.equal(await onFirst.sum(bytes), total);
    assert.equal((await onFirst.raise(pattern(20 * MIB))).length, 20 * MIB, "one alone may be larger");
    await assertAtRest();
  });

  test("are read no further than to the one that is wanted", async () => {
    // Tasks that wait for their functions together are begun together.
    await onFirst.sum(pattern(1));
    await onFirst.heldBeside(pattern(1));
    const release = await holdUp();
    const beside = onFirst.heldBeside(pattern(2 * MIB));
    const sums = Array.from({ length: 10 }, () => onFirst.sum(pattern(2 * MIB)));
    await release();
    const { values } = await beside;
    await Promise.all(sums);
    assert.ok(values <= 1, `${values} were read`);
    await assertAtRest();
  });

  test("are dropped from between others, and go on when those are taken", async () => {
    const release = await holdUp();
    const total = await work.with({ placement: pinned(1) }).sum(pattern(2 * MIB));
    const controller = new AbortController();
    const calls = Array.from({ length: 12 }, (_, n) => {
      const how = n % 3 === 1 ? onFirst : onFirst.with({ signal: controller.signal });
      return how.sum(pattern(2 * MIB)).then(
        (sum) => sum === total,
        () => "given up",
      );
    });
    controller.abort();
    await release();
    const outcomes = await Promise.all(calls);
    assert.deepEqual(
      outcomes,
      outcomes.map((_, n) => (n % 3 === 1 ? true : "given up")),
    );
    await assertAtRest();
  });

  test("are dropped too when the slot of their task is used again at once", async () => {
    await scheduler.close();
    scheduler = startScheduler({ compute: COMPUTE, tasksMax: 2 });
    const release = await holdUp();
    const controller = new AbortController();
    const givenUp = onFirst.with({ signal: controller.signal }).sum(pattern(2 * MIB));
    controller.abort();
    await assert.rejects(givenUp, withCode("ERR_RINGLOOM_ABORTED"));
    const next = onFirst.identity(7);
    await release();
    assert.equal(await next, 7);
    await assertAtRest();
  });
});

describe("transfer", () => {
  test("detaches the argument's buffer, and the bytes arrive", async () => {
    const bytes = pattern(2 * MIB);
    const total = await work.sum(bytes);
    const small = new Uint8Array([1, 2, 3]);
    assert.equal(await work.with({ transfer: [bytes.buffer] }).sum(bytes), total);
    assert.equal(bytes.byteLength, 0);
    assert.deepEqual(await work.with({ transfer: [small] }).identity(small), new Uint8Array([1, 2, 3]));
    assert.equal(small.byteLength, 0);
    await assertAtRest();
  });

  test("hands over a MessagePort", async () => {
    const { port1, port2 } = new MessageChannel();
    const heard = new Promise((resolve) => port1.once("message", resolve));
    await work.with({ transfer: [port2] }).answer(port2, "hello");
    assert.equal(await heard, "hello");
    await assertAtRest();
  });

  test("hands over results, also those of promises", async () => {
    const bytes = pattern(2 * MIB);
    assert.equal((await work.raise(bytes)).length, bytes.length);
    assert.deepEqual((await work.raiseLater(bytes)).bytes, bytes);
    await assert.rejects(work.transferWrong(), withCode("ERR_RINGLOOM_NOT_CLONEABLE"));
    await assertAtRest();
  });

  test("is refused before anything is handed over", async () => {
    const bytes = new Uint8Array(10);
    const buffer = bytes.buffer;
    const wrong = "ERR_RINGLOOM_INVALID_OPTION";
    await assert.rejects(work.with({ transfer: "no" as never }).sum(bytes), withCode(wrong, /list/));
    await assert.rejects(work.with({ transfer: [buffer], idempotent: true }).sum(bytes), withCode(wrong, /idempotent/));
    await assert.rejects(work.with({ transfer: [buffer, buffer] }).sum(bytes), withCode("ERR_RINGLOOM_NOT_CLONEABLE"));
    await assert.rejects(
      work.with({ transfer: [new SharedArrayBuffer(4) as never] }).sum(bytes),
      withCode("ERR_RINGLOOM_NOT_CLONEABLE"),
    );
    const both = [bytes, () => 1] as never;
    await assert.rejects(work.with({ transfer: [buffer] }).identity(both), withCode("ERR_RINGLOOM_NOT_CLONEABLE"));
    assert.equal(bytes.byteLength, 10);
    await work.with({ transfer: [buffer] }).sum(bytes);
    const detached = "ERR_RINGLOOM_NOT_CLONEABLE";
    await assert.rejects(work.with({ transfer: [buffer] }).nothing(), withCode(detached, /detached/));
    await assert.rejects(work.identity(buffer), withCode(detached, /detached/));
    await assertAtRest();
  });
});

describe("shared memory", () => {
  test("crosses by reference, wherever it is in the value, and comes back as the same", async () => {
    const memory = new SharedArrayBuffer(8);
    const words = new Int32Array(memory, 0, 1);
    const back = await work.addTo({ words, deep: [{ memory }] });
    assert.deepEqual([...new Int32Array(memory)], [5, 7]);
    new Int32Array(back.memory)[1] = 8;
    Atomics.store(back.words, 0, 6);
    assert.deepEqual([...new Int32Array(memory)], [6, 8]);
    await assertAtRest();
  });

  test("crosses beside what only structured clone carries", async () => {
    const memory = new SharedArrayBuffer(4);
    const map = new Map([[/a/g, { view: new Uint8Array(memory) }]]);
    const back = (await work.identity(map)) as typeof map;
    [...back.values()][0]!.view[0] = 9;
    assert.equal(new Uint8Array(memory)[0], 9);
  });
});

describe("a thread that dies with values on their way", () => {
  const folder = mkdtempSync(join(tmpdir(), "ringloom-ported-"));
  process.once("exit", () => rmSync(folder, { recursive: true, force: true }));

  test("loses the task that had begun, and those whose arguments it was sent", async () => {
    const word = new Int32Array(new SharedArrayBuffer(8));
    await onFirst.nothing();
    // While the thread is held up nothing else begins there.
    const blocked = onFirst.block(word);
    await until(() => Atomics.load(word, 1) === 1);
    const lost = [blocked, ...Array.from({ length: 10 }, () => onFirst.sum(pattern(2 * MIB)))];
    await scheduler.terminateThread(0);
    for (const one of lost) await assert.rejects(one, withCode("ERR_RINGLOOM_THREAD_LOST"));
    assert.equal(await onFirst.sum(pattern(MIB * 2)), await work.sum(pattern(2 * MIB)));
    await assertAtRest();
  });

  test("has those that are idempotent run again, with the arguments as they were", async () => {
    const bytes = pattern(2 * MIB);
    const total = await work.sum(bytes);
    const again = work.with({ idempotent: true, placement: pinned(0) });
    const running = again.sumOrExit(bytes, join(folder, "once"));
    const waiting = again.sum(bytes);
    bytes.fill(0);
    assert.equal(await running, total);
    assert.equal(await waiting, total);
    assert.ok(scheduler.stats.requeued >= 1);
    await assertAtRest();
  });

  test("is given up on after three reruns", async () => {
    const again = work.with({ idempotent: true });
    await assert.rejects(again.exitWith(pattern(2 * MIB)), withCode("ERR_RINGLOOM_THREAD_LOST"));
    assert.equal(scheduler.stats.requeued, 3);
  });

  test("leaves no ports, however often", { timeout: 120_000 }, async () => {
    const bytes = pattern(2 * MIB);
    for (let round = 0; round < 5; round++) {
      const before = scheduler.stats.deaths;
      await assert.rejects(onFirst.exitWith(bytes), withCode("ERR_RINGLOOM_THREAD_LOST"));
      await until(() => scheduler.stats.deaths === before + 1);
      assert.equal((await onFirst.raise(bytes)).length, bytes.length);
      assert.equal((await work.with({ placement: pinned(1) }).raise(bytes)).length, bytes.length);
    }
    await assertAtRest();
  });

  test("rejects what is on its way when the scheduler is closed", async () => {
    const word = new Int32Array(new SharedArrayBuffer(8));
    await onFirst.nothing();
    const blocked = onFirst.block(word);
    await until(() => Atomics.load(word, 1) === 1);
    const waiting = onFirst.sum(pattern(2 * MIB));
    const closing = scheduler.close();
    await assert.rejects(blocked, withCode("ERR_RINGLOOM_THREAD_LOST"));
    await assert.rejects(waiting, (error) => error instanceof RingloomError);
    await closing;
  });
});
