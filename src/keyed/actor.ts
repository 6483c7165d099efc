/**
 * `actor()`: state by key, each key owned by one shard, and called from all as if it were here.
 *
 * Modelled on the virtual actors of Orleans: an instance comes to be at its first call, and is put away when it is idle.
 */
import { isCloneRefusal, notCloneable, RingloomError } from "../errors.js";
import { monotonicMs } from "../observe/monotonic.js";
import { callFailed } from "../runtime/boundary-errors.js";
import { fromThrownRecord } from "../scheduler/error-codec.js";
import type { ActorOutcome } from "./actor-cell.js";
import { type ActorCall, addActor, callHere, hasActor, ownKeys, remoteCall, routeOf } from "./actor-host.js";
import { ActorKind } from "./actor-kind.js";
import { type ActorOptions, checkActorOptions, invalid } from "./actor-options.js";
import { within } from "./within.js";

/**
 * How calls through one handle are made.
 * @experimental
 */
export interface ActorCallOptions {
  /** When a call rejects, in milliseconds; 0 is never. One that has not begun by then never runs. Default: that of the actor. */
  readonly timeoutMs?: number;
  /** Gives up waiting; the call itself runs on. */
  readonly signal?: AbortSignal;
}

/**
 * The methods of an actor's class, as they are called from anywhere.
 * @experimental
 */
export type ActorHandle<Instance> = {
  readonly [Name in keyof Instance as Instance[Name] extends (...args: never[]) => unknown
    ? Name
    : never]: Instance[Name] extends (...args: infer Args) => infer Result
    ? (...args: Args) => Promise<Awaited<Result>>
    : never;
};

/**
 * An actor: gives the handle of a key.
 * @experimental
 */
export type Actor<Instance> = (key: string, options?: ActorCallOptions) => ActorHandle<Instance>;

/**
 * Registers an actor under a name that is the same on all shards. Call it at the module's top level. A key belongs to one shard; its instance of `Class` lives there, and runs
 * one call at a time, async ones to their end. Arguments and results are structured clones, on the owning shard too.
 *
 * The calls reject with `ERR_RINGLOOM_OVERLOADED` when the key's mailbox or the shard is full, `ERR_RINGLOOM_CALL_FAILED` with what the method or `load` threw as its cause, `ERR_RINGLOOM_NOT_CLONEABLE`,
 * `ERR_RINGLOOM_THREAD_LOST` when the owning shard died meanwhile, `ERR_RINGLOOM_TIMEOUT`, `ERR_RINGLOOM_ABORTED`, `ERR_RINGLOOM_CLOSED`, `ERR_RINGLOOM_NO_SUCH_FUNCTION`, `ERR_RINGLOOM_WRONG_THREAD`.
 *
 * In a program without shards all keys belong to the main thread.
 * @throws RingloomError `ERR_RINGLOOM_INVALID_OPTION`, also when the name is taken.
 * @example
 * ```ts
 * import { actor } from "ringloom";
 * class Counter {
 *   #count = 0;
 *   add(amount: number) {
 *     this.#count += amount;
 *     return this.#count;
 *   }
 * }
 * const counters = actor("counters", Counter);
 * const visits = await counters("/home").add(1);
 * ```
 * @experimental
 */
export function actor<Instance extends object>(
  name: string,
  Class: new (key: string) => Instance,
  options: ActorOptions<Instance> = {},
): Actor<Instance> {
  if (typeof name !== "string" || name === "") throw invalid(String(name), "the name is no text");
  if (hasActor(name)) throw invalid(name, "the name is taken");
  if (typeof Class !== "function") throw invalid(name, `the class is ${typeof Class}`);
  // The cast is safe because what `load` makes is only ever given to `evicted`.
  const hooks = options as unknown as ActorOptions<object>;
  const bounds = checkActorOptions(name, hooks);
  const methods = methodsOf(Class.prototype);
  addActor(new ActorKind({ name, make: (key) => new Class(key), methods, options: hooks, bounds, tenure: ownKeys }));
  return (key, callOptions = {}) => {
    if (typeof key !== "string")
      throw new TypeError(`Cannot call the actor ${name}: the key is ${typeof key}, not a string`);
    const { signal, timeoutMs = bounds.timeoutMs } = callOptions;
    const how = { timeoutMs, signal };
    const handle: Record<string, unknown> = Object.create(null);
    for (const method of methods) {
      handle[method] = (...args: readonly unknown[]) => call({ actor: name, key, method, args }, how);
    }
    return handle as ActorHandle<Instance>;
  };
}

