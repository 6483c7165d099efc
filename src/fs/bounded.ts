/** Work on many things, a bounded number of them at a time. */

/** Calls `run` for each item, `concurrency` at a time. Waits for all that have begun; rejects with the first failure, after which none begins. */
export async function forEachBounded<T>(
  items: AsyncIterable<T> | Iterable<T>,
  concurrency: number,
  run: (item: T) => Promise<void>,
): Promise<void> {
  const running = new Set<Promise<void>>();
  const failures: unknown[] = [];
  try {
    for await (const item of items) {
      if (failures.length > 0) break;
      const one: Promise<void> = run(item)
        .catch((error: unknown) => {
          failures.push(error);
        })
        .finally(() => running.delete(one));
      running.add(one);
      if (running.size >= concurrency) await Promise.race(running);
    }
  } finally {
    await Promise.all(running);
  }
  if (failures.length > 0) throw failures[0];
}

/** Throws a RangeError for what is no number of things at a time. */
export function checkConcurrency(concurrency: number): void {
  if (!Number.isInteger(concurrency) || concurrency < 1 || concurrency > CONCURRENCY_MAX)
    throw new RangeError(`Cannot use concurrency ${concurrency}: it is not between 1 and ${CONCURRENCY_MAX}`);
}

/** Well below the operations that a thread can have pending, so that several walks have room. */
const CONCURRENCY_MAX = 1024;
