// tinypool with its defaults.
import { Tinypool } from "tinypool";

export function open(executors) {
  const filename = new URL("./task.js", import.meta.url).href;
  const pool = new Tinypool({ filename, minThreads: executors, maxThreads: executors });
  return { run: (seed, steps) => pool.run({ seed, steps }), close: () => pool.destroy() };
}
