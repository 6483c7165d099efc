/**
 * `once()`: a value that one shard makes and all have.
 *
 * The shards meet at the supervisor's desk (`once-desk.ts`), which gives the first that asks the work and the others the value. Each shard asks once for a key and
 * shares the answer among its callers.
 */
import { RingloomError } from "../errors.js";
import { OnceLine } from "./once-line.js";
import { within } from "./within.js";

/**
 * How long one caller waits.
 * @experimental
 */
export interface OnceOptions {
  /** Gives up waiting; what is being made is made all the same. */
  readonly signal?: AbortSignal;
  /** When the call rejects, in milliseconds; 0 is never, the default. */
  readonly timeoutMs?: number;
}

const OPERATION = "once";

const line = new OnceLine(OPERATION, "once");

/**
 * Runs `make` on one shard of the server, and resolves on every shard with a structured clone of what it returned; SharedArrayBuffers are shared. The value stays for as long as the
 * process lives. When `make` throws, all that wait reject and the next caller tries again. When its thread is lost, another shard that waits runs its own `make`.
 *
 * In a program without shards it is the same on the main thread.
 * @throws RingloomError `ERR_RINGLOOM_CALL_FAILED` with what `make` threw as its cause; `ERR_RINGLOOM_NOT_CLONEABLE` when it cannot be copied; `ERR_RINGLOOM_OVERLOADED` with 10,000 keys,
 * `ERR_RINGLOOM_TIMEOUT`, `ERR_RINGLOOM_ABORTED`, `ERR_RINGLOOM_WRONG_THREAD` on a thread that belongs to no server.
 * @example
 * ```ts
 * import { once } from "ringloom";
 * const words = await once("words", async () => {
 *   const table = new Int32Array(new SharedArrayBuffer(4_096));
 *   for (let index = 0; index < table.length; index++) table[index] = index * index;
 *   return table;
 * });
 * ```
 * @experimental
 */
export async function once<Value>(
  key: string,
  make: () => Value | Promise<Value>,
  options: OnceOptions = {},
): Promise<Value> {
  const { signal, timeoutMs = 0 } = options;
  check(key, make, timeoutMs);
  if (signal?.aborted === true) throw aborted(key, signal.reason);
  // The cast is safe as long as a key has one meaning, which its users see to.
  return (await within(line.value(key, make), {
    signal,
    timeoutMs,
    timedOut: () => timeout(key, timeoutMs),
    aborted: (reason) => aborted(key, reason),
  })) as Value;
}

function check(key: string, make: unknown, timeoutMs: number): void {
  if (typeof key !== "string") throw new TypeError(`Cannot run once: the key is ${typeof key}, not a string`);
  if (typeof make !== "function") throw new TypeError(`Cannot run once: what makes the value is ${typeof make}`);
  if (timeoutMs >= 0) return;
  throw new RingloomError("ERR_RINGLOOM_INVALID_OPTION", `Cannot run once: timeoutMs is ${timeoutMs}, not 0 or more.`, {
    operation: OPERATION,
    details: { key, timeoutMs },
  });
}

function timeout(key: string, timeoutMs: number): RingloomError {
  return new RingloomError("ERR_RINGLOOM_TIMEOUT", `${JSON.stringify(key)} was not made within ${timeoutMs} ms.`, {
    operation: OPERATION,
    details: { key, timeoutMs },
  });
}

function aborted(key: string, cause: unknown): RingloomError {
  return new RingloomError("ERR_RINGLOOM_ABORTED", `The wait for ${JSON.stringify(key)} was given up.`, {
    operation: OPERATION,
    details: { key },
    cause,
  });
}
