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
import { generationOf, IDEMPOTENT, JOIN_INTEREST, PINNED, phaseOf, RUNNING, threadOf } from "../shared/task-state.js";
import type { SharedWords } from "../shared/words.js";
import { onAbort } from "./abort-listeners.js";
import type { Membership, SpawnOptions } from "./call-options.js";
import { deadlineIn } from "./deadline.js";
import { Executor, type HintSource } from "./executor.js";
import { readFailureNote } from "./failure-note.js";
import { type ComputeFigures, type OwnFigures, readAverageMicros, readFigures, writeFigures } from "./figures.js";
import { FunctionTable, type TaskFunctionName } from "./function-table.js";
import { Leaving } from "./leaving.js";
import { againIfLost } from "./lost-tasks.js";
import { addPinnedHint } from "./pinned-hint.js";
import { checkThread, ownerOf, type Placement } from "./placement.js";
import { NOBODY, Places } from "./places.js";
import { Receivers } from "./receivers.js";
import { Ringer } from "./ringer.js";
import { FIGURE_WORDS, type SchedulerAssignment, viewScheduler } from "./scheduler-memory.js";
import { checkTaskOptions } from "./task-checks.js";
import { aborted, closed, timedOut } from "./task-errors.js";
import { GROUPED, type RunningTask, SCOPED, scopedTask } from "./task-scope.js";
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
  /** What only few tasks have. */
  readonly bonds: Bonds | undefined;
  /** Its promise is rejected; only its slot is awaited. */
  isGivenUp: boolean;
}

/** What a task has to do with others. */
interface Bonds {
  /** The task of this thread that has spawned it. */
  readonly parent: RunningTask | undefined;
  readonly membership: Membership | undefined;
  readonly isBlocking: boolean;
  /** Ends what watches the signals and the clock. */
  stopWatching: (() => void) | undefined;
}

/** What a task is spawned with. */
interface Spawn {
  readonly options: SpawnOptions;
  readonly parent: RunningTask | undefined;
  /** The place that it is queued for, {@link ANY}, {@link OWN} or {@link BLOCKING}. */
  readonly place: number;
  /** The thread that it is queued for, unless any will do. */
  readonly thread: number;
}

/** A call whose arguments go by port. */
interface PortedCall {
  readonly functionNumber: number;
  readonly args: readonly unknown[];
  readonly spawn: Spawn;
}

/** Who is told that tasks are in flight, to keep the event loop alive meanwhile. */
export type FlightWatcher = (isInFlight: boolean) => void;

