import assert from "node:assert/strict";
import { AsyncLocalStorage } from "node:async_hooks";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { MessageChannel, receiveMessageOnPort } from "node:worker_threads";
import { sendToDesk } from "../keyed/desk-line.js";
import { GATHERING_THREADS_MAX } from "../shared/gathering.js";
import { RING_BUSY, ringCells, ValueRing } from "../shared/value-ring.js";
import { SharedWords } from "../shared/words.js";
import { type Selectable, selectable } from "../task/selectable.js";
import { detectLeaks } from "../testing/leaks.js";
import { type SharedChannel, select, sharedBarrier, sharedChannel, sharedMutex, sharedSemaphore } from "./index.js";
import { cellsBytes } from "./shared-cells.js";

/** A `select` with one branch: a promise of its value, whether it has won, and what makes it lose. */
function branchOf<Value>(source: Selectable<Value>) {
  let isClaimed = false;
  let isUnwilling = false;
  let leave: (() => void) | undefined;
  const value = new Promise<Value>((resolve, reject) => {
    leave = source[selectable]({
      claim: () => {
        if (isUnwilling) return false;
        const isFirst = !isClaimed;
        isClaimed = true;
        return isFirst;
      },
      resolve,
      reject,
    });
  });
  const refuse = (): void => {
    isUnwilling = true;
  };
  return { value, leave: () => leave?.(), hasWon: () => isClaimed, refuse };
}

/** A second thread's view of a channel that is open here. */
function otherThreadOf(channel: SharedChannel<unknown>): ValueRing {
  const shape = {
    base: 0,
    threads: GATHERING_THREADS_MAX,
    capacity: channel.capacity,
    cells: ringCells(channel.capacity),
  };
  const extraBytes = cellsBytes({ cells: shape.cells, valueBytesMax: 65_536 });
  const { port1, port2 } = new MessageChannel();
  sendToDesk("test", {
    want: "structure",
    port: port2,
    ask: {
      name: `sharedChannel ${channel.name}`,
      structure: { kind: "ring", shape, extraBytes },
      bell: new Int32Array(new SharedArrayBuffer(4)),
    },
  });
  const answer = receiveMessageOnPort(port1)?.message as { memory: SharedArrayBuffer; thread: number };
  port1.unref();
  return new ValueRing(new SharedWords(answer.memory), shape, answer.thread);
}

