import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { RingloomError } from "../errors.js";
import { LARGE_BODY_BYTES_MIN, LargeBodyPool } from "./large-body-pool.js";
import { BODY_HIGH_WATER_BYTES, type BodyOwner, RequestBody, type RequestBodyOptions } from "./request-body.js";

class FakeOwner implements BodyOwner {
  readonly calls: string[] = [];

  pauseBody(): void {
    this.calls.push("pause");
  }

  resumeBody(): void {
    this.calls.push("resume");
  }

  bodyWanted(): void {
    this.calls.push("wanted");
  }
}

function create(options: Partial<RequestBodyOptions> = {}) {
  const owner = new FakeOwner();
  const pool = options.pool ?? new LargeBodyPool({ blocks: 2 });
  const body = new RequestBody(owner, { limitBytes: 1024 * 1024, expectedLength: -1, pool, ...options });
  return { owner, pool, body };
}

function pushText(body: RequestBody, text: string): void {
  const bytes = Buffer.from(`--${text}--`);
  body.push(bytes, 2, bytes.length - 4);
  // The connection's memory is lent: what comes next overwrites it.
  bytes.fill(0x21);
}

function pattern(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => (index * 7 + (index >> 8)) & 0xff);
}

function codeIs(code: string, status?: number): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof RingloomError);
    assert.equal(error.code, code);
    if (status !== undefined) assert.equal((error as RingloomError & { status: number }).status, status);
    return true;
  };
}

test("RequestBody.bytes() resolves with memory of its own when the length is known", async () => {
  const { body, owner } = create({ expectedLength: 6 });
  const bytes = body.bytes();
  assert.deepEqual(owner.calls, ["wanted"]);
  pushText(body, "abc");
  pushText(body, "def");
  body.end();
  assert.deepEqual(await bytes, new Uint8Array(Buffer.from("abcdef")));
  assert.equal((await bytes).buffer.byteLength, 6);
  assert.equal((await bytes).constructor, Uint8Array);
});

test("RequestBody.bytes() resolves when the body came before the reader", async () => {
  for (const expectedLength of [6, -1]) {
    for (const parts of [["abcdef"], ["abc", "def"]]) {
      const { body, owner } = create({ expectedLength });
      for (const part of parts) pushText(body, part);
      body.end();
      assert.equal(Buffer.from(await body.bytes()).toString(), "abcdef");
      assert.deepEqual(owner.calls, []);
    }
  }
});

test("RequestBody.bytes() resolves empty when there is nothing", async () => {
  const { body } = create({ expectedLength: -1 });
  const bytes = body.bytes();
  body.end();
  assert.equal((await bytes).length, 0);
});

test("RequestBody.bytes() grows by doubling and hands out the exact length when the length is unknown", async () => {
  const { body, pool } = create();
  const whole = pattern(300_001);
  const bytes = body.bytes();
  for (let at = 0; at < whole.length; at += 5000) body.push(whole, at, Math.min(5000, whole.length - at));
  assert.equal(pool.inUse, 1);
  body.end();
  assert.deepEqual(await bytes, whole);
  assert.equal((await bytes).buffer.byteLength, whole.length);
  assert.equal(pool.inUse, 0);
});

test("RequestBody.bytes() reads a large body into memory that it hands over, and frees its place", async () => {
  const { body, pool } = create({ expectedLength: LARGE_BODY_BYTES_MIN + 1 });
  const whole = pattern(LARGE_BODY_BYTES_MIN + 1);
  const bytes = body.bytes();
  assert.equal(pool.inUse, 1);
  body.push(whole, 0, whole.length);
  body.end();
  assert.equal(pool.inUse, 0);
  assert.deepEqual(await bytes, whole);
  assert.equal((await bytes).buffer.byteLength, whole.length);
  assert.equal(pool.freeBlocks, 0);
});

test("RequestBody.text() returns the block to the pool, and a later body does not show in the text", async () => {
  const pool = new LargeBodyPool({ blocks: 1 });
  const read = async (character: string) => {
    const { body } = create({ expectedLength: 40_000, pool });
    const text = body.text();
    pushText(body, character.repeat(40_000));
    body.end();
    assert.equal(pool.inUse, 1, "the block is taken until it is decoded");
    return text;
  };
  assert.equal(await read("a"), "a".repeat(40_000));
  assert.equal(pool.inUse, 0);
  assert.equal(pool.freeBlocks, 1);
  assert.equal(await read("b"), "b".repeat(40_000));
  assert.equal(pool.freeBlocks, 1);
});

