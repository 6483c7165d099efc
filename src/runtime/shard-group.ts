/**
 * The shards of one server together: all start or none does; one that dies is replaced; one after the other is restarted on request; they stop together.
 *
 *     starting → running → leaving (not ready, still serving) → draining → stopped
 *
 * The listening sockets stay open from the first phase to the last, whatever happens to the threads that accept from them. At any time one thread
 * accepts from a socket: a successor begins when its predecessor has stopped, and who waits in between waits in the kernel's queue.
 */
import type { MessagePort } from "node:worker_threads";
import { assert } from "../assert.js";
import { RingloomError } from "../errors.js";
import { Desk, type DeskRequest } from "../keyed/desk.js";
import { loadNative } from "../native.js";
import { judgeHealth, type ServerHealth, type ServerPhase } from "./health.js";
import type { Listeners } from "./listeners.js";
import type { RuntimeOptions } from "./options.js";
import { RestartBudget } from "./restart-budget.js";
import { RollingRestart } from "./rolling-restart.js";
import { Roster, type ShardCondition } from "./roster.js";
import { Seat } from "./seat.js";
import { fromShardError, toShardError } from "./shard-error.js";
import type { ShardAssignment, ShardTrouble } from "./shard-protocol.js";
import { type ShardEnd, ShardThread, type ShardThreadEvents, type ShardThreadOptions } from "./shard-thread.js";
import { makeReport, type StopCause, type StopPhases, type StopReport } from "./stop-report.js";
import { lookMs, type ShardWatch } from "./watch-shards.js";

/** How long after the deadline a shard may still take to report, in milliseconds; then its thread is terminated. */
export const CUT_SLACK_MS = 1_000;

/**
 * How long a stop waits for all shards to have closed their listeners, in milliseconds. Until then all go on as before, so that a client
 * that one shard sends away does not connect to another one in the moment in which that one closes. A shard that is busy
 * for longer than this must not hold up the others.
 */
export const LISTENERS_STOP_MS_MAX = 1_000;

/** How long handshakes that had begun may take to come to their end before a listener stops, in milliseconds. */
export const SETTLE_MS = 50;

/**
 * What is about to happen in the place of a shard that ended.
 * @experimental
 */
export interface Replacement {
  /** After how many milliseconds a new thread starts; undefined when the budget is spent and the server stops instead. */
  readonly delayMs: number | undefined;
  /** Replacements within the window, this one included. */
  readonly used: number;
}

/**
 * What an operator wants to hear.
 * @experimental
 */
export interface GroupEvents {
  /** A shard ended that was not asked to, or its replacement did not start. */
  shardLost?(end: ShardEnd, replacement: Replacement): void;
  /** Another thread serves as this shard now: in the place of one that died, or in a rolling restart. */
  shardReplaced?(shard: number, generation: number): void;
  /** A shard's event loop has not turned for `silentMs`. */
  shardStuck?(shard: number, silentMs: number): void;
  shardRecovered?(shard: number): void;
  trouble?(trouble: ShardTrouble): void;
}

/** The part of a compute pool that a group of shards needs. */
export interface ShardTasks {
  /** Where the threads that run tasks ask for what they share with others by its name. */
  desk: (request: DeskRequest) => void;
  /** How those threads reach the functions of a shard. */
  connect: (shard: number, caller: MessagePort) => void;
  /** Starts the threads that run tasks, unless they were. */
  start(): void;
  /** The thread with that id is gone; `isReplaced` says whether another one will serve as the same shard. */
  leave(thread: number, isReplaced: boolean): void;
  /** The thread with that id is about to drain, and its successor has loaded. */
  handOver(thread: number): void;
  /** No shard that is gone will be replaced. */
  endReplacing(): void;
}

/** The part of the messages between shards that a group needs. */
export interface ShardMessaging {
  /** The thread with that place is gone; another one will serve as its shard, or none. */
  leave(slot: number, isReplaced: boolean): void;
  /** Nobody will serve as that shard any more. */
  abandon(shard: number): void;
}

/** What a group is made of. */
export interface GroupParts {
  readonly listeners: Listeners;
  readonly options: RuntimeOptions;
  readonly shardMain: URL;
  readonly shardCount: number;
  readonly roster: SharedArrayBuffer;
  readonly assign: (shard: number, generation: number) => ShardAssignment;
  /** What the shards spawn tasks into. */
  readonly compute?: ShardTasks | undefined;
  readonly messages?: ShardMessaging | undefined;
  /** What the memory budget leaves to what the application itself opens. */
  readonly spareBytes?: number | undefined;
  /** Hears of each thread from its start to its end. */
  readonly watch: ShardWatch | undefined;
  readonly events: GroupEvents;
}

