/** What can go wrong with messages between shards. */
import { RingloomError } from "../errors.js";

/** This thread is no shard. */
export function wrongThread(operation: string): RingloomError {
  return new RingloomError("ERR_RINGLOOM_WRONG_THREAD", `Cannot use shard.${operation}: this thread is no shard.`, {
    operation,
  });
}

/** An argument that is not allowed. */
export function invalidArgument(
  operation: string,
  message: string,
  details: Readonly<Record<string, unknown>>,
): RingloomError {
  return new RingloomError("ERR_RINGLOOM_INVALID_OPTION", `Cannot ${operation}: ${message}.`, { operation, details });
}

/** There is no room, now. */
export function overloaded(operation: string, why: string, details: Readonly<Record<string, unknown>>): RingloomError {
  return new RingloomError("ERR_RINGLOOM_OVERLOADED", `Cannot ${operation}: ${why}.`, { operation, details });
}

/** The receiver ended before it is known to have taken the message. */
export function receiverLost(shard: number): RingloomError {
  return new RingloomError("ERR_RINGLOOM_THREAD_LOST", `Shard ${shard} ended before it had taken the message.`, {
    operation: "send",
    details: { shard },
  });
}

/** Nobody receives for that shard any more. */
export function receiverClosed(shard: number): RingloomError {
  return new RingloomError("ERR_RINGLOOM_CLOSED", `Shard ${shard} receives no messages any more.`, {
    operation: "send",
    details: { shard },
  });
}

/** This thread's messages are over. */
export function messagesClosed(operation: string): RingloomError {
  return new RingloomError("ERR_RINGLOOM_CLOSED", `The messages of this shard's thread are over.`, { operation });
}

/** Waiting was given up. */
export function waitAborted(operation: string, cause: unknown): RingloomError {
  return new RingloomError("ERR_RINGLOOM_ABORTED", `shard.${operation} was given up.`, { operation, cause });
}
