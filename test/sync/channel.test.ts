import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type ChannelOptions, channel } from "../../src/sync/channel.js";
import { withGroup } from "../../src/task/with-group.js";
import { expected, isPending, withCode } from "./rig.js";

describe("Channel.send()", () => {
  test("of an unbuffered channel completes when a receiver has taken the value", async () => {
    const values = channel<number>();
    const sent = values.send(1);
    assert.ok(await isPending(sent));
    assert.equal(values.length, 0);
    assert.equal(await values.recv(), 1);
    await sent;
  });

  test("completes while there is room, and waits in order when there is none", async () => {
    const values = channel<number>(2);
    await values.send(1);
    await values.send(2);
    const [third, fourth] = [values.send(3), values.send(4)];
    assert.ok(await isPending(third));
    assert.equal(await values.recv(), 1);
    await third;
    assert.ok(await isPending(fourth));
    assert.deepEqual([await values.recv(), await values.recv(), await values.recv()], [2, 3, 4]);
    await fourth;
  });

  test("gives the value to the receiver that has waited longest", async () => {
    const values = channel<number>(4);
    const received = [values.recv(), values.recv(), values.recv()];
    for (const value of [1, 2, 3]) await values.send(value);
    assert.deepEqual(await Promise.all(received), [1, 2, 3]);
    assert.equal(values.length, 0);
  });

  test("sends nothing when it is given up, and makes room for the next", async () => {
    const values = channel<string>(1);
    await values.send("first");
    const controller = new AbortController();
    const given = expected(values.send("given up", { signal: controller.signal }));
    const late = expected(values.send("late", { timeoutMs: 5 }));
    const last = values.send("last");
    controller.abort(new Error("planted"));
    await assert.rejects(given, (error: Error) => {
      assert.equal((error.cause as Error).message, "planted");
      return withCode("ERR_RINGLOOM_ABORTED")(error);
    });
    await assert.rejects(late, withCode("ERR_RINGLOOM_TIMEOUT"));
    assert.deepEqual([await values.recv(), await values.recv()], ["first", "last"]);
    await last;
  });

  test("is refused by a signal that is aborted already, even if there is room", async () => {
    const values = channel<number>(1);
    await assert.rejects(values.send(1, { signal: AbortSignal.abort() }), withCode("ERR_RINGLOOM_ABORTED"));
    assert.equal(values.length, 0);
  });

  test("is refused when too many wait: many sends to a receiver that does not come", async () => {
    const values = channel<number>(10, { waitingMax: 100 });
    let overloaded = 0;
    const sends = Array.from({ length: 20_000 }, (_, n) => {
      if (n < 110) return values.send(n);
      return values.send(n).catch((error) => {
        withCode("ERR_RINGLOOM_OVERLOADED")(error);
        overloaded += 1;
      });
    });
    await Promise.all(sends.slice(110));
    assert.equal(overloaded, 20_000 - 110);
    for (let n = 0; n < 110; n++) assert.equal(await values.recv(), n);
    await Promise.all(sends);
  });

  test("fails at once when a channel that does not wait is full", async () => {
    const values = channel<number>(2, { whenFull: "fail" });
    await values.send(1);
    await values.send(2);
    await assert.rejects(values.send(3), withCode("ERR_RINGLOOM_OVERLOADED"));
    assert.equal(values.trySend(3), false);
    assert.equal(await values.recv(), 1);
    await values.send(3);
  });
});

describe("Channel.trySend() and tryRecv()", () => {
  test("never wait", async () => {
    const values = channel<number>(1);
    assert.equal(values.tryRecv(), undefined);
    assert.equal(values.trySend(1), true);
    assert.equal(values.trySend(2), false);
    const waiting = values.send(3);
    assert.equal(values.tryRecv(), 1);
    await waiting;
    assert.equal(values.tryRecv(), 3);
    const unbuffered = channel<number>();
    assert.equal(unbuffered.trySend(1), false);
    const received = unbuffered.recv();
    assert.equal(unbuffered.trySend(1), true);
    assert.equal(await received, 1);
  });
});

