import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { describe, it } from "node:test";
import { RingloomError } from "../errors.js";
import { Decoder } from "./decoder.js";
import { Encoder } from "./encoder.js";
import { awaiterStack, fromThrownRecord, type ThrownRecord, toThrownRecord } from "./error-codec.js";

const memory = new SharedArrayBuffer(1 << 18);
const encoder = new Encoder(memory);
const decoder = new Decoder(memory);

/** What the other thread throws when `thrown` was thrown here, over the task codec. */
function cross(thrown: unknown, awaiter?: string): unknown {
  const end = encoder.encode(toThrownRecord(thrown), 0, memory.byteLength);
  assert.ok(end > 0, "the record of an error can be encoded");
  return fromThrownRecord(decoder.decode(0, end) as ThrownRecord, awaiter);
}

function crossError(thrown: unknown, awaiter?: string): Error {
  const error = cross(thrown, awaiter);
  assert.ok(error instanceof Error);
  return error;
}

describe("toThrownRecord() and fromThrownRecord()", () => {
  it("keep class, message and stack of the language's errors", () => {
    for (const thrown of [
      new Error("a"),
      new TypeError("b"),
      new RangeError(""),
      new SyntaxError("日"),
      new URIError("c"),
    ]) {
      const error = crossError(thrown);
      assert.equal(Object.getPrototypeOf(error), Object.getPrototypeOf(thrown));
      assert.deepEqual([error.name, error.message, error.stack], [thrown.name, thrown.message, thrown.stack]);
      assert.deepEqual(Object.keys(error), []);
    }
  });

  it("keep the name of a class that the other side does not have, its code and its scalar properties", () => {
    class QuotaError extends RangeError {
      readonly code = "E_QUOTA";
      readonly status = 429;
      readonly retry = { after: 1 };
    }
    const error = crossError(new QuotaError("too many"));
    assert.ok(error instanceof RangeError);
    assert.equal(error.name, "QuotaError");
    assert.deepEqual({ ...error }, { code: "E_QUOTA", status: 429 });
    assert.equal(crossError(Object.assign(new Error(), { name: "Named" })).name, "Named");
  });

  it("keep what Node says of a failed system call", async () => {
    const thrown: NodeJS.ErrnoException = await readFile("/nowhere/at/all").catch((error) => error);
    const error: NodeJS.ErrnoException = crossError(thrown);
    assert.deepEqual({ ...error }, { ...thrown });
    assert.deepEqual([error.code, error.syscall, error.path], ["ENOENT", "open", "/nowhere/at/all"]);
  });

  it("keep our own errors, aborts and aggregates what they are", () => {
    const ours = crossError(
      new RingloomError("ERR_RINGLOOM_OVERLOADED", "full", { operation: "spawn", details: { depth: 5, f: () => 1 } }),
    );
    assert.ok(ours instanceof RingloomError);
    assert.deepEqual([ours.code, ours.operation, ours.details], ["ERR_RINGLOOM_OVERLOADED", "spawn", { depth: 5 }]);
    const abort = crossError(AbortSignal.abort().reason);
    assert.ok(abort instanceof DOMException);
    assert.deepEqual([abort.name, abort.code], ["AbortError", 20]);
    const all = crossError(new AggregateError([new TypeError("x"), 7], "all"));
    assert.ok(all instanceof AggregateError);
    assert.ok(all.errors[0] instanceof TypeError);
    assert.equal(all.errors[1], 7);
  });

  it("keep the chain of causes, and end one without an end", () => {
    const root = new RingloomError("ECONNRESET", "reset");
    const error = crossError(new Error("outer", { cause: new TypeError("inner", { cause: root }) }));
    assert.ok(error.cause instanceof TypeError && error.cause.cause instanceof RingloomError);
    assert.equal(error.cause.cause.code, "ECONNRESET");
    assert.equal(Object.getOwnPropertyDescriptor(error, "cause")?.enumerable, false);
    const loop = new Error("loop");
    loop.cause = loop;
    let depth = 0;
    for (let one: unknown = crossError(loop); one instanceof Error; one = one.cause) depth += 1;
    assert.ok(depth > 1 && depth < 20, `${depth} links`);
  });

  it("carry other values that were thrown, as a clone or in words", () => {
    for (const thrown of [undefined, null, 7, "text", 2n ** 70n, { status: 404, headers: ["a"] }]) {
      assert.deepStrictEqual(cross(thrown), thrown);
    }
    assert.equal(
      cross(() => 1),
      "() => 1",
    );
    assert.equal(cross(Symbol("s")), "Symbol(s)");
  });

  it("survive errors that throw when they are read", () => {
    const hostile = new Proxy(new Error("x"), {
      get() {
        throw new Error("no");
      },
      ownKeys() {
        throw new Error("no keys");
      },
    });
    assert.equal(crossError(hostile).message, "");
    const odd = new Error("m");
    Object.defineProperty(odd, "message", { value: 5 });
    Object.defineProperty(odd, "stack", { get: () => assert.fail("read") });
    Object.defineProperty(odd, "__proto__", { value: 1, enumerable: true });
    assert.equal(crossError(odd).message, "");
    assert.equal(typeof cross({ toJSON: () => assert.fail("read"), f() {} }), "string");
  });

  it("bound what they carry", () => {
    const huge = Object.assign(
      new Error("m".repeat(1e6)),
      Object.fromEntries([...Array(1000).keys()].map((key) => [`k${key}`, "v".repeat(1e4)])),
    );
    const error = crossError(huge);
    assert.ok(error.message.length < 10_000 && (error.stack?.length ?? 0) < 20_000);
    assert.ok(Object.keys(error).length < 20);
  });

  it("put the awaiter's stack below the one that came", () => {
    function awaiting(): string {
      return awaiterStack(awaiting);
    }
    const thrown = new Error("there");
    const { stack } = crossError(thrown, awaiting());
    assert.ok(stack?.startsWith(`${thrown.stack}\n`));
    const own = String(stack).slice(thrown.stack?.length);
    assert.match(own, /error-codec\.test/);
    assert.doesNotMatch(own, /at awaiting/);
    assert.equal(
      own.split("\n").every((line, index) => index === 0 || line.startsWith("    at ")),
      true,
    );
  });
});
