/** The access log of a shard, written once a turn. */
import type { AccessEntry, AccessLog } from "../observe/access-log.js";

/** Notes requests, and has what one turn answers written together. */
export class AccessTurn {
  readonly #log: AccessLog;
  #isFlushDue = false;

  constructor(log: AccessLog) {
    this.#log = log;
    // A thread that ends in the middle of a turn has requests that are over and not written.
    process.once("exit", () => this.#log.flush());
  }

  /** Notes a request that is over. */
  note(entry: AccessEntry): void {
    this.#log.note(entry);
    if (this.#isFlushDue) return;
    this.#isFlushDue = true;
    // Microtasks run when the turn's events have.
    queueMicrotask(() => {
      this.#isFlushDue = false;
      this.#log.flush();
    });
  }
}