describe("SharedChannel", () => {
  test("recv() gives copies of what send() was given, in order, small and large", async () => {
    const channel = sharedChannel("kinds", { valueBytesMax: 200_000 });
    const values = [
      1,
      "text",
      "x".repeat(60),
      "日本",
      null,
      { a: [1, { b: "c" }] },
      new Map([[1, new Set(["x"])]]),
      new Uint8Array(150_000).fill(7),
      Buffer.from("bytes"),
      new Date(5),
      2n ** 70n,
    ];
    for (const value of values) await channel.send(value);
    assert.equal(channel.length, values.length);
    for (const value of values) assert.deepStrictEqual(await channel.recv(), value);
    assert.equal(channel.tryRecv(), undefined);
    assert.equal(sharedChannel("kinds", { valueBytesMax: 200_000 }), channel);
  });

  test("send() waits when it is full, and those that wait are served in their order", async () => {
    const channel = sharedChannel<number>("full", { capacity: 2 });
    const sent: number[] = [];
    for (let n = 0; n < 6; n++) void channel.send(n).then(() => sent.push(n));
    await sleep(1);
    assert.deepEqual(sent, [0, 1]);
    assert.equal(channel.trySend(9), false);
    assert.equal(channel.length, 2);
    const received = [];
    for (let n = 0; n < 6; n++) received.push(await channel.recv());
    assert.deepEqual(received, [0, 1, 2, 3, 4, 5]);
    assert.deepEqual(sent, [0, 1, 2, 3, 4, 5]);
  });

  test("receivers that wait are served in their order; close() lets them drain it, and ends iterations", async () => {
    const channel = sharedChannel<number>("drain", { capacity: 8 });
    const waiting = [channel.recv(), channel.recv()];
    await channel.send(1);
    await channel.send(2);
    assert.deepEqual(await Promise.all(waiting), [1, 2]);
    for (const n of [3, 4, 5]) channel.trySend(n);
    assert.equal(channel.close(), true);
    assert.equal(channel.close(), false);
    const rest: number[] = [];
    for await (const value of channel) rest.push(value);
    assert.deepEqual(rest, [3, 4, 5]);
    await assert.rejects(channel.recv(), { code: "ERR_RINGLOOM_CLOSED" });
    await assert.rejects(channel.send(6), { code: "ERR_RINGLOOM_CLOSED" });
    assert.throws(() => channel.trySend(6), { code: "ERR_RINGLOOM_CLOSED" });
    assert.deepEqual(await channel.next(), { done: true, value: undefined });
  });

  test("close() rejects senders that wait, and tells receivers that do", async () => {
    const full = sharedChannel<number>("closed-full", { capacity: 1 });
    full.trySend(1);
    const late = full.send(2);
    full.close();
    await assert.rejects(late, { code: "ERR_RINGLOOM_CLOSED" });
    assert.equal(await full.recv(), 1);
    const empty = sharedChannel<number>("closed-empty");
    const early = [empty.recv(), empty.next()] as const;
    empty.close();
    await assert.rejects(early[0], { code: "ERR_RINGLOOM_CLOSED" });
    assert.deepEqual(await early[1], { done: true, value: undefined });
  });

  test("a wait that is given up leaves nothing behind", async () => {
    const channel = sharedChannel<number>("given-up", { capacity: 1, waitingMax: 2 });
    const stop = new AbortController();
    const first = channel.recv({ signal: stop.signal });
    const second = channel.recv({ timeoutMs: 1 });
    await assert.rejects(channel.recv(), { code: "ERR_RINGLOOM_OVERLOADED" });
    stop.abort("enough");
    await assert.rejects(first, { code: "ERR_RINGLOOM_ABORTED", cause: "enough" });
    await assert.rejects(second, { code: "ERR_RINGLOOM_TIMEOUT" });
    await channel.send(1);
    await assert.rejects(channel.send(2, { timeoutMs: 1 }), { code: "ERR_RINGLOOM_TIMEOUT" });
    await assert.rejects(channel.send(3, { signal: AbortSignal.abort() }), { code: "ERR_RINGLOOM_ABORTED" });
    assert.equal(await channel.recv(), 1);
    assert.equal(channel.tryRecv(), undefined);
  });

  test("detectLeaks() sees who waits for a shared structure, and nobody who does no more", async () => {
    const stop = new AbortController();
    const { signal } = stop;
    const [channel, barrier, mutex] = [sharedChannel("leaks"), sharedBarrier("leaks", 2), sharedMutex("leaks")];
    const guard = await mutex.lock();
    let waits: Promise<unknown>[] = [];
    const leaky = detectLeaks(() => {
      waits = [channel.recv({ signal, timeoutMs: 60_000 }), barrier.wait({ signal }), mutex.lock({ signal })];
    });
    await assert.rejects(leaky, { code: "ERR_RINGLOOM_LEAKED", details: { waiter: 3, listener: 3, timer: 1 } });
    stop.abort();
    for (const wait of waits) await assert.rejects(wait, { code: "ERR_RINGLOOM_ABORTED" });
    await detectLeaks(async () => {
      const received = channel.recv({ timeoutMs: 60_000 });
      await Promise.all([channel.send(1), received, barrier.wait({ timeoutMs: 60_000 }), barrier.wait()]);
      await assert.rejects(mutex.lock({ timeoutMs: 1 }), { code: "ERR_RINGLOOM_TIMEOUT" });
      const loser = branchOf(channel);
      loser.leave();
    });
    guard.release();
  });

  test("select: a branch that loses takes nothing and sends nothing", async () => {
    const channel = sharedChannel<string>("select", { capacity: 1 });
    const loser = branchOf(channel);
    const winner = branchOf(channel.receiving());
    loser.leave();
    await channel.send("a");
    assert.deepEqual(await winner.value, { done: false, value: "a" });
    assert.equal(loser.hasWon(), false);
    await channel.send("b");
    const late = branchOf(channel.sending("lost"));
    const later = branchOf(channel.sending("c"));
    late.leave();
    assert.equal(await channel.recv(), "b");
    await later.value;
    assert.equal(await channel.recv(), "c");
    assert.equal(channel.tryRecv(), undefined);
  });

  test("select: what one branch sends is not taken by another branch of the same select", async () => {
    const channel = sharedChannel<string>("both", { capacity: 1 });
    const other = otherThreadOf(channel);
    await channel.send("old");
    /** Another thread receives while this one's branches begin. */
    const draining: Selectable<never> = {
      [selectable]: () => {
        other.release(other.take());
        return undefined;
      },
    };
    const got = await select(
      { sending: channel.sending("new"), draining, receiving: channel.receiving() },
      { random: () => 0.999 },
    );
    assert.equal(got.which, "sending");
    assert.notEqual(other.take(), RING_BUSY, "other threads find it");
  });

  test("select: a branch that begins while another one wins leaves nothing behind", async () => {
    let isForgotten = false;
    let win: (() => void) | undefined;
    const first: Selectable<string> = {
      [selectable]: (branch) => {
        win = () => {
          if (branch.claim()) branch.resolve("first");
        };
        return undefined;
      },
    };
    const second: Selectable<string> = {
      [selectable]: () => {
        win?.();
        return () => {
          isForgotten = true;
        };
      },
    };
    assert.deepEqual(await select({ first, second }, { random: () => 0.999 }), { which: "first", value: "first" });
    assert.equal(isForgotten, true);
  });

  test("what was taken for a branch that did not want it goes to the next receiver", async () => {
    const channel = sharedChannel<string>("kept");
    const unwilling = branchOf(channel.receiving());
    const second = branchOf(channel.receiving());
    const third = channel.recv({ timeoutMs: 5_000 });
    unwilling.refuse();
    second.refuse();
    await channel.send("value");
    assert.equal(await third, "value");
    const refusing = branchOf(channel.receiving());
    refusing.refuse();
    await channel.send("again");
    const late = branchOf(channel.receiving());
    assert.deepEqual(await late.value, { done: false, value: "again" });
  });

  test("the thread that was rung does not run in the async context of who opened it", async () => {
    const storage = new AsyncLocalStorage<string>();
    const channel = storage.run("request", () => sharedChannel<string>("context"));
    const other = otherThreadOf(channel);
    const store = new Promise((resolve) => {
      channel[selectable]({ claim: () => true, resolve, reject: () => resolve(storage.getStore()) });
    });
    other.close();
    assert.equal(await store, undefined);
  });

  test("a loop that always finds a value or a lock lets the event loop turn", async () => {
    const channel = sharedChannel<number>("starving");
    const mutex = sharedMutex("starving");
    let hasTurned = false;
    setTimeout(() => {
      hasTurned = true;
    }, 5);
    // Far more than fit into the time, so that a loop that starves it fails instead of hanging.
    for (let n = 0; !hasTurned && n < 1_000_000; n++) {
      await channel.send(n);
      assert.equal(await channel.recv(), n);
    }
    assert.equal(hasTurned, true);
    hasTurned = false;
    setTimeout(() => {
      hasTurned = true;
    }, 5);
    for (let n = 0; !hasTurned && n < 2_000_000; n++) (await mutex.lock()).release();
    assert.equal(hasTurned, true);
  });

  test("refuses what cannot be sent, and options that cannot be", async () => {
    const channel = sharedChannel("bad", { valueBytesMax: 100 });
    for (const value of [() => 1, Symbol("s"), new (class A {})()])
      await assert.rejects(channel.send(value), { code: "ERR_RINGLOOM_NOT_CLONEABLE" });
    await assert.rejects(channel.send("x".repeat(200)), { code: "ERR_RINGLOOM_UNSUPPORTED" });
    assert.throws(() => channel.sending(() => 1), { code: "ERR_RINGLOOM_NOT_CLONEABLE" });
    await assert.rejects(channel.send(undefined), TypeError);
    assert.throws(() => channel.trySend(undefined), TypeError);
    assert.equal(channel.length, 0);
    for (const options of [{ timeoutMs: -1 }, { timeout: 5 }, null, 5, { signal: {} }]) {
      const isRefused = { code: "ERR_RINGLOOM_INVALID_OPTION" };
      await assert.rejects(channel.recv(options as never), isRefused);
      await assert.rejects(sharedMutex("bad").lock(options as never), isRefused);
      await assert.rejects(sharedBarrier("bad", 2).wait(options as never), isRefused);
    }
    for (const options of [
      { capacity: 0 },
      { capacity: 1.5 },
      { capacity: 65_536 },
      { valueBytesMax: 0 },
      { capacity: 65_535, valueBytesMax: 2 ** 20 },
      { waitingMax: -1 },
      { size: 1 },
    ]) {
      assert.throws(() => sharedChannel("other", options as never), { code: "ERR_RINGLOOM_INVALID_OPTION" });
    }
    assert.throws(() => sharedChannel(""), { code: "ERR_RINGLOOM_INVALID_OPTION" });
    assert.throws(() => sharedChannel("bad"), { code: "ERR_RINGLOOM_INVALID_OPTION" });
  });

  test("a value that sends something itself while it is sent does not disturb it", async () => {
    const channel = sharedChannel<unknown>("nested");
    await channel.send({
      get a() {
        channel.trySend("inner");
        return 1;
      },
    });
    assert.deepEqual([await channel.recv(), await channel.recv()], ["inner", { a: 1 }]);
  });
});

