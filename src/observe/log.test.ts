import assert from "node:assert/strict";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { configureLog, type LogFields, type LogSettings, log, logSettings } from "./log.js";

/** What `act` writes to the log in that format. */
function logged(format: LogSettings["format"], act: () => void): string {
  const folder = mkdtempSync(join(tmpdir(), "ringloom-log-"));
  const path = join(folder, "log");
  const fd = openSync(path, "a");
  const before = logSettings();
  configureLog({ format, fd, level: "trace" });
  try {
    act();
    return readFileSync(path, "utf8");
  } finally {
    configureLog(before);
    closeSync(fd);
    rmSync(folder, { recursive: true, force: true });
  }
}

function throwing(): never {
  throw new Error("read");
}

const noPrototype: unknown = Object.create(null);
const revoked = Proxy.revocable({}, {});
revoked.revoke();
const oddStack = Object.defineProperty(new Error("odd"), "stack", { value: { length: 5 } });
const oddName = Object.defineProperty(new Error("odd"), "name", { get: throwing });

/** What JavaScript callers can hand over, whatever the types say. */
const strange: Readonly<Record<string, readonly [msg: unknown, fields?: unknown]>> = {
  "fields that are null": ["x", null],
  "fields that are a string": ["x", "text"],
  "a getter that throws": [
    "x",
    {
      good: 1,
      bad: 2,
      get worse() {
        return throwing();
      },
    },
  ],
  "fields that are a revoked proxy": ["x", revoked.proxy],
  "a field that is a revoked proxy": ["x", { field: revoked.proxy }],
  "fields whose names cannot be read": ["x", new Proxy({}, { ownKeys: throwing })],
  "an error whose stack is no string": ["x", { err: oddStack }],
  "an error whose name throws": ["x", { err: oddName }],
  "a toJSON that throws": ["x", { field: { toJSON: throwing } }],
  "a message without a prototype": [noPrototype],
  "a message whose toString throws": [{ toString: throwing }],
  "a message that is a symbol": [Symbol("s")],
  "no message": [undefined],
};

for (const format of ["text", "json"] as const) {
  for (const [what, [msg, fields]] of Object.entries(strange)) {
    test(`log.info() writes one ${format} record, and does not throw, for ${what}`, () => {
      // The cast is safe because the callee must take everything.
      const text = logged(format, () => log.info(msg as string, fields as LogFields));
      assert.match(text.split("\n")[0] ?? "", format === "json" ? /^\{"level":"info",/ : /^[\d:.]{12} info /);
      if (format === "json") assert.equal(JSON.parse(text).level, "info");
    });
  }

  test(`log.info() keeps the good fields of a ${format} record beside a getter that throws`, () => {
    assert.match(
      logged(format, () =>
        log.info("said", {
          good: 17,
          get bad() {
            return throwing();
          },
        }),
      ),
      /said.*good"?[=:]17/,
    );
  });

  test(`log.error() takes an error in place of the fields, in ${format}`, () => {
    // The cast is safe because the callee must take everything.
    const text = logged(format, () => log.error("failed", new Error("why") as unknown as LogFields));
    assert.match(text, /Error: why/);
  });
}
