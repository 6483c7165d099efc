/**
 * Reads inside the call, for what the page cache has: no completion, no turn of the event loop. A program that reads in a loop would then never leave its microtasks, and
 * nobody else on the thread would have a turn. So reads share an allowance, and one that finds it used up waits for the next turn, which renews it.
 */
import { INLINE_READ_BYTES_MAX } from "../constants.js";
import { threadDriver } from "../runtime/thread-driver.js";

/** What a read counts at least: short ones cost a system call. */
const READ_BYTES_MIN = 4096;

let left = INLINE_READ_BYTES_MAX;
let renewal: Promise<void> | undefined;

/** Whether a read of so many bytes may ever run inside a call; larger ones would hold up the thread for longer than a turn is worth. */
export function fitsInline(bytes: number): boolean {
  return bytes <= INLINE_READ_BYTES_MAX;
}

/** Takes a read out of the allowance. False when there is not enough left, until {@link renewed}. */
export function takeInline(bytes: number): boolean {
  const cost = bytes < READ_BYTES_MIN ? READ_BYTES_MIN : bytes;
  if (cost > left) return false;
  left -= cost;
  return true;
}

/** Resolves in the next turn of the driver, when the allowance is whole again. */
export function renewed(): Promise<void> {
  renewal ??= oneTurn().finally(() => {
    renewal = undefined;
  });
  return renewal;
}

function oneTurn(): Promise<void> {
  return new Promise((resolve) => {
    threadDriver().driver.operations.nop(() => {
      left = INLINE_READ_BYTES_MAX;
      resolve();
    });
  });
}
