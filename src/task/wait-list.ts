/**
 * Those that wait for one thing, first come, first served. Every channel, lock and event has one or two of these.
 *
 * A doubly linked list through the waiters themselves, so that joining, being served and giving up take the same short time however many wait. All on one thread: what happens in one call of a method, nobody sees half of.
 */
import { WAITING_MAX_DEFAULT } from "../constants.js";
import type { RingloomError } from "../errors.js";
import { waitBegun, waitOver } from "../scheduler/open-waits.js";
import type { SelectWaiter } from "./selectable.js";
import { afterTurn, isOverBudget } from "./turn-budget.js";
import { invalidArgument, overloadedWait, type WaitOptions } from "./wait-errors.js";
import { armWait, waitRefusal } from "./wait-limits.js";

/** One that waits: a promise, or a branch of a `select`. */
export class Waiter<Value, Ask> {
  /** What it brings or asks for: the value that is sent, the number of permits. */
  readonly ask: Ask;
  readonly resolve: (value: Value) => void;
  readonly reject: (error: unknown) => void;
  /** The branch of a `select`, if it is one. */
  readonly branch: SelectWaiter<Value> | undefined;
  previous: Waiter<Value, Ask> | undefined;
  next: Waiter<Value, Ask> | undefined;
  isListed = false;
  /** Ends its signal's listener and its timer. */
  disarm: (() => void) | undefined;

  constructor(ask: Ask, settle: Settle<Value>, branch?: SelectWaiter<Value>) {
    this.ask = ask;
    this.resolve = settle.resolve;
    this.reject = settle.reject;
    this.branch = branch;
    this.previous = undefined;
    this.next = undefined;
    this.disarm = undefined;
  }

  /** Gives it what it waited for; it has been taken out of its list. */
  settle(value: Value): void {
    this.disarm?.();
    if (this.branch !== undefined) this.branch.resolve(value);
    else if (isOverBudget()) afterTurn(() => this.resolve(value));
    else this.resolve(value);
  }

  /** Its wait has failed; it has been taken out of its list. */
  fail(error: unknown): void {
    this.disarm?.();
    if (this.branch === undefined) this.reject(error);
    else this.branch.reject(error);
  }
}

/** How to settle a promise. */
interface Settle<Value> {
  resolve(value: Value): void;
  reject(error: unknown): void;
}

/** What `new Promise(capture)` was given last. A closure for each wait would cost as much as the waiter. */
const captured: Settle<unknown> = { resolve: unsettled, reject: unsettled };

function capture(resolve: (value: unknown) => void, reject: (error: unknown) => void): void {
  captured.resolve = resolve;
  captured.reject = reject;
}

function unsettled(): void {}

/** What a list is given besides. */
export interface WaitListOptions {
  readonly waitingMax?: number | undefined;
  /** Called when one has given up, which may be what kept those behind it waiting. */
  readonly whenLeft?: () => void;
}

/** A list of those that wait. `Value` is what they get, `Ask` what they bring. */
export class WaitList<Value, Ask = undefined> {
  #first: Waiter<Value, Ask> | undefined;
  #last: Waiter<Value, Ask> | undefined;
  #length = 0;
  readonly #operation: string;
  readonly #waitingMax: number;
  readonly #whenLeft: (() => void) | undefined;

  /** `operation` is the verb for the errors of its waits. */
  constructor(operation: string, { waitingMax = WAITING_MAX_DEFAULT, whenLeft }: WaitListOptions = {}) {
    if (typeof waitingMax !== "number" || !(waitingMax >= 0)) {
      throw invalidArgument(operation, "waitingMax must be a number from 0");
    }
    this.#operation = operation;
    this.#waitingMax = waitingMax;
    this.#whenLeft = whenLeft;
  }

  get length(): number {
    return this.#length;
  }

  /** The one that is served next. */
  get first(): Waiter<Value, Ask> | undefined {
    return this.#first;
  }

