/** The scheduler of a process that is no server: started on the main thread when the first task is spawned, or by {@link startScheduler}. */
import { availableParallelism } from "node:os";
import { isMainThread } from "node:worker_threads";
import { PORT_MIB_DEFAULT, PORT_MIB_MAX, TASK_SLOTS_PER_THREAD_DEFAULT } from "../constants.js";
import { RingloomError } from "../errors.js";
import { EarliestTimer } from "../runtime/earliest-timer.js";
import { rejectUnknownOptions } from "../runtime/option.js";
import { ComputePool, type SchedulerTuning } from "./compute-pool.js";
import { closedSeat, setDefaultSeat, setSeat } from "./current-seat.js";
import type { ComputeFigures } from "./figures.js";
import type { Seat } from "./seat.js";
import { invalid, TIMEOUT_MS_MAX } from "./task-checks.js";
import { BLOCKING_IDLE_MS, BLOCKING_MAX, blockingDefault, NICE_MAX, TASKS_MAX } from "./task-options.js";
import { COMPUTE_MAX } from "./topology.js";

/**
 * How many threads run tasks, and how.
 * @experimental
 */
export interface SchedulerOptions {
  /** Threads that run tasks, 1 to 32. Default: as many as this process may use cores. */
  readonly compute?: number;
  /** Scheduling priority of those threads, 0 to 19; the kernel prefers threads with a lower number. Linux only. Default 0. */
  readonly nice?: number;
  /** How long an idle thread looks for work before it sleeps, in microseconds. Default 25. */
  readonly spinMicros?: number;
  /** Threads for tasks that block, at most, 0 to 16. Default: twice as many as this process may use cores. */
  readonly blocking?: number;
  /** How long such a thread waits for its next task before it ends, in milliseconds. Default 10,000. */
  readonly blockingIdleMs?: number;
  /** Tasks that each thread may have in flight, up to 16,384. Default 4,096. */
  readonly tasksMax?: number;
  /**
   * Values over 1 MiB, or handed over, that may be under way from one thread to another, in MiB; one more rejects its call with `ERR_RINGLOOM_OVERLOADED`. A single value may be larger. Default 128.
   */
  readonly portMib?: number;
}

/**
 * A running scheduler.
 * @experimental
 */
export interface Scheduler {
  /** Threads that run tasks. */
  readonly compute: number;
  /** What has happened since the start. */
  readonly stats: SchedulerStats;
  /** Ends a thread wherever it is, even in a loop that never returns: its task rejects with `ERR_RINGLOOM_THREAD_LOST`, and another thread takes its place. */
  terminateThread(thread: number): Promise<void>;
  /**
   * Ends in order: refuses new tasks of the main thread, lets those that it has in flight end, or gives them up with `cancel`, and then ends all threads. What is left at the deadline is cut, as {@link Scheduler.close} cuts it. What tasks
   * have called is waited for with them, unless it is `detached`.
   *
   * A further call can only hasten that: a deadline of its own that comes sooner counts, and `cancel` gives up what is left. All of them resolve with the same report.
   * @throws RingloomError (rejects) `ERR_RINGLOOM_INVALID_OPTION`.
   */
  shutdown(options?: SchedulerShutdownOptions): Promise<SchedulerShutdownReport>;
  /** Ends all threads. Tasks that run reject with `ERR_RINGLOOM_THREAD_LOST`, those that have not begun with `ERR_RINGLOOM_CLOSED`. */
  close(): Promise<void>;
}

/**
 * How a scheduler ends.
 * @experimental
 */
export interface SchedulerShutdownOptions {
  /** Give up what is in flight: calls reject with `ERR_RINGLOOM_ABORTED` at once, and tasks that run are asked to end. Default false: they are waited for. */
  readonly cancel?: boolean;
  /** When what is left is cut, in milliseconds from the call; 0 is at once. Default 30,000; of a further call, as it was. */
  readonly deadlineMs?: number;
}

/**
 * How a scheduler has ended.
 * @experimental
 */
