/**
 * The supervisor's side of a scheduler: makes its memory, gives out ids and lives, starts the compute threads, and buries and replaces those that die.
 *
 *     ids: [ compute threads ] [ the supervisor ] [ guests: threads that only spawn, such as shards ]
 */
import { isMainThread, Worker, type WorkerOptions } from "node:worker_threads";
import { assert } from "../assert.js";
import type { Doorbell, DriverName } from "../driver/contract.js";
import { closeDoorbell, createDoorbell, forceDoorbell } from "../driver/doorbell.js";
import { RingloomError } from "../errors.js";
import type { SegmentOptions } from "../shared/layout.js";
import { Reaper } from "../shared/reaper.js";
import { lifeOf } from "../shared/slab.js";
import type { ComputeAssignment } from "./compute-thread.js";
import { createFunctionTable } from "./function-table.js";
import { PortHub } from "./port-hub.js";
import {
  createSchedulerWords,
  type SchedulerAssignment,
  type SchedulerShare,
  viewScheduler,
} from "./scheduler-memory.js";
import { Seat } from "./seat.js";

/** What a compute thread runs, unless it is told otherwise. */
const COMPUTE_MAIN: ComputeMain = { module: new URL("./compute-thread.js", import.meta.url), data: {} };

/** Threads that die before they have run for so long are replaced only after a pause, in milliseconds. */
const STABLE_MS = 1_000;
const RESTART_PAUSE_MS = 500;

/** A module that imports `compute-thread.js` when it has prepared the thread, and what it finds in `workerData` besides. */
export interface ComputeMain {
  readonly module: URL;
  readonly data: Readonly<Record<string, unknown>>;
}

/** The parameters of the structures. */
export type SchedulerTuning = Omit<SegmentOptions, "threads" | "slotsPerThread">;

/** What a pool is made of. */
export interface ComputePoolOptions {
  /** Threads that run tasks. */
  readonly compute: number;
  /** Threads besides those and the supervisor that may spawn tasks at the same time. */
  readonly guests: number;
  /** What the guests sleep in. */
  readonly guestDriver: DriverName;
  readonly nice: number;
  readonly spinMicros: number;
  /** Tasks that each thread may have in flight. */
  readonly tasksMax: number;
  /** For experiments: what is otherwise as measurements have shown it to be best. */
  readonly tuning?: SchedulerTuning | undefined;
  readonly resourceLimits?: WorkerOptions["resourceLimits"];
  readonly main?: ComputeMain | undefined;
}

/** What has happened to the pool's threads. */
export interface ComputePoolCounts {
  /** Threads that died and were replaced. */
  deaths: number;
  /** Tasks that were rejected because their thread was lost. */
  lost: number;
  /** Tasks that were begun again on another thread. */
  requeued: number;
}

interface Member {
  worker: Worker | undefined;
  startedMs: number;
  restartTimer: NodeJS.Timeout | undefined;
}

/** The threads of one scheduler. The main thread has one at most. */
export class ComputePool {
  readonly counts: ComputePoolCounts = { deaths: 0, lost: 0, requeued: 0 };
  readonly share: SchedulerShare;
  /** The supervisor's own seat. */
  readonly seat: Seat;
  readonly #options: ComputePoolOptions;
  readonly #members: Member[] = [];
  readonly #view: ReturnType<typeof viewScheduler>;
  readonly #reaper: Reaper;
  readonly #hub: PortHub;
  /** Ids of guests that nobody has. */
  readonly #vacant: number[] = [];
  #livesGiven = 0;
  #isStarted = false;
  #isClosed = false;

