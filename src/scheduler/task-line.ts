/**
 * Tasks for threads that are none of Ringloom's, such as a `Worker` of the program's own: called, awaited, and joined by a thread that sleeps until the outcome is there.
 *
 * Such a thread has no seat in the scheduler's memory: those are counted, and mended when their thread dies. It asks the main thread, which spawns for it (`task-desk.ts`), over a port. With each answer the main thread rings a word of shared memory;
 * a thread that may sleep waits for that with `Atomics.wait`, and reads the port itself.
 */
import { availableParallelism } from "node:os";
import { MessagePort, receiveMessageOnPort } from "node:worker_threads";
import { isCloneRefusal, notCloneable, RingloomError } from "../errors.js";
import { rejectUnknownOptions } from "../runtime/option.js";
import { onAbort } from "./abort-listeners.js";
import type { Membership, SpawnOptions } from "./call-options.js";
import { type Line, setLine } from "./current-seat.js";
import { fromThrownRecord } from "./error-codec.js";
import type { TaskFunctionName } from "./function-table.js";
import { fromPortForm, toPortForm } from "./port-form.js";
import { checkTaskOptions, checkTimeout, invalid } from "./task-checks.js";
import { aborted, closed, timedOut } from "./task-errors.js";
import type { TaskLineAnswer, TaskLineAsk } from "./task-line-messages.js";
import { transferList } from "./transfer.js";

/** Calls that such a thread may have unanswered, unless it says otherwise. */
export const LINE_CALLS_DEFAULT = 1_024;
/** The most that it may say. */
export const LINE_CALLS_MAX = 65_536;
/** How long {@link joinSync} waits unless it is told, in milliseconds. */
export const JOIN_MS_DEFAULT = 30_000;

/**
 * The bounds of a thread that calls tasks from outside.
 * @experimental
 */
export interface AttachOptions {
  /** Calls that may be unanswered, 1 to 65,536; one more rejects with `ERR_RINGLOOM_OVERLOADED`. Default 1,024. */
  readonly inFlightMax?: number;
}

/**
 * How long a thread sleeps for an outcome.
 * @experimental
 */
export interface JoinOptions {
  /** When it goes on without, in milliseconds; 0 is never. Default 30,000. */
  readonly timeoutMs?: number;
}

/**
 * A thread's way to tasks.
 * @experimental
 */
export interface AttachedTasks {
  /** Calls that are not answered, those included that were given up. */
  readonly inFlight: number;
  /** Ends it: unanswered calls reject with `ERR_RINGLOOM_CLOSED` and are given up, and so does every further one, until the thread attaches tasks again with another port. */
  close(): void;
}

/**
 * Lets this thread call tasks: {@link tasks} and what stands on it work here from now on, as on a shard. It is for threads that are none of Ringloom's, such as a `Worker` of the program's own. When that way was closed, or the server at
 * its other end has stopped, it can be called again with a port of another `taskPort()`.
 *
 * @param port What `taskPort()` gave on the main thread, on a shard or in a task, handed over in `transferList`.
 * @throws RingloomError `ERR_RINGLOOM_INVALID_OPTION`, and `ERR_RINGLOOM_WRONG_THREAD` on a thread that can call tasks already. The port stays as it was then.
 * @example
 * ```ts
 * import { type MessagePort, workerData } from "node:worker_threads";
 * import { attachTasks, joinSync, tasks } from "ringloom";
 * attachTasks(workerData as MessagePort);
 * const images = tasks<{ resize(bytes: Uint8Array, width: number): Uint8Array }>(new URL("./images.js", import.meta.url));
 * export const awaited = (bytes: Uint8Array) => images.resize(bytes, 320);
 * export const slept = (bytes: Uint8Array) => joinSync(images.resize(bytes, 320), { timeoutMs: 2_000 });
 * ```
 * @experimental
 */
export function attachTasks(port: MessagePort, options: AttachOptions = {}): AttachedTasks {
  rejectUnknownOptions(options, ["inFlightMax"]);
  const { inFlightMax = LINE_CALLS_DEFAULT } = options;
  if (!(port instanceof MessagePort)) throw invalid("port", port, "the MessagePort that taskPort() gave is needed");
  if (!(Number.isInteger(inFlightMax) && inFlightMax >= 1 && inFlightMax <= LINE_CALLS_MAX)) {
    throw invalid("inFlightMax", inFlightMax, `a whole number from 1 to ${LINE_CALLS_MAX} is needed`);
  }
  const line = new TaskLine(inFlightMax);
  if (!setLine(line)) {
    throw new RingloomError("ERR_RINGLOOM_WRONG_THREAD", "Cannot attach tasks: this thread can call them already.", {
      operation: "attachTasks",
    });
  }
  line.open(port);
  return line;
}

