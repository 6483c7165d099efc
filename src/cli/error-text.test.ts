import assert from "node:assert/strict";
import { test } from "node:test";
import { RingloomError } from "../errors.js";
import { errorText } from "./error-text.js";

function withStack(error: Error, stack: string): Error {
  error.stack = stack;
  return error;
}

test("errorText() gives message, code and remedy, and no stack, when a system call failed", () => {
  const cause = withStack(new Error("listen"), "Error: listen\n    at node:net:1");
  const text = errorText(new RingloomError("EADDRINUSE", "Cannot listen: EADDRINUSE", { cause }));
  assert.equal(
    text,
    "ringloom: Cannot listen: EADDRINUSE [EADDRINUSE]\nAnother process listens there. Choose another port with --port; --port 0 takes a free one.",
  );
});

test("errorText() gives the stack of the user's error when the module failed", () => {
  const cause = withStack(new TypeError("boom"), "TypeError: boom\n    at app.js:3");
  const text = errorText(new RingloomError("ERR_RINGLOOM_MODULE_LOAD", "Cannot load app.js", { cause }));
  assert.equal(text, "ringloom: Cannot load app.js [ERR_RINGLOOM_MODULE_LOAD]\n  TypeError: boom\n      at app.js:3");
});

test("errorText() gives the error's own stack when it came from a shard's program, and when it is not ours", () => {
  const failed = withStack(new RingloomError("ERR_RINGLOOM_SHARD_FAILED", "boom"), "Error: boom\n    at app.js:4");
  assert.equal(errorText(failed), "ringloom: boom [ERR_RINGLOOM_SHARD_FAILED]\n  Error: boom\n      at app.js:4");
  const stranger = withStack(new Error("odd"), "Error: odd\n    at somewhere");
  assert.equal(errorText(stranger), "ringloom: Error: odd\n    at somewhere");
  assert.equal(errorText("text"), "ringloom: text");
});