test("RequestBody.bytes() rejects with 503 when the pool is exhausted", async () => {
  const pool = new LargeBodyPool({ blocks: 1 });
  const first = create({ pool, expectedLength: 40_000 });
  const pending = first.body.bytes();
  const second = create({ pool, expectedLength: 40_000 });
  await assert.rejects(second.body.bytes(), codeIs("ERR_RINGLOOM_OVERLOADED", 503));
  assert.deepEqual(second.owner.calls, [], "the client is not asked to send");
  const third = create({ pool, expectedLength: -1 });
  const growing = third.body.bytes();
  const whole = pattern(50_000);
  third.body.push(whole, 0, whole.length);
  await assert.rejects(growing, codeIs("ERR_RINGLOOM_OVERLOADED", 503));
  first.body.fail(new Error("gone"));
  await assert.rejects(pending, /gone/);
  assert.equal(pool.inUse, 0);
});

test("RequestBody.bytes() rejects with 413 when Content-Length is over the limit, and asks for nothing", async () => {
  const { body, owner } = create({ limitBytes: 10, expectedLength: 11 });
  await assert.rejects(body.bytes(), codeIs("ERR_RINGLOOM_BODY_TOO_LARGE", 413));
  assert.deepEqual(owner.calls, []);
  pushText(body, "dropped");
  body.end();
});

test("RequestBody.text() rejects with 413 when a chunked body comes to more than the limit", async () => {
  const { body, pool } = create({ limitBytes: 50_000 });
  const text = body.text();
  const whole = pattern(25_000);
  body.push(whole, 0, whole.length);
  body.push(whole, 0, whole.length);
  assert.equal(pool.inUse, 1);
  body.push(whole, 0, 1);
  await assert.rejects(text, codeIs("ERR_RINGLOOM_BODY_TOO_LARGE", 413));
  assert.equal(pool.inUse, 0);
});

test("RequestBody readers reject with ERR_RINGLOOM_BODY_USED when there was a reader before", async () => {
  const readers: ((body: RequestBody) => unknown)[] = [
    (body) => body.bytes(),
    (body) => body.text(),
    (body) => body.json(),
    (body) => body.arrayBuffer(),
    (body) => body.stream(),
    (body) => body[Symbol.asyncIterator](),
  ];
  for (const first of readers) {
    for (const second of readers) {
      const { body } = create();
      pushText(body, "1");
      body.end();
      assert.equal(body.used, false);
      await first(body);
      assert.equal(body.used, true);
      await assert.rejects(async () => await second(body), codeIs("ERR_RINGLOOM_BODY_USED"));
    }
  }
});

test("RequestBody.text() drops the byte order mark and replaces what is no UTF-8", async () => {
  const { body } = create();
  const bytes = Buffer.from([0xef, 0xbb, 0xbf, 0x61, 0xff, 0xc3, 0xa9, 0xe2, 0x82]);
  body.push(bytes, 0, bytes.length);
  body.end();
  assert.equal(await body.text(), new TextDecoder().decode(bytes));
});

test("RequestBody.json() parses, and rejects with 400 when it is not JSON", async () => {
  const good = create();
  pushText(good.body, '{"a":[1]}');
  good.body.end();
  assert.deepEqual(await good.body.json(), { a: [1] });
  const bad = create();
  pushText(bad.body, "{");
  bad.body.end();
  await assert.rejects(bad.body.json(), codeIs("ERR_RINGLOOM_BODY_INVALID", 400));
});

test("RequestBody.push() pauses the connection at the high-water mark, and reading resumes it", async () => {
  const { body, owner } = create();
  const part = new Uint8Array(BODY_HIGH_WATER_BYTES / 4);
  for (let index = 0; index < 4; index++) {
    assert.deepEqual(owner.calls, []);
    body.push(part, 0, part.length);
  }
  assert.deepEqual(owner.calls, ["pause"]);
  body.push(part, 0, part.length);
  assert.deepEqual(owner.calls, ["pause"]);
  const iterator = body[Symbol.asyncIterator]();
  for (let index = 0; index < 3; index++) await iterator.next();
  assert.deepEqual(owner.calls, ["pause", "wanted"]);
  await iterator.next();
  assert.deepEqual(owner.calls, ["pause", "wanted", "resume"]);
});

test("RequestBody.read() gives what queued up in fewer and larger chunks, in order and with nothing behind it", async () => {
  const { body } = create();
  const whole = pattern(50_000);
  for (let at = 0; at < whole.length; at += 1000) body.push(whole, at, 1000);
  body.end();
  const chunks: Uint8Array[] = [];
  for await (const chunk of body) chunks.push(chunk);
  assert.deepEqual(new Uint8Array(Buffer.concat(chunks)), whole);
  assert.ok(chunks.length <= 5, `${chunks.length} chunks`);
  for (const chunk of chunks) {
    assert.equal(chunk.buffer.byteLength, chunk.length);
  }
});

