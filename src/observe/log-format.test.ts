import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { LINE_BYTES_MAX } from "./line-writer.js";
import { jsonLine, type LogRecord, textLine } from "./log-format.js";

function record(msg: string, fields: Record<string, unknown> = {}): LogRecord {
  return { level: "warn", time: 1_700_000_000_123, pid: 7, shard: 2, msg, fields };
}

test("jsonLine() has the field names of pino, and the parts of an error under err", () => {
  const cause = Object.assign(new Error("inner"), { code: "ECONNRESET" });
  const parsed = JSON.parse(jsonLine(record("cannot", { a: 1, err: new TypeError("outer", { cause }) })));
  assert.deepEqual(Object.keys(parsed).slice(0, 5), ["level", "time", "pid", "shard", "msg"]);
  assert.deepEqual(
    [parsed.level, parsed.time, parsed.pid, parsed.shard, parsed.msg, parsed.a],
    ["warn", 1_700_000_000_123, 7, 2, "cannot", 1],
  );
  assert.equal(parsed.err.type, "TypeError");
  assert.equal(parsed.err.cause.code, "ECONNRESET");
  assert.match(parsed.err.stack, /TypeError: outer/);
});

test("jsonLine() does not let a field forge the record's own names", () => {
  const parsed = JSON.parse(jsonLine(record("real", { level: "fatal", msg: "forged", pid: 0 })));
  assert.deepEqual([parsed.level, parsed.msg, parsed.pid], ["warn", "real", 7]);
});

test("jsonLine() gives one line of valid JSON that fits one atomic write, whatever the fields are", () => {
  fc.assert(
    fc.property(
      fc.string({ maxLength: 20_000, unit: "binary" }),
      fc.dictionary(fc.string(), fc.anything()),
      (msg, fields) => {
        const line = jsonLine(record(msg, fields));
        assert.ok(Buffer.byteLength(line) <= LINE_BYTES_MAX);
        assert.equal(line.indexOf("\n"), line.length - 1);
        assert.equal(JSON.parse(line).level, "warn");
      },
    ),
  );
});

test("jsonLine() survives cycles, getters that throw, BigInts and long stacks", () => {
  const cycle: Record<string, unknown> = { big: 1n };
  cycle.self = cycle;
  assert.equal(JSON.parse(jsonLine(record("x", cycle))).big, "1");
  const thrower = Object.defineProperty({}, "bad", { enumerable: true, get: () => assert.fail("read") });
  assert.deepEqual(JSON.parse(jsonLine(record("x", { thrower, good: 1 }))).thrower, { bad: "(unprintable)" });
  const error = new Error("deep");
  error.stack = "y".repeat(50_000);
  assert.ok(JSON.parse(jsonLine(record("x", { err: error }))).err.stack.endsWith("…"));
});

test("textLine() puts fields behind the message and a stack below it", () => {
  assert.equal(
    textLine(record("hello", { a: 1, path: "/x y", note: undefined })),
    '22:13:20.123 warn shard 2: hello  a=1  path="/x y"\n',
  );
  assert.match(
    textLine(record("no", { err: new Error("why") })),
    /^22:13:20\.123 warn shard 2: no\n {2}Error: why\n {6}at /,
  );
});

test("textLine() lets neither a message nor a field forge a record, or move a terminal's cursor", () => {
  const forged = "\n22:13:20.123 fatal forged\r\u001b[2J\u2028\u0085";
  for (const line of [
    textLine(record(`a${forged}`)),
    textLine(record("a", { field: `b${forged}` })),
    textLine(record("a", { [`name${forged}`]: 1 })),
    textLine(record("a", { nested: { [`name${forged}`]: forged } })),
    textLine(record("a", { err: Object.assign(new Error("c"), { stack: `c${forged}` }) })),
  ]) {
    const [first = "", ...below] = line.trimEnd().split("\n");
    assert.match(first, /^22:13:20\.123 warn shard 2: a/);
    assert.ok(
      below.every((text) => text.startsWith("  ")),
      line,
    );
    assert.ok(!/[\p{Cc}\u2028]/u.test(line.replaceAll("\n", "")), JSON.stringify(line));
  }
});

test("textLine() fits one atomic write, whatever the fields are, and begins with the record", () => {
  fc.assert(
    fc.property(
      fc.string({ maxLength: 20_000, unit: "binary" }),
      fc.dictionary(
        fc.string({ unit: "binary" }),
        fc.anything({ withNullPrototype: true, withBigInt: true, withDate: true }),
      ),
      (msg, fields) => {
        const line = textLine(record(msg, fields));
        assert.ok(Buffer.byteLength(line) <= LINE_BYTES_MAX);
        const [first = "", ...below] = line.slice(0, -1).split("\n");
        assert.ok(line.endsWith("\n") && first.startsWith("22:13:20.123 warn shard 2: "));
        assert.ok(below.every((text) => text.startsWith("  ")));
      },
    ),
  );
  const stack = Array.from({ length: 500 }, (_, index) => `    at frame${index} (file:///app.ts:${index}:1)`).join(
    "\n",
  );
  const many = Object.fromEntries(Array.from({ length: 300 }, (_, index) => [`name${index}`, "x".repeat(200)]));
  for (const fields of [
    { err: Object.assign(new Error("long"), { stack }) },
    many,
    { wide: "\u{1f600}".repeat(9_000) },
  ]) {
    const line = textLine(record("x", fields));
    assert.ok(Buffer.byteLength(line) <= LINE_BYTES_MAX);
    assert.ok(line.includes("…") && !line.includes("\ufffd"), line);
  }
});

test("jsonLine() and textLine() look at a bounded number of values, however many there are", () => {
  let reads = 0;
  function readSiblings(): unknown {
    reads += 1;
    return { ...siblings };
  }
  const wide: Record<string, unknown> = {};
  for (let index = 0; index < 30; index++) {
    Object.defineProperty(wide, `self${index}`, { enumerable: true, get: readSiblings });
  }
  const siblings = Object.fromEntries(Array.from({ length: 30 }, (_, index) => [`wide${index}`, wide]));
  const tail = new Array<number>(10_000_000);
  for (const format of [jsonLine, textLine]) {
    reads = 0;
    assert.ok(format(record("x", { siblings, tail })).includes("x"));
    assert.ok(reads > 0 && reads <= 10_000, `${reads} reads`);
  }
});

test("jsonLine() and textLine() say where a value contains itself", () => {
  const self: Record<string, unknown> = { a: 1 };
  self.again = [self];
  const twice = { b: 2 };
  assert.deepEqual(JSON.parse(jsonLine(record("x", { self, twice, same: twice }))), {
    ...{ level: "warn", time: 1_700_000_000_123, pid: 7, shard: 2, msg: "x" },
    ...{ self: { a: 1, again: ["(circular)"] }, twice: { b: 2 }, same: { b: 2 } },
  });
  assert.ok(textLine(record("x", { self })).endsWith('x  self={"a":1,"again":["(circular)"]}\n'));
});
