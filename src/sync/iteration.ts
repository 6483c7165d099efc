/** The iteration over what a receiver gets, the same for all of them. */
import type { WaitOptions } from "../task/wait-errors.js";

/** What gives one step of an iteration after the other. */
interface Stepping<Value> {
  next(options?: WaitOptions): Promise<IteratorResult<Value, undefined>>;
}

/** Iterates by `next`, with these options for each wait. No async generator: that would add its own promise to each step. Leaving the loop ends nothing. */
export function iterationOf<Value>(
  source: Stepping<Value>,
  options: WaitOptions | undefined,
): AsyncIterableIterator<Value, undefined> {
  const iterator: AsyncIterableIterator<Value, undefined> = {
    next: () => source.next(options),
    return: () => Promise.resolve({ done: true, value: undefined }),
    [Symbol.asyncIterator]: () => iterator,
  };
  return iterator;
}
