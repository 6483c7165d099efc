/** Those on one thread that wait for a structure which threads share: promises and branches of `select`, first come, first served. */
import { RingloomError } from "../errors.js";
import { onAbort } from "../scheduler/abort-listeners.js";
import type { SelectWaiter } from "../task/selectable.js";

/** The longest time that a timer of Node's takes, in milliseconds. */
const TIMER_MS_MAX = 2 ** 31 - 1;
/** Callers of one thread that may wait for one structure unless it says otherwise. */
export const SHARED_WAITING_MAX_DEFAULT = 65_536;

/**
 * How long one call waits.
 * @experimental
 */
export interface SharedWaitOptions {
  /** Gives the wait up: it rejects with `ERR_RINGLOOM_ABORTED`, and the signal's reason as its cause. */
  readonly signal?: AbortSignal;
  /** When it rejects with `ERR_RINGLOOM_TIMEOUT`, in milliseconds; 0 is never, the default. */
  readonly timeoutMs?: number;
}

/** What is waited for, for errors: `{ operation: "lock", what: 'the mutex "jobs"' }`. */
export interface SharedSubject {
  readonly operation: string;
  readonly what: string;
  readonly waitingMax: number;
}

/** One that waits. */
export class SharedWaiter<Value, Ask> {
  readonly ask: Ask;
  readonly #branch: SelectWaiter<Value>;
  /** Ends its signal's listener and its timer. */
  disarm: (() => void) | undefined;

  constructor(ask: Ask, branch: SelectWaiter<Value>) {
    this.ask = ask;
    this.#branch = branch;
  }

  claim(): boolean {
    return this.#branch.claim();
  }

  settle(value: Value): void {
    this.disarm?.();
    this.#branch.resolve(value);
  }

  fail(error: unknown): void {
    this.disarm?.();
    this.#branch.reject(error);
  }
}

/** A queue of them. `Value` is what they get, `Ask` what they bring. */
export class SharedWaiters<Value, Ask = undefined> {
  readonly #subject: SharedSubject;
  readonly #left: () => void;
  readonly #waiters = new Set<SharedWaiter<Value, Ask>>();

  /** @param left Called when one has given up. */
  constructor(subject: SharedSubject, left: () => void) {
    this.#subject = subject;
    this.#left = left;
  }

  get size(): number {
    return this.#waiters.size;
  }

  /** Why a call with these options cannot begin: they are wrong, or the signal is aborted already. */
  refusal(options: SharedWaitOptions | undefined): RingloomError | undefined {
    return options === undefined ? undefined : waitRefusal(this.#subject, options);
  }

  /** Adds one that is a promise. It rejects as the options say, or at once if too many wait already. */
  wait(ask: Ask, options: SharedWaitOptions | undefined): Promise<Value> {
    if (this.#waiters.size >= this.#subject.waitingMax) return Promise.reject(this.#overloaded());
    return new Promise((resolve, reject) => {
      const waiter = new SharedWaiter<Value, Ask>(ask, { claim: isAlways, resolve, reject });
      this.#waiters.add(waiter);
      if (options === undefined) return;
      waiter.disarm = armWait(this.#subject, options, (error) => {
        if (!this.#waiters.delete(waiter)) return;
        waiter.fail(error);
        this.#left();
      });
    });
  }

  /** Adds a branch of a `select`; gives what makes it leave. */
  join(ask: Ask, branch: SelectWaiter<Value>): (() => void) | undefined {
    if (this.#waiters.size >= this.#subject.waitingMax) {
      if (branch.claim()) branch.reject(this.#overloaded());
      return undefined;
    }
    const waiter = new SharedWaiter<Value, Ask>(ask, branch);
    this.#waiters.add(waiter);
    return () => {
      if (this.#waiters.delete(waiter)) this.#left();
    };
  }

  /** Takes out the one that has waited longest and still wants it. The caller settles it at once. */
  take(): SharedWaiter<Value, Ask> | undefined {
    for (const waiter of this.#waiters) {
      this.#waiters.delete(waiter);
      if (waiter.claim()) return waiter;
    }
    return undefined;
  }

  #overloaded(): RingloomError {
    const { operation, what, waitingMax } = this.#subject;
    return new RingloomError(
      "ERR_RINGLOOM_OVERLOADED",
      `Cannot ${operation}: ${waitingMax} callers wait for ${what} on this thread already.`,
      { operation, details: { waitingMax } },
    );
  }
}

/** Why a wait with these options cannot begin. */
export function waitRefusal(
  subject: SharedSubject,
  { signal, timeoutMs = 0 }: SharedWaitOptions,
): RingloomError | undefined {
  const { operation } = subject;
  if (!(typeof timeoutMs === "number" && timeoutMs >= 0 && timeoutMs <= TIMER_MS_MAX)) {
    return invalid(operation, `timeoutMs is ${String(timeoutMs)}, not a number from 0 to ${TIMER_MS_MAX}`);
  }
  if (signal === undefined) return undefined;
  if (!(signal instanceof AbortSignal)) return invalid(operation, "signal is no AbortSignal");
  return signal.aborted ? aborted(subject, signal.reason) : undefined;
}

/** Calls `giveUp` once, when the signal is aborted or the time is over. Gives what ends that. */
export function armWait(
  subject: SharedSubject,
  { signal, timeoutMs = 0 }: SharedWaitOptions,
  giveUp: (error: RingloomError) => void,
): (() => void) | undefined {
  const stopListening =
    signal === undefined ? undefined : onAbort(signal, () => giveUp(aborted(subject, signal.reason)));
  if (timeoutMs === 0) return stopListening;
  const timer = setTimeout(() => giveUp(timedOut(subject, timeoutMs)), timeoutMs);
  return () => {
    stopListening?.();
    clearTimeout(timer);
  };
}

/** An argument that cannot be used. */
export function invalid(operation: string, why: string): RingloomError {
  return new RingloomError("ERR_RINGLOOM_INVALID_OPTION", `Cannot ${operation}: ${why}.`, { operation });
}

function aborted({ operation, what }: SharedSubject, cause: unknown): RingloomError {
  return new RingloomError("ERR_RINGLOOM_ABORTED", `Cannot ${operation}: the wait for ${what} was given up.`, {
    operation,
    cause,
  });
}

function timedOut({ operation, what }: SharedSubject, timeoutMs: number): RingloomError {
  return new RingloomError("ERR_RINGLOOM_TIMEOUT", `Cannot ${operation}: ${what} took longer than ${timeoutMs} ms.`, {
    operation,
    details: { timeoutMs },
  });
}

function isAlways(): boolean {
  return true;
}
