import assert from "node:assert/strict";
import { test } from "node:test";
import { LineWriter, STALL_MS_MAX } from "./line-writer.js";

function failure(code: string): Error {
  return Object.assign(new Error(code), { code });
}

test("LineWriter.write() goes on where the kernel took only a part, and after EAGAIN and EINTR", () => {
  let taken = "";
  const answers = ["EINTR", 3, "EAGAIN", 1, "EAGAIN", 100];
  const writer = new LineWriter(1, (_fd, bytes, offset) => {
    const answer = answers.shift() ?? 100;
    if (typeof answer === "string") throw failure(answer);
    const part = Buffer.from(bytes.subarray(offset, offset + answer)).toString();
    taken += part;
    return part.length;
  });
  writer.write("hello world\n");
  assert.equal(taken, "hello world\n");
  assert.equal(writer.dropped, 0);
});

test("LineWriter.write() drops and counts a line when the reader takes nothing, without throwing", () => {
  let calls = 0;
  const writer = new LineWriter(1, () => {
    calls += 1;
    throw failure("EAGAIN");
  });
  writer.write("one\n");
  assert.equal(writer.dropped, 1);
  assert.equal(calls, STALL_MS_MAX + 1);
});

test("LineWriter.write() drops at once when the reader has gone", () => {
  let calls = 0;
  const writer = new LineWriter(1, () => {
    calls += 1;
    throw failure("EPIPE");
  });
  writer.write("one\n");
  assert.deepEqual([writer.dropped, calls], [1, 1]);
});
