/**
 * What a value holds that its thread can hand on to another one: the main thread does so with the results that it passes to threads which are none of ours (`task-desk.ts`).
 *
 * What was handed over once comes without the list that it was handed over with, so it is looked for. The value must be the thread's alone, because large buffers of it are detached; small ones are copied, which costs less than to list them.
 */
import type { FileHandle } from "node:fs/promises";
import { MessagePort, type TransferListItem } from "node:worker_threads";

/** Smaller buffers are copied. */
const HANDED_BYTES_MIN = 65_536;

/** The ports, streams, open files and large buffers in a value, as `postMessage` takes them: among the elements of arrays, Maps and Sets, and the properties of objects. Throws what a getter of the value throws. */
export function handedOn(value: unknown): TransferListItem[] {
  const found = new Set<TransferListItem>();
  const seen = new Set<object>();
  const open: unknown[] = [value];
  while (open.length > 0) {
    const next = open.pop();
    if (typeof next !== "object" || next === null || seen.has(next)) continue;
    seen.add(next);
    const item = itemOf(next);
    if (item !== undefined) found.add(item);
    else if (!isBytes(next)) pushParts(open, next);
  }
  return [...found];
}

/** For those that could not be handed on: whoever has the other end of such a port hears that it leads nowhere, and no file stays open. */
export function closeHandedOn(items: readonly TransferListItem[]): void {
  for (const item of items) {
    if (item instanceof MessagePort) item.close();
    else if (isFile(item)) item.close().catch(() => undefined);
  }
}

function itemOf(part: object): TransferListItem | undefined {
  if (part instanceof ArrayBuffer) return part.byteLength >= HANDED_BYTES_MIN ? part : undefined;
  // Of a view that shares its buffer with others, that buffer may be Node's pool.
  if (ArrayBuffer.isView(part)) return part.byteLength === part.buffer.byteLength ? itemOf(part.buffer) : undefined;
  if (part instanceof MessagePort || isFile(part)) return part;
  const isStream = part instanceof ReadableStream || part instanceof WritableStream || part instanceof TransformStream;
  // The cast is safe: Node transfers them, and its types do not say so.
  return isStream ? (part as unknown as TransferListItem) : undefined;
}

/** By the name of its class, which Node does not export. What was cloned is of no class of the program's. */
function isFile(part: object): part is FileHandle {
  const prototype: unknown = Object.getPrototypeOf(part);
  return typeof prototype === "object" && prototype?.constructor.name === "FileHandle";
}

function isBytes(part: object): boolean {
  return ArrayBuffer.isView(part) || part instanceof ArrayBuffer || part instanceof SharedArrayBuffer;
}

function pushParts(open: unknown[], whole: object): void {
  if (whole instanceof Map) for (const [key, value] of whole) open.push(key, value);
  else if (whole instanceof Set) for (const value of whole) open.push(value);
  else for (const key of Object.keys(whole)) open.push(Reflect.get(whole, key));
}
