// workerpool on worker_threads (its default on Node is a child process).
import { fileURLToPath } from "node:url";
import workerpool from "workerpool";

export function open(executors) {
  const script = fileURLToPath(new URL("./workerpool-task.js", import.meta.url));
  const pool = workerpool.pool(script, { workerType: "thread", minWorkers: executors, maxWorkers: executors });
  return { run: (seed, steps) => pool.exec("burn", [seed, steps]), close: () => pool.terminate() };
}
