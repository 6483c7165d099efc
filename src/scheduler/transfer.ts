/** Handing buffers over instead of copying them: what a call says in its options, and a function around its result. */
import type { TransferListItem } from "node:worker_threads";
import { RingloomError } from "../errors.js";

/**
 * What can be handed over to another thread: whatever `MessagePort.postMessage` takes in its transfer list, such as an ArrayBuffer or a MessagePort. A typed array or Buffer stands for the whole of its ArrayBuffer.
 * @experimental
 */
export type TransferItem = TransferListItem | ArrayBufferView | ArrayBufferLike;

/** A result that is handed over. */
export class TransferredValue {
  readonly value: unknown;
  readonly items: readonly TransferItem[];

  constructor(value: unknown, items: readonly TransferItem[]) {
    this.value = value;
    this.items = items;
  }
}

/**
 * The result of a task whose buffers are handed over to the caller's thread instead of being copied: a function returns what this gives. The buffers are detached then. Only as the result itself,
 * or what its promise resolves with; called without a task, a function that uses it returns an object that holds the value.
 * @param value What the caller gets.
 * @param items What in it is handed over. Default: the value, which must then be an ArrayBuffer, a view of one, or a MessagePort.
 * @throws RingloomError `ERR_RINGLOOM_INVALID_OPTION` when the items are no list.
 * @example
 * ```ts
 * import { transfer } from "ringloom";
 * export function render(width: number, height: number): Uint8Array {
 *   const pixels = new Uint8Array(width * height * 4);
 *   return transfer(pixels, [pixels.buffer]);
 * }
 * ```
 * @experimental
 */
export function transfer<Value>(value: Value, items?: readonly TransferItem[]): Value {
  const list = items ?? [value as TransferItem];
  checkTransferList(list);
  // The wrapper never reaches a caller: the thread that runs the task takes the value out of it.
  return new TransferredValue(value, list) as Value;
}

/** Throws `ERR_RINGLOOM_INVALID_OPTION` for what is no list of objects. What each of them may be is for `postMessage` to say. */
export function checkTransferList(items: readonly TransferItem[]): void {
  const isList = Array.isArray(items) && items.every((item) => typeof item === "object" && item !== null);
  if (isList) return;
  throw new RingloomError(
    "ERR_RINGLOOM_INVALID_OPTION",
    "Cannot use transfer: a list of ArrayBuffers, MessagePorts or views is needed.",
    { operation: "transfer", details: { option: "transfer" } },
  );
}

/** The list as `postMessage` takes it. Throws a TypeError for a buffer that is detached: some versions of Node would pass it over in silence. */
export function transferList(items: readonly TransferItem[]): TransferListItem[] {
  // Shared memory is in no such list: postMessage says so.
  const list = items.map((item) => (ArrayBuffer.isView(item) ? item.buffer : item) as TransferListItem);
  for (const item of list) if (item instanceof ArrayBuffer && isDetached(item)) throw new TypeError(DETACHED);
  return list;
}

const DETACHED = "An ArrayBuffer in the transfer list is detached already";

function isDetached(buffer: ArrayBuffer): boolean {
  if (buffer.byteLength > 0) return false;
  try {
    // The constructor alone tells a detached buffer from an empty one on every version of Node.
    return new Uint8Array(buffer).byteLength !== 0;
  } catch {
    return true;
  }
}
