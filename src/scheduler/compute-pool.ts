/**
 * The supervisor's side of a scheduler: makes its memory, gives out ids and lives, starts the compute threads where those run the tasks, and buries who dies.
 *
 *     compute threads run tasks:   [ compute threads ] [ the supervisor ] [ threads for tasks that block ] [ guests: threads that only spawn, such as shards ]
 *     shards run tasks:            [ shards, and spare ids for those that take over ] [ the supervisor ] [ threads for tasks that block ]
 */
import { isMainThread, type MessagePort, Worker, type WorkerOptions } from "node:worker_threads";
import { assert } from "../assert.js";
import type { DriverName } from "../driver/contract.js";
import { closeDoorbell, createDoorbells, forceDoorbell, ringDoorbell } from "../driver/doorbell.js";
import { RingloomError } from "../errors.js";
import type { DeskRequest } from "../keyed/desk.js";
import { obeyHere } from "../keyed/desk-line.js";
import { RestartBudget, type RestartBudgetOptions } from "../runtime/restart-budget.js";
import type { SegmentOptions } from "../shared/layout.js";
import { Reaper, type ReapOptions, type ReapReport } from "../shared/reaper.js";
import { lifeOf } from "../shared/slab.js";
import { type BlockingCounts, BlockingThreads } from "./blocking-threads.js";
import { ComputeMember, type MemberLimits, type MemberPool } from "./compute-member.js";
import type { ComputeAssignment } from "./compute-thread.js";
import { createFailureNote, writeFailureNote } from "./failure-note.js";
import { clearFigures } from "./figures.js";
import { createFunctionTable } from "./function-table.js";
import { Leaving } from "./leaving.js";
import { NOBODY, Places } from "./places.js";
import { PortHub } from "./port-hub.js";
import {
  createSchedulerWords,
  type ExecutorSleep,
  type SchedulerAssignment,
  type SchedulerShare,
  viewScheduler,
} from "./scheduler-memory.js";
import { Seat } from "./seat.js";
import { listenForSettled } from "./seat-listener.js";
import { ShardIds } from "./shard-ids.js";

/** What a compute thread runs, unless it is told otherwise. */
const COMPUTE_MAIN: ComputeMain = { module: new URL("./compute-thread.js", import.meta.url), data: {} };

/** How often compute threads may die in vain, unless it is told otherwise: as with shards. */
const RESTARTS: RestartBudgetOptions = { restartsMax: 10, windowMs: 60_000, backoffMs: 100 };

/** A module that imports `compute-thread.js` when it has prepared the thread, and what it finds in `workerData` besides. */
export interface ComputeMain {
  readonly module: URL;
  readonly data: Readonly<Record<string, unknown>>;
}

/** The parameters of the structures. */
export type SchedulerTuning = Omit<SegmentOptions, "threads" | "slotsPerThread">;

/** Shards that run tasks. */
export interface RunningShards {
  /** How many: each is a place. */
  readonly count: number;
  /** Threads of all of them that may be there at the same time, those that drain included. */
  readonly threads: number;
  readonly sleep: Exclude<ExecutorSleep, "word">;
  readonly steals: boolean;
}

/** What a pool is made of. */
export interface ComputePoolOptions {
  /** Threads that run tasks; 0 where shards do. */
  readonly compute: number;
  /** Threads for tasks that block, at most; each is started when one is needed, and ends when it had none for `blockingIdleMs`. */
  readonly blocking: number;
  readonly blockingIdleMs: number;
  /** Threads besides those and the supervisor that may spawn tasks at the same time. */
  readonly guests: number;
  /** What the guests, or the shards that run tasks, sleep in. */
  readonly guestDriver: DriverName;
  readonly shards?: RunningShards | undefined;
  /** Shards of a server whose functions the threads may call. Default: there is none. */
  readonly callableShards?: number | undefined;
  readonly nice: number;
  readonly spinMicros: number;
  /** Tasks that each thread may have in flight. */
  readonly tasksMax: number;
  /** Values by port that may be under way from one thread to another, in MiB. */
  readonly portMib: number;
  /** For experiments: what is otherwise as measurements have shown it to be best. */
  readonly tuning?: SchedulerTuning | undefined;
  readonly restarts?: RestartBudgetOptions;
  readonly resourceLimits?: WorkerOptions["resourceLimits"];
  readonly main?: ComputeMain | undefined;
  /** Called when the pool begins to close. */
  readonly closing?: (() => void) | undefined;
}

