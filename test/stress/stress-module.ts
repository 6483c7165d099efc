/** What the stress run spawns. Each run of a task adds one to the task's word, which all threads share as environment data. */
import { getEnvironmentData } from "node:worker_threads";
import { tasks } from "../../src/scheduler/tasks.js";

const runs = new Int32Array(getEnvironmentData("ringloom-stress") as SharedArrayBuffer);
const self = tasks<typeof import("./stress-module.js")>(new URL(import.meta.url));

/** Notes that task `id` has begun, burns `micros`, and gives `value` back. */
export function burn<Value>(id: number, micros: number, value: Value): Value {
  Atomics.add(runs, id, 1);
  const end = performance.now() + micros / 1_000;
  while (performance.now() < end);
  return value;
}

export async function wait<Value>(id: number, ms: number, value: Value): Promise<Value> {
  Atomics.add(runs, id, 1);
  await new Promise((resolve) => setTimeout(resolve, ms));
  return value;
}

export function fail(id: number): never {
  Atomics.add(runs, id, 1);
  throw new RangeError(`planted ${id}`);
}

/** Spawns `width` tasks below it, and says how many of them came back. */
export async function fan(id: number, width: number): Promise<number> {
  Atomics.add(runs, id, 1);
  const below = await Promise.allSettled(Array.from({ length: width }, () => self.leaf()));
  return below.length;
}

export function leaf(): number {
  return 1;
}
