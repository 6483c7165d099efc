/**
 * The serving half of a boundary's end: runs the handler for each ask, and answers each once.
 *
 * An ask that arrives before there is a handler waits, and counts like one that runs. What its caller has given up is not begun; if it runs,
 * its signal aborts and it is answered when it returns, so that the caller knows that there is room again.
 */
import { isCloneRefusal, RingloomError } from "../errors.js";
import { monotonicMs } from "../observe/monotonic.js";
import { toThrownRecord } from "../scheduler/error-codec.js";
import { canceled, closed, timedOut } from "./boundary-errors.js";
import type { CallerMessage, Refusal, ServerMessage } from "./boundary-messages.js";
import { runIsolated } from "./isolated.js";

/**
 * What a handler knows about the call that it serves.
 * @experimental
 */
export interface BoundaryContext {
  /** Aborts when the caller gives up, its time is over, or the boundary closes. */
  readonly signal: AbortSignal;
  /** When the caller stops to wait, in milliseconds as `Date.now()` counts them; undefined if it never does. Pass it on to the calls that the handler makes. */
  readonly deadline: number | undefined;
  /** How long the caller still waits, in milliseconds: `Infinity` without a deadline, 0 when its time is over. */
  remainingMs(): number;
}

/** What serves the asks of the other side. */
export type AnyHandler = (value: unknown, context: BoundaryContext) => unknown;

type Ask = Extract<CallerMessage, { ask: number }>;

/** The longest time that a timer of Node's takes, in milliseconds. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/** See the top of the file. */
export class BoundaryServer {
  readonly #capacity: number;
  readonly #send: (message: ServerMessage) => void;
  readonly #begun = new Map<number, AbortController>();
  readonly #waiting = new Map<number, Ask>();
  #handler: AnyHandler | undefined;

  constructor(capacity: number, send: (message: ServerMessage) => void) {
    this.#capacity = capacity;
    this.#send = send;
  }

  /** Asks that are not answered. */
  get running(): number {
    return this.#begun.size + this.#waiting.size;
  }

  get hasHandler(): boolean {
    return this.#handler !== undefined;
  }

  /** From now on asks are served, those that wait first. */
  serve(handler: AnyHandler): void {
    this.#handler = handler;
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const ask of waiting) this.#begin(ask, handler);
  }

  received(message: CallerMessage): void {
    if ("cancel" in message) return this.#cancel(message.cancel);
    if (this.running >= this.#capacity) return this.#refuse(message.ask, "overloaded");
    if (this.#handler === undefined) this.#waiting.set(message.ask, message);
    else this.#begin(message, this.#handler);
  }

  /** Nobody waits for any answer. */
  close(): void {
    this.#waiting.clear();
    for (const controller of this.#begun.values()) controller.abort(closed());
    this.#begun.clear();
  }

  #cancel(ask: number): void {
    this.#begun.get(ask)?.abort(canceled());
    if (this.#waiting.delete(ask)) this.#refuse(ask, "aborted");
  }

  #refuse(ask: number, refused: Refusal): void {
    this.#send({ reply: ask, refused });
  }

  #begin(message: Ask, handler: AnyHandler): void {
    const { ask, value, deadlineMs } = message;
    if (deadlineMs > 0 && monotonicMs() >= deadlineMs) return this.#refuse(ask, "timeout");
    const controller = new AbortController();
    this.#begun.set(ask, controller);
    const leftMs = Math.min(Math.max(deadlineMs - monotonicMs(), 0), TIMER_MS_MAX);
    const timer = deadlineMs === 0 ? undefined : setTimeout(() => controller.abort(timedOut()), leftMs).unref();
    const context = contextOf(controller.signal, deadlineMs);
    void runIsolated("RINGLOOM_BOUNDARY", async () => {
      try {
        this.#answer(ask, await handler(value, context));
      } catch (error) {
        this.#tell(ask, failureOf(ask, error, controller.signal));
      } finally {
        clearTimeout(timer);
        this.#begun.delete(ask);
      }
    });
  }

  #answer(ask: number, value: unknown): void {
    try {
      this.#tell(ask, { reply: ask, value });
    } catch (error) {
      // What a getter of the value throws is the handler's own.
      if (!isCloneRefusal(error)) throw error;
      this.#tell(ask, { reply: ask, uncloneable: error.message });
    }
  }

  /** Answers, unless the boundary was closed meanwhile. */
  #tell(ask: number, message: ServerMessage): void {
    if (this.#begun.has(ask)) this.#send(message);
  }
}

/** What a handler throws when it hears that nobody waits is the consequence, and not what the caller should see. */
function failureOf(ask: number, error: unknown, { aborted, reason }: AbortSignal): ServerMessage {
  if (!aborted) return { reply: ask, thrown: toThrownRecord(error) };
  const isLate = reason instanceof RingloomError && reason.code === "ERR_RINGLOOM_TIMEOUT";
  return { reply: ask, refused: isLate ? "timeout" : "aborted" };
}

function contextOf(signal: AbortSignal, deadlineMs: number): BoundaryContext {
  const remainingMs = (): number =>
    deadlineMs === 0 ? Number.POSITIVE_INFINITY : Math.max(0, deadlineMs - monotonicMs());
  return {
    signal,
    remainingMs,
    deadline: deadlineMs === 0 ? undefined : Date.now() + (deadlineMs - monotonicMs()),
  };
}
