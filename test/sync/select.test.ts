import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { describe, test } from "node:test";
import { channel } from "../../src/sync/channel.js";
import { emitted } from "../../src/sync/emitted.js";
import { event, notify } from "../../src/sync/event.js";
import { mutex } from "../../src/sync/mutex.js";
import { semaphore } from "../../src/sync/semaphore.js";
import { select, trySelect } from "../../src/task/select.js";
import { Random } from "../support/random.js";
import { expected, isPending, withCode } from "./rig.js";

function randomOf(seed: number): () => number {
  const random = new Random(seed);
  return () => random.next() / 0x1_0000_0000;
}

describe("select()", () => {
  test("gives the branch that is ready, and leaves the others alone", async () => {
    const [full, empty] = [channel<string>(1), channel<string>(1)];
    full.trySend("there");
    const got = await select({ full, empty, send: channel<number>().sending(1) });
    assert.deepEqual(got, { which: "full", value: "there" });
    empty.trySend("kept");
    assert.equal(await empty.recv(), "kept");
  });

  test("takes one value when several are ready, and the others stay", async () => {
    const sources = [channel<number>(1), channel<number>(1), channel<number>(1)] as const;
    const [a, b, c] = sources;
    for (const [n, source] of sources.entries()) source.trySend(n);
    const { value } = await select({ a, b, c });
    assert.deepEqual(
      sources.map((source) => source.length),
      [0, 1, 2].map((n) => (n === value ? 0 : 1)),
    );
  });

  test("waits, and is woken by one", async () => {
    const [a, b] = [channel<string>(), channel<string>()];
    const waiting = select({ a, b });
    assert.ok(await isPending(waiting));
    await b.send("woken");
    assert.deepEqual(await waiting, { which: "b", value: "woken" });
    // Its other branch has left.
    assert.equal(a.trySend("lost?"), false);
  });

  test("sends only if that branch wins", async () => {
    const [out, stop] = [channel<number>(), channel<string>(1)];
    const waiting = select({ sent: out.sending(7), stop });
    assert.ok(await isPending(waiting));
    stop.trySend("now");
    assert.deepEqual(await waiting, { which: "stop", value: "now" });
    assert.equal(out.tryRecv(), undefined);
    const again = select({ sent: out.sending(8), stop });
    assert.equal(await out.recv(), 8);
    assert.deepEqual(await again, { which: "sent", value: undefined });
  });

  test("pairs two that wait for each other, and no two branches of one", async () => {
    const rendezvous = channel<string>();
    const alone = select({ in: rendezvous, out: rendezvous.sending("self") });
    assert.ok(await isPending(alone));
    const other = await select({ in: rendezvous, out: rendezvous.sending("other") });
    const mine = await alone;
    assert.notEqual(mine.which, other.which);
    assert.equal((mine.which === "in" ? mine : other).value, mine.which === "in" ? "other" : "self");
  });

  test("is fair to branches that are always ready", async () => {
    const seed = Date.now() % 100_000;
    const random = randomOf(seed);
    const [a, b, idle] = [channel<number>(1), channel<number>(1), channel<number>(1)];
    const counts = { a: 0, idle: 0, more: 0, b: 0 };
    for (let n = 0; n < 3_000; n++) {
      a.trySend(n);
      b.trySend(n);
      const { which } = await select({ a, idle, more: channel(), b }, { random });
      counts[which] += 1;
    }
    assert.equal(counts.idle + counts.more, 0);
    assert.ok(counts.a > 1_200 && counts.b > 1_200, `seed ${seed}: ${JSON.stringify(counts)}`);
  });

  test("chooses the same with the same random numbers", async () => {
    const choose = async (): Promise<string> => {
      const random = randomOf(42);
      let chosen = "";
      for (let n = 0; n < 50; n++) {
        const [a, b] = [channel<number>(1), channel<number>(1)];
        a.trySend(n);
        b.trySend(n);
        chosen += (await select({ a, b }, { random })).which;
      }
      return chosen;
    };
    assert.equal(await choose(), await choose());
  });

  test("waits for locks, permits, events, promises, signals and emitters", async () => {
    const lock = mutex();
    const guard = await lock.lock();
    const permits = semaphore(1);
    const permit = await permits.acquire();
    const [ready, woken] = [event(), notify()];
    const controller = new AbortController();
    const emitter = new EventEmitter();
    let settle = (_: string): void => {};
    const promise = new Promise<string>((resolve) => {
      settle = resolve;
    });
    const idle = { lock, permits, ready, woken, signal: controller.signal, emit: emitted(emitter, "x"), promise };
    const next = async (cause: () => unknown, which: string): Promise<unknown> => {
      const waiting = select(idle);
      assert.ok(await isPending(waiting));
      cause();
      const got = await waiting;
      assert.equal(got.which, which);
      return got.value;
    };
    const held = await next(() => guard.release(), "lock");
    assert.ok(held !== guard && lock.isLocked);
    await next(() => permit.release(), "permits");
    assert.equal(permits.available, 0);
    await next(() => woken.notifyOne(), "woken");
    assert.deepEqual(await next(() => emitter.emit("x", 1, 2), "emit"), [1, 2]);
    assert.equal(emitter.listenerCount("x"), 0);
    assert.equal(await next(() => settle("joined"), "promise"), "joined");
    assert.deepEqual(await select({ promise }), { which: "promise", value: "joined" });
    const { promise: _, ...rest } = idle;
    Object.assign(idle, { promise: undefined });
    assert.equal(Object.keys(rest).length, 6);
    await next(() => ready.set(), "ready");
    ready.reset();
    assert.equal(await next(() => controller.abort("why"), "signal"), "why");
    assert.deepEqual(await select({ signal: controller.signal }), { which: "signal", value: "why" });
  });

  test("does not gather what waits for a promise that lives long", async () => {
    let thens = 0;
    class Counted extends Promise<never> {
      // biome-ignore lint/suspicious/noThenProperty: a promise has it
      override then: Promise<never>["then"] = (...handlers) => {
        thens += 1;
        return super.then(...handlers);
      };
    }
    const forever = new Counted(() => {});
    const values = channel<number>(1);
    for (let n = 0; n < 100; n++) {
      values.trySend(n);
      await select({ forever, values });
    }
    assert.ok(thens <= 1, `then was called ${thens} times`);
  });

  test("rejects as its signal and its time say, and leaves every branch", async () => {
    const values = channel<number>();
    await assert.rejects(select({ values }, { timeoutMs: 5 }), withCode("ERR_RINGLOOM_TIMEOUT"));
    const controller = new AbortController();
    const waiting = expected(select({ values }, { signal: controller.signal }));
    controller.abort();
    await assert.rejects(waiting, withCode("ERR_RINGLOOM_ABORTED"));
    assert.equal(values.trySend(1), false);
  });

  test("rejects with the error of its branch: a closed channel, a rejected promise", async () => {
    const values = channel<number>();
    values.close();
    await assert.rejects(select({ values, other: channel() }), withCode("ERR_RINGLOOM_CLOSED"));
    await assert.rejects(select({ out: values.sending(1) }), withCode("ERR_RINGLOOM_CLOSED"));
    assert.deepEqual(await select({ step: values.receiving() }), {
      which: "step",
      value: { done: true, value: undefined },
    });
    await assert.rejects(select({ join: Promise.reject(new Error("planted")) }), /planted/);
    const waits = channel<number>();
    const pending = expected(select({ waits, never: new Promise<never>(() => {}) }));
    waits.close();
    await assert.rejects(pending, withCode("ERR_RINGLOOM_CLOSED"));
  });

  test("refuses to wait for nothing", async () => {
    await assert.rejects(select({}), withCode("ERR_RINGLOOM_INVALID_OPTION"));
    await assert.rejects(select({ off: undefined }), withCode("ERR_RINGLOOM_INVALID_OPTION"));
    const values = channel<number>();
    const wrong = { values, wrong: 7 as unknown as Promise<number> };
    await assert.rejects(select(wrong), withCode("ERR_RINGLOOM_INVALID_OPTION"));
    // No branch of the refused one waits.
    assert.equal(values.trySend(1), false);
  });

  test("of a receive that has begun is a type error", () => {
    const values = channel<number>(1);
    // @ts-expect-error The value would be lost if another branch won: the channel itself is the branch.
    const lossy = (): unknown => select({ value: values.recv() });
    assert.equal(typeof lossy, "function");
  });
});

describe("trySelect()", () => {
  test("takes what is ready, and waits for nothing", async () => {
    const [a, b] = [channel<number>(1), channel<number>(1)];
    assert.equal(trySelect({ a, b }), undefined);
    b.trySend(2);
    assert.deepEqual(trySelect({ a, b }), { which: "b", value: 2 });
    assert.deepEqual(trySelect({ sent: a.sending(1) }), { which: "sent", value: undefined });
    assert.equal(trySelect({ sent: a.sending(1), b }), undefined);
    assert.equal(await a.recv(), 1);
    // What was asked has left nothing behind.
    assert.equal(a.tryRecv(), undefined);
    assert.throws(() => trySelect({}), withCode("ERR_RINGLOOM_INVALID_OPTION"));
    a.close();
    assert.throws(() => trySelect({ a }), withCode("ERR_RINGLOOM_CLOSED"));
  });
});