  /** Why a wait with these options cannot begin, even if what it waits for is there: they are wrong, or the signal is aborted already. */
  refusal(options: WaitOptions): RingloomError | undefined {
    return waitRefusal(this.#operation, options);
  }

  /** Waits. The promise rejects as {@link WaitOptions} say, or at once if too many wait already. */
  wait(ask: Ask, options?: WaitOptions): Promise<Value> {
    if (this.#length >= this.#waitingMax) return Promise.reject(this.#overloaded());
    const promise = new Promise(capture);
    const waiter = new Waiter<Value, Ask>(ask, captured);
    // What was captured must not be kept from here.
    captured.resolve = unsettled;
    captured.reject = unsettled;
    this.#add(waiter);
    if (options !== undefined) this.#arm(waiter, options);
    return promise as Promise<Value>;
  }

  /** A branch of a `select` waits. Gives what makes it leave. */
  join(ask: Ask, branch: SelectWaiter<Value>): (() => void) | undefined {
    if (this.#length >= this.#waitingMax) {
      if (branch.claim()) branch.reject(this.#overloaded());
      return undefined;
    }
    const waiter = new Waiter<Value, Ask>(ask, captured, branch);
    this.#add(waiter);
    return () => {
      if (this.#remove(waiter)) this.#whenLeft?.();
    };
  }

  /** Whether somebody waits who is no branch of that `select`: two branches of one never meet. */
  hasOther(selection: object | undefined): boolean {
    if (selection === undefined) return this.#length > 0;
    return this.#firstOther(selection) !== undefined;
  }

  /** Takes out the one that has waited longest and still wants it, and is no branch of that `select`. The caller settles it at once. */
  take(selection?: object): Waiter<Value, Ask> | undefined {
    for (;;) {
      const waiter = selection === undefined ? this.#first : this.#firstOther(selection);
      if (waiter === undefined) return undefined;
      this.#remove(waiter);
      if (waiter.branch === undefined || waiter.branch.claim()) return waiter;
    }
  }

  /** Takes out the one that is {@link WaitList.first}. Undefined if it has lost interest. The caller settles it at once. */
  takeFirst(): Waiter<Value, Ask> | undefined {
    const waiter = this.#first;
    if (waiter === undefined) return undefined;
    this.#remove(waiter);
    return waiter.branch === undefined || waiter.branch.claim() ? waiter : undefined;
  }

  /** All of them fail. `errorFor` is asked once each. */
  failAll(errorFor: (ask: Ask) => unknown): void {
    for (let waiter = this.take(); waiter !== undefined; waiter = this.take()) waiter.fail(errorFor(waiter.ask));
  }

  #firstOther(selection: object): Waiter<Value, Ask> | undefined {
    let waiter = this.#first;
    while (waiter !== undefined && waiter.branch?.selection === selection) waiter = waiter.next;
    return waiter;
  }

  #add(waiter: Waiter<Value, Ask>): void {
    waitBegun("waiter", waiter);
    waiter.isListed = true;
    waiter.previous = this.#last;
    if (this.#last === undefined) this.#first = waiter;
    else this.#last.next = waiter;
    this.#last = waiter;
    this.#length += 1;
  }

  #remove(waiter: Waiter<Value, Ask>): boolean {
    if (!waiter.isListed) return false;
    waitOver(waiter);
    const { previous, next } = waiter;
    if (previous === undefined) this.#first = next;
    else previous.next = next;
    if (next === undefined) this.#last = previous;
    else next.previous = previous;
    waiter.previous = undefined;
    waiter.next = undefined;
    waiter.isListed = false;
    this.#length -= 1;
    return true;
  }

  #arm(waiter: Waiter<Value, Ask>, options: WaitOptions): void {
    waiter.disarm = armWait(options, this.#operation, (error) => {
      if (!this.#remove(waiter)) return;
      waiter.fail(error);
      this.#whenLeft?.();
    });
  }

  #overloaded(): RingloomError {
    return overloadedWait(this.#operation, this.#waitingMax);
  }
}
