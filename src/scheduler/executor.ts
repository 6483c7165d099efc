/**
 * Running tasks on this thread: finds a hint, claims the task, calls its function, and writes the outcome where its origin finds it.
 *
 *     own queue, newest first → inbox → injector → other threads' queues, oldest first
 *
 * The newest first, because a task that spawns tasks and waits for them stays in flight until all below it are done: in breadth, the whole tree would be in flight at once. Now and then the inbox and the injector
 * come first (`injector-interval.ts`), and rarely the oldest of the own queue, so that nothing starves: each time one more tree is begun before the last one is done.
 *
 * A task whose module this thread has not imported yet is no task for it until it has: the import may be slow, the thread may have other work when it is done, and other threads may have the module. So it begins the import, and leaves
 * the task in its own queue, where others find it (*left* below). Only what no other thread may run is claimed before, and waits.
 */
import { InjectorInterval } from "../shared/injector-interval.js";
import type { LocalQueue } from "../shared/local-queue.js";
import type { Segment } from "../shared/segment.js";
import { StealOrder } from "../shared/steal-order.js";
import { FAILED, LOST, PINNED, phaseOf, QUEUED } from "../shared/task-state.js";
import { CancelWatch } from "./cancel-watch.js";
import type { OwnFigures } from "./figures.js";
import type { FunctionTable } from "./function-table.js";
import type { Ringer } from "./ringer.js";
import { type TaskFunction, TaskFunctions } from "./task-functions.js";
import { callTask, RunningTask } from "./task-scope.js";
import type { TaskValues } from "./task-values.js";

/** Hints that one look into the injector takes at most, and how long they may take to run, in microseconds. */
const BATCH = 32;
const BATCH_MICROS = 50;
/** How often the oldest hint of the own queue comes first, in milliseconds. */
const OLDEST_MS = 100;
/** How long a failed import is kept for the task that it was begun for, which another thread may have taken, in milliseconds. */
const FAILURE_MS = 1_000;
const MAX_UINT32 = 0xffff_ffff;
/** Figures of one executing thread. */
export interface ExecutorCounts {
  executed: number;
  failed: number;
  fromOwnQueue: number;
  fromInbox: number;
  fromInjector: number;
  stealAttempts: number;
  stealSuccesses: number;
  /** Hints that led to no task, because another thread had it or it was cancelled. */
  staleHints: number;
}

/** Where a thread finds its hints, if not in the queues of those that share their work. */
export interface HintSource {
  /** The next hint, or -1. */
  take(): number;
  isEmpty(): boolean;
  /** Claims the task that a hint led to; see {@link TaskTable.claim}. */
  claim(slot: number): number;
}

/** What an executor consists of. */
export interface ExecutorParts {
  readonly segment: Segment;
  readonly queue: LocalQueue;
  readonly values: TaskValues;
  readonly functions: FunctionTable;
  readonly ringer: Ringer;
  /** Ids of threads that run tasks: the only ones to steal from. */
  readonly executors: number;
  /** Whether the thread takes tasks that others have spawned. */
  readonly steals: boolean;
  /** Default: the own queue, the inbox, the injector and other threads' queues. */
  readonly source?: HintSource;
}

interface ImportFailure {
  readonly error: unknown;
  readonly expiresMs: number;
  isUsed: boolean;
}