export interface SchedulerShutdownReport {
  /** Tasks that ended meanwhile. */
  readonly settled: number;
  /** Tasks that the deadline cut. */
  readonly cut: number;
  readonly ms: number;
}

/**
 * Figures of a scheduler, as the main thread sees them.
 * @experimental
 */
export interface SchedulerStats {
  readonly spawned: number;
  readonly settled: number;
  readonly overloaded: number;
  readonly cancelled: number;
  readonly inFlight: number;
  /** Values that the compact codec does not carry. */
  readonly cloned: number;
  /** Values that went by MessagePort, from and to the main thread: the arguments of its tasks, and what they returned. */
  readonly ported: number;
  /** MessagePorts that the main thread holds for such values: at most one to and one from each other thread. */
  readonly ports: number;
  /** Blocks of the main thread's memory for values that are in use. */
  readonly blocks: number;
  /** Each thread that runs tasks, as its last round left it. */
  readonly threads: readonly ComputeFigures[];
  /** Threads for tasks that block. */
  readonly blocking: BlockingFigures;
  /** Threads that died. */
  readonly deaths: number;
  /** Those among them that ended before they had run a task. */
  readonly failedStarts: number;
  /** Tasks that were lost with their thread. */
  readonly lost: number;
  /** Idempotent tasks that were begun again. */
  readonly requeued: number;
}

/**
 * The threads for tasks that block.
 * @experimental
 */
export interface BlockingFigures {
  /** Those that there are. */
  readonly threads: number;
  /** Those that were started so far. */
  readonly started: number;
}

const SHUTDOWN_MS_DEFAULT = 30_000;
const SPIN_MICROS_DEFAULT = 25;
const SPIN_MICROS_MAX = 1_000_000;

let running: ProcessScheduler | undefined;

/**
 * Starts the scheduler of this process. Without it, the first task starts one with the defaults. Threads that have nothing to do keep no process alive.
 * @throws RingloomError `ERR_RINGLOOM_INVALID_OPTION`, also when one runs already, and `ERR_RINGLOOM_WRONG_THREAD` on other threads than the main one.
 * @experimental
 */
export function startScheduler(options: SchedulerOptions = {}): Scheduler {
  return startTunedScheduler(options);
}

/** The same, with other parameters of its structures: for `bench/experiments`. */
export function startTunedScheduler(options: SchedulerOptions, tuning?: SchedulerTuning): Scheduler {
  if (!isMainThread) {
    throw new RingloomError("ERR_RINGLOOM_WRONG_THREAD", "Cannot start a scheduler: this is not the main thread.", {
      operation: "startScheduler",
    });
  }
  if (running !== undefined) {
    throw new RingloomError("ERR_RINGLOOM_INVALID_OPTION", "Cannot start a scheduler: one is running.", {
      operation: "startScheduler",
    });
  }
  running = new ProcessScheduler(options, tuning);
  setSeat(running.seat);
  return running;
}

class ProcessScheduler implements Scheduler {
  readonly compute: number;
  readonly seat: Seat;
  readonly #pool: ComputePool;
  #closing: Promise<void> | undefined;
  #shutdown: Promise<SchedulerShutdownReport> | undefined;
  /** When a shutdown cuts what is left. */
  readonly #deadline = new EarliestTimer(() => this.#whenIdle());
  /** Called when no task of the main thread is in flight any more, and when a shutdown's time is over. */
  #whenIdle: () => void = () => undefined;

