/** Errors on their way between threads: a structured clone keeps neither `code` nor our classes. */
import { RingloomError } from "../errors.js";

/**
 * An error as plain data.
 * @experimental
 */
export interface ShardError {
  readonly name: string;
  readonly code: string | undefined;
  readonly message: string;
  readonly stack: string;
  readonly cause: ShardError | undefined;
}

/** Causes of causes that are kept. */
const CAUSES_MAX = 5;

/** Puts an error into the form that crosses threads. */
export function toShardError(error: unknown, causesMax: number = CAUSES_MAX): ShardError {
  if (!(error instanceof Error)) {
    const message = `${typeof error} ${String(error)}`;
    return { name: "Error", code: undefined, message, stack: message, cause: undefined };
  }
  const code: unknown = Reflect.get(error, "code");
  return {
    name: error.name,
    code: typeof code === "string" ? code : undefined,
    message: error.message,
    stack: error.stack ?? `${error.name}: ${error.message}`,
    cause: error.cause === undefined || causesMax === 0 ? undefined : toShardError(error.cause, causesMax - 1),
  };
}

/** Makes an error of it again: one of ours, with the user's own as its cause, each with the stack that it had. */
export function fromShardError(error: ShardError, operation: string): RingloomError {
  const rebuilt = new RingloomError(error.code ?? "ERR_RINGLOOM_SHARD_FAILED", error.message, {
    operation,
    ...(error.cause === undefined ? {} : { cause: fromShardError(error.cause, operation) }),
  });
  rebuilt.stack = error.stack;
  return rebuilt;
}