describe("Channel.close()", () => {
  test("lets receivers drain the buffer, then tells them the end", async () => {
    const values = channel<number>(2);
    await values.send(1);
    await values.send(2);
    const blocked = expected(values.send(3));
    assert.equal(values.close(), true);
    assert.equal(values.close(), false);
    await assert.rejects(blocked, withCode("ERR_RINGLOOM_CLOSED"));
    await assert.rejects(values.send(4), withCode("ERR_RINGLOOM_CLOSED"));
    assert.throws(() => values.trySend(4), withCode("ERR_RINGLOOM_CLOSED"));
    const seen: number[] = [];
    for await (const value of values) seen.push(value);
    assert.deepEqual(seen, [1, 2]);
    await assert.rejects(values.recv(), withCode("ERR_RINGLOOM_CLOSED"));
    assert.equal(values.tryRecv(), undefined);
  });

  test("tells those that wait already", async () => {
    const values = channel<number>();
    const received = expected(values.recv());
    const step = values.next();
    values[Symbol.dispose]();
    await assert.rejects(received, withCode("ERR_RINGLOOM_CLOSED"));
    assert.deepEqual(await step, { done: true, value: undefined });
  });

  test("with a cause is an error for iterations too", async () => {
    const values = channel<number>(1);
    await values.send(1);
    const cause = new Error("planted");
    values.close(cause);
    const seen: number[] = [];
    const loop = async (): Promise<void> => {
      for await (const value of values) seen.push(value);
    };
    await assert.rejects(loop(), (error: Error) => error.cause === cause);
    assert.deepEqual(seen, [1]);
  });
});

describe("Channel.values()", () => {
  test("shares the values among its iterations, and leaves the channel open", async () => {
    const values = channel<number>(8);
    for (let n = 0; n < 4; n++) values.trySend(n);
    for await (const value of values) if (value === 1) break;
    assert.equal(values.isClosed, false);
    assert.equal(await values.recv(), 2);
    const controller = new AbortController();
    const loop = async (): Promise<void> => {
      for await (const value of values.values({ signal: controller.signal })) if (value === 3) controller.abort();
    };
    await assert.rejects(loop(), withCode("ERR_RINGLOOM_ABORTED"));
  });

  test("is fair to many producers and consumers, and each value arrives once", async () => {
    const values = channel<number>(3);
    const counts = new Array<number>(5).fill(0);
    const seen = new Set<number>();
    await withGroup(async (group) => {
      for (let producer = 0; producer < 4; producer++) {
        group.spawn(async () => {
          for (let n = 0; n < 250; n++) await values.send(producer * 250 + n);
        });
      }
      for (let consumer = 0; consumer < 5; consumer++) {
        group.spawn(async () => {
          for await (const value of values) {
            counts[consumer]! += 1;
            seen.add(value);
            if (seen.size === 1_000) values.close();
          }
        });
      }
    });
    assert.equal(seen.size, 1_000);
    for (const count of counts) assert.ok(count > 100, `shares ${counts}`);
  });
});

describe("channel()", () => {
  for (const [what, capacity, options] of [
    ["a negative capacity", -1, {}],
    ["a fraction", 1.5, {}],
    ["no bound", Number.POSITIVE_INFINITY, {}],
    ["an unknown policy", 1, { whenFull: "drop" }],
    ["a negative number of waiters", 1, { waitingMax: -1 }],
  ] as [string, number, unknown][]) {
    test(`refuses ${what}`, () => {
      assert.throws(() => channel(capacity, options as ChannelOptions), withCode("ERR_RINGLOOM_INVALID_OPTION"));
    });
  }

  test("refuses waits with options that are none", async () => {
    const values = channel<number>(1);
    await assert.rejects(values.send(1, { timeoutMs: Number.NaN }), withCode("ERR_RINGLOOM_INVALID_OPTION"));
    await assert.rejects(values.recv({ timeoutMs: 2 ** 31 }), withCode("ERR_RINGLOOM_INVALID_OPTION"));
    const signal = {} as AbortSignal;
    await assert.rejects(values.recv({ signal }), withCode("ERR_RINGLOOM_INVALID_OPTION"));
  });
});

describe("loops over channels alone", () => {
  test("that only try and wait let the event loop turn", async () => {
    const [there, back] = [channel<number>(1), channel<number>(1)];
    let hasTurned = false;
    setTimeout(() => (hasTurned = true), 1);
    const play = async (from: typeof there, to: typeof there): Promise<void> => {
      for await (const value of from) {
        if (hasTurned || value > 100_000) to.close();
        if (to.isClosed || !to.trySend(value + 1)) return;
      }
    };
    there.trySend(0);
    await Promise.all([play(there, back), play(back, there)]);
    assert.ok(hasTurned);
  });

  test("let the event loop turn", async () => {
    const [there, back] = [channel<number>(1), channel<number>(1)];
    const controller = new AbortController();
    // Without turns this timer never fires.
    setTimeout(() => controller.abort(), 1);
    const { signal } = controller;
    const echo = expected(
      (async () => {
        for (;;) await back.send(await there.recv({ signal }), { signal });
      })(),
    );
    const call = async (): Promise<void> => {
      for (let n = 0; n < 100_000; n++) {
        await there.send(n);
        await back.recv();
        if (signal.aborted) throw new Error("turned");
      }
      controller.abort();
    };
    await assert.rejects(call(), /turned/);
    await assert.rejects(echo, withCode("ERR_RINGLOOM_ABORTED"));
  });
});