/** The methods of a class and those that it inherits, but those of every object. */
function methodsOf(prototype: object): ReadonlySet<string> {
  const names = new Set<string>();
  for (let one: object | null = prototype; one !== null && one !== Object.prototype; one = Object.getPrototypeOf(one)) {
    for (const name of Object.getOwnPropertyNames(one)) {
      const { value } = Object.getOwnPropertyDescriptor(one, name) ?? {};
      // A handle with a method `then` would be taken for a promise.
      if (name !== "constructor" && name !== "then" && typeof value === "function") names.add(name);
    }
  }
  return names;
}

async function call(
  target: Omit<ActorCall, "deadlineMs">,
  { timeoutMs, signal }: { readonly timeoutMs: number; readonly signal: AbortSignal | undefined },
): Promise<unknown> {
  if (!(timeoutMs >= 0))
    throw failed(target, "ERR_RINGLOOM_INVALID_OPTION", `timeoutMs is ${timeoutMs}, not 0 or more`);
  if (signal?.aborted === true) throw failed(target, "ERR_RINGLOOM_ABORTED", "it was given up", signal.reason);
  const message: ActorCall = { ...target, deadlineMs: timeoutMs === 0 ? 0 : monotonicMs() + timeoutMs };
  const route = routeOf(target.key);
  if (route === undefined) {
    const here = callHere({ ...message, args: clone(message.args) });
    const outcome = await within(here, {
      signal,
      timeoutMs,
      timedOut: () => failed(target, "ERR_RINGLOOM_TIMEOUT", `it took longer than ${timeoutMs} ms`),
      aborted: (reason) => failed(target, "ERR_RINGLOOM_ABORTED", "it was given up", reason),
    });
    return clone(unwrap(target, outcome));
  }
  const { shard, calls } = route;
  const how = { shard, timeoutMs, ...(signal === undefined ? {} : { signal }) };
  return unwrap(target, (await calls.invoke(remoteCall.name, how, [message])) as ActorOutcome);
}

function unwrap(target: Omit<ActorCall, "deadlineMs">, outcome: ActorOutcome): unknown {
  if ("value" in outcome) return outcome.value;
  if ("thrown" in outcome) throw callFailed(fromThrownRecord(outcome.thrown));
  switch (outcome.refused) {
    case "full-mailbox":
      throw failed(target, "ERR_RINGLOOM_OVERLOADED", "too many calls wait for this key");
    case "full-shard":
      throw failed(target, "ERR_RINGLOOM_OVERLOADED", "the shard has as many instances as it may");
    case "timeout":
      throw failed(target, "ERR_RINGLOOM_TIMEOUT", "its time was over before it began");
    case "closed":
      throw failed(target, "ERR_RINGLOOM_CLOSED", "the shard stops");
    case "no-actor":
      throw failed(target, "ERR_RINGLOOM_NO_SUCH_FUNCTION", "no actor of that name is registered there");
    case "no-method":
      throw failed(target, "ERR_RINGLOOM_NO_SUCH_FUNCTION", "it has no such method there");
  }
}

/** A value of this thread's is copied all the same, so that it does not depend on the number of shards whether two sides share an object. */
function clone<Value>(value: Value): Value {
  try {
    return structuredClone(value);
  } catch (error) {
    throw isCloneRefusal(error) ? notCloneable("actor", error.message, error) : callFailed(error);
  }
}

function failed(
  { actor, key, method }: Omit<ActorCall, "deadlineMs">,
  code: RingloomError["code"],
  why: string,
  cause?: unknown,
): RingloomError {
  return new RingloomError(code, `Cannot call ${actor}(${JSON.stringify(key)}).${method}: ${why}.`, {
    operation: "actor",
    details: { actor, key, method },
    cause,
  });
}
