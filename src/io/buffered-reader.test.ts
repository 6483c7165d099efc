/** The reader: what it gives for any division of the bytes, its bounds, its end, and that a read that was given up has taken nothing. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import fc from "fast-check";
import type { RingloomError } from "../errors.js";
import { BufferedReader } from "./buffered-reader.js";

const pieces = fc.array(fc.uint8Array({ maxLength: 12 }), { maxLength: 20 });

async function* later(parts: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  for (const part of parts) {
    await null;
    yield part;
  }
}

/** A source that gives what it is told to, when it is told. */
class Tap implements AsyncIterable<Uint8Array> {
  returned = 0;
  #resolve: ((result: IteratorResult<Uint8Array>) => void) | undefined;

  give(text: string): void {
    const resolve = this.#resolve;
    this.#resolve = undefined;
    resolve?.({ done: false, value: Buffer.from(text) });
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    return {
      next: () =>
        new Promise((resolve) => {
          assert.equal(this.#resolve, undefined, "a source is asked for one piece at a time");
          this.#resolve = resolve;
        }),
      return: async () => {
        this.returned++;
        return { done: true, value: undefined };
      },
    };
  }
}

describe("BufferedReader, for any division of the bytes", () => {
  test("readExact() gives the same pieces", async () => {
    const lengths = fc.array(fc.nat(20), { maxLength: 20 });
    await fc.assert(
      fc.asyncProperty(pieces, lengths, async (parts, wanted) => {
        const all = Buffer.concat(parts);
        const reader = new BufferedReader(later(parts));
        let at = 0;
        for (const length of wanted) {
          if (at + length > all.length) {
            await assert.rejects(reader.readExact(length), { code: "ERR_RINGLOOM_UNEXPECTED_END" });
            assert.deepEqual(await reader.readAll(), all.subarray(at));
            return;
          }
          assert.deepEqual(await reader.peek(length), all.subarray(at, at + length));
          assert.deepEqual(reader.tryPeek(length), all.subarray(at, at + length));
          assert.equal(reader.tryPeek(reader.bufferedBytes + 1), undefined);
          assert.equal(reader.tryReadExact(reader.bufferedBytes + 1), undefined);
          assert.deepEqual(await reader.readExact(length), all.subarray(at, at + length));
          at += length;
        }
        assert.deepEqual(await reader.readAll(), all.subarray(at));
      }),
    );
  });

  test("split() gives what String.split() gives, with delimiters that overlap themselves", async () => {
    const letters = fc.array(fc.string({ unit: fc.constantFrom("a", "b"), maxLength: 5 }), { maxLength: 12 });
    const delimiters = fc.string({ unit: fc.constantFrom("a", "b"), minLength: 1, maxLength: 3 });
    await fc.assert(
      fc.asyncProperty(letters, delimiters, async (parts, delimiter) => {
        const expected = parts.join("").split(delimiter);
        if (expected.at(-1) === "") expected.pop();
        const reader = new BufferedReader(later(parts.map((part) => Buffer.from(part))));
        const found: string[] = [];
        for await (const piece of reader.split(delimiter)) found.push(piece.toString());
        assert.deepEqual(found, expected);
      }),
    );
  });

  test("lines() ends lines at \\n and \\r\\n, and decodes characters that were cut", async () => {
    const text = "first\r\nzwölf\n\n\u{1f600}\rx\nlast";
    for (let at = 0; at <= Buffer.byteLength(text); at++) {
      const bytes = Buffer.from(text);
      const lines: string[] = [];
      for await (const line of new BufferedReader([bytes.subarray(0, at), bytes.subarray(at)]).lines())
        lines.push(line);
      assert.deepEqual(lines, ["first", "zwölf", "", "\u{1f600}\rx", "last"]);
    }
  });

  test("pieces that were read stay as they are", async () => {
    await fc.assert(
      fc.asyncProperty(pieces, async (parts) => {
        const reader = new BufferedReader(later(parts));
        const taken: Buffer[] = [];
        for (;;) {
          const ahead = await reader.peek(5);
          if (ahead.length === 0) break;
          taken.push(await reader.readExact(Math.min(3, ahead.length)));
        }
        assert.deepEqual(Buffer.concat(taken), Buffer.concat(parts));
      }),
    );
  });
});

describe("BufferedReader's bounds", () => {
  test("readUntil() throws when the delimiter does not come within bytesMax, and the bytes stay readable", async () => {
    const reader = new BufferedReader([Buffer.from("12345"), Buffer.from("67;")]);
    await assert.rejects(reader.readUntil(";", { bytesMax: 6 }), { code: "ERR_RINGLOOM_TOO_LARGE" });
    assert.equal(String(await reader.readUntil(";", { bytesMax: 7 })), "1234567");
  });

  test("readLine() takes a line of exactly bytesMax, and not one byte more", async () => {
    for (const ending of ["\n", ""]) {
      const line = (length: number) => new BufferedReader([Buffer.from("x".repeat(length) + ending)]);
      assert.equal(await line(10).readLine({ bytesMax: 10 }), "x".repeat(10));
      await assert.rejects(line(11).readLine({ bytesMax: 10 }), { code: "ERR_RINGLOOM_TOO_LARGE" });
    }
  });

  test("readUntil() does not read an endless source beyond its bound", async () => {
    let given = 0;
    function* endless() {
      for (;;) {
        given += 100;
        yield Buffer.alloc(100, 97);
      }
    }
    await assert.rejects(new BufferedReader(endless(), { bytesMax: 1_000 }).readUntil("\n"), {
      code: "ERR_RINGLOOM_TOO_LARGE",
    });
    assert.ok(given <= 1_200, `${given} bytes were read`);
  });

  test("readExact(), peek() and readAll() refuse more than bytesMax", async () => {
    const reader = new BufferedReader([Buffer.alloc(20)], { bytesMax: 10 });
    await assert.rejects(reader.readExact(11), { code: "ERR_RINGLOOM_TOO_LARGE" });
    await assert.rejects(reader.peek(11), { code: "ERR_RINGLOOM_TOO_LARGE" });
    await assert.rejects(reader.readAll(), { code: "ERR_RINGLOOM_TOO_LARGE" });
    assert.equal((await reader.read())?.length, 10);
    await reader.skip(10);
    assert.equal(await reader.read(), undefined);
  });

  test("arguments that make no sense throw before anything is read", async () => {
    const reader = new BufferedReader([Buffer.from("abc")]);
    await assert.rejects(async () => reader.readExact(-1), RangeError);
    await assert.rejects(async () => reader.readExact(1.5), RangeError);
    await assert.rejects(reader.readUntil(""), RangeError);
    await assert.rejects(reader.read({ timeoutMs: Number.NaN }), RangeError);
    assert.throws(() => new BufferedReader([], { bytesMax: -1 }), RangeError);
    assert.throws(() => new BufferedReader(5 as never), TypeError);
    assert.equal(String(await reader.readAll()), "abc");
  });
});

describe("BufferedReader's ends", () => {
  test("a read that times out or is given up has taken nothing, and what comes meanwhile is not lost", async () => {
    const tap = new Tap();
    const reader = new BufferedReader(tap);
    await assert.rejects(reader.readExact(4, { timeoutMs: 1 }), { code: "ERR_RINGLOOM_TIMEOUT" });
    const giveUp = new AbortController();
    const read = reader.readExact(4, { signal: giveUp.signal });
    giveUp.abort(new Error("enough"));
    await assert.rejects(read, { code: "ERR_RINGLOOM_ABORTED", cause: new Error("enough") });
    const patient = reader.peek(1, { timeoutMs: 0 });
    assert.equal(await Promise.race([patient.then(() => "given"), sleep(5, "waits")]), "waits", "0 is never");
    tap.give("ab");
    assert.equal(String(await patient), "a");
    const whole = reader.readExact(4);
    await new Promise(setImmediate);
    tap.give("cdef");
    assert.equal(String(await whole), "abcd");
    assert.equal(reader.bufferedBytes, 2);
    await assert.rejects(reader.readExact(9, { signal: AbortSignal.abort() }), { code: "ERR_RINGLOOM_ABORTED" });
  });

  test("a second read at the same time is refused, and does not disturb the first", async () => {
    const tap = new Tap();
    const reader = new BufferedReader(tap);
    const first = reader.readLine();
    await assert.rejects(reader.readLine(), { code: "ERR_RINGLOOM_BUSY" });
    assert.throws(() => reader.tryReadExact(1), { code: "ERR_RINGLOOM_BUSY" });
    tap.give("line\n");
    assert.equal(await first, "line");
  });

  test("a read that was given up leaves nothing behind, however long the source is silent", async () => {
    setFlagsFromString("--expose-gc");
    const collect = runInNewContext("gc") as () => void;
    const reader = new BufferedReader(new Tap());
    const reasons: WeakRef<object>[] = [];
    const giveUp = async (): Promise<void> => {
      const controller = new AbortController();
      const reason = { large: "object" };
      reasons.push(new WeakRef(reason));
      const read = reader.read({ signal: controller.signal });
      controller.abort(reason);
      await assert.rejects(read, { code: "ERR_RINGLOOM_ABORTED" });
    };
    for (let count = 0; count < 50; count++) await giveUp();
    await sleep(1);
    collect();
    const left = reasons.filter((reason) => reason.deref() !== undefined).length;
    assert.ok(left < 10, `${left} of 50 are still held`);
    await reader.close();
  });

  test("close() ends a read that waits, closes the source once, and later reads throw", async () => {
    const tap = new Tap();
    const reader = new BufferedReader(tap);
    const read = reader.read();
    await new Promise(setImmediate);
    await reader.close();
    await assert.rejects(read, { code: "ERR_RINGLOOM_CLOSED" });
    await reader.close();
    await reader[Symbol.asyncDispose]();
    assert.equal(tap.returned, 1);
    await assert.rejects(reader.read(), { code: "ERR_RINGLOOM_CLOSED" });
  });

  test("the source's error comes behind the bytes before it, and again", async () => {
    async function* failing() {
      yield Buffer.from("ab");
      throw new Error("reset");
    }
    const reader = new BufferedReader(failing());
    assert.equal(String(await reader.readExact(2)), "ab");
    await assert.rejects(reader.read(), /reset/);
    await assert.rejects(reader.readLine(), /reset/);
  });

  test("a source that gives no bytes is a typed error", async () => {
    const reader = new BufferedReader(["text"] as never);
    await assert.rejects(reader.read(), { code: "ERR_RINGLOOM_BAD_ENCODING" });
  });

  test("leaving lines() leaves the rest readable", async () => {
    const reader = new BufferedReader([Buffer.from("a\n\nbody")]);
    for await (const line of reader.lines()) if (line === "") break;
    assert.equal(String(await reader.readAll()), "body");
  });
});

test("BufferedReader.skip() that is given up says how far it came, and the next read goes on there", async () => {
  const tap = new Tap();
  const reader = new BufferedReader(tap);
  const skipping = reader.skip(100, { timeoutMs: 20 });
  tap.give("x".repeat(60));
  await assert.rejects(skipping, (error: RingloomError) => {
    assert.deepEqual([error.code, error.details?.skippedBytes], ["ERR_RINGLOOM_TIMEOUT", 60]);
    return true;
  });
  const rest = reader.skip(40);
  tap.give(`${"x".repeat(40)}y`);
  await rest;
  assert.equal((await reader.readExact(1)).toString(), "y");
});

test("BufferedReader.lines() ends with its signal, also while lines are there", async () => {
  const control = new AbortController();
  const reader = new BufferedReader([Buffer.from("a\nb\nc\n")]);
  const seen: string[] = [];
  await assert.rejects(
    async () => {
      for await (const line of reader.lines({ signal: control.signal })) {
        seen.push(line);
        if (line === "b") control.abort();
      }
    },
    { code: "ERR_RINGLOOM_ABORTED" },
  );
  assert.deepEqual(seen, ["a", "b"]);
  assert.equal(await reader.readLine(), "c");
});
