/** The driver's side of its doorbell and of the thread's sleep: what `DriverOptions.wake` asked for. The thread of the driver alone uses it. */
import { CONTROL, PARKING } from "../ring/loop.js";
import type { Bell } from "../shared/bell.js";
import type { DriverStats, DriverWake } from "./contract.js";
import { bellOf } from "./doorbell.js";

/** Delivers rings, and asks before a sleep. */
export class WakeWatch {
  readonly #wake: DriverWake;
  readonly #bell: Bell;
  readonly #threw: (error: unknown) => void;

  /** `threw` is called with what a callback of the driver's user throws. */
  constructor(wake: DriverWake, threw: (error: unknown) => void) {
    this.#wake = wake;
    this.#bell = bellOf(wake.doorbell);
    this.#threw = threw;
  }

  /** The bell's words say "asleep" from now on, or "awake". A dead predecessor may have left either. */
  begin(isAlwaysAsleep: boolean): void {
    if (isAlwaysAsleep) this.#bell.fallAsleep();
    else this.#bell.wokeUp();
  }

  end(): void {
    this.#bell.wokeUp();
  }

  /** Once a turn: delivers one `rung` for all rings since the last time, if there was any. */
  deliver(stats: DriverStats): void {
    if (!this.#bell.take()) return;
    stats.rung += 1;
    try {
      this.#wake.rung();
    } catch (error) {
      this.#threw(error);
    }
  }

  /** The loop hook is about to block and asks. False when the driver's user refuses. Who throws has not refused. */
  agreesToPark(control: Int32Array): boolean {
    let agrees = true;
    try {
      agrees = this.#wake.idle?.prepare() ?? true;
    } catch (error) {
      this.#threw(error);
    }
    control[CONTROL.parking] = agrees ? PARKING.agreed : PARKING.none;
    return agrees;
  }

  /** A turn begins: if the thread has slept, or was about to, says that it is over. */
  resume(control: Int32Array): void {
    if (control[CONTROL.parking] === PARKING.none) return;
    control[CONTROL.parking] = PARKING.none;
    try {
      this.#wake.idle?.resume();
    } catch (error) {
      this.#threw(error);
    }
  }
}