/** The shards of one server and what happens to them together. */
export class ShardGroup implements ShardThreadEvents {
  readonly stopped: Promise<StopReport>;
  readonly seats: readonly Seat[];
  readonly #parts: GroupParts;
  readonly #roster: Roster;
  readonly #budget: RestartBudget;
  readonly #rolling: RollingRestart;
  readonly #desk: Desk;
  #phase: ServerPhase = "starting";
  #onAllReady: ((address: { host: string; port: number }) => void) | undefined;
  #onStartFailed: ((error: unknown) => void) | undefined;
  #onStopped!: (report: StopReport) => void;
  #lookTimer: NodeJS.Timeout | undefined;
  #lookedMs = 0;

  #stopCause: StopCause = "requested";
  /** When each phase of the stop began. */
  readonly #since = { leaving: 0, draining: 0, nobodyListens: 0 };
  #phaseTimer: NodeJS.Timeout | undefined;
  /** When a server that is leaving begins to drain, as `performance.now()` counts. */
  #drainsAtMs = 0;
  #deadline: NodeJS.Timeout | undefined;
  #listenersDeadline: NodeJS.Timeout | undefined;
  readonly #listening = new Set<ShardThread>();
  readonly #ends: ShardEnd[] = [];
  readonly #retiredEnds: ShardEnd[] = [];
  #hasDrainBegun = false;
  #hasClosedListeners = false;
  #hasToldAnswered = false;
  #nextTaker = 0;

