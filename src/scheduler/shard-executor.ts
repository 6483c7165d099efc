/**
 * A shard that runs tasks, between the turns of its driver: one round of at most {@link TASKS_PER_ROUND} tasks or about {@link ROUND_MS}, and then its sockets again. One task that is longer makes them wait so much longer.
 *
 *     something to run → round → something left → setImmediate, so that the driver and libuv have their turns → round …
 *                              → nothing left → the driver asks before it blocks → announce, look again, sleep
 *
 * It never blocks in `Atomics.wait`. Where its driver says when it is about to block (`DriverWake.idle`), it counts as asleep just then, and whoever wakes it to search finds it idle: it looks for tasks before its turn runs any handler. Where the driver
 * cannot say, it counts as asleep whenever it has no round due, and those who wake it wake the next one too (`ringer.ts`).
 */
import type { IdleHooks } from "../driver/contract.js";
import { runAtRoot } from "../runtime/isolated.js";
import type { Executor } from "./executor.js";
import type { Seat } from "./seat.js";

const TASKS_PER_ROUND = 64;
const ROUND_MS = 1;
/** How often a shard that is loading a module looks whether others have taken what it has left to them, in milliseconds. */
const LEFT_MS = 1;

/** The running side of one shard. */
export class ShardExecutor implements IdleHooks {
  readonly #seat: Seat;
  readonly #runner: Executor;
  readonly #seesSleep: boolean;
  #isDue = false;
  /** A look for what was left to others is due; until then that is no work. */
  #isPausing = false;
  #isParked = false;
  #isRetired = false;

  /** `seesSleep` says whether {@link prepare} and {@link resume} are called. */
  constructor(seat: Seat, seesSleep: boolean) {
    this.#seat = seat;
    this.#runner = seat.openExecutor();
    this.#seesSleep = seesSleep;
    if (!seesSleep) this.#park();
  }

  /** Tasks that were begun here and wait for something. */
  get runningNow(): number {
    return this.#runner.runningNow;
  }

  /** There is, or may be, something to run. */
  wake(): void {
    if (this.#isDue || this.#isRetired) return;
    this.#isDue = true;
    setImmediate(() => this.#round());
  }

  /** Somebody has rung: a task for this shard, or one that anybody may take. */
  rung(): void {
    if (this.#isParked || !this.#runner.isIdle()) this.wake();
  }

  prepare(): boolean {
    if (this.#isRetired || this.#isPausing || this.#isParked) return true;
    if (this.#hasWork() || !this.#announce() || this.#seesWork()) {
      this.#runner.hasSeenWork = true;
      this.#work();
      return false;
    }
    return true;
  }

  resume(): void {
    if (!this.#seesSleep || !this.#isParked) return;
    this.#leavePark();
    // Whoever was woken to search does so before any handler runs: meanwhile nobody else is woken.
    if (this.#runner.isWoken) this.#work();
  }

  /** After {@link retire}, now and then: what was begun goes on. */
  continueBegun(): void {
    runAtRoot(() => this.#runner.continueBegun());
  }

  /** Whether nothing waits here that was placed here, and nobody is sending something. After true, {@link retire} follows at once. */
  tryLeave(): boolean {
    const { inboxes, self } = this.#seat.segment;
    return this.#seat.tryLeave(() => !inboxes[self]!.isEmpty());
  }

  /** Begins no further task; others take those that wait in its queue. */
  retire(): void {
    this.#leavePark();
    // A search that it was chosen for is handed on.
    this.#runner.handOn();
    this.#isRetired = true;
  }

  #round(): void {
    this.#isDue = false;
    this.#work();
  }

  /** Outside of any request: what wakes this thread may be a request, or a task, that has nothing to do with the tasks that run now. */
  #work(): void {
    if (!this.#isRetired) runAtRoot(() => this.#runTasks());
  }

  #runTasks(): void {
    this.#leavePark();
    const count = this.#runner.runMany(TASKS_PER_ROUND, ROUND_MS) + this.#seat.drainSettled();
    if (count > 0) this.#seat.publishFigures(this.#runner.figures);
    if (this.#runner.hasLeft) this.#pause();
    else if (count > 0 || this.#hasWork()) this.wake();
    else if (!this.#seesSleep) this.#park();
  }

  /** Only after a round that has found nothing, where nobody asks before the thread blocks. */
  #park(): void {
    if (!this.#announce() || this.#seesWork()) this.wake();
  }

  #announce(): boolean {
    const { idle, self } = this.#seat.segment;
    this.#isParked = idle.announce(self, "loop");
    return this.#isParked;
  }

  /** The recheck after the announcement, which is taken back if there is something. */
  #seesWork(): boolean {
    if (!this.#hasWork()) return false;
    this.#leavePark();
    this.#runner.hasSeenWork = true;
    return true;
  }

  #leavePark(): void {
    if (!this.#isParked) return;
    const { idle, self } = this.#seat.segment;
    this.#isParked = false;
    this.#runner.isWoken = idle.retract(self);
  }

  #hasWork(): boolean {
    return !this.#runner.isIdle() || this.#seat.hasSettled();
  }

  #pause(): void {
    if (this.#isPausing) return;
    this.#isPausing = true;
    setTimeout(() => {
      this.#isPausing = false;
      this.wake();
    }, LEFT_MS);
  }
}
