/**
 * Keeps code that waits for nothing from starving the event loop.
 *
 * Two loops that pass values to each other over a channel live in microtasks alone: each operation completes at once, so no timer fires and no socket is read as long as they run, and a deadline that should end them never comes.
 * So operations that complete at once are counted. After {@link OPERATIONS_BEFORE_TURN} of them a turn of the event loop is asked for, and when as many again complete before it comes, the next ones wait for it. A loop
 * that turns by itself pays for one `setImmediate` in a thousand operations, and nobody waits.
 */
import { OPERATIONS_BEFORE_TURN } from "../constants.js";

const done: Promise<void> = Promise.resolve();
/** Since the last turn that was asked for. */
let count = 0;
let turn: Promise<void> | undefined;
let endTurn: (() => void) | undefined;

/** The promise of an operation that is complete: one that is settled, unless the event loop has to turn first. */
export function completed(): Promise<void> {
  count += 1;
  return count < OPERATIONS_BEFORE_TURN ? done : afterMany();
}

/** The same with a value. */
export function completedWith<Value>(value: Value): Promise<Value> {
  count += 1;
  if (count < OPERATIONS_BEFORE_TURN) return Promise.resolve(value);
  const before = afterMany();
  return before === done ? Promise.resolve(value) : before.then(() => value);
}

function afterMany(): Promise<void> {
  if (count === OPERATIONS_BEFORE_TURN) setImmediate(begin);
  if (count < 2 * OPERATIONS_BEFORE_TURN) return done;
  turn ??= new Promise((resolve) => {
    endTurn = resolve;
  });
  return turn;
}

function begin(): void {
  count = 0;
  turn = undefined;
  endTurn?.();
  endTurn = undefined;
}
