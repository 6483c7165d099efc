/**
 * Calling a function on another shard: `shardFunction` registers one on each shard that loads the module, `invokeOnShard` calls it
 * from any shard, and the server object from the main thread.
 *
 * A caller opens one MessagePort to a shard when it first calls there; the supervisor only passes the port on. When the shard's thread ends, its end
 * of the port closes, and every call that is unanswered rejects: each call settles once, whatever the thread dies of.
 */
import { MessageChannel, type MessagePort, type TransferListItem } from "node:worker_threads";
import { isCloneRefusal, notCloneable, RingloomError } from "../errors.js";
import { TransferredValue, transferList } from "../scheduler/transfer.js";
import { RunningCall } from "./call-signal.js";
import { ShardChoice } from "./shard-choice.js";
import { fromShardError, type ShardError, toShardError } from "./shard-error.js";

/** How the names of functions of ours begin. */
const OWN_NAMES = "ringloom:";

/** Calls that one thread may have unanswered at one shard, those included that it has given up: they may still run there. */
export const CALLS_MAX = 10_000;

/** How long a call may take unless it says otherwise, in milliseconds. */
export const CALL_TIMEOUT_MS_DEFAULT = 30_000;

/**
 * A function that can be called on any shard.
 * @experimental
 */
export interface ShardFunction<Args extends readonly unknown[], Result> {
  readonly name: string;
  readonly run: (...args: Args) => Result | Promise<Result>;
}

/**
 * Where and for how long to call.
 * @experimental
 */
export interface InvokeOptions {
  /**
   * The shard's number, from 0; or `"least-pending"`, the one that has the fewest unanswered calls of this thread, in turns where several have. One that was lost a moment ago is left out.
   */
  readonly shard: number | "least-pending";
  /** With `"least-pending"`: the shard that is taken where none has fewer calls than that one. */
  readonly preferred?: number | undefined;
  /** Gives up waiting; the function itself runs on, unless it looks at its `callSignal()`. */
  readonly signal?: AbortSignal | undefined;
  /** When the call rejects, in milliseconds; 0 is never. Default 30,000. */
  readonly timeoutMs?: number;
  /** What of the arguments is handed over in place of a copy: ports, buffers. */
  readonly transfer?: readonly TransferListItem[];
}

/** A call as it travels. */
interface CallMessage {
  readonly call: number;
  readonly name: string;
  readonly args: readonly unknown[];
}

/** What follows a call whose caller has given up, and the code of why. */
interface GivenUpMessage {
  readonly givenUp: number;
  readonly code: string;
}

/** What comes back; `isOurs` tells what we refuse from what the function throws, `retired` says that this thread takes no new calls because another serves as the shard now. */
type ReplyMessage =
  | { readonly call: number; readonly value: unknown }
  | { readonly call: number; readonly error: ShardError; readonly isOurs: boolean }
  | { readonly retired: true };

type AnyFunction = (...args: readonly unknown[]) => unknown;

const registered = new Map<string, AnyFunction>();

/**
 * Registers a function of this shard under a name that is the same on all. Call it at the module's top level.
 * @throws RingloomError `ERR_RINGLOOM_INVALID_OPTION` when the name is taken.
 * @example
 * ```ts
 * import { invokeOnShard, shardFunction } from "ringloom";
 * const sessions = new Map<string, number>();
 * const sessionCount = shardFunction("sessionCount", () => sessions.size);
 * export const onShardZero = () => invokeOnShard(sessionCount, { shard: 0 });
 * ```
 * @experimental
 */
export function shardFunction<Args extends readonly unknown[], Result>(
  name: string,
  run: (...args: Args) => Result | Promise<Result>,
): ShardFunction<Args, Result> {
  if (registered.has(name)) {
    throw new RingloomError("ERR_RINGLOOM_INVALID_OPTION", `Cannot register "${name}": the name is taken.`, {
      operation: "shardFunction",
      details: { name },
    });
  }
  registered.set(name, (...args) => Reflect.apply(run, undefined, args));
  return { name, run };
}

