/**
 * Keeps code that waits for nothing but other code from starving the event loop.
 *
 * Two loops that pass values to each other over a channel live in microtasks alone, so no timer fires and no socket is read as long as they run, and a deadline that should end them never comes. So operations that
 * complete at once, and waits that end, are counted. After {@link OPERATIONS_BEFORE_TURN} of them a turn of the event loop is asked for, and when as many again come before it, the next ones wait for it. A loop that turns by itself pays for one
 * `setImmediate` in a thousand operations, and nobody waits.
 */
import { OPERATIONS_BEFORE_TURN } from "../constants.js";

const done: Promise<void> = Promise.resolve();
/** Since the last turn that was asked for. */
let count = 0;
/** What waits for the turn, in its order. */
let waiting: (() => void)[] = [];

/** Counts an operation. True when it must wait for {@link afterTurn}. */
export function isOverBudget(): boolean {
  count += 1;
  return count >= OPERATIONS_BEFORE_TURN && isStarving();
}

/** Calls a function when the event loop has turned. */
export function afterTurn(run: () => void): void {
  waiting.push(run);
}

/** The promise of an operation that is complete: one that is settled, unless the event loop has to turn first. */
export function completed(): Promise<void> {
  return isOverBudget() ? new Promise(afterTurn) : done;
}

/** The same with a value. */
export function completedWith<Value>(value: Value): Promise<Value> {
  return isOverBudget() ? new Promise((resolve) => afterTurn(() => resolve(value))) : Promise.resolve(value);
}

function isStarving(): boolean {
  if (count === OPERATIONS_BEFORE_TURN) setImmediate(begin);
  return count >= 2 * OPERATIONS_BEFORE_TURN;
}

function begin(): void {
  count = 0;
  const due = waiting;
  waiting = [];
  for (const run of due) run();
}
