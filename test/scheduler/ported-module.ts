/** What the tests of values that go by port run as tasks. */
import { existsSync, writeFileSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { MessageChannel, type MessagePort } from "node:worker_threads";
import { currentSeat } from "../../src/scheduler/current-seat.js";
import { tasks } from "../../src/scheduler/tasks.js";
import { transfer } from "../../src/scheduler/transfer.js";
import type { PortCounts } from "../../src/scheduler/value-ports.js";

const self = tasks<typeof import("./ported-module.js")>(new URL(import.meta.url));

export function nothing(): void {}

export function identity<Value>(value: Value): Value {
  return value;
}

/** A checksum, so that a large value need not come back. */
export function sum(bytes: Uint8Array): number {
  let total = 0;
  for (let index = 0; index < bytes.length; index += 4096) total += bytes[index]!;
  return total;
}

/** The bytes with each 4,096th raised by one, handed over. */
export function raise(bytes: Uint8Array): Uint8Array {
  for (let index = 0; index < bytes.length; index += 4096) bytes[index]! += 1;
  return transfer(bytes);
}

export async function raiseLater(bytes: Uint8Array): Promise<{ bytes: Uint8Array }> {
  const copy = bytes.slice();
  return transfer({ bytes: copy }, [copy.buffer]);
}

export function transferWrong(): unknown {
  return transfer({ a: 1 }, [{} as unknown as ArrayBuffer]);
}

/** Ports that lead to a text each. */
export interface Greeting {
  readonly port: MessagePort;
  readonly others: ReadonlyMap<string, MessagePort>;
}

export function greet(text: string): Greeting {
  const [port, other] = [leadingTo(text), leadingTo(`${text} too`)];
  return transfer({ port, others: new Map([["other", other]]) }, [port, other]);
}

function leadingTo(text: string): MessagePort {
  const { port1, port2 } = new MessageChannel();
  port1.postMessage(text);
  return port2;
}

/** This file, open. */
export async function openSelf(): Promise<FileHandle> {
  const file = await open(new URL(import.meta.url));
  return transfer(file, [file]);
}

/** Adds to the first word, and gives the memory back. */
export function addTo(holder: {
  readonly words: Int32Array;
  readonly deep: readonly [{ memory: SharedArrayBuffer }];
}): {
  words: Int32Array;
  memory: SharedArrayBuffer;
} {
  Atomics.add(holder.words, 0, 5);
  const { memory } = holder.deep[0];
  Atomics.add(new Int32Array(memory), 1, 7);
  return { words: holder.words, memory };
}

export function answer(port: MessagePort, text: string): void {
  port.postMessage(text);
  port.close();
}

/** Ends its thread the first time. */
export function sumOrExit(bytes: Uint8Array, path: string): number {
  if (existsSync(path)) return sum(bytes);
  writeFileSync(path, "");
  process.exit(3);
}

export function exitWith(_bytes: Uint8Array): never {
  process.exit(3);
}

/** Keeps its thread from doing anything else until the first word changes; the second one says that it does. */
export function block(words: Int32Array): string {
  Atomics.store(words, 1, 1);
  return Atomics.wait(words, 0, 0, 20_000);
}

/** Large values from a compute thread to others, and back. */
export async function nested(size: number, count: number): Promise<number> {
  const bytes = new Uint8Array(size).fill(1);
  const calls = Array.from({ length: count }, () => self.raise(bytes));
  const results = await Promise.all(calls);
  return results.reduce((total, result) => total + sum(result), 0);
}

/** The same, by a task whose own argument goes by port. */
export function heldBeside(_bytes: Uint8Array): PortCounts & { ports: number; values: number } {
  return held();
}

/** What this thread holds for values that go by port. */
export function held(): PortCounts & { ports: number; values: number } {
  const { ports } = currentSeat("test").values;
  return { ...ports.counts, ports: ports.portsNow, values: ports.heldNow };
}
