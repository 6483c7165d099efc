/** Transfers that begin where the one before ended: one at a time, in the order of the calls. Those that wait for their turn can be given up like any call. */
import { Fifo } from "../messages/fifo.js";
import { type Call, guard, throwIfGivenUp } from "./call.js";

/** The transfers of a file, or of one direction of a stream. */
export class TransferQueue {
  /** What begins each that waits. */
  readonly #waiting = new Fifo<() => void>();
  #isBusy = false;

  /** Whether a transfer is under way. */
  get isBusy(): boolean {
    return this.#isBusy;
  }

  /** Runs the transfer, inside the call when none is under way. Its own options are to give it up once it has begun; those of `call` do until then. */
  async run<T>(call: Call, transfer: () => Promise<T>): Promise<T> {
    if (this.#isBusy) await this.#turn(call);
    this.#isBusy = true;
    try {
      return await transfer();
    } finally {
      const begin = this.#waiting.shift();
      if (begin === undefined) this.#isBusy = false;
      else begin();
    }
  }

  #turn(call: Call): Promise<void> {
    return new Promise((resolve, reject) => {
      throwIfGivenUp(call);
      const begin = (): void => {
        stop();
        resolve();
      };
      this.#waiting.push(begin);
      const stop = guard(call, (error) => {
        this.#waiting.remove(begin);
        reject(error);
      });
    });
  }
}