test("RequestBody readers get every byte in order, however pushes and reads mix", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.integer({ min: 1, max: 20_000 }), fc.boolean()), { maxLength: 30 }),
      async (steps) => {
        const total = steps.reduce((sum, [length]) => sum + length, 0);
        const whole = pattern(total);
        const { body } = create();
        const got: Uint8Array[] = [];
        let sent = 0;
        for (const [length, thenRead] of steps) {
          body.push(whole, sent, length);
          sent += length;
          if (thenRead) got.push((await body.read()) ?? new Uint8Array(0));
          if (thenRead && sent - got.reduce((sum, chunk) => sum + chunk.length, 0) === 0) {
            const waiting = body.read();
            body.push(whole, 0, 0);
            body.push(new Uint8Array([7]), 0, 1);
            assert.deepEqual(await waiting, new Uint8Array([7]));
          }
        }
        body.end();
        for (let chunk = await body.read(); chunk !== undefined; chunk = await body.read()) got.push(chunk);
        assert.deepEqual(new Uint8Array(Buffer.concat(got)), whole);
      },
    ),
    { numRuns: 200 },
  );
});

test("RequestBody.bytes() resumes a connection that was paused before it came", async () => {
  const { body, owner } = create({ expectedLength: BODY_HIGH_WATER_BYTES + 1 });
  const part = pattern(BODY_HIGH_WATER_BYTES);
  body.push(part, 0, part.length);
  const bytes = body.bytes();
  assert.deepEqual(owner.calls, ["pause", "wanted", "resume"]);
  body.push(part, 0, 1);
  body.end();
  assert.equal((await bytes).length, BODY_HIGH_WATER_BYTES + 1);
});

test("RequestBody.stream() gives the chunks and the end, and cancelling drops the rest", async () => {
  const { body, owner } = create();
  const reader = body.stream().getReader();
  assert.deepEqual(owner.calls, [], "nothing is asked for before the first read");
  pushText(body, "abc");
  const first = await reader.read();
  assert.equal(Buffer.from(first.value ?? []).toString(), "abc");
  const second = reader.read();
  pushText(body, "def");
  assert.equal(Buffer.from((await second).value ?? []).toString(), "def");
  body.end();
  assert.equal((await reader.read()).done, true);

  const cancelled = create();
  await cancelled.body.stream().cancel();
  for (let index = 0; index < 100; index++)
    cancelled.body.push(new Uint8Array(BODY_HIGH_WATER_BYTES), 0, BODY_HIGH_WATER_BYTES);
  assert.deepEqual(cancelled.owner.calls, []);
});

test("RequestBody.stream() serves BYOB readers to the end", async () => {
  const { body } = create();
  const reader = body.stream().getReader({ mode: "byob" });
  pushText(body, "abcdef");
  body.end();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read(new Uint8Array(4));
    if (done) break;
    text += Buffer.from(value).toString();
  }
  assert.equal(text, "abcdef");
});

test("RequestBody iteration drops the rest when the loop is left", async () => {
  const { body } = create();
  pushText(body, "abc");
  for await (const chunk of body) {
    assert.equal(chunk.length, 3);
    break;
  }
  assert.equal(body.discard(), true);
  pushText(body, "dropped");
  await assert.rejects(body.read(), codeIs("ERR_RINGLOOM_ABORTED"));
});

test("RequestBody.fail() rejects who waits, and who reads later", async () => {
  const gone = new RingloomError("ERR_RINGLOOM_ABORTED", "The client went");
  const { body } = create({ expectedLength: 10 });
  const bytes = body.bytes();
  pushText(body, "abc");
  body.fail(gone);
  await assert.rejects(bytes, (error) => error === gone);

  const later = create();
  later.body.fail(gone);
  await assert.rejects(later.body.text(), (error) => error === gone);

  const streaming = create();
  const reader = streaming.body.stream().getReader();
  const read = reader.read();
  streaming.body.fail(gone);
  await assert.rejects(read, (error) => error === gone);
});

test("RequestBody.fail() changes nothing when the body is complete", async () => {
  const { body } = create();
  pushText(body, "abc");
  body.end();
  body.fail(new Error("gone"));
  assert.equal(await body.text(), "abc");
});

test("RequestBody.discard() drops an unread body and lets a reader that began go on", async () => {
  const unread = create();
  unread.body.push(new Uint8Array(BODY_HIGH_WATER_BYTES), 0, BODY_HIGH_WATER_BYTES);
  assert.equal(unread.body.discard(), true);
  assert.deepEqual(unread.owner.calls, ["pause", "resume"]);
  await assert.rejects(unread.body.text(), codeIs("ERR_RINGLOOM_ABORTED"));

  const begun = create();
  const text = begun.body.text();
  assert.equal(begun.body.reading, true);
  assert.equal(begun.body.discard(), false);
  pushText(begun.body, "abc");
  begun.body.end();
  assert.equal(await text, "abc");
  assert.equal(begun.body.reading, false);
});

test("RequestBody.trailers is what the connection gave at the end", () => {
  const { body } = create();
  assert.equal(body.trailers, undefined);
  body.end(["x-sum", "1"]);
  assert.deepEqual(body.trailers, ["x-sum", "1"]);
});