/**
 * Sleeps until a task has ended, and returns its result or throws as its promise would reject. Nothing else happens on this thread meanwhile, so it is for threads that have called {@link attachTasks}: no shard and no task may sleep so.
 *
 * When the time is over the task goes on, and can be awaited or joined again; to end it give its call a `timeoutMs` or a signal. A promise that was joined once need not be handled any more.
 * @param call The promise that a function of {@link tasks} has just given, and not one made of it.
 * @throws RingloomError `ERR_RINGLOOM_TIMEOUT`, `ERR_RINGLOOM_WRONG_THREAD` on any other thread, `ERR_RINGLOOM_INVALID_OPTION` for another promise; everything that the call can reject with, such as `ERR_RINGLOOM_THREAD_LOST`,
 * and `ERR_RINGLOOM_CLOSED` when the server has stopped.
 * @example
 * ```ts
 * import { joinSync, tasks } from "ringloom";
 * const sums = tasks<{ add(a: number, b: number): number }>(new URL("./sums.js", import.meta.url));
 * export const three = (): number => joinSync(sums.add(1, 2), { timeoutMs: 1_000 });
 * ```
 * @experimental
 */
export function joinSync<Result>(call: Promise<Result>, options: JoinOptions = {}): Result {
  rejectUnknownOptions(options, ["timeoutMs"]);
  const { timeoutMs = JOIN_MS_DEFAULT } = options;
  checkTimeout(timeoutMs);
  if (opened === undefined) {
    throw new RingloomError("ERR_RINGLOOM_WRONG_THREAD", "Cannot join: this thread has not called attachTasks().", {
      operation: "joinSync",
    });
  }
  const known = typeof call === "object" && call !== null ? calls.get(call) : undefined;
  if (known === undefined) throw invalid("call", call, "the promise that a function of tasks() has given is needed");
  call.catch(() => undefined);
  // The cast is safe: the promise is typed by the function that it comes from.
  return opened.join(known, timeoutMs) as Result;
}

interface Call {
  readonly number: number;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
  readonly membership: Membership | undefined;
  /** As `performance.now()` counts; infinity for none. */
  readonly deadlineMs: number;
  readonly timeoutMs: number;
  stopWatching: () => void;
  outcome: { readonly value: unknown } | { readonly error: unknown } | undefined;
}

const CLOSED = "Cannot spawn: this thread's way to tasks is closed.";

const calls = new WeakMap<Promise<unknown>, Call>();
let opened: TaskLine | undefined;

/** See the top of the file. */
class TaskLine implements Line, AttachedTasks {
  readonly places = { count: availableParallelism() };
  readonly #inFlightMax: number;
  readonly #bell = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
  readonly #functions: TaskFunctionName[] = [];
  readonly #numbers = new Map<string, number>();
  /** By their numbers. Those that were given up stay until they are answered, because they may still run. */
  readonly #calls = new Map<number, Call>();
  /** Those whose outcome somebody may wait for: they keep the thread alive. */
  #awaitedCount = 0;
  #port: MessagePort | undefined;
  #nextCall = 0;

  constructor(inFlightMax: number) {
    this.#inFlightMax = inFlightMax;
  }

  get inFlight(): number {
    return this.#calls.size;
  }

  get isClosed(): boolean {
    return this.#port === undefined;
  }

