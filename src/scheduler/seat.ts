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
import { readFailureNote } from "./failure-note.js";
import { type ComputeFigures, type OwnFigures, readFigures, writeFigures } from "./figures.js";
import { FunctionTable, type TaskFunctionName } from "./function-table.js";
import { againIfLost } from "./lost-tasks.js";
import { addPinnedHint } from "./pinned-hint.js";
import { checkThread, ownerOf, type Placement } from "./placement.js";
import { NOBODY, Places } from "./places.js";
import { Ringer } from "./ringer.js";
import { FIGURE_WORDS, type SchedulerAssignment, viewScheduler } from "./scheduler-memory.js";
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
  readonly place: number;
}

/** Who is told that tasks are in flight, to keep the event loop alive meanwhile. */
export type FlightWatcher = (isInFlight: boolean) => void;

const NO_OPTIONS: TaskOptions = {};
/** Instead of a place: any thread. */
const ANY = -1;
/** Instead of a place: this thread, in the order of its own queue. */
const OWN = -2;

/** One thread's seat. */
export class Seat {
  readonly counts: SeatCounts = { spawned: 0, settled: 0, overloaded: 0, cancelled: 0 };
  readonly segment: Segment;
  readonly values: TaskValues;
  readonly ringer: Ringer;
  /** Threads that run tasks, as placements number them. */
  readonly places: Places;
  readonly #assignment: SchedulerAssignment;
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
  /** Told when this thread has a task to run that it has spawned itself. */
  readonly #queued: () => void;
  #nextPlace: number;
  #hasGivenUpAll = false;
  /** Tasks that this thread began again because the thread that had their arguments was lost. */
  rerunCount = 0;
  readonly #lives: number;

  /** `queued` is for a thread that runs tasks and does not look for them all the time. */
  constructor(
    assignment: SchedulerAssignment,
    flight: FlightWatcher = () => undefined,
    queued = () => undefined as void,
  ) {
    const { thread, words, executors, places, steals } = assignment;
    const view = viewScheduler(words, thread);
    this.segment = view.segment;
    this.#words = view.words;
    this.#figures = view.figures;
    this.#assignment = assignment;
    this.places = new Places(view.words, view.places, places);
    this.#queued = queued;
    this.values = new TaskValues(view, assignment);
    this.#lives = view.slab.lives;
    this.ringer = new Ringer(view.segment, assignment);
    this.#functions = new FunctionTable(assignment.functions);
    this.#origin = view.segment.openOrigin();
    this.#queue = thread < executors ? view.segment.openQueue({ isAlone: !steals }) : undefined;
    this.#first = view.segment.table.firstOf(thread);
    this.#pending = new Array<Pending | undefined>(view.segment.table.slotsPerThread).fill(undefined);
    this.#flight = flight;
    this.#nextPlace = thread % places;
  }

  /** Tasks whose slot is taken. */
  get liveCount(): number {
    return this.#origin.liveCount;
  }

