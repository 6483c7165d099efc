/** Tasks over items. */
import { existsSync, writeFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { threadId } from "node:worker_threads";
import { taskSignal } from "../../src/scheduler/task-scope.js";
import { transfer } from "../../src/scheduler/transfer.js";

let running = 0;

export function square(n: number): number {
  return n * n;
}

export function bytesOf(n: number): Uint8Array {
  const bytes = Uint8Array.of(n);
  return transfer(bytes, [bytes.buffer]);
}

/** The later the smaller. */
export async function squareLater(n: number): Promise<number> {
  await delay(Math.max(0, 20 - n));
  return n * n;
}

/** How many were under way on this thread. */
export async function together(_item: number): Promise<number> {
  running += 1;
  const seen = running;
  await delay(3);
  running -= 1;
  return seen;
}

export function failAt(n: number, limit = 5): number {
  if (n === limit) throw new RangeError(`no ${n}`);
  return n;
}

/** Waits, unless it is the first. */
export async function waitUnlessFirst(path: string, n: number): Promise<number> {
  if (n === 0) return 0;
  writeFileSync(`${path}.begun`, "");
  await delay(20_000, undefined, { signal: taskSignal() }).catch(() => undefined);
  writeFileSync(path, "");
  return n;
}

export function concat(a: string, b: string): string {
  return a + b;
}

export async function addLater(a: number, b: number): Promise<number> {
  await delay(1);
  return a + b;
}

export function thread(): number {
  return threadId;
}

export function double(n: number): number {
  return 2 * n;
}

export async function fail(message: string): Promise<never> {
  await delay(1);
  throw new TypeError(message);
}

/** The number again; ends its thread the first time. */
export function exitOnce(path: string, n: number): number {
  if (existsSync(path)) return n;
  writeFileSync(path, "");
  return process.exit(3);
}

export function lastOf(bytes: Uint8Array): number | undefined {
  return bytes.at(-1);
}

export async function waitForSignal(path: string): Promise<string> {
  const signal = taskSignal();
  writeFileSync(`${path}.begun`, "");
  await delay(20_000, undefined, { signal }).catch(() => undefined);
  writeFileSync(path, "");
  return "given up";
}