/** What has happened to the pool's threads. */
export interface ComputePoolCounts {
  /** Threads that died and were replaced. */
  deaths: number;
  /** Those among them that had begun no task. */
  failedStarts: number;
  /** Tasks that were rejected because their thread was lost. */
  lost: number;
  /** Tasks that were begun again on another thread. */
  requeued: number;
}

/** The threads of one scheduler. The main thread has one at most. */
export class ComputePool implements MemberPool {
  readonly counts: ComputePoolCounts = { deaths: 0, failedStarts: 0, lost: 0, requeued: 0 };
  readonly share: SchedulerShare;
  /** Where its threads meet with others who share something by its name: at the main thread's own desk, unless a server has another one. */
  desk: (request: DeskRequest) => void = obeyHere;
  /** Passes the port of a thread that calls a shard on to that shard. A port that is closed says that nobody is there. */
  connect: (shard: number, caller: MessagePort) => void = (_, caller) => caller.close();
  /** The supervisor's own seat. */
  readonly seat: Seat;
  readonly #options: ComputePoolOptions;
  readonly #members: readonly ComputeMember[];
  readonly #view: ReturnType<typeof viewScheduler>;
  readonly #places: Places;
  readonly #reaper: Reaper;
  readonly #hub: PortHub;
  readonly #leaving: Leaving;
  readonly #blocking: BlockingThreads;
  /** Ids of guests that nobody has. */
  readonly #vacant: number[] = [];
  readonly #shardIds: ShardIds | undefined;
  #livesGiven = 0;
  #isStarted = false;
  #isClosed = false;

