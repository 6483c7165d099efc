/** What an actor is made of, and its bounds. */
import { RingloomError } from "../errors.js";
import { rejectUnknownOptions } from "../runtime/option.js";

/**
 * Why an instance was put away: nobody called it for `idleMs`, another thread takes over the shard, or the server stops.
 * @experimental
 */
export type EvictionReason = "idle" | "handover" | "stop";

/**
 * How an actor is kept.
 * @experimental
 */
export interface ActorOptions<Instance> {
  /** Makes the instance for a key, at its first call and after it was evicted or its thread was lost. Default: `new Class(key)`. */
  readonly load?: (key: string) => Instance | Promise<Instance>;
  /** Hears of an instance that was put away, to save what it knows; the key's next call waits for it. Not called when the thread dies. */
  readonly evicted?: (
    instance: Instance,
    what: { readonly key: string; readonly reason: EvictionReason },
  ) => void | Promise<void>;
  /** After how long without a call an instance is put away, in milliseconds; 0 is never, the default. */
  readonly idleMs?: number;
  /** Calls that may wait at one key, 1 to 1,000,000. Default 1,000. */
  readonly mailbox?: number;
  /** Instances that one shard may have, 1 to 10,000,000. Default 100,000. */
  readonly keysMax?: number;
  /** When a call rejects unless it says otherwise, in milliseconds; 0 is never. Default 30,000. */
  readonly timeoutMs?: number;
}

/** The options with their defaults. */
export interface ActorBounds {
  readonly idleMs: number;
  readonly mailbox: number;
  readonly keysMax: number;
  readonly timeoutMs: number;
}

const NAMES = ["load", "evicted", "idleMs", "mailbox", "keysMax", "timeoutMs"];

/** Throws `ERR_RINGLOOM_INVALID_OPTION` for what is not allowed. */
export function checkActorOptions(name: string, options: ActorOptions<object>): ActorBounds {
  rejectUnknownOptions(options, NAMES);
  const { idleMs = 0, mailbox = 1_000, keysMax = 100_000, timeoutMs = 30_000 } = options;
  if (!(idleMs >= 0 && idleMs < 2 ** 31)) throw invalid(name, `idleMs is ${idleMs}, not 0 to 2147483647`);
  if (!(Number.isInteger(mailbox) && mailbox >= 1 && mailbox <= 1_000_000))
    throw invalid(name, `mailbox is ${mailbox}, not a whole number from 1 to 1000000`);
  if (!(Number.isInteger(keysMax) && keysMax >= 1 && keysMax <= 10_000_000))
    throw invalid(name, `keysMax is ${keysMax}, not a whole number from 1 to 10000000`);
  if (!(timeoutMs >= 0)) throw invalid(name, `timeoutMs is ${timeoutMs}, not 0 or more`);
  for (const hook of ["load", "evicted"] as const) {
    const given: unknown = options[hook];
    if (given !== undefined && typeof given !== "function") throw invalid(name, `${hook} is ${typeof given}`);
  }
  return { idleMs, mailbox, keysMax, timeoutMs };
}

/** An error about the actor of that name. */
export function invalid(name: string, why: string): RingloomError {
  return new RingloomError("ERR_RINGLOOM_INVALID_OPTION", `Cannot make the actor "${name}": ${why}.`, {
    operation: "actor",
    details: { name },
  });
}
