import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { RingloomError } from "../../src/errors.js";
import { broadcast } from "../../src/sync/broadcast.js";
import { oneshot } from "../../src/sync/oneshot.js";
import { watch } from "../../src/sync/watch.js";
import { select } from "../../src/task/select.js";
import { expected, isPending, withCode } from "./rig.js";

function hasLost(count: number): (error: unknown) => boolean {
  return (error) =>
    error instanceof RingloomError && error.code === "ERR_RINGLOOM_LAGGED" && error.details?.lost === count;
}

describe("Broadcast", () => {
  test("gives every value to every subscriber, from its subscription on", async () => {
    const values = broadcast<number>(8);
    values.send(0);
    const early = values.subscribe();
    values.send(1);
    const late = values.subscribe();
    const waiting = [late.recv(), late.recv()];
    values.send(2);
    assert.deepEqual([await early.recv(), await early.recv(), await waiting[0]], [1, 2, 2]);
    assert.ok(await isPending(waiting[1] ?? Promise.resolve()));
    values.send(3);
    assert.deepEqual([await waiting[1], early.tryRecv(), early.tryRecv()], [3, 3, undefined]);
  });

  test("tells one that lags how many it has lost, and goes on with the oldest that is left", async () => {
    const values = broadcast<number>(3);
    const slow = values.subscribe();
    const fast = values.subscribe();
    for (let n = 0; n < 10; n++) {
      values.send(n);
      assert.equal(await fast.recv(), n);
    }
    await assert.rejects(slow.recv(), hasLost(7));
    assert.deepEqual([await slow.recv(), await slow.recv(), await slow.recv()], [7, 8, 9]);
    assert.equal(slow.lost, 7);
    for (let n = 0; n < 5; n++) values.send(n);
    assert.throws(() => slow.tryRecv(), hasLost(2));
    await assert.rejects(select({ fast }), hasLost(2));
    assert.equal(slow.tryRecv(), 2);
  });

  test("lets one skip what it has lost", async () => {
    const values = broadcast<number>(2);
    const slow = values.subscribe({ whenLagging: "skip" });
    for (let n = 0; n < 5; n++) values.send(n);
    values.close();
    const seen: number[] = [];
    for await (const value of slow) seen.push(value);
    assert.deepEqual(seen, [3, 4]);
    assert.equal(slow.lost, 3);
    await assert.rejects(slow.recv(), withCode("ERR_RINGLOOM_CLOSED"));
    assert.throws(() => values.send(5), withCode("ERR_RINGLOOM_CLOSED"));
  });

  test("wakes a select, and keeps the value of a branch that has lost", async () => {
    const [a, b] = [broadcast<number>(2), broadcast<number>(2)];
    const [left, right] = [a.subscribe(), b.subscribe()];
    const waiting = select({ left, right });
    assert.ok(await isPending(waiting));
    b.send(7);
    a.send(8);
    assert.deepEqual(await waiting, { which: "right", value: 7 });
    assert.equal(await left.recv(), 8);
  });

  test("tells those that wait the end, with its cause", async () => {
    const values = broadcast<number>(2);
    const [left, right] = [values.subscribe(), values.subscribe()];
    const received = expected(left.recv());
    const step = expected(right.next());
    const given = expected(right.recv({ timeoutMs: 1 }));
    await assert.rejects(given, withCode("ERR_RINGLOOM_TIMEOUT"));
    const cause = new Error("planted");
    values.close(cause);
    await assert.rejects(received, (error: Error) => error.cause === cause);
    await assert.rejects(step, (error: Error) => error.cause === cause);
  });

  test("refuses a capacity that is none", () => {
    assert.throws(() => broadcast(0), withCode("ERR_RINGLOOM_INVALID_OPTION"));
  });
});

describe("Watch", () => {
  test("shows the newest value, once each change", async () => {
    const level = watch(0);
    const [a, b] = [level.subscribe(), level.subscribe()];
    const waiting = a.recv();
    assert.ok(await isPending(waiting));
    level.set(1);
    assert.equal(await waiting, 1);
    level.set(2);
    level.set(3);
    assert.deepEqual([b.hasChanged, await b.recv(), b.hasChanged], [true, 3, false]);
    assert.equal(a.value, 3);
    assert.ok(await isPending(a.recv()));
    assert.equal(level.value, 3);
  });

  test("ends iterations when it is closed, after the last change", async () => {
    const level = watch("a");
    const watcher = level.subscribe();
    level.set("b");
    level.close();
    const seen: string[] = [];
    for await (const value of watcher) seen.push(value);
    assert.deepEqual(seen, ["b"]);
    await assert.rejects(watcher.recv(), withCode("ERR_RINGLOOM_CLOSED"));
    await assert.rejects(select({ watcher }), withCode("ERR_RINGLOOM_CLOSED"));
    assert.throws(() => level.set("c"), withCode("ERR_RINGLOOM_CLOSED"));
  });

  test("wakes a select", async () => {
    const level = watch(1);
    const watcher = level.subscribe();
    const waiting = select({ watcher });
    level.set(2);
    assert.deepEqual(await waiting, { which: "watcher", value: 2 });
    assert.equal(watcher.hasChanged, false);
  });
});

describe("Oneshot", () => {
  test("takes one value and gives it to one receiver", async () => {
    const answer = oneshot<number>();
    const waiting = answer.recv();
    assert.equal(answer.send(1), true);
    assert.equal(answer.send(2), false);
    assert.equal(await waiting, 1);
    await assert.rejects(answer.recv(), withCode("ERR_RINGLOOM_CLOSED"));
  });

  test("keeps the value until somebody comes", async () => {
    const answer = oneshot<number>();
    answer.send(1);
    assert.deepEqual(await select({ answer }), { which: "answer", value: 1 });
    const other = oneshot<number>();
    other.close(new Error("planted"));
    assert.equal(other.send(1), false);
    await assert.rejects(other.recv(), (error: Error) => (error.cause as Error).message === "planted");
  });
});
