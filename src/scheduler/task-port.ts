/** How a thread that is none of ours gets at tasks: a port to the main thread, made by one that is ours, and handed over. */
import { MessageChannel, type MessagePort } from "node:worker_threads";
import { sendToDesk } from "../keyed/desk-line.js";

/**
 * Makes the port by which another thread may call tasks, a `Worker` of the program's own for instance: hand it over, and call `attachTasks` there. Each thread needs one of its own.
 *
 * The main thread spawns for it, so each call passes through that thread's event loop, there and back: it is for threads that are outside of Ringloom, not a way around its own.
 * @throws RingloomError `ERR_RINGLOOM_WRONG_THREAD` on a thread that is neither the main one, nor a shard, nor runs tasks.
 * @example
 * ```ts
 * import { Worker } from "node:worker_threads";
 * import { taskPort } from "ringloom";
 * const port = taskPort();
 * export const reports = new Worker(new URL("./reports.js", import.meta.url), { workerData: port, transferList: [port] });
 * ```
 * @experimental
 */
export function taskPort(): MessagePort {
  const { port1, port2 } = new MessageChannel();
  sendToDesk("taskPort", { want: "tasks", port: port2 });
  return port1;
}