describe("SharedMutex", () => {
  test("one holder at a time, in the order in which they came", async () => {
    const mutex = sharedMutex("order");
    const order: number[] = [];
    let inside = 0;
    await Promise.all(
      [1, 2, 3, 4].map((n) =>
        mutex.with(async () => {
          assert.equal(++inside, 1);
          await sleep(1);
          order.push(n);
          inside -= 1;
        }),
      ),
    );
    assert.deepEqual(order, [1, 2, 3, 4]);
    assert.equal(mutex.isLocked, false);
    assert.equal(mutex.abandonedCount, 0);
  });

  test("a guard is released once, by `release` or the end of its block", async () => {
    const mutex = sharedMutex("guard");
    const guard = await mutex.lock();
    assert.equal(guard.wasAbandoned, false);
    assert.equal(mutex.tryLock(), undefined);
    assert.equal(guard.isHeld, true);
    assert.equal(guard.release(), true);
    const next = mutex.tryLock();
    assert.ok(next !== undefined);
    assert.equal(guard.release(), false, "what another one holds stays theirs");
    assert.equal(mutex.isLocked, true);
    next[Symbol.dispose]();
    assert.equal(mutex.isLocked, false);
    await assert.rejects(
      mutex.with(() => {
        throw new RangeError("inside");
      }),
      RangeError,
    );
    assert.equal(mutex.isLocked, false);
  });

  test("a wait that is given up passes the lock on", async () => {
    const mutex = sharedMutex("given-up", { waitingMax: 3 });
    const guard = await mutex.lock();
    const stop = new AbortController();
    const first = mutex.lock({ signal: stop.signal });
    const second = mutex.lock({ timeoutMs: 1 });
    const third = mutex.lock();
    await assert.rejects(mutex.lock(), { code: "ERR_RINGLOOM_OVERLOADED" });
    stop.abort();
    await assert.rejects(first, { code: "ERR_RINGLOOM_ABORTED" });
    await assert.rejects(second, { code: "ERR_RINGLOOM_TIMEOUT" });
    guard.release();
    (await third).release();
    assert.equal(mutex.isLocked, false);
  });

  test("select: a branch that loses does not hold it", async () => {
    const mutex = sharedMutex("select");
    const guard = await mutex.lock();
    const loser = branchOf(mutex);
    const winner = branchOf(mutex);
    loser.leave();
    guard.release();
    (await winner.value).release();
    assert.equal(loser.hasWon(), false);
    assert.equal(mutex.isLocked, false);
  });
});

