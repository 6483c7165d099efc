/** What a running server tells about itself, on every shard alike: `runtimeStats()`. */
import { getHeapStatistics } from "node:v8";
import type { DriverName } from "../driver/contract.js";
import { RingloomError } from "../errors.js";
import { cacheFigures, type SharedCacheFigures } from "../keyed/cache-figures.js";
import type { LoopMonitor, LoopStats } from "../observe/loop-monitor.js";
import { type ComputeFigures, readFigures } from "../scheduler/figures.js";
import { Places } from "../scheduler/places.js";
import { viewFigures } from "../scheduler/scheduler-memory.js";
import { type CounterRecord, Counters } from "./counters.js";
import type { MemoryBudget } from "./memory-plan.js";
import { Roster, type RosterEntry } from "./roster.js";
import { hasThreadDriver, threadDriver } from "./thread-driver.js";

/**
 * What one shard counts, or all of them together.
 * @experimental
 */
export interface ShardFigures {
  readonly heapUsedBytes: number;
  /** Operations of the shard's own sockets, files and timers (`ringloom/net`, `ringloom/fs`, `unsafeSubmit`) that have not completed. */
  readonly operationsNow: number;
  /** The driver's counters: see `DriverStats`. */
  readonly driver: Readonly<Record<string, number>>;
  /** The counters of what the shard serves; for HTTP see `HttpStats`. */
  readonly service: Readonly<Record<string, number>>;
  /** The tasks that it has spawned: `spawned`, `settled`, `inFlight`, `overloaded`, `cancelled`, `cloned`, `ported`. */
  readonly tasks: Readonly<Record<string, number>>;
  /**
   * Its messages: `sent`, `received`, `failed` (whose ticket was rejected), `backpressured` (refused for want of room), `doorbells` (rings), `cloned` (values that the compact codec does not carry), `hotAdded`
   * and `hotTaken`.
   */
  readonly messages: Readonly<Record<string, number>>;
}

/**
 * The figures of one shard, at most a tenth of a second old, or a second where the shard was idle; those of the calling shard are current. They start over with each generation, that is
 * when another thread takes the shard's place.
 * @experimental
 */
export interface ShardStats extends ShardFigures, RosterEntry {
  readonly shard: number;
  /** How busy its event loop is. */
  readonly loop: LoopStats;
}

/**
 * A server's figures.
 * @experimental
 */
export interface RuntimeStats {
  readonly pid: number;
  readonly uptimeMs: number;
  readonly driver: DriverName;
  readonly driverReason: string;
  /** Which shard answers. */
  readonly shard: number;
  readonly shards: readonly ShardStats[];
  /** Sums over all shards. */
  readonly totals: ShardFigures;
  /** The threads that run tasks, shards or compute threads as the topology has it; zeros before the first task. */
  readonly compute: readonly ComputeFigures[];
  /** The shared caches that the answering shard has opened, by name: what all shards did with each. */
  readonly caches: Readonly<Record<string, SharedCacheFigures>>;
  readonly memory: { readonly rssBytes: number; readonly heapUsedBytes: number; readonly budget: MemoryBudget };
}

/** What stays the same while a server runs. */
export interface RuntimeFacts {
  readonly driver: DriverName;
  readonly driverReason: string;
  readonly memoryBudget: MemoryBudget;
  /** `Date.now()` of the start. */
  readonly startedAtMs: number;
  /** What the supervisor knows of each shard; see `roster.ts`. */
  readonly roster: SharedArrayBuffer;
  /** What the scheduler shares with everybody, if there is one. */
  readonly scheduler: { readonly words: SharedArrayBuffer; readonly places: number } | undefined;
}

/** Gives the current counters of this thread's driver and service. */
export interface CounterSource {
  driver(): object;
  service(): object;
  tasks(): object;
  messages(): object;
}

/** The part of a server that runs on this thread, as far as statistics go. */
export class RuntimeView {
  readonly #counters: Counters;
  readonly #shard: number;
  readonly #facts: RuntimeFacts;
  #source: CounterSource | undefined;
  #monitor: Pick<LoopMonitor, "stats"> | undefined;

  constructor(buffer: SharedArrayBuffer, shard: number, facts: RuntimeFacts) {
    this.#counters = new Counters(buffer, shard);
    this.#shard = shard;
    this.#facts = facts;
  }

  /** From now on {@link publish} publishes what `source` counts and what `monitor` sees. */
  start(source: CounterSource, monitor: Pick<LoopMonitor, "stats">): void {
    this.#source = source;
    this.#monitor = monitor;
  }

