/**
 * The calling half of a boundary's end: who waits for an answer, and who waits for room to ask.
 *
 *     waiting for room → asked → answered          asked → given up → answered: then there is room again, and the answer is dropped
 *
 * A call that was given up keeps its room until the other side has answered it, because its handler may still run there. So the number of handlers
 * that run at once for this end is never above the capacity, whatever callers do.
 */
import { monotonicMs } from "../observe/monotonic.js";
import { fromThrownRecord } from "../scheduler/error-codec.js";
import {
  callFailed,
  canceled,
  cloneFailed,
  closed,
  overloaded,
  replyNotCloneable,
  timedOut,
} from "./boundary-errors.js";
import type { CallerMessage, ServerMessage } from "./boundary-messages.js";

/** One call, from the moment at which it was made. */
export interface OutgoingCall {
  readonly value: unknown;
  /** A time of the shared clock, 0 for none. */
  readonly deadlineMs: number;
  readonly signal: AbortSignal | undefined;
  /** Whether it may wait for room. */
  readonly waits: boolean;
}

/** The bounds of the calling half. */
export interface CallerBounds {
  /** Asks that are not answered. */
  readonly capacity: number;
  /** Calls that wait for room. */
  readonly waitingMax: number;
}

/** A call that waits for room. */
interface Waiter {
  readonly begin: () => void;
  readonly reject: (error: unknown) => void;
}

interface Pending {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/** The longest time that a timer of Node's takes, in milliseconds. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/** See the top of the file. */
export class BoundaryCaller {
  readonly #bounds: CallerBounds;
  readonly #send: (message: CallerMessage) => void;
  readonly #onIdle: (isIdle: boolean) => void;
  /** Asked and not answered; undefined for those that were given up. */
  readonly #asked = new Map<number, Pending | undefined>();
  /** In their order. */
  readonly #waiting = new Set<Waiter>();
  #nextAsk = 0;
  #isClosed = false;
  /** Answers that nobody waited for any more. */
  dropped = 0;

  constructor(bounds: CallerBounds, send: (message: CallerMessage) => void, onIdle: (isIdle: boolean) => void) {
    this.#bounds = bounds;
    this.#send = send;
    this.#onIdle = onIdle;
  }

  get inFlight(): number {
    return this.#asked.size;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  async call({ value, deadlineMs, signal, waits }: OutgoingCall): Promise<unknown> {
    if (this.#isClosed) throw closed();
    if (signal?.aborted === true) throw canceled(signal.reason);
    if (deadlineMs > 0 && monotonicMs() >= deadlineMs) throw timedOut();
    const hasRoom = this.#asked.size < this.#bounds.capacity && this.#waiting.size === 0;
    if (!hasRoom) this.#checkWaiting(waits);
    // What waits is cloned now, so that it is the value of this moment in either case.
    const held = hasRoom ? value : cloned(value);
    let stopWatching: () => void = () => undefined;
    try {
      return await new Promise<unknown>((resolve, reject) => {
        let ask: number | undefined;
        const waiter: Waiter = {
          begin: () => {
            ask = this.#ask(held, deadlineMs, { resolve, reject });
          },
          reject,
        };
        stopWatching = onGivenUp({ deadlineMs, signal }, (error) => {
          reject(error);
          if (ask !== undefined) this.#giveUp(ask, signal?.aborted === true);
          else this.#waiting.delete(waiter);
          this.#tellIdle();
        });
        if (hasRoom) return waiter.begin();
        this.#waiting.add(waiter);
        this.#tellIdle();
      });
    } finally {
      stopWatching();
    }
  }

  /** The other side has answered. */
  answered(message: ServerMessage): void {
    const pending = this.#asked.get(message.reply);
    if (!this.#asked.delete(message.reply)) return;
    if (pending === undefined) this.dropped += 1;
    else settle(pending, message);
    this.#fill();
    this.#tellIdle();
  }

  /** No answer comes any more. */
  close(): void {
    this.#isClosed = true;
    const error = closed();
    for (const pending of this.#asked.values()) pending?.reject(error);
    for (const { reject } of this.#waiting) reject(error);
    this.#asked.clear();
    this.#waiting.clear();
  }

  #checkWaiting(waits: boolean): void {
    const { capacity, waitingMax } = this.#bounds;
    if (!waits) throw overloaded(`${capacity} calls are not answered`);
    if (this.#waiting.size >= waitingMax) throw overloaded(`${waitingMax} calls wait for room`);
  }

  #ask(value: unknown, deadlineMs: number, pending: Pending): number {
    const ask = this.#nextAsk++;
    try {
      this.#send({ ask, value, deadlineMs });
    } catch (error) {
      // It cannot be cloned, so it was not sent.
      pending.reject(cloneFailed(error));
      return ask;
    }
    this.#asked.set(ask, pending);
    this.#tellIdle();
    return ask;
  }

  #giveUp(ask: number, isAborted: boolean): void {
    if (this.#asked.get(ask) === undefined) return;
    this.#asked.set(ask, undefined);
    // The other side knows the deadline itself.
    if (isAborted) this.#send({ cancel: ask });
  }

  #fill(): void {
    for (const waiter of this.#waiting) {
      if (this.#asked.size >= this.#bounds.capacity) return;
      this.#waiting.delete(waiter);
      waiter.begin();
    }
  }

  #tellIdle(): void {
    this.#onIdle(this.#asked.size === 0 && this.#waiting.size === 0);
  }
}

/** Calls `giveUp` when the time is over or the signal aborts, until the function that it returns is called. */
function onGivenUp(
  { deadlineMs, signal }: Pick<OutgoingCall, "deadlineMs" | "signal">,
  giveUp: (error: unknown) => void,
): () => void {
  const onAbort = (): void => giveUp(canceled(signal?.reason));
  signal?.addEventListener("abort", onAbort, { once: true });
  const leftMs = Math.min(Math.max(deadlineMs - monotonicMs(), 0), TIMER_MS_MAX);
  const timer = deadlineMs === 0 ? undefined : setTimeout(() => giveUp(timedOut()), leftMs);
  return () => {
    clearTimeout(timer);
    signal?.removeEventListener("abort", onAbort);
  };
}

function settle(pending: Pending, message: ServerMessage): void {
  if ("value" in message) return pending.resolve(message.value);
  if ("thrown" in message) return pending.reject(callFailed(fromThrownRecord(message.thrown)));
  if ("uncloneable" in message) return pending.reject(replyNotCloneable(message.uncloneable));
  switch (message.refused) {
    case "overloaded":
      return pending.reject(overloaded("the other side runs as many calls as it may"));
    case "timeout":
      return pending.reject(timedOut());
    case "aborted":
      return pending.reject(canceled());
  }
}

function cloned(value: unknown): unknown {
  try {
    return structuredClone(value);
  } catch (error) {
    throw cloneFailed(error);
  }
}
