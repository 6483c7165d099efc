/** The listeners of one server: they are started and stopped together, those that have not begun when the server stops included. */
import { assert } from "../assert.js";
import type { Driver, ListenAddress, Listening, ListenPath } from "../driver/contract.js";
import { RingloomError } from "../errors.js";

/** Starts and stops the listeners of one driver. */
export class Listeners {
  readonly #driver: Driver;
  /** By listener: whom to tell when it has stopped. */
  readonly #running = new Map<number, (() => void)[]>();
  /** Listeners that have not begun yet. */
  readonly #starting = new Set<Promise<Listening>>();
  #isStopping = false;

  constructor(driver: Driver) {
    this.#driver = driver;
  }

  /** Those that accept. */
  get running(): Iterable<number> {
    return this.#running.keys();
  }

  /** Whether `stop` or `refuse` was called. */
  get isStopping(): boolean {
    return this.#isStopping;
  }

  /** Starts to accept; see `Driver.listen`. Rejects with the kernel's code, and with `ERR_RINGLOOM_CLOSED` once the server stops. */
  async start(target: number | ListenAddress | ListenPath): Promise<Listening> {
    if (this.#isStopping) throw stopping();
    const starting = this.#driver.listen(target);
    this.#starting.add(starting);
    let listening: Listening;
    try {
      listening = await starting;
    } finally {
      this.#starting.delete(starting);
    }
    this.#running.set(listening.listener, []);
    if (this.#isStopping) {
      this.#driver.stopListening(listening.listener);
      throw stopping();
    }
    return listening;
  }

  /** Has none start any more: the driver is about to be shut down, which stops the others. */
  refuse(): void {
    this.#isStopping = true;
  }

  /** Resolves when nobody waits to be accepted any more. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    await this.#stopRunning();
    // A listener that was about to begin stops as soon as it has, and whom it accepted is served too.
    await Promise.allSettled(this.#starting);
    await this.#stopRunning();
  }

  /** The driver says that `listener` accepts no more. */
  stopped(listener: number): void {
    const waiting = this.#running.get(listener);
    assert(waiting !== undefined, "a listener that stops was started");
    this.#running.delete(listener);
    for (const resolve of waiting) resolve();
  }

  #stopRunning(): Promise<unknown> {
    const stopped = [...this.#running].map(
      ([listener, waiting]) =>
        new Promise<void>((resolve) => {
          waiting.push(resolve);
          this.#driver.stopListening(listener);
        }),
    );
    return Promise.all(stopped);
  }
}

function stopping(): RingloomError {
  return new RingloomError("ERR_RINGLOOM_CLOSED", "Cannot listen: the server is stopping", { operation: "listen" });
}
