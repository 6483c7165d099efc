/** Those on one thread that wait for a structure which threads share: promises and branches of `select`, first come, first served. */
import { RingloomError } from "../errors.js";
import { waitBegun, waitOver } from "../scheduler/open-waits.js";
import type { SelectWaiter } from "../task/selectable.js";
import { overloadedWait, type WaitedFor, type WaitOptions } from "../task/wait-errors.js";
import { armWait, waitRefusal } from "../task/wait-limits.js";

/** What is waited for, for errors: `{ operation: "lock", what: 'the mutex "jobs"' }`. */
export interface SharedSubject extends WaitedFor {
  readonly what: string;
  readonly waitingMax: number;
  /** What those that wait may bring together, in bytes. Default: any. One that is larger may wait alone. */
  readonly waitingBytesMax?: number;
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

  get isOver(): boolean {
    return this.#branch.isOver === true;
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
  readonly #weigh: (ask: Ask) => number;
  readonly #waiters = new Set<SharedWaiter<Value, Ask>>();
  /** What they have brought, in bytes. */
  #bytes = 0;

  /**
   * @param left Called when one has given up.
   * @param weigh The bytes that one keeps while it waits.
   */
  constructor(subject: SharedSubject, left: () => void, weigh: (ask: Ask) => number = weighsNothing) {
    this.#subject = subject;
    this.#left = left;
    this.#weigh = weigh;
  }

  get size(): number {
    return this.#waiters.size;
  }

  /** Why a call with these options cannot begin: they are wrong, or the signal is aborted already. */
  refusal(options: WaitOptions | undefined): RingloomError | undefined {
    return sharedRefusal(this.#subject, options);
  }

  /** Adds one that is a promise. It rejects as the options say, or at once if too many wait already. */
  wait(ask: Ask, options: WaitOptions | undefined): Promise<Value> {
    const refused = this.#overload(ask);
    if (refused !== undefined) return Promise.reject(refused);
    return new Promise((resolve, reject) => {
      const waiter = new SharedWaiter<Value, Ask>(ask, { claim: isAlways, resolve, reject });
      this.#add(waiter);
      if (options === undefined) return;
      waiter.disarm = armWait(options, this.#subject, (error) => {
        if (!this.#remove(waiter)) return;
        waiter.fail(error);
        this.#left();
      });
    });
  }

  /** Adds a branch of a `select`; gives what makes it leave. */
  join(ask: Ask, branch: SelectWaiter<Value>): (() => void) | undefined {
    const refused = this.#overload(ask);
    if (refused !== undefined) {
      if (branch.claim()) branch.reject(refused);
      return undefined;
    }
    const waiter = new SharedWaiter<Value, Ask>(ask, branch);
    this.#add(waiter);
    return () => {
      if (this.#remove(waiter)) this.#left();
    };
  }

  /** Whether somebody may still want it. Forgets those whose `select` is over. */
  hasTaker(): boolean {
    for (const waiter of this.#waiters) {
      if (!waiter.isOver) return true;
      this.#remove(waiter);
    }
    return false;
  }

  /** Takes out the one that has waited longest and still wants it. The caller settles it at once. */
  take(): SharedWaiter<Value, Ask> | undefined {
    for (const waiter of this.#waiters) {
      this.#remove(waiter);
      if (waiter.claim()) return waiter;
    }
    return undefined;
  }

  #add(waiter: SharedWaiter<Value, Ask>): void {
    waitBegun("waiter", waiter);
    this.#bytes += this.#weigh(waiter.ask);
    this.#waiters.add(waiter);
  }

  #remove(waiter: SharedWaiter<Value, Ask>): boolean {
    waitOver(waiter);
    if (!this.#waiters.delete(waiter)) return false;
    this.#bytes -= this.#weigh(waiter.ask);
    return true;
  }

  /** Why one more cannot wait. */
  #overload(ask: Ask): RingloomError | undefined {
    const { waitingMax, waitingBytesMax = Number.POSITIVE_INFINITY, operation, what } = this.#subject;
    if (this.#waiters.size >= waitingMax) return overloadedWait(this.#subject, waitingMax);
    if (this.#bytes === 0 || this.#bytes + this.#weigh(ask) <= waitingBytesMax) return undefined;
    return new RingloomError(
      "ERR_RINGLOOM_OVERLOADED",
      `Cannot ${operation} ${what}: ${this.#bytes} bytes of at most ${waitingBytesMax} wait already.`,
      { operation, details: { waitingBytes: this.#bytes, waitingBytesMax } },
    );
  }
}

/** Why a wait with these options cannot begin: they are wrong, or the signal is aborted already. */
export function sharedRefusal(subject: SharedSubject, options: WaitOptions | undefined): RingloomError | undefined {
  return options === undefined ? undefined : waitRefusal(subject, options);
}

function weighsNothing(): number {
  return 0;
}

function isAlways(): boolean {
  return true;
}
