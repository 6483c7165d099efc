/**
 * A thread's place in the scheduler: it spawns tasks from here, and sees them settled here.
 *
 * A task is settled once. Its promise may be rejected earlier, by a signal or a timeout; then the slot stays taken until whoever runs the task is through with it.
 */
import { assert } from "../assert.js";
import { RingloomError } from "../errors.js";
import type { LocalQueue } from "../shared/local-queue.js";
import type { Segment } from "../shared/segment.js";
import { ORIGIN_CLOSED, type TaskOrigin } from "../shared/task-origin.js";
import { generationOf, IDEMPOTENT, JOIN_INTEREST, PINNED } from "../shared/task-state.js";
import type { SharedWords } from "../shared/words.js";
import type { TaskOptions } from "./call-options.js";
import { Executor } from "./executor.js";
import { type ComputeFigures, readFigures, writeFigures } from "./figures.js";
import { FunctionTable, type TaskFunctionName } from "./function-table.js";
import { againIfLost } from "./lost-tasks.js";
import { checkThread, ownerOf, type Placement } from "./placement.js";
import { Ringer } from "./ringer.js";
import { type SchedulerAssignment, viewScheduler } from "./scheduler-memory.js";
import { checkTaskOptions } from "./task-checks.js";
import { TaskValues } from "./task-values.js";
import { privateCopy } from "./value-ports.js";

/** Figures of one spawning thread. */
export interface SeatCounts {
  spawned: number;
  settled: number;
  /** Tasks that were refused, because too many were in flight. */
  overloaded: number;
  cancelled: number;
}

interface Pending {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
  /** Ends what watches the signal and the clock. */
  stopWatching: (() => void) | undefined;
}

/** A call whose arguments go by port. */
interface PortedCall {
  readonly functionNumber: number;
  readonly args: readonly unknown[];
  readonly options: TaskOptions;
  /** -1 for any. */
  readonly thread: number;
}

/** Who is told that tasks are in flight, to keep the event loop alive meanwhile. */
export type FlightWatcher = (isInFlight: boolean) => void;

const NO_OPTIONS: TaskOptions = {};

/** One thread's seat. */
export class Seat {
  readonly counts: SeatCounts = { spawned: 0, settled: 0, overloaded: 0, cancelled: 0 };
  readonly segment: Segment;
  readonly values: TaskValues;
  readonly ringer: Ringer;
  /** Threads that run tasks. */
  readonly executors: number;
  readonly #words: SharedWords;
  readonly #figures: number;
  readonly #functions: FunctionTable;
  readonly #origin: TaskOrigin;
  readonly #queue: LocalQueue | undefined;
  readonly #first: number;
  readonly #pending: (Pending | undefined)[];
  readonly #flight: FlightWatcher;
  /** What {@link #flight} was told last. */
  #isInFlight = false;
  #nextThread: number;
  /** Tasks that this thread began again because the thread that had their arguments was lost. */
  rerunCount = 0;
  readonly #lives: number;

  constructor(assignment: SchedulerAssignment, flight: FlightWatcher = () => undefined) {
    const { thread, words, executors } = assignment;
    const view = viewScheduler(words, thread);
    this.segment = view.segment;
    this.#words = view.words;
    this.#figures = view.figures;
    this.executors = executors;
    this.values = new TaskValues(view, assignment);
    this.#lives = view.slab.lives;
    this.ringer = new Ringer(view.segment, assignment);
    this.#functions = new FunctionTable(assignment.functions);
    this.#origin = view.segment.openOrigin();
    this.#queue = thread < executors ? view.segment.openQueue() : undefined;
    this.#first = view.segment.table.firstOf(thread);
    this.#pending = new Array<Pending | undefined>(view.segment.table.slotsPerThread).fill(undefined);
    this.#flight = flight;
    this.#nextThread = thread % executors;
  }

  /** Tasks whose slot is taken. */
  get liveCount(): number {
    return this.#origin.liveCount;
  }

