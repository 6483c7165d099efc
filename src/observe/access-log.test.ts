import assert from "node:assert/strict";
import { test } from "node:test";
import { AccessLog } from "./access-log.js";
import { LINE_BYTES_MAX } from "./line-writer.js";

const ENTRY = { method: "GET", path: "/x", status: 200, bytes: 118, durationMs: 0.12345, isAborted: false };

test("AccessLog gathers the requests of a turn and writes each once, whole lines of at most one atomic write", () => {
  const writes: string[] = [];
  const log = new AccessLog("json", 3, (text) => writes.push(text));
  for (let index = 0; index < 100; index++) log.note({ ...ENTRY, path: `/${index}` });
  log.flush();
  log.flush();
  assert.ok(writes.length > 1 && writes.length < 10, String(writes.length));
  assert.ok(writes.every((text) => text.endsWith("\n") && Buffer.byteLength(text) <= LINE_BYTES_MAX));
  const records = writes
    .join("")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  assert.deepEqual(
    records.map((one) => one.path),
    Array.from({ length: 100 }, (_, index) => `/${index}`),
  );
  const { time, pid, ...rest } = records[0];
  assert.deepEqual(rest, {
    level: "info",
    shard: 3,
    msg: "request",
    method: "GET",
    path: "/0",
    status: 200,
    bytes: 118,
    durationMs: 0.123,
  });
});

test("AccessLog says that a request was aborted", () => {
  let text = "";
  const log = new AccessLog("text", 0, (lines) => (text += lines));
  log.note({ ...ENTRY, status: 0, isAborted: true });
  log.flush();
  assert.match(text, /status=0 .* aborted=true\n$/);
});
