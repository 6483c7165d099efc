/** Signals of the operating system as streams, on every thread of a server. */
import { constants } from "node:os";
import { MessageChannel, type MessagePort } from "node:worker_threads";
import { RingloomError } from "../errors.js";
import { sendToDesk } from "../keyed/desk-line.js";
import { Fifo } from "../messages/fifo.js";
import type { SignalNews, SignalTaken } from "../runtime/signal-relay.js";
import { type Selectable, type SelectWaiter, selectable } from "../task/selectable.js";
import type { WaitOptions } from "../task/wait-errors.js";
import { waitFor } from "../time/wait-for.js";

const OPERATION = "signals";

/** Nobody can listen to the first two; after the others, which are errors of the program itself, no JavaScript can run. */
const NOT_LISTENABLE: readonly string[] = ["SIGKILL", "SIGSTOP", "SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL"];

/**
 * Listens to these signals from now on, on the main thread and on shards.
 *
 * What the system would do by default, such as ending the process, does not happen while anybody listens. What `ringloom serve` does happens all the same: its stop on SIGTERM and SIGINT and its restart on SIGHUP
 * go on beside whoever listens.
 * @throws TypeError for no name, or for one that is no signal here; RingloomError `ERR_RINGLOOM_INVALID_OPTION` for a signal that nobody can listen to, `ERR_RINGLOOM_WRONG_THREAD` on a thread that is neither a shard nor the main thread.
 * @example
 * ```ts run
 * import { signals } from "ringloom/signal";
 * using hangups = signals("SIGHUP");
 * await hangups.listening;
 * process.kill(process.pid, "SIGHUP");
 * console.assert((await hangups.next()) === "SIGHUP");
 * ```
 * @experimental
 */
export function signals(...names: readonly [NodeJS.Signals, ...NodeJS.Signals[]]): SignalStream {
  check(names);
  const { port1, port2 } = new MessageChannel();
  try {
    sendToDesk(OPERATION, { want: "signals", port: port2, names: [...new Set(names)] });
  } catch (error) {
    port1.close();
    throw error;
  }
  return new SignalStream(port1);
}

/**
 * Signals as they come, taken with {@link SignalStream.next}, `for await` or `select`; see {@link signals}.
 *
 * Each goes to one who waits. A signal that comes again before it was taken is not kept twice, as the system does itself: whoever takes one knows that it has come since, not how often.
 * @experimental
 */
export class SignalStream implements Selectable<NodeJS.Signals>, AsyncIterable<NodeJS.Signals>, Disposable {
  /** Resolves when signals are heard, or when the stream was closed before. On the main thread they are from the start; a shard has to tell the main thread first. */
  readonly listening: Promise<void>;
  readonly #port: MessagePort;
  readonly #untaken = new Set<NodeJS.Signals>();
  readonly #waiting = new Fifo<SelectWaiter<NodeJS.Signals>>();
  #isClosed = false;
  #listens: () => void = () => undefined;

  /** @internal */
  constructor(port: MessagePort) {
    this.#port = port;
    this.listening = new Promise((resolve) => {
      this.#listens = resolve;
    });
    port.on("message", (news: SignalNews) => {
      if (news === "listening") {
        this.#listens();
        this.#holdWhileAwaited();
        return;
      }
      port.postMessage(news satisfies SignalTaken);
      this.#hear(news);
    });
  }

  /** The next signal. Rejects with `ERR_RINGLOOM_ABORTED`, `ERR_RINGLOOM_TIMEOUT`, or `ERR_RINGLOOM_CLOSED` once the stream is closed. */
  next(options: WaitOptions = {}): Promise<NodeJS.Signals> {
    return waitFor(this, { ...options, operation: "wait for a signal" });
  }

  /** The next signal, after which the stream is closed, whatever came of it. */
  async once(options: WaitOptions = {}): Promise<NodeJS.Signals> {
    try {
      return await this.next(options);
    } finally {
      this.close();
    }
  }

  /** Listens no more, and forgets what was not taken: loops end, whoever else waits gets `ERR_RINGLOOM_CLOSED`. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#port.close();
    this.#listens();
    this.#untaken.clear();
    for (let waiter = this.#waiting.shift(); waiter !== undefined; waiter = this.#waiting.shift()) {
      if (waiter.claim()) waiter.reject(closed());
    }
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** All signals until the stream is closed. Leaving the loop closes it. */
  async *[Symbol.asyncIterator](): AsyncGenerator<NodeJS.Signals, void, undefined> {
    try {
      while (!this.#isClosed) yield await this.next();
    } catch (error) {
      if (!this.#isClosed) throw error;
    } finally {
      this.close();
    }
  }

  /** A branch of `select`, won by a signal. */
  [selectable](waiter: SelectWaiter<NodeJS.Signals>): (() => void) | undefined {
    if (this.#isClosed) {
      if (waiter.claim()) waiter.reject(closed());
      return undefined;
    }
    const [untaken] = this.#untaken;
    if (untaken !== undefined) {
      this.#give(waiter, untaken);
      return undefined;
    }
    this.#waiting.push(waiter);
    this.#holdWhileAwaited();
    return () => {
      if (this.#waiting.remove(waiter)) this.#holdWhileAwaited();
    };
  }

  #hear(name: NodeJS.Signals): void {
    if (this.#isClosed) return;
    this.#untaken.add(name);
    while (this.#untaken.has(name)) {
      const waiter = this.#waiting.shift();
      if (waiter === undefined) break;
      this.#give(waiter, name);
    }
    this.#holdWhileAwaited();
  }

  /** Not by itself, only while somebody waits for a signal, does a stream keep its thread alive. */
  #holdWhileAwaited(): void {
    if (this.#waiting.length === 0) this.#port.unref();
    else this.#port.ref();
  }

  #give(waiter: SelectWaiter<NodeJS.Signals>, name: NodeJS.Signals): void {
    if (!waiter.claim()) return;
    this.#untaken.delete(name);
    waiter.resolve(name);
  }
}

function check(names: readonly unknown[]): void {
  if (names.length === 0) throw new TypeError("Cannot listen to signals: none is named");
  for (const name of names) {
    if (typeof name !== "string" || !(name in constants.signals))
      throw new TypeError(`Cannot listen to ${String(name)}: this system has no such signal`);
    if (!NOT_LISTENABLE.includes(name)) continue;
    throw new RingloomError("ERR_RINGLOOM_INVALID_OPTION", `Cannot listen to ${name}: no program can.`, {
      operation: OPERATION,
      details: { signal: name },
    });
  }
}

function closed(): RingloomError {
  return new RingloomError("ERR_RINGLOOM_CLOSED", "Cannot wait for a signal: the stream is closed.", {
    operation: OPERATION,
  });
}