/**
 * Calls a registered function on a shard and resolves with what it returns there. Arguments and result are structured clones; what the function returns by `transfer()` is handed over. Shards call it, and the tasks of their server on
 * whatever thread they run.
 * @throws RingloomError `ERR_RINGLOOM_WRONG_THREAD` where there are no shards to call, `ERR_RINGLOOM_INVALID_OPTION` for a shard that does not exist,
 * `ERR_RINGLOOM_NO_SUCH_FUNCTION`, `ERR_RINGLOOM_CALL_FAILED` with what the function threw as its cause,
 * `ERR_RINGLOOM_NOT_CLONEABLE` for an argument or a result that cannot be copied, `ERR_RINGLOOM_THREAD_LOST` when the shard ended before it answered, `ERR_RINGLOOM_TIMEOUT`, `ERR_RINGLOOM_ABORTED`, `ERR_RINGLOOM_OVERLOADED` when it has not
 * answered 10,000 calls of this thread, those that were given up included.
 * @experimental
 */
export async function invokeOnShard<Args extends readonly unknown[], Result>(
  target: ShardFunction<Args, Result>,
  options: InvokeOptions,
  ...args: Args
): Promise<Result> {
  // The cast is safe because the name was registered together with the function's type.
  return (await ownCalls("call a shard").invoke(target.name, options, args)) as Result;
}

/**
 * How many calls of this thread each shard has not answered, by its number; those that were given up and still run there included. It is what `"least-pending"` chooses by.
 * @throws RingloomError `ERR_RINGLOOM_WRONG_THREAD` where there are no shards to call.
 * @example
 * ```ts
 * import { pendingShardCalls } from "ringloom";
 * export const busiest = () => Math.max(...pendingShardCalls());
 * ```
 * @experimental
 */
export function pendingShardCalls(): number[] {
  return ownCalls("count the calls").pending();
}

function ownCalls(what: string): ShardCalls {
  if (calls !== undefined) return calls;
  throw new RingloomError("ERR_RINGLOOM_WRONG_THREAD", `Cannot ${what}: this thread is no shard, and of no server.`, {
    operation: "invokeOnShard",
  });
}

let calls: ShardCalls | undefined;

/** Makes `next` what {@link invokeOnShard} uses on this thread. */
export function setShardCalls(next: ShardCalls | undefined): void {
  calls = next;
}

interface PendingCall {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: RingloomError) => void;
}

interface Line {
  readonly port: MessagePort;
  /** Unanswered calls by number; undefined for those that were given up, which keep their room until the other side has answered. */
  readonly pending: Map<number, PendingCall | undefined>;
  /** Calls that somebody waits for. */
  waiting: number;
  /** The thread at its other end takes no new calls. */
  isRetired: boolean;
}

/** The calling side of one thread. */
export class ShardCalls {
  readonly #shardCount: number;
  readonly #connect: (shard: number, port: MessagePort) => void;
  readonly #lines = new Map<number, Line>();
  readonly #choice: ShardChoice;
  readonly #closesIdleLines: boolean;
  #nextCall = 0;

  /**
   * @param connect Passes the other end of a new port to the thread that serves as the shard.
   * @param options `closesIdleLines`: for a thread that runs for long without a turn of its event loop, and would meanwhile not hear that a shard retires, which waits for its callers.
   */
  constructor(
    shardCount: number,
    connect: (shard: number, port: MessagePort) => void,
    options: { readonly closesIdleLines?: boolean } = {},
  ) {
    this.#shardCount = shardCount;
    this.#connect = connect;
    this.#choice = new ShardChoice(shardCount);
    this.#closesIdleLines = options.closesIdleLines ?? false;
  }

