// piscina with its defaults: one task at a time in a thread, the rest in a queue of the main thread.
import { Piscina } from "piscina";

export function open(executors, options = {}) {
  const filename = new URL("./task.js", import.meta.url).href;
  const pool = new Piscina({ filename, minThreads: executors, maxThreads: executors, ...options });
  return { run: (seed, steps) => pool.run({ seed, steps }), close: () => pool.destroy() };
}
