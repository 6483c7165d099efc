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
  assert.equal(JSON.parse(jsonLine(record("x", { thrower }))).unprintable, true);
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
