/** The moments in a server's life that a module can take part in, on each shard and in the process, and how its hooks are run. */
import { RingloomError } from "../errors.js";
import { type ShardError, toShardError } from "./shard-error.js";

/**
 * What a hook of a shard is told.
 * @experimental
 */
export interface ShardHookContext {
  readonly shard: number;
  readonly shardCount: number;
  /** 1 for the first thread of this shard, one more for each that takes over. */
  readonly generation: number;
  /** Aborts when the hook's time is over. */
  readonly signal: AbortSignal;
}

/**
 * What a module does at the moments of a shard's life: its named export `lifecycle`. Each hook may be async and has `--hook-ms` milliseconds.
 * @example
 * ```ts
 * import type { ShardLifecycle } from "ringloom/http";
 * export const lifecycle: ShardLifecycle = {
 *   start: async ({ shard }) => console.log(`shard ${shard} opens its connections`),
 *   close: () => console.log("closed"),
 * };
 * ```
 * @experimental
 */
export interface ShardLifecycle {
  /** Before the shard listens. When it throws, the shard does not start. */
  readonly start?: (context: ShardHookContext) => void | Promise<void>;
  /** The shard serves. */
  readonly ready?: (context: ShardHookContext) => void | Promise<void>;
  /** The shard begins to drain: requests are still being answered. */
  readonly drain?: (context: ShardHookContext) => void | Promise<void>;
  /** The last connection is closed; the thread ends when the hook is done. */
  readonly close?: (context: ShardHookContext) => void | Promise<void>;
}

/**
 * What a hook of the process is told.
 * @experimental
 */
export interface ProcessHookContext {
  readonly shardCount: number;
  /** Aborts when the hook's time is over. */
  readonly signal: AbortSignal;
}

/**
 * What the supervisor module (`--supervisor-module`) does at the moments of the server's life: its named export `lifecycle`. It runs on the main
 * thread, once for the process.
 * @experimental
 */
export interface ProcessLifecycle {
  /** Before any shard is started. When it throws, the server does not start. */
  readonly start?: (context: ProcessHookContext) => void | Promise<void>;
  /** Every shard serves. */
  readonly ready?: (context: ProcessHookContext) => void | Promise<void>;
  /** A stop has begun; the server still serves. */
  readonly drain?: (context: ProcessHookContext) => void | Promise<void>;
  /** Every shard is gone. */
  readonly close?: (context: ProcessHookContext) => void | Promise<void>;
}

/**
 * The name of a hook.
 * @experimental
 */
export type HookName = "start" | "ready" | "drain" | "close";

/**
 * A hook that threw or took too long.
 * @experimental
 */
export interface HookFailure {
  /** The shard, or undefined for the process. */
  readonly shard: number | undefined;
  readonly hook: HookName;
  readonly error: ShardError;
}

const NAMES: readonly HookName[] = ["start", "ready", "drain", "close"];

type AnyHook = (context: object) => unknown;

/** The hooks of one module, checked. */
export class Hooks {
  readonly #hooks = new Map<HookName, AnyHook>();
  readonly #context: object;
  readonly #limitMs: number;

  /**
   * Throws `ERR_RINGLOOM_INVALID_OPTION` when the export is no object, has a name that is no hook, or a hook that is no function.
   *
   * @param exported The module's `lifecycle`; undefined is no hooks.
   * @param context What each hook is told, besides its signal.
   * @param limitMs How long each may take, in milliseconds; 0 is no limit.
   */
  constructor(exported: unknown, context: object, limitMs: number) {
    this.#context = context;
    this.#limitMs = limitMs;
    if (exported === undefined) return;
    if (typeof exported !== "object" || exported === null) throw invalid(`it is ${String(exported)}, not an object`);
    for (const [name, hook] of Object.entries(exported)) {
      const known = NAMES.find((candidate) => candidate === name);
      if (known === undefined) throw invalid(`"${name}" is not one of ${NAMES.join(", ")}`);
      if (hook === undefined) continue;
      if (typeof hook !== "function") throw invalid(`its "${name}" is not a function`);
      this.#hooks.set(known, (given) => Reflect.apply(hook, exported, [given]));
    }
  }

  /** How long `name` may take at most, in milliseconds: 0 when there is none. */
  limitMs(name: HookName): number {
    return this.#hooks.has(name) ? this.#limitMs : 0;
  }

  /** Runs a hook, if there is one. Rejects with `ERR_RINGLOOM_HOOK_FAILED` and what it threw, or with `ERR_RINGLOOM_TIMEOUT`. */
  async run(name: HookName): Promise<void> {
    const hook = this.#hooks.get(name);
    if (hook === undefined) return;
    const end = new AbortController();
    let timer: NodeJS.Timeout | undefined;
    const tooLate = new Promise<never>((_, reject) => {
      if (this.#limitMs > 0) timer = setTimeout(() => reject(timeout(name, this.#limitMs)), this.#limitMs);
    });
    try {
      const work = Promise.resolve({ ...this.#context, signal: end.signal }).then(hook);
      await Promise.race([work.catch((error: unknown) => Promise.reject(failed(name, error))), tooLate]);
    } finally {
      clearTimeout(timer);
      end.abort();
    }
  }

  /** The same, with the failure as a value. */
  async attempt(name: HookName, shard: number | undefined): Promise<HookFailure | undefined> {
    try {
      await this.run(name);
      return undefined;
    } catch (error) {
      return { shard, hook: name, error: toShardError(error) };
    }
  }
}

function failed(name: HookName, cause: unknown): RingloomError {
  const what = cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause);
  return new RingloomError("ERR_RINGLOOM_HOOK_FAILED", `The module's "${name}" hook threw ${what}.`, {
    operation: name,
    cause,
  });
}

function timeout(name: HookName, limitMs: number): RingloomError {
  return new RingloomError("ERR_RINGLOOM_TIMEOUT", `The module's "${name}" hook took longer than ${limitMs} ms.`, {
    operation: name,
    details: { hookMs: limitMs },
  });
}

function invalid(why: string): RingloomError {
  return new RingloomError("ERR_RINGLOOM_INVALID_OPTION", `Cannot use the module's lifecycle: ${why}.`, {
    operation: "configure",
    details: { option: "lifecycle" },
  });
}
