/**
 * The timers of a thread: a wheel whose ticks are milliseconds of a clock, and the clock's alarm set for the next of them.
 *
 * When the alarm rings, what is due is first collected, then run, a bounded number in one turn of the loop. The alarm is set again only for something that is due before it: a timer that is
 * cancelled leaves it as it is, so that timeouts which come and go with each request cost nothing but their places in the wheel.
 */
import { TIMER_MOVES_PER_TURN_MAX, TIMERS_MAX, TIMERS_PER_TURN_MAX } from "../constants.js";
import { reportError } from "../driver/report-error.js";
import { RingloomError } from "../errors.js";
import { type Clock, SystemClock } from "./clock.js";
import { TICK_MAX, type TimerOwner, TimerWheel } from "./timer-wheel.js";

/** The timers of one clock. */
export class Timers {
  readonly #clock: Clock;
  readonly #wheel = new TimerWheel();
  readonly #wake = (): void => this.#run();
  /** The tick for which the alarm is set. While due timers run nothing is early enough: afterwards it is set once. */
  #alarmTick = Number.POSITIVE_INFINITY;
  #isHeld = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Now, in milliseconds of the clock. */
  now(): number {
    return this.#clock.now();
  }

  /** Timers that have neither expired nor been cancelled. */
  get pendingNow(): number {
    return this.#wheel.size;
  }

  /** What the timers take, in bytes, without their owners. */
  get bytes(): number {
    return this.#wheel.bytes;
  }

  /**
   * Calls `owner` at `atMs` of the clock or later, never earlier. Returns the timer's place, which with {@link generation} is its handle.
   * @param isReferenced Whether it keeps the thread alive.
   * @throws RingloomError `ERR_RINGLOOM_OVERLOADED` with 16 million timers.
   */
  start(atMs: number, owner: TimerOwner, isReferenced = true): number {
    const { originMs } = this.#clock;
    const wheel = this.#wheel;
    // An empty wheel has stood still: from where it stands, everything would lie far ahead and move down through the levels.
    if (wheel.size === 0) wheel.collect(Math.floor(this.#clock.now() - originMs));
    const tick = Math.max(0, Math.min(Math.ceil(atMs - originMs), TICK_MAX));
    const place = wheel.insert(tick, owner, isReferenced);
    if (place < 0) throw tooMany();
    if (tick < this.#alarmTick) this.#setAlarm(tick);
    if (isReferenced && !this.#isHeld) this.#hold();
    return place;
  }

  /** Tells this use of a place from those before and after it. */
  generation(place: number): number {
    return this.#wheel.generation(place);
  }

  /** Ends a timer. Returns false when it has expired, or was cancelled. */
  cancel(place: number, generation: number): boolean {
    if (!this.#wheel.cancel(place, generation)) return false;
    if (this.#isHeld && this.#wheel.referenced === 0) this.#hold();
    return true;
  }

  #hold(): void {
    this.#isHeld = this.#wheel.referenced > 0;
    this.#clock.hold(this.#isHeld);
  }

  #setAlarm(tick: number): void {
    this.#alarmTick = tick;
    const elapsed = Math.floor(this.#clock.now() - this.#clock.originMs);
    this.#clock.wakeIn(Math.max(0, tick - elapsed), this.#wake);
  }

  #run(): void {
    const wheel = this.#wheel;
    this.#alarmTick = Number.NEGATIVE_INFINITY;
    wheel.collect(Math.floor(this.#clock.now() - this.#clock.originMs), TIMER_MOVES_PER_TURN_MAX);
    for (let count = 0; count < TIMERS_PER_TURN_MAX; count++) {
      const owner = wheel.takeDue();
      if (owner === undefined) break;
      try {
        owner(undefined);
      } catch (error) {
        reportError(error);
      }
    }
    const next = wheel.nextTick();
    this.#alarmTick = Number.POSITIVE_INFINITY;
    if (next !== Number.POSITIVE_INFINITY) this.#setAlarm(next);
    if (this.#isHeld !== wheel.referenced > 0) this.#hold();
  }
}

let current: Timers | undefined;

/** The timers of this thread, made when the first is needed. */
export function threadTimers(): Timers {
  current ??= new Timers(new SystemClock());
  return current;
}

/** Makes `timers` those of this thread, and returns which they were; for tests with a time of their own. */
export function replaceThreadTimers(timers: Timers | undefined): Timers | undefined {
  const before = current;
  current = timers;
  return before;
}

function tooMany(): RingloomError {
  return new RingloomError("ERR_RINGLOOM_OVERLOADED", `Cannot start a timer: ${TIMERS_MAX} are pending already.`, {
    operation: "timer",
    details: { pendingMax: TIMERS_MAX },
  });
}
