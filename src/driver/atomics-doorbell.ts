/**
 * A doorbell without native code, for the portable driver. `Atomics.waitAsync` settles through a task that V8 posts to its platform, and Node's platform wakes
 * the libuv loop of the thread for it; seen to work on Node 20 to 26. Such a wait keeps no event loop alive.
 */
import type { DriverStats, DriverWake } from "./contract.js";
import { bellOf, bellWords } from "./doorbell.js";
import { WakeWatch } from "./wake-watch.js";

/** What the doorbell needs of its driver. */
export interface AtomicsDoorbellOwner {
  /** Somebody has rung: there must be a turn. */
  scheduleTurn(): void;
  /** A callback of the driver's user threw. */
  handlerThrew(error: unknown): void;
}

/** The typings of `Atomics.waitAsync` belong to a later ECMAScript than our output. */
interface AsyncWaiting {
  waitAsync(words: Int32Array, index: number, value: number): { readonly async: boolean; readonly value: unknown };
}

/** The first word of a doorbell: not 0 when it has rung. */
const RUNG = 0;

/** Waits for rings. It cannot see the thread sleep, so `idle` is never called and the thread counts as always asleep. */
export class AtomicsDoorbell {
  readonly #owner: AtomicsDoorbellOwner;
  readonly #watch: WakeWatch;
  readonly #words: Int32Array;
  readonly #wake: DriverWake;
  #isWaiting = false;
  #isEnded = false;

  constructor(wake: DriverWake, owner: AtomicsDoorbellOwner) {
    this.#owner = owner;
    this.#wake = wake;
    this.#watch = new WakeWatch(wake, (error) => owner.handlerThrew(error));
    this.#words = bellWords(wake.doorbell);
    this.#watch.begin(true);
    this.#wait();
  }

  /** Once a turn: delivers one `rung` for all rings since the last time, and waits for more. */
  deliver(stats: DriverStats): void {
    if (this.#isEnded) return;
    this.#watch.deliver(stats);
    if (!this.#isWaiting) this.#wait();
  }

  /** A ring came before it could be waited for: it needs one more turn. */
  get isDue(): boolean {
    return !this.#isWaiting && !this.#isEnded;
  }

  /** Delivers no more. */
  end(): void {
    this.#isEnded = true;
    this.#watch.end();
    // The engine would keep the wait, and this driver with it, for as long as the shared memory lives.
    bellOf(this.#wake.doorbell).notify();
  }

  #wait(): void {
    const waiting = (Atomics as unknown as AsyncWaiting).waitAsync(this.#words, RUNG, 0);
    this.#isWaiting = waiting.async;
    if (waiting.async) void (waiting.value as Promise<string>).then(() => this.#woken());
    else this.#woken();
  }

  #woken(): void {
    this.#isWaiting = false;
    if (!this.#isEnded) this.#owner.scheduleTurn();
  }
}