  constructor(options: SchedulerOptions, tuning?: SchedulerTuning) {
    this.compute = checked("compute", options.compute ?? Math.min(availableParallelism(), COMPUTE_MAX), [
      1,
      COMPUTE_MAX,
    ]);
    const nice = checked("nice", options.nice ?? 0, [0, NICE_MAX]);
    const blocking = checked("blocking", options.blocking ?? blockingDefault(), [0, BLOCKING_MAX]);
    const blockingIdleMs = checked("blockingIdleMs", options.blockingIdleMs ?? BLOCKING_IDLE_MS, [1, TIMEOUT_MS_MAX]);
    const spinMicros = checked("spinMicros", options.spinMicros ?? SPIN_MICROS_DEFAULT, [0, SPIN_MICROS_MAX]);
    const tasksMax = checked("tasksMax", options.tasksMax ?? TASK_SLOTS_PER_THREAD_DEFAULT, [1, TASKS_MAX]);
    const portMib = checked("portMib", options.portMib ?? PORT_MIB_DEFAULT, [1, PORT_MIB_MAX]);
    this.#pool = new ComputePool(
      {
        compute: this.compute,
        blocking,
        blockingIdleMs,
        guests: 0,
        guestDriver: "portable",
        nice,
        spinMicros,
        tasksMax,
        portMib,
        tuning,
      },
      (isInFlight) => {
        this.#pool.setReferenced(isInFlight);
        if (!isInFlight) this.#whenIdle();
      },
    );
    this.seat = this.#pool.seat;
    this.#pool.start();
  }

  get stats(): SchedulerStats {
    const { counts, values, liveCount } = this.seat;
    return {
      ...counts,
      ...this.#pool.counts,
      requeued: this.#pool.counts.requeued + this.seat.rerunCount,
      blocking: this.#pool.blockingCounts,
      cloned: values.counts.cloned,
      ported: values.ports.count,
      ports: values.ports.portsNow,
      blocks: values.blocksNow,
      inFlight: liveCount,
      threads: this.seat.readFigures(),
    };
  }

  terminateThread(thread: number): Promise<void> {
    checked("thread", thread, [0, this.compute - 1]);
    return this.#pool.terminate(thread);
  }

  async shutdown(options: SchedulerShutdownOptions = {}): Promise<SchedulerShutdownReport> {
    rejectUnknownOptions(options, ["cancel", "deadlineMs"]);
    const isFirst = this.#shutdown === undefined;
    const { cancel = false, deadlineMs = isFirst ? SHUTDOWN_MS_DEFAULT : TIMEOUT_MS_MAX } = options;
    if (typeof cancel !== "boolean") throw invalid("cancel", cancel, "true or false is needed");
    if (typeof deadlineMs !== "number" || !(deadlineMs >= 0 && deadlineMs <= TIMEOUT_MS_MAX)) {
      throw invalid("deadlineMs", deadlineMs, `a number of milliseconds from 0 to ${TIMEOUT_MS_MAX} is needed`);
    }
    this.#shutdown ??= this.#shutdownOnce();
    if (cancel && this.#closing === undefined) this.seat.cancelAll();
    this.#deadline.within(deadlineMs);
    return this.#shutdown;
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #shutdownOnce(): Promise<SchedulerShutdownReport> {
    const startedMs = performance.now();
    const inFlight = this.seat.liveCount;
    this.seat.refuse();
    this.#deadline.arm();
    await new Promise<void>((resolve) => {
      this.#whenIdle = resolve;
      if (this.seat.liveCount === 0) resolve();
    });
    this.#deadline.clear();
    const cut = this.seat.liveCount;
    await this.close();
    return { settled: inFlight - cut, cut, ms: performance.now() - startedMs };
  }

  async #close(): Promise<void> {
    await this.#pool.close();
    setSeat(undefined);
    // Whoever has closed it wants no threads: the next task starts none.
    setDefaultSeat(closedSeat);
    running = undefined;
  }
}

function checked(
  option: keyof SchedulerOptions | "thread",
  value: number,
  [least, most]: readonly [number, number],
): number {
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  throw new RingloomError(
    "ERR_RINGLOOM_INVALID_OPTION",
    `Cannot use ${option} ${value}: an integer from ${least} to ${most} is needed.`,
    { operation: "startScheduler", details: { option, value } },
  );
}

if (isMainThread) {
  setDefaultSeat(() => {
    running ??= new ProcessScheduler({});
    return running.seat;
  });
}
