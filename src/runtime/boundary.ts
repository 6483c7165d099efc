/**
 * A boundary: bounded request and reply over a MessagePort, between Ringloom and any other thread or part of the process: the main thread of an
 * existing Node app, a `Worker` of its own, a shard. Deadlines travel with the calls, and an answer that nobody waits for any more is dropped.
 */
import { MessageChannel, MessagePort } from "node:worker_threads";
import { RingloomError } from "../errors.js";
import { monotonicMs } from "../observe/monotonic.js";
import { BoundaryCaller } from "./boundary-caller.js";
import type { BoundaryMessage } from "./boundary-messages.js";
import { type AnyHandler, type BoundaryContext, BoundaryServer } from "./boundary-server.js";
import { rejectUnknownOptions } from "./option.js";

/** Calls that one end may have unanswered, unless it says otherwise. */
export const BOUNDARY_CAPACITY_DEFAULT = 256;
/** Calls that may wait for room, unless an end says otherwise. */
export const BOUNDARY_WAITING_DEFAULT = 1_024;
/** How long a call may take unless it says otherwise, in milliseconds. */
export const BOUNDARY_TIMEOUT_MS_DEFAULT = 30_000;

const COUNT_MAX = 1_000_000;

/**
 * The bounds of one end of a boundary.
 * @experimental
 */
export interface BoundaryOptions {
  /** Calls of this end that may be unanswered, and calls of the other end that are served here at once: 1 to 1,000,000. Default 256. */
  readonly capacity?: number;
  /** Calls that may wait for room, 0 to 1,000,000; one more is refused. Default 1,024. */
  readonly waiting?: number;
  /** When a call rejects, in milliseconds, waiting for room included; 0 is never. Default 30,000. */
  readonly timeoutMs?: number;
  /** The port of a boundary that another thread has made. Without it a new boundary is made. */
  readonly port?: MessagePort;
}

/**
 * How one call is made.
 * @experimental
 */
export interface BoundaryCallOptions {
  /** When it rejects, in milliseconds from now, waiting for room included; 0 is never. Default: that of the boundary. */
  readonly timeoutMs?: number;
  /** When it rejects, in milliseconds as `Date.now()` counts them. The sooner of both counts. */
  readonly deadline?: number;
  /** Gives it up. The handler's own signal aborts then. */
  readonly signal?: AbortSignal;
}

/**
 * What one end of a boundary has to do.
 * @experimental
 */
export interface BoundaryStats {
  /** Calls of this end that the other one has not answered, those included that were given up. */
  readonly inFlight: number;
  /** Calls of this end that wait for room. */
  readonly waiting: number;
  /** Calls of the other end that are not answered here. */
  readonly running: number;
  /** Answers that came when nobody waited any more. */
  readonly dropped: number;
}

/**
 * One end of a boundary. Both may call and serve; `Ask` and `Reply` are what the calls of the serving side take and give.
 * @experimental
 */
export class Boundary<Ask = unknown, Reply = unknown> {
  /** The other end, to be handed to its thread (in `transfer` or `transferList`); undefined where this end was made of a port. */
  readonly port: MessagePort | undefined;
  /** Resolves when the boundary is closed: by either side, or because the other side's thread ended. */
  readonly closed: Promise<void>;
  readonly #own: MessagePort;
  readonly #caller: BoundaryCaller;
  readonly #server: BoundaryServer;
  readonly #timeoutMs: number;
  #mayKeepAlive = true;

  /** See {@link boundary}. */
  constructor(options: BoundaryOptions = {}) {
    const { capacity, waiting, timeoutMs, port } = checked(options);
    this.#timeoutMs = timeoutMs;
    if (port === undefined) {
      const channel = new MessageChannel();
      this.#own = channel.port1;
      this.port = channel.port2;
    } else {
      this.#own = port;
      this.port = undefined;
    }
    const own = this.#own;
    this.#caller = new BoundaryCaller(
      { capacity, waitingMax: waiting },
      (message) => own.postMessage(message),
      () => this.#keepAlive(),
    );
    this.#server = new BoundaryServer(capacity, (message) => own.postMessage(message));
    this.closed = new Promise((resolve) => {
      own.on("close", () => {
        this.#caller.close();
        this.#server.close();
        resolve();
      });
    });
    own.on("message", (message: BoundaryMessage) => this.#received(message));
    own.unref();
  }

