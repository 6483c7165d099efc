/** Locks that many may read at once, or one may write. */
import { type Selectable, type SelectWaiter, selectable } from "../task/selectable.js";
import type { Started } from "../task/started.js";
import { completedWith } from "../task/turn-budget.js";
import type { WaitingOptions, WaitOptions } from "../task/wait-errors.js";
import { checkedForm } from "../task/wait-limits.js";
import { WaitList } from "../task/wait-list.js";
import { checkHeld, Guard, holding } from "./guard.js";

/**
 * Makes a lock for readers and writers.
 * @throws RingloomError `ERR_RINGLOOM_INVALID_OPTION`.
 * @example
 * ```ts run
 * import { rwLock } from "ringloom/sync";
 * const lock = rwLock();
 * const [first, second] = [await lock.read(), await lock.read()];
 * console.log(lock.tryWrite()); // undefined: others read
 * first.release();
 * second.release();
 * await lock.withWrite(() => console.log("alone"));
 * ```
 * @experimental
 */
export function rwLock(options: WaitingOptions = {}): RwLock {
  return new RwLock(options);
}

/**
 * What a writer holds.
 * @experimental
 */
export class WriteGuard extends Guard {
  readonly #becomeReader: () => Guard;

  /** @internal */
  constructor(free: () => void, becomeReader: () => Guard) {
    super(free);
    this.#becomeReader = becomeReader;
  }

  /** Goes on as a reader, without anybody writing in between; readers that are next come in. This guard is released. Throws RingloomError `ERR_RINGLOOM_STALE_HANDLE` if it was. */
  downgrade(): Guard {
    checkHeld(this, "downgrade");
    const reader = this.#becomeReader();
    this.release();
    return reader;
  }
}

/**
 * A lock for readers and writers. Made by {@link rwLock}. Fair: a reader that comes while a writer waits stands behind that writer.
 * @experimental
 */
export class RwLock {
  #readers = 0;
  #isWriting = false;
  /** The ask: whether it is to write. */
  readonly #waiting: WaitList<Guard, boolean>;

  /** @internal */
  constructor(options: WaitingOptions) {
    const { waitingMax } = checkedForm("make a lock", options, ["waitingMax"]);
    this.#waiting = new WaitList("lock", { waitingMax, whenLeft: () => this.#serve() });
  }

  /** Those that read now. */
  get readers(): number {
    return this.#readers;
  }

  get isWriting(): boolean {
    return this.#isWriting;
  }

  /**
   * Waits until it may read.
   * @throws RingloomError (rejects) `ERR_RINGLOOM_ABORTED`, `ERR_RINGLOOM_TIMEOUT`, `ERR_RINGLOOM_OVERLOADED` when too many wait.
   */
  read(options?: WaitOptions): Started<Guard> {
    return this.#lock(false, options);
  }

  /**
   * Waits until it may write.
   * @throws RingloomError (rejects) as {@link RwLock.read} does.
   */
  write(options?: WaitOptions): Started<WriteGuard> {
    // The cast is safe because true asks for a writer's guard, here and below.
    return this.#lock(true, options) as Promise<WriteGuard>;
  }

  /** Reads if nobody writes or waits, else undefined. */
  tryRead(): Guard | undefined {
    return this.#canLock(false) ? this.#take(false) : undefined;
  }

  /** Writes if nobody reads, writes or waits, else undefined. */
  tryWrite(): WriteGuard | undefined {
    return this.#canLock(true) ? (this.#take(true) as WriteGuard) : undefined;
  }

  /** Calls a function while it may read. */
  withRead<Result>(run: (guard: Guard) => Result | PromiseLike<Result>, options?: WaitOptions): Promise<Result> {
    return holding(this.read(options), run);
  }

  /** Calls a function while it may write. */
  withWrite<Result>(run: (guard: WriteGuard) => Result | PromiseLike<Result>, options?: WaitOptions): Promise<Result> {
    return holding(this.write(options), run);
  }

  /** For `select`: reading as a branch. */
  reading(): Selectable<Guard> {
    return { [selectable]: (branch) => this.#lockAsBranch(false, branch) };
  }

  /** For `select`: writing as a branch. */
  writing(): Selectable<WriteGuard> {
    return { [selectable]: (branch) => this.#lockAsBranch(true, branch as SelectWaiter<Guard>) };
  }

  #lock(isWriter: boolean, options: WaitOptions | undefined): Promise<Guard> {
    if (options !== undefined) {
      const refused = this.#waiting.refusal(options);
      if (refused !== undefined) return Promise.reject(refused);
    }
    return this.#canLock(isWriter) ? completedWith(this.#take(isWriter)) : this.#waiting.wait(isWriter, options);
  }

  #lockAsBranch(isWriter: boolean, branch: SelectWaiter<Guard>): (() => void) | undefined {
    if (!this.#canLock(isWriter)) return this.#waiting.join(isWriter, branch);
    if (branch.claim()) branch.resolve(this.#take(isWriter));
    return undefined;
  }

  #canLock(isWriter: boolean): boolean {
    return this.#waiting.length === 0 && this.#isFreeFor(isWriter);
  }

  #isFreeFor(isWriter: boolean): boolean {
    return !this.#isWriting && (!isWriter || this.#readers === 0);
  }

  #take(isWriter: boolean): Guard {
    if (isWriter) {
      this.#isWriting = true;
      return new WriteGuard(this.#freeWriter, this.#takeReader);
    }
    return this.#takeReader();
  }

  readonly #takeReader = (): Guard => {
    this.#readers += 1;
    return new Guard(this.#freeReader);
  };

  readonly #freeReader = (): void => {
    this.#readers -= 1;
    this.#serve();
  };

  readonly #freeWriter = (): void => {
    this.#isWriting = false;
    this.#serve();
  };

  #serve(): void {
    for (;;) {
      const { first } = this.#waiting;
      if (first === undefined || !this.#isFreeFor(first.ask)) return;
      const waiter = this.#waiting.takeFirst();
      waiter?.settle(this.#take(waiter.ask));
    }
  }
}