  /** Makes this thread run tasks: to be called once, by a thread whose id is one of those. */
  openExecutor(): Executor {
    assert(this.#queue !== undefined, "only some threads run tasks");
    const { segment, values, ringer, executors } = this;
    return new Executor({ segment, values, ringer, executors, queue: this.#queue, functions: this.#functions });
  }

  /** Shows what this thread counts to all others. */
  publishFigures(figures: ComputeFigures): void {
    writeFigures(this.#words, this.#figures, figures);
  }

  /** What all compute threads count. */
  readFigures(): ComputeFigures[] {
    return readFigures(this.#words, this.#figures, this.executors);
  }

  /** The number by which tasks name a function. */
  functionNumber(name: TaskFunctionName): number {
    return this.#functions.numberOf(name);
  }

  /** Starts a task. Rejects as {@link tasks} says. */
  spawn(functionNumber: number, args: readonly unknown[], options: TaskOptions = NO_OPTIONS): Promise<unknown> {
    try {
      checkTaskOptions(options);
    } catch (error) {
      return Promise.reject(error);
    }
    if (options.signal?.aborted === true) return Promise.reject(aborted(options.signal.reason));
    const slot = this.#origin.open();
    if (slot < 0) return Promise.reject(this.#refused(slot));
    try {
      this.segment.table.setCall(slot, functionNumber, 0);
      const thread = this.#threadFor(options.placement);
      const isTransferred = (options.transfer?.length ?? 0) > 0;
      if (!isTransferred && this.values.writeArguments(slot, args)) return this.#start(slot, thread, options);
      return this.#startPorted(slot, { functionNumber, args, options, thread });
    } catch (error) {
      this.values.release(slot);
      this.#origin.abandon(slot);
      this.#tellFlight();
      return Promise.reject(error);
    }
  }

  /** Settles what is done, and says how many tasks that were. */
  drainSettled(): number {
    let count = 0;
    for (let slot = this.#origin.nextSettled(); slot !== -1; slot = this.#origin.nextSettled()) {
      this.#settle(slot);
      count += 1;
    }
    return count;
  }

  /** Whether {@link drainSettled} would look into something. */
  hasSettled(): boolean {
    return this.#origin.hasSettled();
  }

  /** No thread runs tasks any more: refuses new ones, and rejects those that never began. */
  close(): void {
    this.#origin.close();
    this.drainSettled();
    for (const [index, pending] of this.#pending.entries()) {
      if (pending === undefined) continue;
      this.#pending[index] = undefined;
      pending.stopWatching?.();
      pending.reject(closed("The scheduler was closed before the task began."));
    }
    this.values.ports.close();
    if (this.#isInFlight) this.#flight(false);
    this.#isInFlight = false;
  }

  /** Starts a task whose arguments go by port, and so to one thread. If they are lost with that one, what may run again is spawned again, from a copy: the arguments may have changed meanwhile. */
  #startPorted(slot: number, { functionNumber, args, options, thread }: PortedCall): Promise<unknown> {
    const to = thread === -1 ? this.#receiverFor(options.placement) : thread;
    const once = { ...options, idempotent: false };
    const transfer = options.transfer ?? [];
    if (options.idempotent !== true) {
      this.values.sendArguments(slot, args, { to, transfer });
      return this.#start(slot, to, once);
    }
    const kept = privateCopy(args) as readonly unknown[];
    this.values.sendArguments(slot, kept, { to, transfer });
    return againIfLost(
      this.#start(slot, to, once),
      (timeoutMs) => {
        this.rerunCount += 1;
        return this.spawn(functionNumber, kept, { ...once, timeoutMs });
      },
      options.timeoutMs,
    );
  }

  #start(slot: number, thread: number, options: TaskOptions): Promise<unknown> {
    const { inboxes, injector } = this.segment;
    const isPinned = thread !== -1;
    const flags = JOIN_INTEREST | (options.idempotent === true ? IDEMPOTENT : 0) | (isPinned ? PINNED : 0);
    return new Promise((resolve, reject) => {
      const pending: Pending = { resolve, reject, stopWatching: undefined };
      this.#pending[slot - this.#first] = pending;
      const state = this.#origin.publish(slot, flags, isPinned ? thread : 0);
      this.counts.spawned += 1;
      this.#tellFlight();
      if (options.signal !== undefined || (options.timeoutMs ?? 0) > 0) this.#watch(slot, generationOf(state), options);
      if (isPinned) {
        inboxes[thread]!.insert(slot);
        if (thread !== this.segment.self) this.ringer.wake(thread);
        return;
      }
      if (this.#queue === undefined) injector.insert(slot);
      else this.#queue.push(slot);
      if (!this.#asksFirst(slot, options.placement)) this.ringer.wakeOne();
    });
  }

  /** Gives the preferred thread a hint besides the one that anybody may take: whoever comes first has the task. True if that thread was idle, and is woken, so that nobody else need be. */
  #asksFirst(slot: number, placement: Placement | undefined): boolean {
    if (placement?.kind !== "stealable" || placement.preferred === undefined) return false;
    this.segment.inboxes[placement.preferred]!.insert(slot);
    return this.ringer.wake(placement.preferred);
  }

  /** The thread that a placement means, or -1 for any. */
  #threadFor(placement: Placement | undefined): number {
    if (placement === undefined) return -1;
    switch (placement.kind) {
      case "stealable":
        if (placement.preferred !== undefined) checkThread(placement.preferred, this.executors);
        return -1;
      case "pinned":
        checkThread(placement.thread, this.executors);
        return placement.thread;
      case "round-robin":
        this.#nextThread = (this.#nextThread + 1) % this.executors;
        return this.#nextThread;
      case "sticky":
        return ownerOf(placement.key, this.executors);
    }
  }

  /** The thread that a value is sent to which anybody might run: the preferred one, else one that sleeps, else the next in turn that lives. */
  #receiverFor(placement: Placement | undefined): number {
    if (placement?.kind === "stealable" && placement.preferred !== undefined) return placement.preferred;
    const { executors, segment } = this;
    const first = (this.#nextThread + 1) % executors;
    let chosen = -1;
    for (let offset = 0; offset < executors; offset++) {
      const thread = (first + offset) % executors;
      if (this.#words.load(this.#lives + thread) === 0) continue;
      if (chosen === -1) chosen = thread;
      if (!segment.parkers.isParked(thread)) continue;
      chosen = thread;
      break;
    }
    // None has started yet.
    if (chosen === -1) chosen = first;
    this.#nextThread = chosen;
    return chosen;
  }

  #settle(slot: number): void {
    const isWaitedFor = this.#pending[slot - this.#first] !== undefined;
    if (isWaitedFor && !this.values.isOutcomeHere(slot)) {
      void this.values.outcomeArrival(slot).then(() => this.#settle(slot));
      return;
    }
    const pending = this.#pending[slot - this.#first];
    this.#pending[slot - this.#first] = undefined;
    this.counts.settled += 1;
    if (pending === undefined) {
      this.#free(slot);
      return;
    }
    pending.stopWatching?.();
    let value: unknown;
    try {
      value = this.values.readOutcome(slot);
    } catch (error) {
      this.#free(slot);
      pending.reject(error);
      return;
    }
    this.#free(slot);
    pending.resolve(value);
  }

  #free(slot: number): void {
    this.values.release(slot);
    this.#origin.free(slot);
    this.#tellFlight();
  }

  /** By what was told last: a getter of an argument may spawn tasks, or give some up, while a slot is open, so the count need not pass 1 at a call of ours. */
  #tellFlight(): void {
    const isInFlight = this.#origin.liveCount > 0;
    if (isInFlight === this.#isInFlight) return;
    this.#isInFlight = isInFlight;
    this.#flight(isInFlight);
  }

  #watch(slot: number, generation: number, { signal, timeoutMs = 0 }: TaskOptions): void {
    const giveUp = (error: RingloomError): void => this.#giveUp(slot, generation, error);
    const onAbort = (): void => giveUp(aborted(signal?.reason));
    const timer = timeoutMs > 0 ? setTimeout(() => giveUp(timedOut(timeoutMs)), timeoutMs) : undefined;
    signal?.addEventListener("abort", onAbort, { once: true });
    this.#pending[slot - this.#first]!.stopWatching = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
    };
    // A getter of an argument can have done it, and then there is no event any more.
    if (signal?.aborted === true) onAbort();
  }

  #giveUp(slot: number, generation: number, error: RingloomError): void {
    const pending = this.#pending[slot - this.#first];
    if (pending === undefined) return;
    this.#pending[slot - this.#first] = undefined;
    pending.stopWatching?.();
    this.counts.cancelled += 1;
    // Nobody runs it and nobody will: what is left in a queue leads nowhere. A task that runs comes back when it is done.
    if (this.#origin.cancel(slot, generation) === "dequeued") this.#free(slot);
    pending.reject(error);
  }

  #refused(reason: number): RingloomError {
    if (reason === ORIGIN_CLOSED) return closed("Cannot spawn: the scheduler is closed.");
    this.counts.overloaded += 1;
    const tasksMax = this.segment.table.slotsPerThread;
    return new RingloomError("ERR_RINGLOOM_OVERLOADED", `Cannot spawn: this thread has ${tasksMax} tasks in flight.`, {
      operation: "spawn",
      details: { tasksMax },
    });
  }
}

function closed(message: string): RingloomError {
  return new RingloomError("ERR_RINGLOOM_CLOSED", message, { operation: "spawn" });
}

function aborted(cause: unknown): RingloomError {
  return new RingloomError("ERR_RINGLOOM_ABORTED", "The task was given up.", { operation: "task", cause });
}

function timedOut(timeoutMs: number): RingloomError {
  return new RingloomError("ERR_RINGLOOM_TIMEOUT", `The task took longer than ${timeoutMs} ms.`, {
    operation: "task",
    details: { timeoutMs },
  });
}

let current: Seat | undefined;
let openDefault: (() => Seat) | undefined;

/** Makes `seat` this thread's. */
export function setSeat(seat: Seat | undefined): void {
  current = seat;
}

/** How this thread gets a seat when it first needs one. */
export function setDefaultSeat(open: () => Seat): void {
  openDefault = open;
}

/** This thread's seat. Throws `ERR_RINGLOOM_WRONG_THREAD` on a thread that is none of the scheduler's. */
export function currentSeat(operation: string): Seat {
  current ??= openDefault?.();
  if (current !== undefined) return current;
  throw new RingloomError(
    "ERR_RINGLOOM_WRONG_THREAD",
    `Cannot use ${operation}: this server has no threads for tasks (--compute), or Ringloom did not start this thread.`,
    {
      operation,
    },
  );
}
