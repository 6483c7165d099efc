/** What the tests of `ringloom/sync` share. */
import assert from "node:assert/strict";
import { setImmediate } from "node:timers/promises";
import { RingloomError } from "../../src/errors.js";

/** For `assert.rejects` and `assert.throws`. */
export function withCode(code: string): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof RingloomError, String(error));
    assert.equal(error.code, code);
    return true;
  };
}

/** Whether a promise is still pending when all that can happen by itself has happened. */
export async function isPending(promise: Promise<unknown>): Promise<boolean> {
  let isSettled = false;
  const settle = (): void => {
    isSettled = true;
  };
  promise.then(settle, settle);
  await setImmediate();
  return !isSettled;
}

/** A promise whose rejection is looked at later. */
export function expected<Value>(promise: Promise<Value>): Promise<Value> {
  promise.catch(() => {});
  return promise;
}