  /** Makes this thread run tasks: to be called once, by a thread whose id is one of those. */
  openExecutor(): Executor {
    assert(this.#queue !== undefined, "only some threads run tasks");
    const { segment, values, ringer } = this;
    const { executors, steals } = this.#assignment;
    const functions = this.#functions;
    return new Executor({ segment, values, ringer, executors, steals, queue: this.#queue, functions });
  }

  /** Shows what this thread counts to all others. */
  publishFigures(figures: OwnFigures): void {
    writeFigures(this.#words, this.#figures + this.segment.self * FIGURE_WORDS, figures);
  }

  /** What all threads that run tasks count. */
  readFigures(): ComputeFigures[] {
    return readFigures(this.#words, this.#figures, this.places);
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
      const place = this.#placeFor(options.placement);
      const isTransferred = (options.transfer?.length ?? 0) > 0;
      if (!isTransferred && this.values.writeArguments(slot, args)) {
        return this.#start(slot, place, this.#threadOf(place), options);
      }
      return this.#startPorted(slot, { functionNumber, args, options, place });
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
    if (this.places.servedCount === 0) this.#giveUpAll();
    else this.#hasGivenUpAll = false;
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

  /** The thread that serves a place now; this one where any will do. */
  #threadOf(place: number): number {
    const thread = place >= 0 ? this.places.holderOf(place) : this.segment.self;
    if (thread === NOBODY) throw this.#nobodyRuns();
    return thread;
  }

  /** Starts a task whose arguments go by port, and so to one thread. If they are lost with that one, what may run again is spawned again, from a copy: the arguments may have changed meanwhile. */
  #startPorted(slot: number, call: PortedCall): Promise<unknown> {
    const { functionNumber, args, options } = call;
    const place = call.place === ANY ? this.#receiverFor(options.placement) : call.place;
    const to = this.#threadOf(place);
    const once = { ...options, idempotent: false };
    const transfer = options.transfer ?? [];
    if (options.idempotent !== true) {
      this.values.sendArguments(slot, args, { to, transfer });
      return this.#start(slot, place, to, once);
    }
    const kept = privateCopy(args) as readonly unknown[];
    this.values.sendArguments(slot, kept, { to, transfer });
    return againIfLost(
      this.#start(slot, place, to, once),
      (timeoutMs) => {
        this.rerunCount += 1;
        return this.spawn(functionNumber, kept, { ...once, timeoutMs });
      },
      options.timeoutMs,
    );
  }

  #start(slot: number, place: number, thread: number, options: TaskOptions): Promise<unknown> {
    const isPinned = place !== ANY;
    const flags = JOIN_INTEREST | (options.idempotent === true ? IDEMPOTENT : 0) | (isPinned ? PINNED : 0);
    return new Promise((resolve, reject) => {
      const pending: Pending = { resolve, reject, stopWatching: undefined };
      this.#pending[slot - this.#first] = pending;
      const state = this.#origin.publish(slot, flags, isPinned ? thread : 0);
      this.counts.spawned += 1;
      this.#tellFlight();
      if (options.signal !== undefined || (options.timeoutMs ?? 0) > 0) this.#watch(slot, generationOf(state), options);
      if (place >= 0) this.#addPinned(slot, place, state);
      else this.#addHint(slot, options.placement);
      // Behind the hint; see `places.ts`.
      if (this.places.servedCount === 0) this.#giveUp(slot, generationOf(state), this.#nobodyRuns());
    });
  }

  /** The hint of a task that anybody may run, or this thread where none takes another's. */
  #addHint(slot: number, placement: Placement | undefined): void {
    if (this.#queue === undefined) this.segment.injector.insert(slot);
    else {
      this.#queue.push(slot);
      this.#queued();
    }
    if (!this.#asksFirst(slot, placement)) this.ringer.wakeOne();
  }

  /** The hint of a task that is queued for the thread of a place. */
  #addPinned(slot: number, place: number, state: number): void {
    const { self } = this.segment;
    const told = (thread: number): void => {
      if (thread === self) this.#queued();
      else this.ringer.wake(thread);
    };
    const isServed = addPinnedHint(this.segment, this.places, { slot, place, state, told });
    if (!isServed) this.#giveUp(slot, generationOf(state), this.#nobodyRuns());
  }

  /** No thread runs tasks, and none will for some time: rejects what has not begun. */
  #giveUpAll(): void {
    if (this.#hasGivenUpAll) return;
    this.#hasGivenUpAll = true;
    for (let index = 0; index < this.#pending.length; index++) {
      if (this.#pending[index] === undefined) continue;
      const slot = this.#first + index;
      this.#giveUp(slot, generationOf(this.segment.table.stateOf(slot)), this.#nobodyRuns());
    }
  }

  #nobodyRuns(): RingloomError {
    const note = readFailureNote(this.#assignment.failure);
    const message = note === "" ? "the thread for it has ended" : "the threads for it do not start";
    return new RingloomError("ERR_RINGLOOM_THREAD_LOST", `Cannot run a task: ${message}.`, {
      operation: "spawn",
      cause: note === "" ? undefined : new Error(note),
    });
  }

  /** Gives the preferred thread a hint besides the one that anybody may take: whoever comes first has the task. True if that thread was idle, and is woken, so that nobody else need be. */
  #asksFirst(slot: number, placement: Placement | undefined): boolean {
    if (placement?.kind !== "stealable" || placement.preferred === undefined || !this.#assignment.steals) return false;
    const thread = this.places.holderOf(placement.preferred);
    if (thread === NOBODY || thread === this.segment.self) return false;
    this.segment.inboxes[thread]!.insert(slot);
    return this.ringer.wake(thread);
  }

  /** The place that a placement means, {@link ANY} or {@link OWN}. */
  #placeFor(placement: Placement | undefined): number {
    const { count } = this.places;
    switch (placement?.kind) {
      case undefined:
      case "stealable":
        if (placement?.preferred !== undefined) checkThread(placement.preferred, count);
        if (this.#assignment.steals) return ANY;
        // A thread that runs none has nobody who would take them from it.
        return this.#queue === undefined ? this.#nextInTurn() : OWN;
      case "pinned":
        checkThread(placement.thread, count);
        return placement.thread;
      case "round-robin":
        return this.#nextInTurn();
      case "sticky":
        return ownerOf(placement.key, count);
    }
  }

  #nextInTurn(): number {
    this.#nextPlace = (this.#nextPlace + 1) % this.places.count;
    return this.#nextPlace;
  }

  /** The place that a value is sent to whose task anybody might run: the preferred one, else one whose thread sleeps, else the next in turn whose thread lives. */
  #receiverFor(placement: Placement | undefined): number {
    if (placement?.kind === "stealable" && placement.preferred !== undefined) return placement.preferred;
    const { count } = this.places;
    const first = (this.#nextPlace + 1) % count;
    let chosen = -1;
    for (let offset = 0; offset < count; offset++) {
      const place = (first + offset) % count;
      const thread = this.places.holderOf(place);
      if (thread === NOBODY || this.#words.load(this.#lives + thread) === 0) continue;
      if (chosen === -1) chosen = place;
      if (!this.segment.parkers.isParked(thread)) continue;
      chosen = place;
      break;
    }
    // None has started yet.
    if (chosen === -1) chosen = first;
    this.#nextPlace = chosen;
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