  /** Unanswered calls, by shard. */
  pending(): number[] {
    return Array.from({ length: this.#shardCount }, (_, shard) => this.#pendingOf(shard));
  }

  /** See {@link invokeOnShard}. */
  async invoke(name: string, options: InvokeOptions, args: readonly unknown[]): Promise<unknown> {
    const { signal, timeoutMs = CALL_TIMEOUT_MS_DEFAULT, transfer = [] } = options;
    this.#check(options, timeoutMs);
    const shard = this.#shardFor(options);
    if (signal?.aborted === true) throw aborted(name, shard, signal.reason);
    const line = this.#lines.get(shard) ?? this.#open(shard);
    if (line.pending.size >= CALLS_MAX) throw overloaded(name, shard);
    const call = this.#nextCall++;
    line.waiting += 1;
    let timer: NodeJS.Timeout | undefined;
    let onAbort: (() => void) | undefined;
    try {
      return await new Promise<unknown>((resolve, reject) => {
        send(line.port, { call, name, args }, transfer);
        line.pending.set(call, { resolve, reject });
        const giveUp = (error: RingloomError): void => {
          if (line.pending.has(call))
            line.port.postMessage({ givenUp: call, code: error.code } satisfies GivenUpMessage);
          reject(error);
        };
        if (timeoutMs > 0) timer = setTimeout(() => giveUp(timeout(name, shard, timeoutMs)), timeoutMs);
        onAbort = () => giveUp(aborted(name, shard, signal?.reason));
        signal?.addEventListener("abort", onAbort, { once: true });
      });
    } finally {
      // One that was given up, and not settled, keeps its room: else whoever gives up quickly could have any number of calls run at a shard that is slow.
      if (line.pending.has(call)) line.pending.set(call, undefined);
      line.waiting -= 1;
      if (line.isRetired) closeIfDone(line);
      else this.#closeIfIdle(shard, line);
      clearTimeout(timer);
      if (onAbort !== undefined) signal?.removeEventListener("abort", onAbort);
    }
  }

  /** Lets every line go; unanswered calls reject. */
  close(): void {
    for (const { port } of this.#lines.values()) port.close();
  }

  #check({ shard, preferred }: InvokeOptions, timeoutMs: number): void {
    const isAny = shard === "least-pending";
    if (!isAny && !this.#isShard(shard)) throw invalidCall(`shard ${shard} of ${this.#shardCount}`, { shard });
    if (preferred !== undefined && !isAny) throw invalidCall("choice where a shard is named", { shard, preferred });
    if (preferred !== undefined && !this.#isShard(preferred))
      throw invalidCall(`shard ${preferred} of ${this.#shardCount} to prefer`, { shard, preferred });
    if (!Number.isFinite(timeoutMs) || timeoutMs < 0) throw invalidCall(`timeoutMs ${timeoutMs}`, { shard, timeoutMs });
  }

  #isShard(shard: number): boolean {
    return Number.isInteger(shard) && shard >= 0 && shard < this.#shardCount;
  }

  #shardFor({ shard, preferred }: InvokeOptions): number {
    return shard === "least-pending" ? this.#choice.pick((one) => this.#pendingOf(one), preferred) : shard;
  }

  #pendingOf(shard: number): number {
    return this.#lines.get(shard)?.pending.size ?? 0;
  }

  #open(shard: number): Line {
    const { port1, port2 } = new MessageChannel();
    const line: Line = { port: port1, pending: new Map(), waiting: 0, isRetired: false };
    this.#lines.set(shard, line);
    port1.on("message", (reply: ReplyMessage) => {
      if ("retired" in reply) this.#retired(shard, line);
      else settle(line, reply);
      this.#closeIfIdle(shard, line);
    });
    port1.on("close", () => {
      this.#forget(shard, line);
      if (!line.isRetired) this.#choice.lost(shard);
      for (const pending of line.pending.values()) pending?.reject(lost(shard));
      line.pending.clear();
    });
    // The calls' own timers, and the shards, keep a thread alive.
    port1.unref();
    this.#connect(shard, port2);
    return line;
  }

  /** The next call opens a line to the new thread. The old one waits for this line to close before it lets the keys of its actors go. */
  #retired(shard: number, line: Line): void {
    this.#forget(shard, line);
    line.isRetired = true;
    closeIfDone(line);
  }

  #closeIfIdle(shard: number, line: Line): void {
    if (this.#closesIdleLines && !line.isRetired && line.waiting === 0 && line.pending.size === 0)
      this.#retired(shard, line);
  }

  #forget(shard: number, line: Line): void {
    if (this.#lines.get(shard) === line) this.#lines.delete(shard);
  }
}

/** The side of a shard that is called. */
export class ShardCallee {
  readonly #ports = new Set<MessagePort>();
  readonly #running = new Set<Promise<void>>();
  #onAllGone: () => void = () => undefined;

