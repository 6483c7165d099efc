/** A thread's way to the desk of its server. */
import { isMainThread, type TransferListItem } from "node:worker_threads";
import { RingloomError } from "../errors.js";
import { Desk, type DeskRequest } from "./desk.js";

type Send = (request: DeskRequest, transfer: readonly TransferListItem[]) => void;

let send: Send | undefined;
let own: Desk | undefined;

/** Makes `next` the way to the desk of the server that this thread belongs to. */
export function setDeskLine(next: Send | undefined): void {
  send = next;
}

/**
 * Sends a request to the desk. A program without shards has a desk of its own, on the main thread.
 * Throws `ERR_RINGLOOM_WRONG_THREAD` on a thread that belongs to no server.
 */
export function sendToDesk(operation: string, request: DeskRequest): void {
  if (send !== undefined) return send(request, [request.port]);
  if (!isMainThread) {
    throw new RingloomError(
      "ERR_RINGLOOM_WRONG_THREAD",
      `Cannot use ${operation}: this thread is neither a shard nor the main thread, nor does it run tasks.`,
      { operation },
    );
  }
  obeyHere(request);
}

/** Answers a request at the main thread's own desk: for threads that belong to no server, and run its tasks. */
export function obeyHere(request: DeskRequest): void {
  own ??= new Desk();
  own.obey(request);
}
