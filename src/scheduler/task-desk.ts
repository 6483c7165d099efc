/**
 * The main thread's side of a thread that calls tasks and is none of ours (`task-line.ts`): spawns them in its name, and posts what became of them.
 *
 * The main thread is there for as long as the process is, and every end of the scheduler reaches its own promises. So a thread that sleeps until it is answered is answered: when the threads for tasks are lost, when the server stops, and after that.
 */
import type { MessagePort, TransferListItem } from "node:worker_threads";
import { isCloneRefusal, notCloneable } from "../errors.js";
import { currentSeat } from "./current-seat.js";
import { toThrownRecord } from "./error-codec.js";
import { closeHandedOn, handedOn } from "./handed-on.js";
import { fromPortForm, type PortForm, toPortForm } from "./port-form.js";
import type { TaskLineAnswer, TaskLineAsk } from "./task-line-messages.js";

type Call = Extract<TaskLineAsk, { call: number }>;

/** Serves one such thread until its end of the port closes, with the thread at the latest; its tasks are given up then. */
export function serveTaskLine(port: MessagePort): void {
  const calls = new Map<number, AbortController>();
  let bell: Int32Array | undefined;
  port.on("message", (ask: TaskLineAsk) => {
    if ("bell" in ask) bell = ask.bell;
    else if ("cancel" in ask) calls.get(ask.cancel)?.abort();
    else void run(ask);
  });
  port.on("close", () => {
    for (const call of calls.values()) call.abort();
  });
  // Tasks in flight keep the process alive, as those of the main thread do.
  port.unref();

  async function run(ask: Call): Promise<void> {
    const giveUp = new AbortController();
    calls.set(ask.call, giveUp);
    try {
      const value = await spawn(ask, giveUp.signal);
      postValue(ask.call, toPortForm(value));
    } catch (error) {
      postError(ask.call, error);
    } finally {
      calls.delete(ask.call);
    }
  }

  /** What the task has handed over to this thread goes on to the other one. */
  function postValue(call: number, value: PortForm): void {
    const list = handedOn(value.value);
    try {
      post({ call, value }, list);
    } catch (error) {
      closeHandedOn(list);
      postError(call, isCloneRefusal(error) ? notCloneable("task", error.message) : error);
    }
  }

  function postError(call: number, error: unknown): void {
    post({ call, thrown: toThrownRecord(error) }, []);
  }

  /** The message is there before the bell is: whoever wakes finds it. */
  function post(answer: TaskLineAnswer, list: readonly TransferListItem[]): void {
    port.postMessage(answer, list);
    if (bell === undefined) return;
    Atomics.add(bell, 0, 1);
    Atomics.notify(bell, 0);
  }
}

function spawn({ module, name, args, options, transfer }: Call, signal: AbortSignal): Promise<unknown> {
  const seat = currentSeat("tasks");
  const handed = transfer.length === 0 ? {} : { transfer };
  // The cast is safe: the other side has sent a list.
  const list = fromPortForm(args) as readonly unknown[];
  return seat.spawn(seat.functionNumber({ module, name }), list, { ...options, ...handed, signal });
}