describe("SharedSemaphore", () => {
  test("as many at a time as it has permits", async () => {
    const semaphore = sharedSemaphore("three", 3);
    let inside = 0;
    let most = 0;
    await Promise.all(
      Array.from({ length: 10 }, () =>
        semaphore.with(async () => {
          inside += 1;
          most = Math.max(most, inside);
          await sleep(1);
          inside -= 1;
        }),
      ),
    );
    assert.equal(most, 3);
    assert.equal(semaphore.available, 3);
    assert.throws(() => sharedSemaphore("three", 4), { code: "ERR_RINGLOOM_INVALID_OPTION" });
    assert.throws(() => sharedSemaphore("none", 0), { code: "ERR_RINGLOOM_INVALID_OPTION" });
  });
});

describe("SharedBarrier", () => {
  test("opens when all have come, and begins anew", async () => {
    const barrier = sharedBarrier("again", 3);
    for (let round = 0; round < 3; round++) {
      const arrivals = await Promise.all([barrier.wait(), barrier.wait(), barrier.wait()]);
      assert.deepEqual(
        arrivals.map(({ isLast }) => isLast),
        [false, false, true],
      );
      assert.equal(barrier.waiting, 0);
    }
    const five = [1, 2, 3, 4, 5].map(() => barrier.wait());
    await Promise.all(five.slice(0, 3));
    assert.equal(barrier.waiting, 2);
    await barrier.wait();
    await Promise.all(five);
  });

  test("one that gives up breaks it for those that wait with it, and not for the next ones", async () => {
    const barrier = sharedBarrier("broken", 3);
    const stop = new AbortController();
    const waiting = [barrier.wait(), barrier.wait({ signal: stop.signal })];
    stop.abort("why");
    await assert.rejects(waiting[1]!, { code: "ERR_RINGLOOM_ABORTED", cause: "why" });
    await assert.rejects(waiting[0]!, {
      code: "ERR_RINGLOOM_BROKEN_BARRIER",
      details: { name: "broken", reason: "given-up" },
    });
    await assert.rejects(barrier.wait({ timeoutMs: 1 }), { code: "ERR_RINGLOOM_TIMEOUT" });
    await Promise.all([barrier.wait(), barrier.wait(), barrier.wait({ timeoutMs: 10_000 })]);
  });
});