  /** What this end has to do. */
  get stats(): BoundaryStats {
    const { inFlight, waiting, dropped } = this.#caller;
    return { inFlight, waiting, running: this.#server.running, dropped };
  }

  /**
   * Answers the calls of the other end with `handler`, at most `capacity` at once; keeps the thread alive until the boundary is closed. What it throws rejects the call.
   * @throws RingloomError `ERR_RINGLOOM_INVALID_OPTION` when this end serves already.
   */
  serve(handler: (ask: Ask, context: BoundaryContext) => Reply | Promise<Reply>): void {
    if (typeof handler !== "function") throw new TypeError(`Cannot serve a boundary: the handler is ${typeof handler}`);
    if (this.#server.hasHandler) throw invalid("serve a boundary: this end serves already", {});
    // The cast is safe as long as both ends were given the same types.
    this.#server.serve(handler as AnyHandler);
    this.#keepAlive();
  }

  /**
   * Asks the other end, and resolves with its answer. Where `capacity` calls are unanswered it waits for room, in order. Values are structured clones.
   * @throws RingloomError `ERR_RINGLOOM_OVERLOADED` when too many wait, here or there, `ERR_RINGLOOM_TIMEOUT`, `ERR_RINGLOOM_ABORTED`, `ERR_RINGLOOM_CLOSED`,
   * `ERR_RINGLOOM_CALL_FAILED` with what the handler threw as its cause, `ERR_RINGLOOM_NOT_CLONEABLE` for a value that cannot be copied, there or back.
   */
  call(ask: Ask, options: BoundaryCallOptions = {}): Promise<Reply> {
    return this.#call(ask, options, true);
  }

  /**
   * The same, but never waits for room.
   * @throws RingloomError As `call`; `ERR_RINGLOOM_OVERLOADED` at once where there is no room.
   */
  tryCall(ask: Ask, options: BoundaryCallOptions = {}): Promise<Reply> {
    return this.#call(ask, options, false);
  }

  /** Ends it for both sides: unanswered calls reject, handlers hear it by their signal. */
  close(): void {
    this.#caller.close();
    this.#server.close();
    this.#own.close();
  }

  /** Serving no longer keeps the thread alive. Unanswered calls still do. */
  unref(): this {
    this.#mayKeepAlive = false;
    this.#keepAlive();
    return this;
  }

  async #call(
    value: Ask,
    { timeoutMs = this.#timeoutMs, deadline, signal }: BoundaryCallOptions,
    waits: boolean,
  ): Promise<Reply> {
    if (!(timeoutMs >= 0)) throw invalid(`call: timeoutMs is ${timeoutMs}`, { timeoutMs });
    if (deadline !== undefined && !Number.isFinite(deadline))
      throw invalid(`call: deadline is ${deadline}`, { deadline });
    const deadlineMs = soonest(timeoutMs, deadline);
    // The cast is safe as long as both ends were given the same types.
    return (await this.#caller.call({ value, deadlineMs, signal, waits })) as Reply;
  }

  #received(message: BoundaryMessage): void {
    if ("reply" in message) this.#caller.answered(message);
    else this.#server.received(message);
  }

  #keepAlive(): void {
    const { inFlight, waiting } = this.#caller;
    const isNeeded = inFlight > 0 || waiting > 0 || (this.#server.hasHandler && this.#mayKeepAlive);
    if (isNeeded) this.#own.ref();
    else this.#own.unref();
  }
}

/**
 * Makes a boundary, or with `port` the other end of one.
 *
 * @throws RingloomError `ERR_RINGLOOM_INVALID_OPTION`.
 * @example
 * ```ts
 * import { Worker } from "node:worker_threads";
 * import { boundary } from "ringloom";
 * const prices = boundary<string, number>({ capacity: 64, timeoutMs: 200 });
 * const { port } = prices;
 * if (port) new Worker(new URL("./prices.js", import.meta.url), { workerData: port, transferList: [port] });
 * // There: boundary<string, number>({ port: workerData }).serve((name) => priceOf(name));
 * const price = await prices.call("apple", { deadline: Date.now() + 50 }).catch(() => undefined);
 * ```
 * @experimental
 */
export function boundary<Ask = unknown, Reply = unknown>(options: BoundaryOptions = {}): Boundary<Ask, Reply> {
  return new Boundary<Ask, Reply>(options);
}

const OPTION_NAMES = ["capacity", "waiting", "timeoutMs", "port"];

function checked(options: BoundaryOptions): Required<Omit<BoundaryOptions, "port">> & Pick<BoundaryOptions, "port"> {
  rejectUnknownOptions(options, OPTION_NAMES);
  const {
    capacity = BOUNDARY_CAPACITY_DEFAULT,
    waiting = BOUNDARY_WAITING_DEFAULT,
    timeoutMs = BOUNDARY_TIMEOUT_MS_DEFAULT,
    port,
  } = options;
  if (!(Number.isInteger(capacity) && capacity >= 1 && capacity <= COUNT_MAX))
    throw invalid(`make a boundary: capacity is ${capacity}, not a whole number from 1 to ${COUNT_MAX}`, { capacity });
  if (!(Number.isInteger(waiting) && waiting >= 0 && waiting <= COUNT_MAX))
    throw invalid(`make a boundary: waiting is ${waiting}, not a whole number from 0 to ${COUNT_MAX}`, { waiting });
  if (!(timeoutMs >= 0)) throw invalid(`make a boundary: timeoutMs is ${timeoutMs}, not 0 or more`, { timeoutMs });
  if (port !== undefined && !(port instanceof MessagePort))
    throw invalid("make a boundary: port is no MessagePort", {});
  return { capacity, waiting, timeoutMs, ...(port === undefined ? {} : { port }) };
}

/** The sooner of both, as a time of the shared clock; 0 if there is neither. */
function soonest(timeoutMs: number, deadline: number | undefined): number {
  const byTimeout = timeoutMs === 0 ? Number.POSITIVE_INFINITY : timeoutMs;
  const byDeadline = deadline === undefined ? Number.POSITIVE_INFINITY : Math.max(0, deadline - Date.now());
  const leftMs = Math.min(byTimeout, byDeadline);
  return leftMs === Number.POSITIVE_INFINITY ? 0 : monotonicMs() + leftMs;
}

function invalid(what: string, details: Readonly<Record<string, unknown>>): RingloomError {
  return new RingloomError("ERR_RINGLOOM_INVALID_OPTION", `Cannot ${what}.`, { operation: "boundary", details });
}
