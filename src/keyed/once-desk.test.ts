import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Boundary } from "../runtime/boundary.js";
import { OnceDesk } from "./once-desk.js";
import type { OnceAnswer, OnceAsk } from "./once-messages.js";

/** A thread's line to the desk. */
function line(desk: OnceDesk): Boundary<OnceAsk, OnceAnswer> {
  const own = new Boundary<OnceAsk, OnceAnswer>({ timeoutMs: 0 });
  assert.ok(own.port);
  desk.accept(own.port);
  return own;
}

describe("OnceDesk", () => {
  test("refuses a key for which it has no room, until one has failed", async () => {
    const desk = new OnceDesk({ keeps: true, keysMax: 2 });
    const one = line(desk);
    assert.deepEqual(await one.call({ claim: "a" }), { run: true });
    assert.deepEqual(await one.call({ claim: "b" }), { run: true });
    assert.deepEqual(await one.call({ claim: "c" }), { full: 2 });
    await one.call({ failed: "a", thrown: { value: 1 } });
    assert.deepEqual(await one.call({ claim: "c" }), { run: true });
    one.close();
  });

  test("gives what a lost line was making to the next one that waits, and not to a line that is lost too", async () => {
    const desk = new OnceDesk({ keeps: true });
    const [first, second, third] = [line(desk), line(desk), line(desk)];
    assert.deepEqual(await first.call({ claim: "a" }), { run: true });
    const waiting = second.call({ claim: "a" });
    // One more answer of the same line: the claim before it has arrived.
    await second.call({ claim: "other" });
    const answer = third.call({ claim: "a" });
    await third.call({ claim: "another" });
    second.close();
    await assert.rejects(waiting, { code: "ERR_RINGLOOM_CLOSED" });
    // The desk hears of it before what is sent behind it.
    await second.closed;
    first.close();
    assert.deepEqual(await answer, { run: true });
    await third.call({ made: "a", value: 7 });
    assert.deepEqual(await third.call({ claim: "a" }), { value: 7 });
    third.close();
  });

  test("takes a value only from who was told to make it, and forgets it when it does not keep", async () => {
    const desk = new OnceDesk({ keeps: false });
    const [first, second] = [line(desk), line(desk)];
    assert.deepEqual(await first.call({ claim: "a" }), { run: true });
    const waiting = second.call({ claim: "a" });
    await second.call({ made: "a", value: "forged" });
    await first.call({ made: "a", value: "true" });
    assert.deepEqual(await waiting, { value: "true" });
    assert.deepEqual(await second.call({ claim: "a" }), { run: true });
    first.close();
    second.close();
  });
});