  open(port: MessagePort): void {
    this.#port = port;
    port.on("message", (answer: TaskLineAnswer) => this.#answered(answer));
    port.on("close", () => this.#ended());
    port.unref();
    this.#post({ bell: this.#bell }, []);
    opened = this;
  }

  close(): void {
    this.#port?.close();
    this.#ended();
  }

  functionNumber(name: TaskFunctionName): number {
    const key = `${name.module} ${name.name}`;
    const known = this.#numbers.get(key);
    if (known !== undefined) return known;
    const number = this.#functions.push(name) - 1;
    this.#numbers.set(key, number);
    return number;
  }

  spawn(functionNumber: number, args: readonly unknown[], options: SpawnOptions = {}): Promise<unknown> {
    try {
      checkTaskOptions(options);
      this.#checkRoom(options);
      return this.#start(functionNumber, args, options);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** See {@link joinSync}. */
  join(call: Call, timeoutMs: number): unknown {
    const endMs = timeoutMs === 0 ? Number.POSITIVE_INFINITY : performance.now() + timeoutMs;
    for (;;) {
      // Before the port is read: what is posted behind that look changes the word.
      const seen = Atomics.load(this.#bell, 0);
      this.#readPort();
      const { outcome, deadlineMs } = call;
      if (outcome !== undefined) {
        if ("error" in outcome) throw outcome.error;
        return outcome.value;
      }
      const nowMs = performance.now();
      // No timer fires while this thread sleeps.
      if (nowMs >= deadlineMs) this.#giveUp(call, timedOut(call.timeoutMs));
      else if (nowMs >= endMs) throw joinTimedOut(timeoutMs);
      else Atomics.wait(this.#bell, 0, seen, Math.min(endMs, deadlineMs) - nowMs);
    }
  }

  #checkRoom({ signal, membership }: SpawnOptions): void {
    if (this.#port === undefined) throw closed(CLOSED);
    for (const given of [signal, membership?.tasksSignal]) if (given?.aborted === true) throw aborted(given.reason);
    if (this.#calls.size < this.#inFlightMax) return;
    throw new RingloomError(
      "ERR_RINGLOOM_OVERLOADED",
      `Cannot spawn: this thread has ${this.#inFlightMax} calls of tasks in flight.`,
      { operation: "spawn", details: { inFlightMax: this.#inFlightMax } },
    );
  }

  #start(functionNumber: number, args: readonly unknown[], options: SpawnOptions): Promise<unknown> {
    const { placement, timeoutMs = 0, idempotent = false, blocking = false, transfer = [], membership } = options;
    const { module, name } = this.#functions[functionNumber]!;
    const list = transferList(transfer);
    const form = toPortForm(args, new Set<object>(list));
    // A getter of an argument may have given this call up, closed this way, or made other calls.
    this.#checkRoom(options);
    const number = this.#nextCall++;
    this.#post(
      {
        call: number,
        module,
        name,
        args: form,
        options: { ...(placement === undefined ? {} : { placement }), timeoutMs, idempotent, blocking },
        transfer: list,
      },
      list,
    );
    // What structured clone reads itself has getters, too, and nobody answers what went nowhere.
    if (this.#port === undefined) throw closed(CLOSED);
    let call: Call | undefined;
    const promise = new Promise<unknown>((resolve, reject) => {
      const deadlineMs = timeoutMs === 0 ? Number.POSITIVE_INFINITY : performance.now() + timeoutMs;
      const stopWatching = (): void => undefined;
      call = { number, resolve, reject, membership, deadlineMs, timeoutMs, stopWatching, outcome: undefined };
      this.#calls.set(number, call);
    });
    calls.set(promise, call!);
    membership?.taskBegun();
    this.#awaitedCount += 1;
    this.#keepAlive();
    this.#watch(call!, options);
    return promise;
  }

  #post(ask: TaskLineAsk, list: ReturnType<typeof transferList>): void {
    try {
      this.#port?.postMessage(ask, list);
    } catch (error) {
      throw isCloneRefusal(error) ? notCloneable("task", error.message, error) : error;
    }
  }

  #watch(call: Call, { signal, timeoutMs = 0, membership }: SpawnOptions): void {
    const timer = timeoutMs > 0 ? setTimeout(() => this.#giveUp(call, timedOut(timeoutMs)), timeoutMs) : undefined;
    const signals = [signal, membership?.tasksSignal].filter((one) => one !== undefined);
    const ends = signals
      .filter((one) => !one.aborted)
      .map((one) => onAbort(one, () => this.#giveUp(call, aborted(one.reason))));
    call.stopWatching = () => {
      clearTimeout(timer);
      for (const end of ends) end();
    };
    // A getter that structured clone has read can have done it, and then there is no event any more.
    const done = signals.find((one) => one.aborted);
    if (done !== undefined) this.#giveUp(call, aborted(done.reason));
  }

  #giveUp(call: Call, error: RingloomError): void {
    if (call.outcome !== undefined) return;
    this.#settle(call, { error });
    this.#post({ cancel: call.number }, []);
  }

  #readPort(): void {
    if (this.#port === undefined) return;
    for (;;) {
      const found = receiveMessageOnPort(this.#port);
      if (found === undefined) return;
      this.#answered(found.message as TaskLineAnswer);
    }
  }

  #answered(answer: TaskLineAnswer): void {
    const call = this.#calls.get(answer.call);
    if (call === undefined) return;
    this.#calls.delete(answer.call);
    if ("thrown" in answer) this.#settle(call, { error: fromThrownRecord(answer.thrown) });
    else this.#settle(call, { value: fromPortForm(answer.value) });
    call.membership?.taskEnded();
  }

  #settle(call: Call, outcome: NonNullable<Call["outcome"]>): void {
    if (call.outcome !== undefined) return;
    call.outcome = outcome;
    call.stopWatching();
    this.#awaitedCount -= 1;
    this.#keepAlive();
    if ("error" in outcome) call.reject(outcome.error);
    else call.resolve(outcome.value);
  }

  #ended(): void {
    if (this.#port === undefined) return;
    this.#port = undefined;
    for (const call of this.#calls.values()) {
      this.#settle(call, { error: closed("This thread's way to tasks was closed before the task had ended.") });
      call.membership?.taskEnded();
    }
    this.#calls.clear();
  }

  #keepAlive(): void {
    if (this.#awaitedCount > 0) this.#port?.ref();
    else this.#port?.unref();
  }
}

function joinTimedOut(timeoutMs: number): RingloomError {
  return new RingloomError("ERR_RINGLOOM_TIMEOUT", `The task did not end within ${timeoutMs} ms; it goes on.`, {
    operation: "joinSync",
    details: { timeoutMs },
  });
}