  constructor(options: ComputePoolOptions, flight?: (isInFlight: boolean) => void) {
    assert(isMainThread, "the main thread supervises");
    this.#options = options;
    const { compute, guests, guestDriver, tasksMax, tuning } = options;
    const threads = compute + 1 + guests;
    const segment: SegmentOptions = { ...tuning, threads, slotsPerThread: tasksMax };
    this.share = {
      words: createSchedulerWords(segment),
      functions: createFunctionTable(),
      executors: compute,
      doorbells: Array.from(
        { length: threads },
        (_, thread): Doorbell => createDoorbell(thread > compute ? guestDriver : "portable"),
      ),
    };
    this.#view = viewScheduler(this.share.words, compute);
    this.#hub = new PortHub(this.#view.words, this.#view.epochs);
    this.#giveLife(compute);
    this.seat = new Seat(this.#assignment(compute), flight);
    this.seat.values.ports.relay = () => this.#hub.poll();
    this.#reaper = new Reaper(this.#view.segment, this.seat.values);
    for (let guest = compute + 1; guest < threads; guest++) this.#vacant.push(guest);
    for (let thread = 0; thread < compute; thread++) {
      this.#members.push({ worker: undefined, startedMs: 0, restartTimer: undefined });
    }
  }

  /** Starts the compute threads, unless they were. Tasks that were spawned before wait for them. */
  start(): void {
    if (this.#isStarted || this.#isClosed) return;
    this.#isStarted = true;
    for (let thread = 0; thread < this.#members.length; thread++) this.#start(thread);
  }

  /** A seat for a thread that will only spawn, or undefined when all are taken. {@link leave} ends it. */
  admit(): SchedulerAssignment | undefined {
    const thread = this.#vacant.shift();
    if (thread === undefined) return undefined;
    this.#giveLife(thread);
    return this.#assignment(thread);
  }

  /** A guest's thread has ended: its tasks are nobody's any more, and its id is free. */
  leave(thread: number): void {
    assert(thread > this.share.executors && !this.#vacant.includes(thread), "only a guest leaves");
    this.#reap(thread, false);
    this.#vacant.push(thread);
  }

  /** Ends the threads at once; tasks that run reject with `ERR_RINGLOOM_THREAD_LOST`, those that have not begun with `ERR_RINGLOOM_CLOSED`. Resolves when all are gone. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const { restartTimer } of this.#members) clearTimeout(restartTimer);
    await Promise.all(this.#members.map(({ worker }) => worker?.terminate()));
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
    await this.#members[thread]?.worker?.terminate();
  }

  /** Whether the threads keep the process alive. */
  setReferenced(isReferenced: boolean): void {
    // The timer stands for a thread that died and is not replaced yet.
    for (const { worker, restartTimer } of this.#members) {
      if (isReferenced) {
        worker?.ref();
        restartTimer?.ref();
      } else {
        worker?.unref();
        restartTimer?.unref();
      }
    }
  }

  #start(thread: number): void {
    const member = this.#members[thread]!;
    member.restartTimer = undefined;
    this.#giveLife(thread);
    const { nice, spinMicros, resourceLimits, main = COMPUTE_MAIN } = this.#options;
    const assignment: ComputeAssignment = { ...this.#assignment(thread), nice, spinMicros };
    const worker = new Worker(main.module, {
      name: `ringloom-compute-${thread}`,
      workerData: { ...main.data, ...assignment },
      transferList: [assignment.line],
      ...(resourceLimits === undefined ? {} : { resourceLimits }),
    });
    member.worker = worker;
    member.startedMs = performance.now();
    worker.on("error", (error) => this.#complain(thread, error));
    worker.on("exit", () => this.#bury(thread));
    if (this.seat.liveCount === 0) worker.unref();
  }

  #bury(thread: number): void {
    const member = this.#members[thread]!;
    member.worker = undefined;
    this.counts.deaths += 1;
    // Also when the pool closes: what never began is not lost, and the seat rejects it.
    this.#reap(thread, true);
    if (this.#isClosed) return;
    const pauseMs = performance.now() - member.startedMs < STABLE_MS ? RESTART_PAUSE_MS : 0;
    member.restartTimer = setTimeout(() => this.#start(thread), pauseMs);
    if (this.seat.liveCount === 0) member.restartTimer.unref();
  }

  #reap(thread: number, isReplaced: boolean): void {
    const { words, slab } = this.#view;
    const report = this.#reaper.reap(thread, { isReplaced });
    // Behind the reaper, which releases what the dead thread held under that life.
    words.store(slab.lives + thread, 0);
    words.add(slab.deaths, 1);
    this.#hub.end(thread);
    this.counts.lost += report.lost;
    this.counts.requeued += report.requeued;
    // Whoever died may have rung and not woken, so everybody who sleeps in a loop is woken, whatever the words say.
    for (const doorbell of this.share.doorbells) forceDoorbell(doorbell);
  }

  #assignment(thread: number): SchedulerAssignment {
    return { ...this.share, thread, line: this.#hub.open(thread) };
  }

  #giveLife(thread: number): void {
    this.#livesGiven += 1;
    this.#view.words.store(this.#view.slab.lives + thread, lifeOf(thread, this.#livesGiven));
  }

  #complain(thread: number, error: unknown): void {
    const what = error instanceof Error ? (error.stack ?? error.message) : String(error);
    process.emitWarning(new RingloomError("ERR_RINGLOOM_THREAD_LOST", `Compute thread ${thread} died: ${what}`));
  }
}