/** One thread's executor. */
export class Executor {
  readonly counts: ExecutorCounts = {
    executed: 0,
    failed: 0,
    fromOwnQueue: 0,
    fromInbox: 0,
    fromInjector: 0,
    stealAttempts: 0,
    stealSuccesses: 0,
    staleHints: 0,
  };
  /** Tasks that were begun and wait for something. */
  runningNow = 0;
  /** This thread was woken to search, so it must hand that on: to nobody, or to the next thread if there may be more. */
  isWoken = false;
  /** Whether a search in vain is to be gone on with: the caller looks on at once, or calls {@link handOn}, before any user code runs. Whoever publishes something in between wakes nobody. */
  keepsSearch = false;
  /** Such a search is not over. */
  isSearching = false;
  /** This thread has seen work in its recheck, so it searches beside whoever does: nobody waits for another thread. */
  hasSeenWork = false;
  readonly #figures = { ...this.counts, overflowed: 0, waiting: 0, queueDepth: 0, averageNanos: 0 };
  readonly #parts: ExecutorParts;
  readonly #self: number;
  readonly #functions: TaskFunctions;
  readonly #order: StealOrder | undefined;
  readonly #interval = new InjectorInterval();
  readonly #batch = new Int32Array(BATCH);
  /** Tasks that were begun, and whose module is being imported. */
  #loadingNow = 0;
  /** Tasks that were begun, and whose module has come. */
  readonly #loaded: { readonly slot: number; readonly state: number; readonly run: TaskFunction }[] = [];
  /** By function: why its import has failed, until a round has used it. */
  readonly #failures = new Map<number, ImportFailure>();
  /** Hints that this round has found and leaves to others. */
  readonly #left: number[] = [];
  /** The last round has left hints to others, in the own queue: no reason to look again at once, though others see them there. */
  hasLeft = false;
  /** Tasks that were given something to watch, by slot. */
  readonly #scoped = new Map<number, RunningTask>();
  readonly #watch = new CancelWatch();
  /** Stands for each task that was given nothing to watch, while its function is on the stack. */
  readonly #unscoped: RunningTask;
  /** When the oldest of the own queue came first the last time. */
  #oldestMs = 0;
  #isOldestDue = false;
  #isInRound = false;
  /** Which of the inbox and the injector was asked first the last time. */
  #isInboxFirst = false;

  constructor(parts: ExecutorParts) {
    this.#parts = parts;
    this.#self = parts.segment.self;
    this.#functions = new TaskFunctions(parts.functions);
    this.#unscoped = new RunningTask(parts.segment.table, this.#watch, { slot: 0, claimed: 0, scope: 0 });
    const stealsFrom = parts.steals && parts.source === undefined ? parts.executors : 0;
    this.#order = stealsFrom > 1 ? new StealOrder({ self: this.#self, threads: stealsFrom }) : undefined;
  }

  /** The average time of a task, in microseconds. */
  get averageMicros(): number {
    return this.#interval.averageMicros;
  }

  /** The thread's figures as they are now: the same object each time, because every round asks for them. */
  get figures(): OwnFigures {
    const { queue } = this.#parts;
    const averageNanos = Math.min(Math.round(this.averageMicros * 1_000), MAX_UINT32);
    const figures = this.#figures;
    const { counts } = this;
    figures.executed = counts.executed;
    figures.failed = counts.failed;
    figures.fromOwnQueue = counts.fromOwnQueue;
    figures.fromInbox = counts.fromInbox;
    figures.fromInjector = counts.fromInjector;
    figures.stealAttempts = counts.stealAttempts;
    figures.stealSuccesses = counts.stealSuccesses;
    figures.staleHints = counts.staleHints;
    figures.overflowed = queue.overflowCount;
    figures.queueDepth = queue.depth;
    figures.waiting = this.runningNow;
    figures.averageNanos = averageNanos;
    return figures;
  }

  /**
   * Runs tasks until there are none, `countMax` were run, or it has taken about `msMax` milliseconds. Says how many were begun. Tasks that wait are not counted against anything but the slots of their origins: a limit here could keep out the very tasks that they wait for.
   */
  runMany(countMax: number, msMax: number): number {
    this.#isInRound = true;
    const ran = this.#runMany(countMax, msMax);
    this.#isInRound = false;
    return ran;
  }