  /** Publishes a last time. */
  stop(): void {
    this.publish();
    this.#source = undefined;
  }

  publish(): void {
    if (this.#source === undefined) return;
    this.#counters.publish({
      heapUsedBytes: getHeapStatistics().used_heap_size,
      operationsNow: hasThreadDriver() ? threadDriver().driver.operations.pendingNow : 0,
      loop: this.#monitor?.stats() ?? NO_LOOP,
      driver: this.#source.driver(),
      service: this.#source.service(),
      tasks: this.#source.tasks(),
      messages: this.#source.messages(),
    });
  }

  stats(): RuntimeStats {
    this.publish();
    const records = Array.from({ length: this.#counters.shardCount }, (_, shard) => this.#counters.read(shard));
    const roster = new Roster(this.#facts.roster);
    const shards = records.map((record, shard) => ({
      shard,
      ...roster.read(shard),
      loop: loopOf(record),
      ...divide(record),
    }));
    const totals = divide(sum(records));
    const { scheduler } = this.#facts;
    return {
      pid: process.pid,
      uptimeMs: Date.now() - this.#facts.startedAtMs,
      driver: this.#facts.driver,
      driverReason: this.#facts.driverReason,
      shard: this.#shard,
      shards,
      totals,
      compute: scheduler === undefined ? [] : computeFigures(scheduler.words, scheduler.places),
      caches: cacheFigures(),
      memory: {
        rssBytes: process.memoryUsage.rss(),
        heapUsedBytes: totals.heapUsedBytes,
        budget: this.#facts.memoryBudget,
      },
    };
  }
}

let current: RuntimeView | undefined;

/** Makes `view` the one that {@link runtimeStats} reads on this thread; undefined takes it away. */
export function setRuntimeView(view: RuntimeView | undefined): void {
  current = view;
}

/**
 * The figures of the server that this thread is a shard of: all shards, their sums, the driver and why, memory.
 * @throws RingloomError `ERR_RINGLOOM_WRONG_THREAD` where no shard runs.
 * @example
 * ```ts
 * import { runtimeStats } from "ringloom";
 * import { App } from "ringloom/http";
 * const app = new App();
 * app.get("/stats", (c) => c.json(runtimeStats()));
 * ```
 * @experimental
 */
export function runtimeStats(): RuntimeStats {
  if (current !== undefined) return current.stats();
  throw new RingloomError(
    "ERR_RINGLOOM_WRONG_THREAD",
    "Cannot read the statistics: this thread is no shard. A server made by serve() has statistics of its own.",
    {
      operation: "runtimeStats",
    },
  );
}

/** Before the first sample. All keys must be there from the first record on. */
const NO_LOOP: LoopStats = {
  utilization1s: 0,
  utilization10s: 0,
  spinning1s: 0,
  lagMsP50: 0,
  lagMsP99: 0,
  lagMsMax: 0,
  blockedCount: 0,
  blockedMsMax: 0,
};

function loopOf(record: CounterRecord): LoopStats {
  return Object.fromEntries(
    Object.keys(NO_LOOP).map((name) => [name, record[`loop.${name}`] ?? 0]),
  ) as unknown as LoopStats;
}

function divide(record: CounterRecord): ShardFigures {
  const driver: Record<string, number> = {};
  const service: Record<string, number> = {};
  const tasks: Record<string, number> = {};
  const messages: Record<string, number> = {};
  for (const [name, value] of Object.entries(record)) {
    if (name.startsWith("driver.")) driver[name.slice("driver.".length)] = value;
    else if (name.startsWith("service.")) service[name.slice("service.".length)] = value;
    else if (name.startsWith("tasks.")) tasks[name.slice("tasks.".length)] = value;
    else if (name.startsWith("messages.")) messages[name.slice("messages.".length)] = value;
  }
  const { heapUsedBytes = 0, operationsNow = 0 } = record;
  return { heapUsedBytes, operationsNow, driver, service, tasks, messages };
}

function computeFigures(buffer: SharedArrayBuffer, count: number): ComputeFigures[] {
  const { words, places, figures } = viewFigures(buffer);
  return readFigures(words, figures, new Places(words, places, count));
}

function sum(records: readonly CounterRecord[]): CounterRecord {
  const totals: Record<string, number> = {};
  for (const record of records) {
    for (const [name, value] of Object.entries(record)) totals[name] = (totals[name] ?? 0) + value;
  }
  return totals;
}
