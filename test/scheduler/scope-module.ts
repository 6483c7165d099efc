/** Tasks that look whether they were given up, and tell what they saw through shared files of words: a SharedArrayBuffer does not cross. */
import { existsSync, writeFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { isCancelled, taskSignal, timeRemaining } from "../../src/scheduler/task-scope.js";
import { tasks } from "../../src/scheduler/tasks.js";

const self = tasks<typeof import("./scope-module.js")>(new URL(import.meta.url));
/** How long a task waits for what should come within milliseconds. */
const WAIT_MS_MAX = 20_000;

/** Waits until it is given up, and writes why. */
export async function waitForSignal(path: string): Promise<void> {
  const signal = taskSignal();
  writeFileSync(`${path}.begun`, "");
  await delay(WAIT_MS_MAX, undefined, { signal }).catch(() => undefined);
  writeFileSync(path, String(Reflect.get(Object(signal.reason), "code")));
}

/** The same, asked for behind an await. */
export async function waitForSignalLater(path: string): Promise<void> {
  await delay(1);
  await waitForSignal(path);
}

/** Burns CPU until it is given up. */
export function burnUntilCancelled(path: string): boolean {
  writeFileSync(`${path}.begun`, "");
  const endMs = performance.now() + WAIT_MS_MAX;
  while (performance.now() < endMs) {
    if (!isCancelled()) continue;
    writeFileSync(path, "seen");
    return true;
  }
  return false;
}

/** Burns CPU until there is such a file, and does not look. */
export function burnUntilFile(path: string): boolean {
  writeFileSync(`${path}.begun`, "");
  const endMs = performance.now() + WAIT_MS_MAX;
  while (performance.now() < endMs) if (existsSync(path)) return true;
  return false;
}

/** Spawns a task that waits, and waits for it. */
export async function waitBelow(path: string): Promise<void> {
  await self.waitForSignal(path);
}

/** Spawns a detached task, and waits for it. */
export async function waitForDetached(path: string): Promise<void> {
  await self.with({ detached: true }).waitForFile(path);
}

/** Waits until there is such a file, and writes whether it was given up. */
export async function waitForFile(path: string): Promise<void> {
  writeFileSync(`${path}.begun`, "");
  const endMs = performance.now() + WAIT_MS_MAX;
  while (performance.now() < endMs && !existsSync(path)) await delay(5);
  writeFileSync(`${path}.seen`, String(taskSignal().aborted || isCancelled()));
}

/** Spawns a task and does not wait for it. */
export function leaveBehind(path: string, ms: number): void {
  void self.writeLater(path, ms).catch(() => undefined);
}

/** The same two levels below. */
export async function leaveFarBehind(path: string, ms: number): Promise<void> {
  await self.leaveBehind(path, ms);
}

export async function writeLater(path: string, ms: number): Promise<void> {
  await delay(ms);
  writeFileSync(path, "");
}

/** The time that is left here, and in a task below. */
export async function remaining(): Promise<[here: number, below: number]> {
  const here = timeRemaining();
  await delay(5);
  return [here, await self.remainingHere()];
}

export function remainingHere(): number {
  return timeRemaining();
}

/** Leaves a timer behind, which calls a task after this one has ended and its time is over, and writes how that went. */
export function callWhenOver(path: string, ms: number): void {
  setTimeout(() => {
    self.remainingHere().then(
      (below) => writeFileSync(path, `${timeRemaining()} ${below}`),
      (error: unknown) => writeFileSync(path, String(error)),
    );
  }, ms);
}

/** What tasks see that nobody gives up. */
export async function unscoped(): Promise<[boolean, boolean, boolean]> {
  const before = taskSignal().aborted || isCancelled();
  await delay(1);
  return [before, taskSignal().aborted || isCancelled(), timeRemaining() === Number.POSITIVE_INFINITY];
}

export async function later<Value>(ms: number, value: Value): Promise<Value> {
  await delay(ms, undefined, { signal: taskSignal() });
  return value;
}

export async function failLater(ms: number, message: string): Promise<never> {
  await delay(ms);
  throw new TypeError(message);
}

let running = 0;
let most = 0;

/** How many calls were under way on this thread at once, at most. */
export async function countTogether(ms: number): Promise<number> {
  running += 1;
  most = Math.max(most, running);
  await delay(ms);
  running -= 1;
  return most;
}