const NO_OPTIONS: SpawnOptions = {};
/** Instead of a place: any thread. */
const ANY = -1;
/** Instead of a place: this thread, in the order of its own queue. */
const OWN = -2;
/** Instead of a place: the threads for tasks that block. */
const BLOCKING = -3;
/** Instead of an epoch: the arguments do not go by port. */
const NO_EPOCH = -1;

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
  readonly #receivers: Receivers;
  readonly #leaving: Leaving;
  #hasGivenUpAll = false;
  /** Tasks that this thread began again because the thread that had their arguments was lost. */
  rerunCount = 0;
  /** The options that were found right last: those of a proxy, call after call. */
  #checked: SpawnOptions = NO_OPTIONS;
  /** They ask for nothing: any thread may run the task, and nobody can give it up. */
  #isPlain: boolean;

  /** `queued` is for a thread that runs tasks and does not look for them all the time. */
  constructor(
    assignment: SchedulerAssignment,
    flight: FlightWatcher = () => undefined,
    queued = () => undefined as void,
  ) {
    const { thread, words, executors, places, steals, blocking } = assignment;
    const view = viewScheduler(words, thread);
    this.segment = view.segment;
    this.#words = view.words;
    this.#figures = view.figures;
    this.#assignment = assignment;
    this.#isPlain = steals;
    this.places = new Places(view.words, view.places, places);
    this.#queued = queued;
    this.values = new TaskValues(view, assignment);
    this.ringer = new Ringer(view.segment, assignment);
    this.#leaving = new Leaving(view.words, view.leaving, thread);
    this.#functions = new FunctionTable(assignment.functions);
    this.#origin = view.segment.openOrigin();
    this.#queue = thread < executors ? view.segment.openQueue({ isAlone: !steals }) : undefined;
    this.#first = view.segment.table.firstOf(thread);
    this.#pending = new Array<Pending | undefined>(view.segment.table.slotsPerThread).fill(undefined);
    this.#flight = flight;
    const { segment, ringer } = this;
    const { lives } = view.slab;
    const { words: all } = view;
    const firstBlocking = executors + 1;
    const parts = { segment, ringer, places: this.places, words: all, lives, firstBlocking, blocking };
    this.#receivers = new Receivers(parts);
  }

  /** Tasks whose slot is taken. */
  get liveCount(): number {
    return this.#origin.liveCount;
  }

  /** The average time of a task, in microseconds, as the threads that run them have shown it last: the longest of theirs. */
  get averageMicros(): number {
    return readAverageMicros(this.#words, this.#figures, this.places);
  }

  /** Makes this thread run tasks: to be called once, by a thread whose id is one of those. */
  openExecutor(): Executor {
    assert(this.#queue !== undefined, "only some threads run tasks");
    const { segment, values, ringer } = this;
    const { executors, steals } = this.#assignment;
    const functions = this.#functions;
    return new Executor({ segment, values, ringer, executors, steals, queue: this.#queue, functions });
  }

  /** As {@link openExecutor}, for a thread of those that run tasks which block. */
  openBlockingExecutor(): Executor {
    const { segment, values, ringer } = this;
    const { executors } = this.#assignment;
    const { self, inboxes, table } = segment;
    const owner = this.#firstBlocking;
    const [all, own] = [inboxes[owner]!, inboxes[self]!];
    const source: HintSource = {
      take: () => {
        const slot = own.take();
        return slot === -1 ? all.take() : slot;
      },
      isEmpty: () => own.isEmpty() && all.isEmpty(),
      // One that was begun and is run again is pinned to the thread that died under it.
      claim: (slot) => table.claim(slot, self, owner) || table.claim(slot, self),
    };
    const functions = this.#functions;
    const queue = segment.openQueue();
    return new Executor({ segment, values, ringer, executors, steals: false, functions, queue, source });
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
  spawn(functionNumber: number, args: readonly unknown[], options: SpawnOptions = NO_OPTIONS): Promise<unknown> {
    if (options !== this.#checked) {
      try {
        checkTaskOptions(options);
      } catch (error) {
        return Promise.reject(error);
      }
      this.#checked = options;
      this.#isPlain = this.#assignment.steals && isPlain(options);
    }
    const parent = options.detached === true ? undefined : scopedTask();
    const refusal = refusalOf(options, parent);
    if (refusal !== undefined) return Promise.reject(refusal);
    const slot = this.#origin.open();
    if (slot < 0) return Promise.reject(this.#refused(slot));
    try {
      if (this.#isPlain && parent === undefined) {
        this.segment.table.setFunction(slot, functionNumber);
        if (this.values.writeArguments(slot, args)) return this.#startPlain(slot);
        const spawn: Spawn = { options, parent, place: ANY, thread: this.segment.self };
        return this.#startPorted(slot, { functionNumber, args, spawn });
      }
      this.segment.table.setCall(slot, functionNumber, 0);
      const place = this.#placeFor(options);
      const spawn: Spawn = { options, parent, place, thread: this.#threadOf(place) };
      this.#writeScope(slot, spawn);
      const isTransferred = (options.transfer?.length ?? 0) > 0;
      if (!isTransferred && this.values.writeArguments(slot, args)) return this.#start(slot, spawn);
      return this.#startPorted(slot, { functionNumber, args, spawn });
    } catch (error) {
      this.values.release(slot);
      this.#receivers.ended(slot);
      this.#origin.abandon(slot);
      this.#tellFlight();
      return Promise.reject(error);
    }
  }

  /** Settles what is done, and says how many tasks that were. */
  drainSettled(): number {
    this.values.ports.sweepIfAsked();
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

  /** This thread is about to end, unless `hasWork` says that there is something to run, or another thread is sending it something. After true it must run no task. */
  tryLeave(hasWork: () => boolean): boolean {
    return this.#leaving.tryLeave(hasWork);
  }

  /** No new task from here. Those that there are go on. */
  refuse(): void {
    this.#origin.close();
  }

  /** Gives up every task of this thread: what has not begun never does, what runs is asked to end. */
  cancelAll(): void {
    for (const [index, pending] of this.#pending.entries()) {
      if (pending === undefined) continue;
      const slot = this.#first + index;
      this.#giveUp(slot, generationOf(this.segment.table.stateOf(slot)), aborted(undefined));
    }
  }

  /** No thread runs tasks any more: refuses new ones, and rejects those that never began. */
  close(): void {
    this.#origin.close();
    this.drainSettled();
    for (const [index, pending] of this.#pending.entries()) {
      if (pending === undefined) continue;
      this.#pending[index] = undefined;
      pending.bonds?.stopWatching?.();
      if (!pending.isGivenUp) pending.reject(closed("The scheduler was closed before the task began."));
      ended(pending.bonds);
    }
    this.values.ports.close();
    if (this.#isInFlight) this.#flight(false);
    this.#isInFlight = false;
  }

  /** Most tasks have no scope, and cost nothing for it. */
  #writeScope(slot: number, { options, parent }: Spawn): void {
    const { signal, timeoutMs = 0, membership } = options;
    if (parent === undefined && signal === undefined && timeoutMs === 0 && membership === undefined) return;
    const isGrouped = membership !== undefined || parent?.isGrouped === true;
    const limitMs = Math.min(
      timeoutMs === 0 ? Number.POSITIVE_INFINITY : timeoutMs,
      parent?.remainingMs ?? Number.POSITIVE_INFINITY,
    );
    const deadline = limitMs === Number.POSITIVE_INFINITY ? 0 : deadlineIn(limitMs);
    this.segment.table.setScope(slot, SCOPED | (isGrouped ? GROUPED : 0), deadline);
  }

  /** The thread that a task for a place is queued for now; this one where any will do. */
  #threadOf(place: number): number {
    if (place === BLOCKING) return this.#firstBlocking;
    const thread = place >= 0 ? this.places.holderOf(place) : this.segment.self;
    if (thread === NOBODY) throw this.#nobodyRuns();
    return thread;
  }

  /** Starts a task whose arguments go by port, and so to one thread. If they are lost with that one, what may run again is spawned again, from a copy: the arguments may have changed meanwhile. */
  #startPorted(slot: number, { functionNumber, args, spawn }: PortedCall): Promise<unknown> {
    const { options, parent } = spawn;
    if (options.idempotent !== true) return this.#sendAndStart(slot, args, spawn);
    const once = { ...options, idempotent: false };
    const kept = privateCopy(args) as readonly unknown[];
    const settled = againIfLost(
      this.#sendAndStart(slot, kept, { ...spawn, options: once }),
      (leftMs) => {
        this.rerunCount += 1;
        return this.spawn(functionNumber, kept, { ...once, timeoutMs: leftMs });
      },
      options.timeoutMs,
    );
    if (parent === undefined) return settled;
    // The task above ends after the last run, not between two.
    parent.childCount += 1;
    return settled.finally(() => parent.childEnded());
  }

  /** The thread that the arguments are sent to does not end of its own accord before it can see the task. */
  #sendAndStart(slot: number, args: readonly unknown[], spawn: Spawn): Promise<unknown> {
    const { transfer = [] } = spawn.options;
    for (;;) {
      const sent = this.#withReceiver(spawn);
      const to = sent.thread;
      const started = this.#leaving.whileKept(to, (epoch) => {
        // The place was another thread's before this one had left it.
        if (sent.place >= 0 && this.#leaving.hasLeft(to) && this.places.holderOf(sent.place) !== to) return undefined;
        this.values.sendArguments(slot, args, { to, epoch, transfer });
        this.#receivers.sent(slot, to);
        return this.#start(slot, sent, epoch);
      });
      if (started !== undefined) return started;
    }
  }

  /** The same for one thread, which will have the arguments. */
  #withReceiver(spawn: Spawn): Spawn {
    if (spawn.place === BLOCKING) return { ...spawn, thread: this.#receivers.blockingThread() };
    if (spawn.place === OWN) return spawn;
    const place = spawn.place === ANY ? this.#receivers.placeFor(spawn.options.placement) : spawn.place;
    return { ...spawn, place, thread: this.#threadOf(place) };
  }

  /** The short way of most tasks: {@link #start} with all that it asks about left out. */
  #startPlain(slot: number): Promise<unknown> {
    const promise = new Promise(capture);
    const { resolve, reject } = captured;
    this.#pending[slot - this.#first] = { resolve, reject, bonds: undefined, isGivenUp: false };
    const state = this.#origin.publish(slot, JOIN_INTEREST);
    this.counts.spawned += 1;
    this.#tellFlight();
    this.#addHint(slot, undefined);
    // Behind the hint; see `places.ts`.
    if (this.places.servedCount === 0) this.#giveUp(slot, generationOf(state), this.#nobodyRuns());
    return promise;
  }

  /** `epoch` is that of the thread that has the arguments, if they go by port. */
  #start(slot: number, { options, parent, place, thread }: Spawn, epoch = NO_EPOCH): Promise<unknown> {
    const { membership } = options;
    const isPinned = place !== ANY;
    const isBlocking = place === BLOCKING;
    const flags = JOIN_INTEREST | (options.idempotent === true ? IDEMPOTENT : 0) | (isPinned ? PINNED : 0);
    const promise = new Promise(capture);
    const hasBonds = parent !== undefined || isBlocking || isWatched(options);
    const bonds: Bonds | undefined = hasBonds ? { parent, membership, isBlocking, stopWatching: undefined } : undefined;
    this.#pending[slot - this.#first] = { resolve: captured.resolve, reject: captured.reject, bonds, isGivenUp: false };
    const state = this.#origin.publish(slot, flags, isPinned ? thread : 0);
    this.counts.spawned += 1;
    this.#tellFlight();
    if (bonds !== undefined) {
      if (parent !== undefined) this.#adopt(parent);
      membership?.taskBegun();
      if (isWatched(options)) this.#watch(slot, bonds, options);
    }
    if (isBlocking) {
      this.#addBlocking(slot, thread);
      return promise;
    }
    if (place >= 0) this.#addPinned(slot, { place, state, epoch });
    else this.#addHint(slot, options.placement);
    // Behind the hint; see `places.ts`.
    if (this.places.servedCount === 0) this.#giveUp(slot, generationOf(state), this.#nobodyRuns());
    return promise;
  }

  /** The hint of a task that blocks. Those who run such tasks start and end as they are needed, whoever runs the others. */
  #addBlocking(slot: number, thread: number): void {
    this.segment.inboxes[thread]!.insert(slot);
    if (thread === this.#firstBlocking) this.ringer.wakeBlocking();
    else this.ringer.wakeOneBlocking(thread);
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
  #addPinned(slot: number, { place, state, epoch }: { place: number; state: number; epoch: number }): void {
    const { self } = this.segment;
    const told = (thread: number): void => {
      if (thread === self) this.#queued();
      else this.ringer.wake(thread);
    };
    // It has the arguments, so the task stays with it even if another one serves the place by now.
    const stays = epoch === NO_EPOCH ? undefined : (thread: number) => this.#leaving.isThere(thread, epoch);
    const isServed = addPinnedHint(this.segment, this.places, { slot, place, state, told, stays });
    if (!isServed) this.#giveUp(slot, generationOf(state), this.#nobodyRuns());
  }

  /** No thread runs tasks, but those that block, and none will for some time: rejects what has not begun. */
  #giveUpAll(): void {
    if (this.#hasGivenUpAll) return;
    this.#hasGivenUpAll = true;
    for (let index = 0; index < this.#pending.length; index++) {
      const pending = this.#pending[index];
      if (pending === undefined || pending.bonds?.isBlocking === true) continue;
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

  /** The place that a call means, {@link ANY}, {@link OWN} or {@link BLOCKING}. */
  #placeFor({ placement, blocking }: SpawnOptions): number {
    if (blocking === true) return this.#checkedBlocking();
    const { count } = this.places;
    switch (placement?.kind) {
      case undefined:
      case "stealable":
        if (placement?.preferred !== undefined) checkThread(placement.preferred, count);
        if (this.#assignment.steals) return ANY;
        // A thread that runs none has nobody who would take them from it.
        return this.#queue === undefined ? this.#receivers.nextPlace() : OWN;
      case "pinned":
        checkThread(placement.thread, count);
        return placement.thread;
      case "round-robin":
        return this.#receivers.nextPlace();
      case "sticky":
        return ownerOf(placement.key, count);
    }
  }

  #checkedBlocking(): number {
    if (this.#assignment.blocking > 0) return BLOCKING;
    throw new RingloomError("ERR_RINGLOOM_INVALID_OPTION", "Cannot spawn: there are no threads for tasks that block.", {
      operation: "spawn",
      details: { option: "blocking" },
    });
  }

  /** Tasks that block are all pinned to the first thread for such, and the others claim them in its name. Those whose arguments were sent to another one are pinned to that. */
  get #firstBlocking(): number {
    return this.#assignment.executors + 1;
  }

  #settle(slot: number): void {
    const pending = this.#pending[slot - this.#first];
    if (pending?.isGivenUp === false && !this.values.isOutcomeHere(slot)) {
      void this.values.outcomeArrival(slot).then(() => this.#settle(slot));
      return;
    }
    this.#pending[slot - this.#first] = undefined;
    this.counts.settled += 1;
    if (pending === undefined) this.#free(slot);
    else if (pending.isGivenUp) {
      this.#free(slot);
      ended(pending.bonds);
    } else this.#answer(slot, pending);
  }

  #answer(slot: number, pending: Pending): void {
    const { bonds } = pending;
    bonds?.stopWatching?.();
    let value: unknown;
    try {
      value = this.values.readOutcome(slot);
    } catch (error) {
      this.#free(slot);
      pending.reject(error);
      ended(bonds);
      return;
    }
    this.#free(slot);
    pending.resolve(value);
    if (bonds !== undefined) ended(bonds);
  }

  #free(slot: number): void {
    this.values.release(slot);
    this.#receivers.ended(slot);
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

  #watch(slot: number, bonds: Bonds, { signal, timeoutMs = 0, membership }: SpawnOptions): void {
    const generation = generationOf(this.segment.table.stateOf(slot));
    const giveUp = (error: RingloomError): void => this.#giveUp(slot, generation, error);
    const timer = timeoutMs > 0 ? setTimeout(() => giveUp(timedOut(timeoutMs)), timeoutMs) : undefined;
    const ends = [signal, membership?.tasksSignal].map((one) => onAbortOf(one, () => giveUp(aborted(one?.reason))));
    bonds.stopWatching = () => {
      clearTimeout(timer);
      for (const end of ends) end?.();
    };
    // A getter of an argument can have done it, and then there is no event any more.
    const done = [signal, membership?.tasksSignal].find((one) => one?.aborted === true);
    if (done !== undefined) giveUp(aborted(done.reason));
  }

  /** The task that spawned another is watched as long as it runs, so that the other one is given up with it. */
  #adopt(parent: RunningTask): void {
    parent.childCount += 1;
    if (parent.whenGivenUp !== undefined) return;
    parent.whenGivenUp = () => this.#giveUpChildren(parent);
    parent.watch();
  }

  #giveUpChildren(parent: RunningTask): void {
    for (const [index, pending] of this.#pending.entries()) {
      if (pending?.bonds?.parent !== parent || pending.isGivenUp) continue;
      const slot = this.#first + index;
      this.#giveUp(slot, generationOf(this.segment.table.stateOf(slot)), abandoned(parent));
    }
  }

  #giveUp(slot: number, generation: number, error: RingloomError): void {
    const pending = this.#pending[slot - this.#first];
    if (pending === undefined || pending.isGivenUp) return;
    pending.isGivenUp = true;
    pending.bonds?.stopWatching?.();
    this.counts.cancelled += 1;
    const outcome = this.#origin.cancel(slot, generation);
    pending.reject(error);
    if (outcome === "requested") return this.#askToEnd(slot);
    if (outcome === "late") return;
    // Nobody runs it and nobody will: what is left in a queue leads nowhere. A task that runs comes back when it is done.
    const receiver = this.#receivers.threadOf(slot);
    // Before the slot is free: its hint may lead that thread to the next task.
    if (receiver !== -1) this.values.ports.askToSweep(receiver);
    this.#pending[slot - this.#first] = undefined;
    this.#free(slot);
    ended(pending.bonds);
  }

  /** The thread that runs it may sleep while the task waits for something. */
  #askToEnd(slot: number): void {
    const state = this.segment.table.stateOf(slot);
    if (phaseOf(state) === RUNNING) this.ringer.tellRunner(threadOf(state));
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

