/** How many messages a thread has compressed and inflated in libuv's pool at once: each may become as large as messages may be, and the pool is everybody's. */
import { Fifo } from "../messages/fifo.js";

/** As many as the pool has threads unless told otherwise. */
const JOBS_MAX = 4;

let running = 0;
const waiting = new Fifo<() => void>();

/** Runs `job` when fewer than {@link JOBS_MAX} others of the thread run. */
export function runZlibJob<Result>(job: () => Promise<Result>): Promise<Result> {
  return new Promise((resolve, reject) => {
    const start = (): void => {
      running += 1;
      void job().then(resolve, reject).finally(next);
    };
    if (running < JOBS_MAX) start();
    else waiting.push(start);
  });
}

function next(): void {
  running -= 1;
  waiting.shift()?.();
}
