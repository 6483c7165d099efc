/**
 * Keeps loops over shared structures from starving the event loop: one that always finds a value, or a free lock, lives in microtasks alone, so no timer fires and no socket is read. After so many operations that complete at once, the next ones
 * wait for a turn.
 */

/** Operations of a thread that complete at once before its event loop must have turned. */
const OPERATIONS_PER_TURN_MAX = 1_024;

let count = 0;
/** What waits for the turn, in its order. */
let waiting: (() => void)[] = [];

/** The promise of an operation that is complete: settled, unless the event loop has to turn first. */
export function completedWith<Value>(value: Value): Promise<Value> {
  count += 1;
  if (count === 1) setImmediate(begin);
  if (count <= OPERATIONS_PER_TURN_MAX) return Promise.resolve(value);
  return new Promise((resolve) => waiting.push(() => resolve(value)));
}

function begin(): void {
  count = 0;
  const due = waiting;
  waiting = [];
  for (const run of due) run();
}