/** Whether options ask for nothing that a task does not have without them. */
function isPlain(options: SpawnOptions): boolean {
  const { placement, blocking, idempotent, transfer } = options;
  const isAnywhere = placement === undefined && blocking !== true && (transfer?.length ?? 0) === 0;
  return isAnywhere && idempotent !== true && !isWatched(options);
}

/** Why a task is not even begun. */
function refusalOf({ signal, membership }: SpawnOptions, parent: RunningTask | undefined): RingloomError | undefined {
  if (signal?.aborted === true) return aborted(signal.reason);
  if (membership?.tasksSignal.aborted === true) return aborted(membership.tasksSignal.reason);
  return parent?.isCancelled === true ? abandoned(parent) : undefined;
}

/** Its slot is free: whoever waits for that is told. */
function ended(bonds: Bonds | undefined): void {
  bonds?.parent?.childEnded();
  bonds?.membership?.taskEnded();
}

/** Whether a task can be given up by somebody who has to be listened to. */
function isWatched({ signal, timeoutMs = 0, membership }: SpawnOptions): boolean {
  return signal !== undefined || timeoutMs > 0 || membership !== undefined;
}

/** What settles the promise that was made last. One function for all, because a closure costs each call more than the promise. */
const captured: { resolve: Pending["resolve"]; reject: Pending["reject"] } = {
  resolve: () => undefined,
  reject: () => undefined,
};

function capture(resolve: (value: unknown) => void, reject: (error: unknown) => void): void {
  captured.resolve = resolve;
  captured.reject = reject;
}

function onAbortOf(signal: AbortSignal | undefined, listener: () => void): (() => void) | undefined {
  return signal === undefined || signal.aborted ? undefined : onAbort(signal, listener);
}

/** The task above was given up, or its time is over. */
function abandoned(parent: RunningTask): RingloomError {
  if (parent.remainingMs > 0) return aborted(undefined);
  return new RingloomError("ERR_RINGLOOM_TIMEOUT", "The time of the task that called it is over.", {
    operation: "task",
  });
}