  constructor(options: ComputePoolOptions, flight?: (isInFlight: boolean) => void) {
    assert(isMainThread, "the main thread supervises");
    this.#options = options;
    const { compute, blocking, guests, shards, tasksMax, portMib, tuning, restarts = RESTARTS } = options;
    const executors = shards?.threads ?? compute;
    const firstGuest = executors + 1 + blocking;
    const threads = firstGuest + guests;
    const segment: SegmentOptions = { ...tuning, threads, slotsPerThread: tasksMax };
    this.share = {
      words: createSchedulerWords(segment),
      functions: createFunctionTable(),
      failure: createFailureNote(),
      executors,
      places: shards?.count ?? compute,
      sleep: shards?.sleep ?? "word",
      steals: shards?.steals ?? true,
      blocking,
      portMib,
      callableShards: options.callableShards ?? 0,
      doorbells: createDoorbells(threads, (thread) => driverOf(thread, options)),
    };
    this.#view = viewScheduler(this.share.words, executors);
    this.#hub = new PortHub(this.#view.words, this.#view.leaving.epochs);
    this.#leaving = new Leaving(this.#view.words, this.#view.leaving, executors);
    this.#places = new Places(this.#view.words, this.#view.places, this.share.places);
    if (shards !== undefined) this.#shardIds = new ShardIds(this.#places, executors);
    else for (let place = 0; place < compute; place++) this.#places.assign(place, place);
    this.#giveLife(executors);
    this.seat = new Seat(this.#assignment(executors), flight);
    this.seat.values.ports.relay = () => this.#hub.poll();
    this.#reaper = new Reaper(this.#view.segment, this.seat.values);
    for (let guest = firstGuest; guest < threads; guest++) this.#vacant.push(guest);
    const limits = { budget: new RestartBudget(restarts), restMs: restarts.windowMs };
    this.#blocking = this.#blockingThreads(limits);
    this.#members = Array.from({ length: compute }, (_, thread) => new ComputeMember(thread, this, limits));
  }

  /** Starts the compute threads, unless they were. Tasks that were spawned before wait for them. */
  start(): void {
    if (this.#isStarted || this.#isClosed) return;
    this.#isStarted = true;
    this.setReferenced(this.seat.liveCount > 0);
    for (const member of this.#members) member.start();
    const rung = (): void => this.#blocking.look();
    const doorbell = this.share.doorbells[this.share.executors]!;
    const { spinMicros } = this.#options;
    void listenForSettled(this.seat, { doorbell, spinMicros, rung, isClosed: () => this.#isClosed });
  }

  /** Threads for tasks that block. */
  get blockingCounts(): BlockingCounts {
    return { ...this.#blocking.counts };
  }

  /** A seat for a shard, which will only spawn, or run tasks too; undefined when all ids are taken. {@link leave} ends it. */
  admit(shard: number): SchedulerAssignment | undefined {
    const thread = this.#shardIds === undefined ? this.#vacant.shift() : this.#shardIds.admit(shard);
    if (thread === undefined) return undefined;
    this.#giveLife(thread);
    clearFigures(this.#view.words, this.#view.figures, thread);
    return this.#assignment(thread);
  }

  /** A shard's thread has ended: its tasks are nobody's any more, and its id is free. `isReplaced` says whether another one will serve as the same shard. */
  leave(thread: number, isReplaced: boolean): void {
    if (this.#shardIds !== undefined) {
      this.#reap(thread, this.#shardIds.leave(thread, isReplaced));
      return;
    }
    const { executors, blocking } = this.share;
    assert(thread > executors + blocking && !this.#vacant.includes(thread), "only a guest leaves");
    this.#reap(thread, { isReplaced: false });
    this.#vacant.push(thread);
  }

  /** A shard's thread is about to end, and the one that takes over has loaded: what is placed there from now on is for that one. */
  handOver(thread: number): void {
    this.#shardIds?.handOver(thread);
  }

  /** No shard that is gone will be replaced: tasks that wait for one reject. */
  endReplacing(): void {
    for (const thread of this.#shardIds?.endReplacing() ?? []) this.#reap(thread, { isReplaced: false });
  }

  /** Ends the threads at once; tasks that run reject with `ERR_RINGLOOM_THREAD_LOST`, those that have not begun with `ERR_RINGLOOM_CLOSED`. Resolves when all are gone. */
  async close(): Promise<void> {
    if (!this.#isClosed) this.#options.closing?.();
    this.#isClosed = true;
    await Promise.all([this.#blocking.close(), ...this.#members.map((member) => member.close())]);
    this.seat.close();
    this.#hub.close();
    for (const doorbell of this.share.doorbells) {
      // Whoever still listens for it finds the pool closed, and forgets it.
      forceDoorbell(doorbell);
      closeDoorbell(doorbell);
    }
  }

  /** Ends one thread wherever it is, even inside a loop that never returns; it is replaced. */
  async terminate(thread: number): Promise<void> {
    await this.#members[thread]?.terminate();
  }

  /** Whether the threads keep the process alive. */
  setReferenced(isReferenced: boolean): void {
    this.#blocking.setReferenced(isReferenced);
    for (const member of this.#members) member.setReferenced(isReferenced);
  }

  // --- for the members

  create(thread: number): Worker {
    this.#giveLife(thread);
    clearFigures(this.#view.words, this.#view.figures, thread);
    const { nice, spinMicros, resourceLimits, main = COMPUTE_MAIN } = this.#options;
    const assignment: ComputeAssignment = { ...this.#assignment(thread), nice, spinMicros };
    return new Worker(main.module, {
      name: `ringloom-compute-${thread}`,
      workerData: { ...main.data, ...assignment },
      transferList: [assignment.line],
      ...(resourceLimits === undefined ? {} : { resourceLimits }),
    });
  }

  buried(thread: number): boolean {
    this.counts.deaths += 1;
    const { lost, requeued } = this.#reap(thread, { isReplaced: true });
    const executed = this.seat.readFigures()[thread]?.executed ?? 0;
    return lost + requeued + executed > 0;
  }

  stillborn(thread: number, cause: unknown, isFirst: boolean): void {
    this.counts.failedStarts += 1;
    if (isFirst) this.#warn(`Compute thread ${thread} ended before it had run a task`, cause);
  }

  givenUp(thread: number, cause: unknown): void {
    const { restartsMax, windowMs } = this.#options.restarts ?? RESTARTS;
    writeFailureNote(this.share.failure, textOf(cause));
    this.#places.assign(thread, NOBODY);
    this.#reap(thread, { isReplaced: false });
    this.#warn(
      `Compute thread ${thread} is given up for ${windowMs / 1_000} s: more than ${restartsMax} ended before they had run a task`,
      cause,
    );
  }

  recovered(thread: number): void {
    this.#places.assign(thread, thread);
  }

  crashed(thread: number, error: unknown): void {
    this.#warn(`Compute thread ${thread} died`, error);
  }

  #blockingThreads(limits: MemberLimits): BlockingThreads {
    const { blocking, blockingIdleMs, resourceLimits } = this.#options;
    return new BlockingThreads({
      segment: this.#view.segment,
      first: this.share.executors + 1,
      count: blocking,
      limits,
      resourceLimits,
      assign: (thread) => {
        this.#giveLife(thread);
        return { ...this.#assignment(thread), idleMs: blockingIdleMs };
      },
      bury: (thread, { isLost, isReplaced }) => {
        if (isLost) this.counts.deaths += 1;
        this.#reap(thread, { isReplaced });
      },
      stillborn: (cause, isFirst) => {
        this.counts.failedStarts += 1;
        if (isFirst) this.#warn("A thread for tasks that block ended before it was ready", cause);
      },
      givenUp: (cause, restMs) =>
        this.#warn(`Threads for tasks that block are given up for ${restMs / 1_000} s`, cause),
      desk: (request) => this.desk(request),
      connect: (shard, caller) => this.connect(shard, caller),
      ring: (thread) => ringDoorbell(this.share.doorbells[thread]!),
      isReferenced: () => this.seat.liveCount > 0,
    });
  }

  #reap(thread: number, options: ReapOptions): ReapReport {
    const { words, slab, portSweeps } = this.#view;
    this.#leaving.buryBegin(thread);
    const report = this.#reaper.reap(thread, options);
    // Behind the reaper, which releases what the dead thread held under that life.
    words.store(slab.lives + thread, 0);
    words.add(slab.deaths, 1);
    this.#hub.end(thread);
    this.#leaving.buryEnd(thread);
    // What the dead thread has sent is for tasks that are over.
    for (let other = 0; other < slab.threads; other++) words.store(portSweeps + other, 1);
    this.counts.lost += report.lost;
    this.counts.requeued += report.requeued;
    // Whoever died may have rung and not woken, so everybody who sleeps in a loop is woken, whatever the words say.
    for (const doorbell of this.share.doorbells) forceDoorbell(doorbell);
    return report;
  }

  #assignment(thread: number): SchedulerAssignment {
    return { ...this.share, thread, line: this.#hub.open(thread) };
  }

  #giveLife(thread: number): void {
    this.#livesGiven += 1;
    this.#view.words.store(this.#view.slab.lives + thread, lifeOf(thread, this.#livesGiven));
  }

  #warn(what: string, cause: unknown): void {
    process.emitWarning(new RingloomError("ERR_RINGLOOM_THREAD_LOST", `${what}: ${textOf(cause)}`));
  }
}

/** What a thread sleeps in: shards in their driver, the others in their event loop. */
function driverOf(thread: number, { compute, blocking, shards, guestDriver }: ComputePoolOptions): DriverName {
  const isShard = shards === undefined ? thread > compute + blocking : thread < shards.threads;
  return isShard ? guestDriver : "portable";
}

function textOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
