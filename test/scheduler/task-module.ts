/** What the tests run as tasks. */
import { AsyncLocalStorage } from "node:async_hooks";
import { existsSync, writeFileSync } from "node:fs";
import { threadId } from "node:worker_threads";
import { gzip } from "node:zlib";
import { taskSignal, timeRemaining } from "../../src/scheduler/task-scope.js";
import { tasks } from "../../src/scheduler/tasks.js";

const self = tasks<typeof import("./task-module.js")>(new URL(import.meta.url));
const storage = new AsyncLocalStorage<string>();
/** How long {@link burnUntil} waits for what should come within milliseconds. */
const BURN_MS_MAX = 20_000;
let state = 0;

export function nothing(): void {}

export function identity<Value>(value: Value): Value {
  return value;
}

export function add(a: number, b: number): number {
  return a + b;
}

export async function later<Value>(ms: number, value: Value): Promise<Value> {
  await new Promise((resolve) => setTimeout(resolve, ms));
  return value;
}

/** No other test calls it. */
export function calledLast(): string {
  return "last";
}

export function thread(): number {
  return threadId;
}

export function count(): number {
  state += 1;
  return state;
}

export function fail(message: string): never {
  throw Object.assign(new TypeError(message, { cause: new RangeError("below") }), { code: "ERR_PLANTED" });
}

export function failWith(value: unknown): never {
  throw value;
}

export function returnFunction(): unknown {
  return () => undefined;
}

export function exit(): never {
  process.exit(3);
}

export function throwLater(): Promise<void> {
  return new Promise(() =>
    setTimeout(() => {
      throw new Error("planted crash");
    }),
  );
}

export function loopForever(): never {
  for (;;);
}

/** Calls back twice, the second time when the task is long settled. */
export function calledBackTwice(value: number): PromiseLike<number> {
  // biome-ignore lint/suspicious/noThenProperty: that is what it is about
  return { then: callBackTwice } as unknown as PromiseLike<number>;

  function callBackTwice(resolve: (value: number) => void): void {
    resolve(value);
    setTimeout(() => resolve(-1), 1);
  }
}

/** Waits a moment, and then burns CPU until there is a file of that name. False if none came. */
export async function burnUntil(path: string): Promise<boolean> {
  await later(20, 0);
  writeFileSync(`${path}.begun`, "");
  const endMs = performance.now() + BURN_MS_MAX;
  while (performance.now() < endMs) if (existsSync(path)) return true;
  return false;
}

/** Makes a file, and burns CPU until there is another one. False if none came. */
export function meet(made: string, awaited: string): boolean {
  writeFileSync(made, "");
  const endMs = performance.now() + BURN_MS_MAX;
  while (performance.now() < endMs) if (existsSync(awaited)) return true;
  return false;
}

export function burn(ms: number): void {
  const endMs = performance.now() + ms;
  while (performance.now() < endMs);
}

/** Waits for the word to change, with this thread asleep. */
export function waitFor(word: Int32Array): string {
  return Atomics.wait(word, 0, 0);
}

/** Exits the thread the first time, and answers the second: the word outlives the thread. */
export async function exitOnce(path: string): Promise<string> {
  if (existsSync(path)) return "second";
  writeFileSync(path, "");
  return exit();
}

export function enterContext(value: string): string | undefined {
  const before = storage.getStore();
  storage.enterWith(value);
  return before;
}

/** Runs in a context of the caller's thread. */
export const user = new AsyncLocalStorage<string>();

/** Which user a task sees, at once and after a wait. */
export async function seenUsers(): Promise<(string | undefined)[]> {
  const before = user.getStore();
  await new Promise((resolve) => setTimeout(resolve, 1));
  return [before, user.getStore()];
}

/** Behind a wait of its own, when no round runs on a shard: wakes the thread with a task of its own, and spawns one that is on its own. Says how much time that one has. */
export async function wakeAndDetach(): Promise<number> {
  await new Promise((resolve) => setTimeout(resolve, 5));
  const below = self.remainingLater();
  const detached = await self.with({ detached: true }).remainingLater();
  await below;
  return detached;
}

export async function remainingLater(): Promise<number> {
  await new Promise((resolve) => setTimeout(resolve, 1));
  return timeRemaining();
}

/** Leaves jobs behind for libuv's pool, one after the other, which no list of Node's names, and writes a file when the last one has ended. */
export function leavePoolJobs(path: string, count: number): void {
  gzip("text", () => {
    if (count > 1) leavePoolJobs(path, count - 1);
    else writeFileSync(path, "");
  });
}

/** Leaves promises behind that wait for each other, and writes a file when the last one is settled. */
export function leavePromises(path: string, count: number): void {
  void (async () => {
    for (let left = count; left > 0; left--) await undefined;
    writeFileSync(path, "");
  })();
}

/** Waits for a task that waits. */
export function nestedLater(ms: number, value: string): Promise<unknown> {
  return self.later(ms, value);
}

/** Waits until it is given up, and makes a file then. */
export async function noteWhenGivenUp(path: string): Promise<void> {
  const signal = taskSignal();
  const aborted = new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
  const staying = setInterval(() => undefined, 1_000);
  writeFileSync(`${path}.begun`, "");
  await aborted;
  clearInterval(staying);
  writeFileSync(`${path}.seen`, "");
}

/** The number of leaves of a tree of tasks. */
export async function tree(depth: number, width: number): Promise<number> {
  if (depth === 0) return 1;
  const counts = await Promise.all(Array.from({ length: width }, () => self.tree(depth - 1, width)));
  return counts.reduce((sum, one) => sum + one, 0);
}
