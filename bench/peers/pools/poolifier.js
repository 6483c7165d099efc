// poolifier with its defaults: each thread has a queue, tasks are given out ahead.
import { fileURLToPath } from "node:url";
import { FixedThreadPool } from "poolifier";

export function open(executors) {
  const pool = new FixedThreadPool(executors, fileURLToPath(new URL("./poolifier-task.js", import.meta.url)));
  return { run: (seed, steps) => pool.execute({ seed, steps }), close: () => pool.destroy() };
}