  accept(port: MessagePort): void {
    this.#ports.add(port);
    const calls = new Map<number, RunningCall>();
    port.on("message", (message: CallMessage | GivenUpMessage) => {
      if ("givenUp" in message) {
        calls.get(message.givenUp)?.giveUp(message.code);
        return;
      }
      const call = new RunningCall();
      calls.set(message.call, call);
      const work = answer(port, message, call);
      this.#running.add(work);
      void work.finally(() => {
        calls.delete(message.call);
        this.#running.delete(work);
      });
    });
    port.on("close", () => {
      // The caller's thread is gone, or has given all of them up.
      for (const call of calls.values()) call.giveUp("ERR_RINGLOOM_THREAD_LOST");
      this.#ports.delete(port);
      if (this.#ports.size === 0) this.#onAllGone();
    });
    port.unref();
  }

  /** Tells the callers that another thread serves as this shard now. Resolves when all have closed their lines, because each of their calls is answered or given up. */
  async retire(): Promise<void> {
    for (const port of this.#ports) port.postMessage({ retired: true } satisfies ReplyMessage);
    if (this.#ports.size > 0) await new Promise<void>((resolve) => (this.#onAllGone = resolve));
  }

  /** Resolves when no call is running. */
  async idle(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
  }
}

async function answer(port: MessagePort, { call, name, args }: CallMessage, running: RunningCall): Promise<void> {
  try {
    const run = registered.get(name);
    if (run === undefined) {
      const known = [...registered.keys()].filter((one) => !one.startsWith(OWN_NAMES)).join(", ") || "none";
      const missing = new RingloomError(
        "ERR_RINGLOOM_NO_SUCH_FUNCTION",
        `No function "${name}" is registered there (known: ${known}).`,
        { operation: "invokeOnShard", details: { name } },
      );
      port.postMessage({ call, error: toShardError(missing), isOurs: true } satisfies ReplyMessage);
      return;
    }
    reply(port, call, await running.run(() => run(...args)));
  } catch (error) {
    port.postMessage({ call, error: toShardError(error), isOurs: false } satisfies ReplyMessage);
  }
}

function reply(port: MessagePort, call: number, result: unknown): void {
  try {
    const isHanded = result instanceof TransferredValue;
    const value = isHanded ? result.value : result;
    port.postMessage({ call, value } satisfies ReplyMessage, isHanded ? transferList(result.items) : []);
  } catch (error) {
    // What a getter of the value throws is the user's own.
    if (!isCloneRefusal(error)) throw error;
    const refusal = toShardError(notCloneable("invokeOnShard", error.message, error));
    port.postMessage({ call, error: refusal, isOurs: true } satisfies ReplyMessage);
  }
}

function settle(line: Line, reply: Exclude<ReplyMessage, { retired: true }>): void {
  const pending = line.pending.get(reply.call);
  line.pending.delete(reply.call);
  // A call that was given up is answered all the same.
  if (pending === undefined) return;
  if ("value" in reply) return pending.resolve(reply.value);
  const cause = fromShardError(reply.error, "invokeOnShard");
  if (reply.isOurs) return pending.reject(cause);
  pending.reject(callFailed(cause));
}

function closeIfDone(line: Line): void {
  if (line.waiting === 0) line.port.close();
}

function send(port: MessagePort, message: CallMessage, transfer: readonly TransferListItem[]): void {
  try {
    port.postMessage(message, transfer);
  } catch (error) {
    throw isCloneRefusal(error) ? notCloneable("invokeOnShard", error.message, error) : callFailed(error);
  }
}

function callFailed(cause: unknown): RingloomError {
  const what = cause instanceof Error ? cause.message : String(cause);
  return new RingloomError("ERR_RINGLOOM_CALL_FAILED", `The call failed: ${what}`, {
    operation: "invokeOnShard",
    cause,
  });
}

function invalidCall(what: string, details: Readonly<Record<string, unknown>>): RingloomError {
  return new RingloomError("ERR_RINGLOOM_INVALID_OPTION", `Cannot call: there is no ${what}.`, {
    operation: "invokeOnShard",
    details,
  });
}

function overloaded(name: string, shard: number): RingloomError {
  return new RingloomError(
    "ERR_RINGLOOM_OVERLOADED",
    `Cannot call ${name}: shard ${shard} has not answered ${CALLS_MAX} calls of this thread, those included that were given up.`,
    { operation: "invokeOnShard", details: { name, shard, callsMax: CALLS_MAX } },
  );
}

function lost(shard: number): RingloomError {
  return new RingloomError("ERR_RINGLOOM_THREAD_LOST", `Shard ${shard} ended before it answered.`, {
    operation: "invokeOnShard",
    details: { shard },
  });
}

function timeout(name: string, shard: number, timeoutMs: number): RingloomError {
  return new RingloomError("ERR_RINGLOOM_TIMEOUT", `${name} on shard ${shard} took longer than ${timeoutMs} ms.`, {
    operation: "invokeOnShard",
    details: { name, shard, timeoutMs },
  });
}

function aborted(name: string, shard: number, cause: unknown): RingloomError {
  return new RingloomError("ERR_RINGLOOM_ABORTED", `The call of ${name} on shard ${shard} was given up.`, {
    operation: "invokeOnShard",
    details: { name, shard },
    cause,
  });
}
