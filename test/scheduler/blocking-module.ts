/** Tasks that block their thread. */
import { execFileSync } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { threadId } from "node:worker_threads";
import { isCancelled } from "../../src/scheduler/task-scope.js";
import { tasks } from "../../src/scheduler/tasks.js";

const blocking = tasks<typeof import("./blocking-module.js")>(new URL(import.meta.url)).with({ blocking: true });
/** How long a task blocks for what should come within milliseconds. */
const WAIT_MS_MAX = 20_000;
const sleeper = new Int32Array(new SharedArrayBuffer(4));

export function thread(): number {
  return threadId;
}

export function square(n: number): number {
  return n * n;
}

/** The bytes again, and the last one of them. */
export function echo(bytes: Uint8Array): { bytes: Uint8Array; last: number | undefined } {
  return { bytes, last: bytes.at(-1) };
}

/** As {@link blockUntil}, with a value that is in the way. */
export function blockAfter(bytes: Uint8Array, path: string): boolean {
  return bytes.length > 0 && blockUntil(path);
}

/** Starts a program and waits for it. */
export function run(script: string): string {
  return execFileSync(process.execPath, ["-e", script]).toString();
}

/** Blocks until there is such a file, or until it is given up. False then. */
export function blockUntil(path: string): boolean {
  writeFileSync(`${path}.begun${threadId}`, "");
  const endMs = performance.now() + WAIT_MS_MAX;
  while (performance.now() < endMs && !isCancelled()) {
    if (existsSync(path)) return true;
    Atomics.wait(sleeper, 0, 0, 5);
  }
  return false;
}

/** Calls a task of its own kind, `depth` times one in the other. */
export async function nested(depth: number): Promise<number> {
  return depth === 0 ? 0 : 1 + (await blocking.nested(depth - 1));
}

export function exit(): never {
  process.exit(0);
}

/** Exits the thread the first time. */
export function exitOnce(path: string): string {
  if (existsSync(path)) return "second";
  writeFileSync(path, "");
  return exit();
}