  #runMany(countMax: number, msMax: number): number {
    const startMs = performance.now();
    this.#watch.look(startMs);
    if (startMs - this.#oldestMs > OLDEST_MS) {
      this.#oldestMs = startMs;
      this.#isOldestDue = true;
    }
    // A stream of new tasks would keep one that was begun, and waits behind them, for ever.
    let ran = this.#isOldestDue && this.#callLoaded(true) ? 1 : 0;
    while (ran < countMax) {
      const slot = this.#next();
      // A search in vain goes on, and one that was begun early has not been in vain.
      if (this.isSearching ? slot !== -1 : this.isWoken) this.handOn();
      if (slot !== -1) {
        if (!this.#run(slot)) continue;
      } else {
        if (this.isSearching && this.#loaded.length > 0) this.handOn();
        // Behind the own queue, so that what has waited for a module together is not begun together.
        if (!this.#callLoaded()) break;
      }
      ran += 1;
      // After 1, 2, 4 … tasks: the clock costs as much as a very short task, and this takes twice the time at most.
      if ((ran & (ran - 1)) === 0 && performance.now() - startMs > msMax) break;
    }
    if (ran > 0) this.#interval.observe((performance.now() - startMs) * 1_000, ran);
    if (this.#failures.size > 0) this.#forgetFailures();
    this.#showLeft();
    return ran;
  }

  /** Whether there is nothing that this thread could run: what is rechecked before it parks. */
  isIdle(): boolean {
    const { segment, queue } = this.#parts;
    if (this.#loaded.length > 0 || this.#watch.hasNews()) return false;
    if (this.#parts.source !== undefined) return this.#loadingNow > 0 || this.#parts.source.isEmpty();
    if (!queue.isEmpty() || !segment.inboxes[this.#self]!.isEmpty()) return false;
    return !this.#parts.steals || segment.hasNoStealable(this.#parts.executors);
  }

  /** For a thread that begins no further task: those that it has begun go on when their module has come, and see that they were given up. */
  continueBegun(): void {
    this.#watch.look(performance.now());
    while (this.#callLoaded(true));
  }

  /** This thread was woken, perhaps because it is the one that a task prefers. */
  askInboxFirst(): void {
    this.#isInboxFirst = false;
  }

  /**
   * Before the task that was found runs, because it may run long. After a search in vain as well: who published meanwhile saw this thread's name and woke nobody, and user code may run here before this thread looks again.
   */
  handOn(): void {
    const { segment, ringer } = this.#parts;
    this.isWoken = false;
    this.isSearching = false;
    segment.idle.endSearch(this.#self);
    if (this.#parts.steals && !segment.hasNoStealable(this.#parts.executors)) ringer.wakeOne();
  }

  #next(): number {
    const { queue, source } = this.#parts;
    if (source !== undefined) return this.#fromSource(source);
    if (this.#interval.isDue()) {
      const shared = this.#fromShared();
      if (shared !== -1) return shared;
    }
    if (this.#isOldestDue) {
      this.#isOldestDue = false;
      const oldest = this.#own(queue.pop());
      if (oldest !== -1) return oldest;
    }
    const own = this.#own(queue.popNewest());
    if (own !== -1) return own;
    const shared = this.#fromShared();
    return shared === -1 ? this.#steal() : shared;
  }

  #own(slot: number): number {
    if (slot !== -1) this.counts.fromOwnQueue += 1;
    return slot;
  }

  /** One at a time: a task that blocks would keep those that this thread has claimed besides. */
  #fromSource(source: HintSource): number {
    return this.#loadingNow > 0 || this.#loaded.length > 0 ? -1 : source.take();
  }

  /** A hint of the inbox or the injector, in turn, so that neither starves. */
  #fromShared(): number {
    this.#isInboxFirst = !this.#isInboxFirst;
    const first = this.#isInboxFirst ? this.#fromInbox() : this.#fromInjector();
    if (first !== -1) return first;
    return this.#isInboxFirst ? this.#fromInjector() : this.#fromInbox();
  }

  #fromInbox(): number {
    const slot = this.#parts.segment.inboxes[this.#self]!.take();
    if (slot !== -1) this.counts.fromInbox += 1;
    return slot;
  }

  /** A hint of the injector; what the same look found besides goes to the own queue. */
  #fromInjector(): number {
    const { segment, steals } = this.#parts;
    if (!steals || segment.injector.isEmpty()) return -1;
    const count = segment.injector.takeMany(this.#batch, this.#share());
    if (count === 0) return -1;
    this.counts.fromInjector += 1;
    if (count > 1) this.#parts.queue.pushBackMany(this.#batch, 1, count);
    // Between the take and here the rest could be seen nowhere, so whoever parked meanwhile is told.
    if (count > 1 || !segment.injector.isEmpty()) this.#parts.ringer.wakeOne();
    return this.#batch[0]!;
  }

  /** A look costs as much as a very short task, so short tasks are taken many at a time. Long ones are left where the others find them first. */
  #share(): number {
    return Math.min(BATCH, Math.max(1, Math.trunc(BATCH_MICROS / this.#interval.averageMicros)));
  }

  #steal(): number {
    const order = this.#order;
    const { segment, queue } = this.#parts;
    if (order === undefined) return -1;
    const isSearcher = segment.idle.beginSearch(this.#self);
    if (!isSearcher && !this.hasSeenWork) return -1;
    this.hasSeenWork = false;
    order.begin();
    let found = -1;
    for (let victim = order.next(); victim !== -1; victim = order.next()) {
      this.counts.stealAttempts += 1;
      found = segment.stealFrom(victim, queue, segment.layout.options.stealMax);
      if (found !== -1) {
        this.counts.stealSuccesses += 1;
        order.succeeded(victim);
        break;
      }
      order.failed(victim);
    }
    this.isSearching = isSearcher && found === -1 && this.keepsSearch;
    if (this.isSearching) this.isWoken = false;
    else this.handOn();
    return found;
  }

  /** What was left to others becomes visible to them: behind a round, and before a task that is run, but no sooner, because this thread finds it again then. */
  #showLeft(): void {
    const { queue, ringer } = this.#parts;
    this.hasLeft = this.#left.length > 0;
    if (!this.hasLeft) return;
    for (const slot of this.#left) queue.pushBack(slot);
    this.#left.length = 0;
    ringer.wakeOne();
  }

  /** Whether a task that others may run too would only wait here, for its module. A guess: who is wrong claims a task that waits, or leaves one that need not. */
  #isBetterLeft(slot: number): boolean {
    const { table } = this.#parts.segment;
    const number = table.guessFunctionOf(slot);
    if (this.#functions.known(number) !== undefined || this.#order === undefined || this.#failures.has(number)) {
      return false;
    }
    const state = table.stateOf(slot);
    if (phaseOf(state) !== QUEUED || (state & PINNED) !== 0) return false;
    if (!this.#functions.isLoading(number)) void this.#import(number);
    return true;
  }

  /** For tasks that are not claimed: whoever finds one when the import has failed fails it. */
  async #import(number: number): Promise<void> {
    this.runningNow += 1;
    try {
      await this.#functions.load(number);
    } catch (error) {
      this.#failures.set(number, { error, isUsed: false, expiresMs: performance.now() + FAILURE_MS });
    }
    this.runningNow -= 1;
    this.#parts.ringer.ring(this.#self);
  }

  /** The next call tries again. */
  #forgetFailures(): void {
    const nowMs = performance.now();
    for (const [number, { isUsed, expiresMs }] of this.#failures) {
      if (isUsed || nowMs > expiresMs) this.#failures.delete(number);
    }
  }

  /** Runs the task that a hint led to. False when there is none for this thread. */
  #run(slot: number): boolean {
    const { segment, values, source } = this.#parts;
    if (this.#isBetterLeft(slot)) {
      this.#left.push(slot);
      return false;
    }
    const state = source === undefined ? segment.table.claim(slot, this.#self) : source.claim(slot);
    if (state === 0) {
      this.counts.staleHints += 1;
      // It may have been given up after its arguments were sent to this thread.
      values.ports.sweep();
      return false;
    }
    if (values.areArgumentsLost(slot)) {
      this.#lose(slot, state);
      return true;
    }
    const number = segment.table.functionOf(slot);
    const run = this.#functions.known(number);
    const failure = run === undefined ? this.#failures.get(number) : undefined;
    if (failure !== undefined) {
      failure.isUsed = true;
      this.#fail(slot, state, failure.error);
    } else if (run === undefined || !values.areArgumentsHere(slot)) void this.#load(slot, state, number);
    else this.#call(slot, state, run);
    return true;
  }

  /** The task waits, begun, until its module and its arguments are here. */
  async #load(slot: number, state: number, number: number): Promise<void> {
    this.runningNow += 1;
    this.#loadingNow += 1;
    try {
      const run = await this.#arrival(slot, number).finally(() => (this.#loadingNow -= 1));
      this.#loaded.push({ slot, state, run });
      // This thread may sleep in its loop.
      this.#parts.ringer.ring(this.#self);
    } catch (error) {
      this.runningNow -= 1;
      this.#fail(slot, state, error);
    }
  }

  async #arrival(slot: number, number: number): Promise<TaskFunction> {
    const run = this.#functions.known(number) ?? (await this.#functions.load(number));
    await this.#parts.values.argumentsArrival(slot);
    return run;
  }

  /** Calls a task that was begun and has waited for its module. False when there is none. */
  #callLoaded(isOldest = false): boolean {
    const loaded = isOldest ? this.#loaded.shift() : this.#loaded.pop();
    if (loaded === undefined) return false;
    this.runningNow -= 1;
    this.#call(loaded.slot, loaded.state, loaded.run);
    return true;
  }

  #call(slot: number, state: number, run: TaskFunction): void {
    // It may run long.
    if (this.#left.length > 0) this.#showLeft();
    let outcome: unknown;
    let promise: Promise<unknown> | undefined;
    try {
      const args = this.#parts.values.readArguments(slot);
      outcome = callTask(this.#begin(slot, state), run, args);
      promise = promiseOf(outcome);
    } catch (error) {
      return this.#fail(slot, state, error);
    }
    // Outside of the `try`: a task is completed once, so nothing that happens here may complete it again.
    if (promise === undefined) this.#succeed(slot, state, outcome);
    else this.#await(slot, state, promise);
  }

  #begin(slot: number, claimed: number): RunningTask {
    const { table } = this.#parts.segment;
    const scope = table.scopeOf(slot);
    if (scope === 0) return this.#unscoped.become(slot, claimed);
    const task = new RunningTask(table, this.#watch, { slot, claimed, scope });
    this.#scoped.set(slot, task);
    return task;
  }

  #await(slot: number, state: number, outcome: Promise<unknown>): void {
    this.runningNow += 1;
    outcome.then(
      (value) => {
        this.runningNow -= 1;
        this.#succeed(slot, state, value);
      },
      (error: unknown) => {
        this.runningNow -= 1;
        this.#fail(slot, state, error);
      },
    );
  }

  #succeed(slot: number, claimed: number, value: unknown): void {
    const hasFailed = !this.#parts.values.writeValue(slot, claimed, value);
    this.#complete(slot, claimed, hasFailed ? FAILED : 0);
  }

  #fail(slot: number, claimed: number, error: unknown): void {
    this.#parts.values.writeError(slot, error);
    this.#complete(slot, claimed, FAILED);
  }