  constructor(parts: GroupParts) {
    this.#parts = parts;
    this.#desk = new Desk({ spareBytes: parts.spareBytes });
    if (parts.compute !== undefined) {
      parts.compute.desk = (request) => this.#desk.obey(request);
      parts.compute.connect = (shard, caller) => this.connect(shard, caller);
    }
    this.seats = Array.from({ length: parts.shardCount }, (_, shard) => new Seat(shard));
    this.#roster = new Roster(parts.roster);
    const { restartsMax, restartWindowMs: windowMs, restartBackoffMs: backoffMs } = parts.options;
    this.#budget = new RestartBudget({ restartsMax, windowMs, backoffMs });
    this.#rolling = new RollingRestart(this.seats, {
      spawn: (seat) => this.#spawn(seat),
      isRunning: () => this.#phase === "running",
      canHandOver: () => parts.listeners.canHandOver,
    });
    this.stopped = new Promise((resolve) => {
      this.#onStopped = resolve;
    });
  }

  get phase(): ServerPhase {
    return this.#phase;
  }

  /** Starts all threads; resolves with the address once all are ready, rejects once all are gone after a failure. */
  async start(): Promise<{ host: string; port: number }> {
    const ready = new Promise<{ host: string; port: number }>((resolve, reject) => {
      this.#onAllReady = resolve;
      this.#onStartFailed = reject;
    });
    this.#startLooking();
    for (const seat of this.seats) this.#spawn(seat);
    try {
      return await ready;
    } catch (error) {
      await this.stopped;
      throw error;
    }
  }

  /** Restarts one shard after the other; see {@link RollingRestart}. */
  restart(): ReturnType<RollingRestart["request"]> {
    return this.#rolling.request();
  }

  /** Ends the thread of a shard at once, wherever it is; it is then replaced like one that died. */
  terminate(shard: number): void {
    const { current, successor } = this.#seat(shard);
    // Where none serves it is the one that starts which may never come up.
    (current ?? successor)?.terminate();
  }

  health(): ServerHealth {
    const shards = this.seats.map((seat) => {
      const { condition, generation, restarts } = this.#roster.read(seat.shard);
      return { shard: seat.shard, condition, generation, restarts, silentMs: seat.current?.pulse.silentMs ?? 0 };
    });
    return judgeHealth(this.#phase, shards, this.#parts.options.liveMs);
  }

  /** Passes a caller's port to the thread that serves as `shard`; where there is none the port closes, and the caller hears of it. */
  connect(shard: number, port: MessagePort): void {
    const seat = this.#seat(shard);
    // What is sent to a thread that is still loading waits until it has loaded.
    const thread = seat.current ?? seat.successor;
    if (thread === undefined) port.close();
    else thread.addCaller(port);
  }

  /** Begins a stop: not ready, then `readyDelayMs` (0) later the drain. A further call changes nothing, unless its delay ends sooner. */
  stop(cause: StopCause, readyDelayMs?: number): void {
    if (this.#phase === "running" || this.#phase === "starting") {
      this.#phase = "leaving";
      this.#stopCause = cause;
      this.#since.leaving = performance.now();
      this.#drainIn(readyDelayMs ?? 0);
    } else if (this.#phase === "leaving" && readyDelayMs !== undefined) {
      if (performance.now() + readyDelayMs < this.#drainsAtMs) this.#drainIn(readyDelayMs);
    }
  }

  /** Ends a stop now: what is unfinished is cut. */
  cut(): void {
    this.stop("requested");
    if (this.#phase === "leaving") this.#beginDraining();
    this.#drainAll();
    for (const thread of this.#threads()) thread.cut();
    clearTimeout(this.#deadline);
    this.#deadline = setTimeout(() => this.#terminateAll(), CUT_SLACK_MS);
    this.#finishIfAllGone();
  }

  // --- what the threads say

  loaded(thread: ShardThread): void {
    const seat = this.#seat(thread.shard);
    if (seat.successor !== thread) return;
    if (this.#phase === "starting") {
      // A server of which one shard then fails to load has answered nobody.
      const threads = this.seats.map((candidate) => candidate.successor);
      if (threads.every((candidate) => candidate?.state === "loaded")) for (const each of threads) each?.listen();
      return;
    }
    if (seat.current === undefined) thread.listen();
    else this.#takeOver(seat, seat.current, thread);
  }

  ready(thread: ShardThread, host: string, port: number): void {
    const seat = this.#seat(thread.shard);
    assert(seat.successor === thread, "a thread becomes ready once, as a successor");
    clearTimeout(seat.startTimer);
    seat.successor = undefined;
    seat.current = thread;
    for (const old of seat.retiring) old.nobodyListens();
    this.#note(seat, "serving");
    if (this.#phase === "starting") {
      if (!this.seats.every((candidate) => candidate.current !== undefined)) return;
      this.#phase = "running";
      this.#onAllReady?.({ host, port });
      return;
    }
    this.#steer();
    this.#parts.events.shardReplaced?.(seat.shard, thread.generation);
    this.#rolling.successorReady(seat);
  }

  listenerStopped(thread: ShardThread): void {
    const seat = this.#seat(thread.shard);
    if (seat.retiring.has(thread)) seat.successor?.listen();
    this.#noLongerListening(thread);
  }

  answered(): void {
    this.#tellIfAllAnswered();
  }

  call(shard: number, port: MessagePort): void {
    this.connect(shard, port);
  }

  trouble(trouble: ShardTrouble): void {
    this.#parts.events.trouble?.(trouble);
  }

  desk(request: DeskRequest): void {
    this.#desk.obey(request);
  }

  spawnsTasks(): void {
    this.#parts.compute?.start();
  }

  gone(thread: ShardThread, end: ShardEnd): void {
    if (thread.schedulerThread !== undefined) {
      const isReplaced = this.#phase === "running" || this.#phase === "leaving";
      this.#parts.compute?.leave(thread.schedulerThread, isReplaced);
    }
    const seat = this.#seat(thread.shard);
    if (thread.messageSlot !== undefined) this.#parts.messages?.leave(thread.messageSlot, !this.#isLast(seat, thread));
    this.#parts.watch?.forget(thread);
    for (const descriptor of thread.takeBack()) this.#place(seat.shard, descriptor);
    if (seat.retiring.delete(thread)) {
      if (this.#phase === "draining") this.#retiredEnds.push(end);
      this.#rolling.oldGone(seat, end);
      seat.successor?.listen();
    } else if (seat.successor === thread) {
      this.#successorGone(seat, end);
    } else {
      seat.current = undefined;
      this.#currentGone(seat, end);
    }
    this.#noLongerListening(thread);
    this.#tellIfAllAnswered();
    this.#finishIfAllGone();
  }

  /** Whether nobody will serve as that shard when the thread is gone. */
  #isLast(seat: Seat, thread: ShardThread): boolean {
    return this.#phase === "draining" && seat.threads.every((other) => other === thread);
  }

  // --- one seat

  #spawn(seat: Seat): void {
    const { options, shardMain, assign } = this.#parts;
    seat.generation += 1;
    const assignment = assign(seat.shard, seat.generation);
    const thread = this.#create({ shardMain, assignment });
    if (thread === undefined) return;
    seat.successor = thread;
    this.#parts.watch?.watch(thread);
    if (seat.current === undefined) this.#note(seat, "starting");
    if (options.startMs > 0) seat.startTimer = setTimeout(() => this.#startTooLong(thread), options.startMs);
  }

  /** Undefined when the system gives no thread: then it counts as one that has failed to start. */
  #create(options: ShardThreadOptions): ShardThread | undefined {
    const { shard, generation, scheduler, messages } = options.assignment;
    try {
      return new ShardThread(options, this);
    } catch (error) {
      if (scheduler !== undefined) this.#parts.compute?.leave(scheduler.thread, true);
      if (messages !== undefined) this.#parts.messages?.leave(messages.slot, true);
      const end: ShardEnd = {
        shard,
        generation,
        kind: "failed",
        report: undefined,
        error: toShardError(error),
        exitCode: 1,
        wasReady: false,
      };
      // Later, as with a thread: whoever starts several shards has then started them all.
      setImmediate(() => {
        this.#successorGone(this.#seat(shard), end);
        this.#finishIfAllGone();
      });
      return undefined;
    }
  }

  #startTooLong(thread: ShardThread): void {
    const { startMs } = this.#parts.options;
    const waiting = this.seats.filter((seat) => seat.successor !== undefined).map((seat) => seat.shard);
    const error = new RingloomError(
      "ERR_RINGLOOM_TIMEOUT",
      `Cannot start: after ${startMs} ms the module was not loaded on shard ${waiting.join(", ")}. Does its top level await something that never comes?`,
      { operation: "start", details: { startMs, shards: waiting } },
    );
    if (this.#phase === "starting") this.#failStart(error);
    else thread.terminate(error);
  }

  /** The successor has loaded: the old thread stops accepting, and then the new one begins. */
  #takeOver(seat: Seat, old: ShardThread, successor: ShardThread): void {
    const { drainMs } = this.#parts.options;
    seat.retiring.add(old);
    seat.current = undefined;
    seat.isStuck = false;
    if (old.schedulerThread !== undefined) this.#parts.compute?.handOver(old.schedulerThread);
    old.drain({ ...this.#drainTimes(), hasSuccessor: true });
    // A shard that is busy for longer keeps accepting until it hears us; two threads may accept from one socket, if need be.
    setTimeout(() => successor.listen(), LISTENERS_STOP_MS_MAX).unref();
    setTimeout(() => old.terminate(), drainMs + old.closeMs + CUT_SLACK_MS).unref();
  }

  #successorGone(seat: Seat, end: ShardEnd): void {
    clearTimeout(seat.startTimer);
    seat.successor = undefined;
    if (this.#phase === "starting") return this.#failStart(startError(end));
    const isStopping = this.#phase === "draining";
    if (this.#rolling.successorGone(seat, startError(end)) || isStopping) return;
    this.#replace(seat, end);
  }

  #currentGone(seat: Seat, end: ShardEnd): void {
    seat.lastEnd = end;
    seat.isStuck = false;
    if (this.#phase === "draining") {
      this.#note(seat, "stopped");
      this.#ends.push(end);
      return;
    }
    if (this.#phase === "starting") return this.#failStart(startError(end));
    this.#note(seat, "down");
    this.#steer();
    this.#rescue(seat);
    this.#rolling.oldGone(seat, end);
    if (end.kind === "exited" && this.#parts.options.shardExit === "stop") {
      this.#parts.events.shardLost?.(end, { delayMs: undefined, used: this.#budget.used });
      this.#stopNow("shard-exit");
    } else {
      this.#replace(seat, end);
    }
  }

  #replace(seat: Seat, end: ShardEnd): void {
    const delayMs = this.#budget.take(performance.now());
    seat.lastEnd = end;
    this.#parts.events.shardLost?.(end, { delayMs, used: this.#budget.used });
    if (delayMs === undefined) return this.#stopNow("restarts-spent");
    seat.restarts += 1;
    this.#note(seat, "down");
    if (seat.successor?.state === "loaded") seat.successor.listen();
    else if (seat.successor === undefined) seat.restartTimer = setTimeout(() => this.#spawn(seat), delayMs);
  }

  #note(seat: Seat, condition: ShardCondition): void {
    this.#roster.write(seat.shard, { condition, generation: seat.generation, restarts: seat.restarts });
  }

  #seat(shard: number): Seat {
    const seat = this.seats[shard];
    assert(seat !== undefined, "only existing shards have a seat");
    return seat;
  }

  // --- watching

  #startLooking(): void {
    const { watchdogMs, stuckMs } = this.#parts.options;
    const intervalMs = lookMs(watchdogMs, stuckMs);
    this.#lookedMs = performance.now();
    this.#lookTimer = setInterval(() => this.#look(intervalMs), intervalMs);
  }

  /** Takes the pulse of every thread, and judges. */
  #look(intervalMs: number): void {
    const nowMs = performance.now();
    // When this thread did not run either (a stopped process, a suspended machine), nothing is known of the others.
    const elapsedMs = Math.min(nowMs - this.#lookedMs, 2 * intervalMs);
    this.#lookedMs = nowMs;
    for (const thread of this.#threads()) thread.pulse.observe(elapsedMs);
    this.#parts.watch?.look();
    if (this.#phase !== "running" && this.#phase !== "leaving") return;
    for (const seat of this.seats) {
      if (seat.current !== undefined) this.#feel(seat, seat.current);
      if (!seat.isServing) this.#rescue(seat);
    }
  }

  #feel(seat: Seat, thread: ShardThread): void {
    const { stuckMs, stuckReplaceMs } = this.#parts.options;
    const { silentMs } = thread.pulse;
    const isStuck = silentMs >= stuckMs;
    if (isStuck !== seat.isStuck) {
      seat.isStuck = isStuck;
      this.#note(seat, isStuck ? "stuck" : "serving");
      this.#steer();
      if (isStuck) this.#parts.events.shardStuck?.(seat.shard, silentMs);
      else this.#parts.events.shardRecovered?.(seat.shard);
    }
    if (stuckReplaceMs > 0 && silentMs >= stuckReplaceMs) thread.terminate();
  }

  /** New connections go to the shards that take them. */
  #steer(): void {
    const serving = this.seats.filter((seat) => seat.isServing).map((seat) => seat.shard);
    this.#parts.listeners.steerTo(serving);
  }

  /** Who waits in the queue of a shard that does not accept is given to one that serves, if there is one. */
  #rescue(seat: Seat): void {
    if (!this.seats.some((other) => other !== seat && other.isServing)) return;
    for (const descriptor of this.#parts.listeners.takeWaiting(seat.shard)) this.#place(seat.shard, descriptor);
  }

  /** Gives an accepted connection to a shard, preferably not `from`; closes it when there is none. */
  #place(from: number, descriptor: number): void {
    const takers = this.seats.filter((seat) => seat.current?.state === "ready" || seat.current?.state === "draining");
    const healthy = takers.filter((seat) => seat.shard !== from && !seat.isStuck);
    const choice = healthy.length > 0 ? healthy : takers;
    const thread = choice[this.#nextTaker++ % Math.max(choice.length, 1)]?.current;
    if (thread === undefined) loadNative()?.closeDescriptor(descriptor);
    else thread.adopt(descriptor);
  }

  // --- the stop

  #stopNow(cause: StopCause): void {
    if (this.#phase === "running") this.stop(cause);
    else if (this.#phase === "leaving") this.#beginDraining();
  }

  #drainIn(readyDelayMs: number): void {
    clearTimeout(this.#phaseTimer);
    if (readyDelayMs <= 0) return this.#beginDraining();
    this.#drainsAtMs = performance.now() + readyDelayMs;
    this.#phaseTimer = setTimeout(() => this.#beginDraining(), readyDelayMs);
  }

  #beginDraining(): void {
    const { listeners, options } = this.#parts;
    this.#phase = "draining";
    this.#since.draining = performance.now();
    clearTimeout(this.#phaseTimer);
    for (const seat of this.seats) seat.clearTimers();
    this.#rolling.cancel();
    this.#parts.compute?.endReplacing();
    const serves = this.#threads().some((thread) => thread.state === "ready");
    if (serves && listeners.turnAway()) {
      this.#phaseTimer = setTimeout(() => this.#drainAll(), Math.min(SETTLE_MS, options.drainMs / 2));
    } else {
      this.#drainAll();
    }
  }

  #drainAll(): void {
    if (this.#hasDrainBegun) return;
    this.#hasDrainBegun = true;
    clearTimeout(this.#phaseTimer);
    const { drainMs } = this.#parts.options;
    for (const seat of this.seats) {
      this.#note(seat, seat.current === undefined ? "stopped" : "draining");
      seat.successor?.terminate();
      if (seat.current === undefined) {
        // A death that was being made good is no failure of a stop that somebody asked for.
        this.#parts.messages?.abandon(seat.shard);
        if (seat.lastEnd !== undefined && this.#stopCause !== "requested") this.#ends.push(seat.lastEnd);
        continue;
      }
      seat.current.drain({ ...this.#drainTimes(), hasSuccessor: false });
      if (seat.current.state === "draining") this.#listening.add(seat.current);
    }
    this.#listenersDeadline = setTimeout(() => this.#closeListeners(), Math.min(LISTENERS_STOP_MS_MAX, drainMs / 2));
    // The shards keep the deadline themselves. This is for one whose JavaScript does not return.
    const closeMs = Math.max(0, ...this.#threads().map((thread) => thread.closeMs));
    this.#deadline = setTimeout(() => this.#terminateAll(), drainMs + closeMs + CUT_SLACK_MS);
    if (this.#listening.size === 0) this.#closeListeners();
    this.#tellIfAllAnswered();
    this.#finishIfAllGone();
  }

  /** As long as one shard has requests, these may call actors of any other: those are put away together. */
  #tellIfAllAnswered(): void {
    if (!this.#hasDrainBegun || this.#hasToldAnswered) return;
    const threads = this.#threads();
    if (threads.some((thread) => thread.state === "draining" && !thread.hasAnswered)) return;
    this.#hasToldAnswered = true;
    for (const thread of threads) thread.allAnswered();
  }

  /** Idle connections are closed before the deadline counts them among those that it cuts. */
  #drainTimes(): { graceMs: number; deadlineMs: number } {
    const { drainGraceMs, drainMs } = this.#parts.options;
    return { graceMs: Math.min(drainGraceMs, drainMs / 2), deadlineMs: drainMs };
  }

  #noLongerListening(thread: ShardThread): void {
    this.#listening.delete(thread);
    if (this.#hasDrainBegun && this.#listening.size === 0) this.#closeListeners();
  }

  /** Nobody accepts any more. Who came in the last moment is handed to a shard that drains; then clients may be sent elsewhere. */
  #closeListeners(): void {
    if (this.#hasClosedListeners) return;
    this.#hasClosedListeners = true;
    clearTimeout(this.#listenersDeadline);
    this.#since.nobodyListens = performance.now();
    this.#parts.listeners.closeAll((shard, descriptors) => {
      for (const descriptor of descriptors) this.#place(shard, descriptor);
    });
    for (const thread of this.#threads()) thread.nobodyListens();
  }

  #failStart(error: unknown): void {
    this.#onStartFailed?.(error);
    this.#onStartFailed = undefined;
    this.stop("requested");
    this.#terminateAll();
  }

  #terminateAll(): void {
    for (const thread of this.#threads()) thread.terminate();
  }

  #threads(): ShardThread[] {
    return this.seats.flatMap((seat) => seat.threads);
  }

  #finishIfAllGone(): void {
    if (!this.#hasDrainBegun || this.#phase === "stopped" || this.#threads().length > 0) return;
    this.#closeListeners();
    this.#phase = "stopped";
    for (const seat of this.seats) {
      seat.clearTimers();
      this.#note(seat, "stopped");
    }
    clearTimeout(this.#deadline);
    clearInterval(this.#lookTimer);
    this.#onStopped(
      makeReport({
        cause: this.#stopCause,
        shards: this.seats.length,
        restarts: this.seats.reduce((sum, seat) => sum + seat.restarts, 0),
        ends: this.#ends,
        retired: this.#retiredEnds,
        phases: this.#phases(),
      }),
    );
  }

  #phases(): StopPhases {
    const { leaving, draining, nobodyListens } = this.#since;
    return {
      readyDelayMs: draining - leaving,
      listenersMs: nobodyListens - draining,
      drainMs: performance.now() - nobodyListens,
    };
  }
}

/** The error of a shard that never became ready, as close to the original as a thread border allows. */
function startError(end: ShardEnd): RingloomError {
  if (end.error !== undefined) return fromShardError(end.error, "start");
  return new RingloomError(
    "ERR_RINGLOOM_SHARD_FAILED",
    `Shard ${end.shard} ended with exit code ${end.exitCode} before it served. Does the module call process.exit?`,
    { operation: "start", details: { shard: end.shard, exitCode: end.exitCode } },
  );
}
