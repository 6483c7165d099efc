import assert from "node:assert/strict";
import { test } from "node:test";
import { OutgoingBody, type OutgoingOwner } from "./outgoing-body.js";
import { NO_ROOM, type ResponseEncoder } from "./response-encoder.js";

/** A connection with a queue that the test drains, and the encoder's part of it. */
class Rig implements OutgoingOwner {
  sent = "";
  queued = 0;
  room = true;
  wanted = 0;
  starvedTimes = 0;
  ended = 0;
  error: unknown;

  queuedBytes(): number {
    return this.queued;
  }
  committed(_slot: number, count: number): void {
    this.queued += count;
  }
  wantDrained(): void {
    this.wanted += 1;
  }
  starved(): void {
    this.starvedTimes += 1;
  }
  outgoingEnded(): void {
    this.ended += 1;
  }
  outgoingFailed(_body: OutgoingBody, error: unknown): void {
    this.error = error;
  }

  #put(text: string): number {
    if (!this.room) return NO_ROOM;
    this.sent += text;
    return text.length;
  }
  chunk(_slot: number, bytes: Uint8Array, start: number, length: number): number {
    return this.#put(`${length.toString(16)}\r\n${Buffer.from(bytes).toString("latin1", start, start + length)}\r\n`);
  }
  piece(_slot: number, bytes: Uint8Array, start: number, length: number): number {
    return this.#put(Buffer.from(bytes).toString("latin1", start, start + length));
  }
  raw(_slot: number, text: string): number {
    return this.#put(text);
  }
}

function create(chunked: boolean, highWaterBytes = 100_000): { rig: Rig; body: OutgoingBody } {
  const rig = new Rig();
  const body = new OutgoingBody(rig, rig as unknown as ResponseEncoder, {
    slot: 0,
    exchange: undefined,
    chunked,
    highWaterBytes,
  });
  return { rig, body };
}

test("OutgoingBody writes chunks and the end, with trailers", () => {
  const { rig, body } = create(true);
  assert.equal(body.write(Buffer.from("abc")), true);
  body.end(["X-Sum", "7"]);
  assert.equal(rig.sent, "3\r\nabc\r\n0\r\nx-sum: 7\r\n\r\n");
  assert.equal(rig.ended, 1);
  body.end();
  body.write(Buffer.from("more"));
  assert.equal(rig.ended, 1);
  assert.doesNotMatch(rig.sent, /more/);
});

test("OutgoingBody.end() throws for a trailer that would break the framing", () => {
  const { rig, body } = create(true);
  assert.throws(() => body.end(["x", "a\r\nb: c"]), TypeError);
  assert.throws(() => body.end(["x y", "a"]), TypeError);
  assert.equal(rig.sent, "");
});

test("OutgoingBody.write() returns false above the high-water mark, and drained() waits", async () => {
  const { rig, body } = create(false, 10);
  assert.equal(body.write(Buffer.from("x".repeat(20))), false);
  let isDrained = false;
  const waiting = body.drained().then(() => {
    isDrained = true;
  });
  await Promise.resolve();
  assert.equal(isDrained, false);
  assert.equal(rig.wanted, 1);
  rig.queued = 0;
  body.continue();
  await waiting;
  assert.equal(body.write(Buffer.from("y")), true);
});

test("OutgoingBody sends a large body in pieces, each after the one before has drained", () => {
  const { rig, body } = create(false, 10);
  const text = "0123456789".repeat(20_000);
  body.write(Buffer.from(text));
  body.end();
  let rounds = 0;
  while (rig.ended === 0) {
    assert.ok(rig.queued <= 70_000, "no more than a block is queued above the mark");
    rig.queued = 0;
    body.continue();
    rounds += 1;
    assert.ok(rounds < 10);
  }
  assert.equal(rig.sent, text);
});

test("OutgoingBody waits for room in the write pool, in the middle and at the end", () => {
  const { rig, body } = create(true);
  rig.room = false;
  assert.equal(body.write(Buffer.from("abc")), false);
  assert.equal(rig.starvedTimes, 1);
  rig.room = true;
  body.continue();
  assert.equal(rig.sent, "3\r\nabc\r\n");
  rig.room = false;
  body.end();
  assert.equal(rig.ended, 0);
  rig.room = true;
  body.continue();
  assert.equal(rig.ended, 1);
  assert.ok(rig.sent.endsWith("0\r\n\r\n"));
});

test("OutgoingBody keeps the order when a caller does not wait", () => {
  const { rig, body } = create(false, 3);
  for (const piece of ["abcd", "efgh", "ij"]) body.write(Buffer.from(piece));
  body.end();
  while (rig.ended === 0) {
    rig.queued = 0;
    body.continue();
  }
  assert.equal(rig.sent, "abcdefghij");
});

test("OutgoingBody.abort() tells listeners once, and wakes who waits", async () => {
  const { rig, body } = create(false, 1);
  let told = 0;
  body.onAborted(() => (told += 1));
  body.write(Buffer.from("xx"));
  const waiting = body.drained();
  body.abort();
  await waiting;
  body.abort();
  body.end();
  assert.equal(told, 1);
  assert.equal(rig.ended, 0);
  body.onAborted(() => (told += 1));
  assert.equal(told, 2);
});

test("OutgoingBody.fail() reports the error and ends it", async () => {
  const { rig, body } = create(true);
  const error = new Error("source");
  body.fail(error);
  assert.equal(rig.error, error);
  await body.drained();
  assert.equal(body.write(Buffer.from("x")), true);
  assert.equal(rig.sent, "");
});

test("OutgoingBody waits for room or to be drained, never for both: a connection without bytes is drained at once, each time it is asked", () => {
  const { rig, body } = create(true, 10);
  rig.room = false;
  assert.equal(body.write(Buffer.from("abc")), false);
  body.continue();
  body.end();
  body.continue();
  assert.deepEqual([rig.wanted, rig.starvedTimes], [0, 3]);
  rig.room = true;
  rig.queued = 20;
  body.continue();
  assert.deepEqual([rig.wanted, rig.starvedTimes], [1, 3]);
});