  /** The thread that the arguments were sent to has ended, and this is its successor. */
  #lose(slot: number, claimed: number): void {
    const { segment, ringer } = this.#parts;
    segment.table.complete(slot, claimed, LOST);
    ringer.settle(slot);
  }

  #complete(slot: number, claimed: number, flags: number): void {
    const { segment, ringer } = this.#parts;
    const task = this.#scoped.size === 0 ? undefined : this.#scoped.get(slot);
    if (task !== undefined) {
      if (task.isGrouped && task.childCount > 0)
        return this.#completeAfterChildren(task, () => this.#complete(slot, claimed, flags));
      this.#scoped.delete(slot);
      task.end();
    }
    this.counts.executed += 1;
    if (flags === FAILED) this.counts.failed += 1;
    if (this.#isInRound) this.#searchEarly();
    segment.table.complete(slot, claimed, flags);
    ringer.settle(slot);
    // Whoever runs a round settles behind it. Else this thread may sleep in its loop, where the task has ended.
    if (!this.#isInRound && segment.table.originOf(slot) === this.#self) ringer.ring(this.#self);
  }

  /**
   * This thread has nothing more to run, and looks for work as soon as it has told that this task is done. Whoever waits for that may publish the next one sooner, and would wake another thread for it,
   * which costs more than most tasks: so the search begins before. No user code runs before the look that is next.
   */
  #searchEarly(): void {
    if (!this.keepsSearch || this.isSearching || this.#order === undefined) return;
    if (this.#parts.queue.depth > 0 || this.#loaded.length > 0) return;
    this.isSearching = this.#parts.segment.idle.beginSearch(this.#self);
  }

  /** A group ends only when all have ended that its tasks have spawned. */
  #completeAfterChildren(task: RunningTask, complete: () => void): void {
    this.runningNow += 1;
    task.whenAlone = () => {
      this.runningNow -= 1;
      complete();
    };
  }
}

/** What a function returned, if it has to be waited for. Only a promise of the language settles once; another object's `then` may call back twice, when the slot is another task's already. */
function promiseOf(value: unknown): Promise<unknown> | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  if (value instanceof Promise && value.constructor === Promise && !Object.hasOwn(value, "then")) return value;
  return typeof Reflect.get(value, "then") === "function" ? new Promise((resolve) => resolve(value)) : undefined;
}
