/** The words that a thread of a program sees while it is checked: what it has done already is played back from its log, and its next step is asked for. */
import type { Words } from "../../src/shared/words.js";
import {
  ADD,
  ALL,
  AND,
  COMPARE_EXCHANGE,
  EXCHANGE,
  LOAD,
  NOT_EQUAL,
  NOTIFIED,
  NOTIFY,
  OR,
  READ,
  RING,
  SLEPT,
  STORE,
  WAIT,
  WAKE,
  WRITE,
} from "./operation.js";
import type { ThreadLog } from "./thread-log.js";

const COUNT_MAX = 1_000_000;

/** Whom the words ask when a thread does something for the first time. */
export interface StepTaker {
  /** Takes the step, now or never: it gives the result, or throws to stop the thread. The log then has one entry more. */
  step(kind: number, index: number, first: number, second: number): number;
  /** The thread does something else than it did before with the same results. Throws. */
  diverged(kind: number, index: number): never;
}

export class ModelWords implements Words {
  readonly length: number;
  readonly #taker: StepTaker;
  #log: ThreadLog;
  #position = 0;

  constructor(length: number, taker: StepTaker, log: ThreadLog) {
    this.length = length;
    this.#taker = taker;
    this.#log = log;
  }

  /** Begins to play a thread from its start. Entry 0 of a log is the start itself. */
  rewind(log: ThreadLog): void {
    this.#log = log;
    this.#position = 1;
  }

  /** Whether the thread has repeated all that it had done: it may not end before that. */
  get isCaughtUp(): boolean {
    return this.#position === this.#log.length;
  }

  get position(): number {
    return this.#position;
  }

  load(index: number): number {
    return this.#access(LOAD, index, 0, 0);
  }

  store(index: number, value: number): void {
    this.#access(STORE, index, value | 0, 0);
  }

  add(index: number, value: number): number {
    return this.#access(ADD, index, value | 0, 0);
  }

  or(index: number, value: number): number {
    return this.#access(OR, index, value | 0, 0);
  }

  and(index: number, value: number): number {
    return this.#access(AND, index, value | 0, 0);
  }

  exchange(index: number, value: number): number {
    return this.#access(EXCHANGE, index, value | 0, 0);
  }

  compareExchange(index: number, expected: number, replacement: number): number {
    return this.#access(COMPARE_EXCHANGE, index, expected | 0, replacement | 0);
  }

  wait(index: number, expected: number, timeoutMs = Number.POSITIVE_INFINITY): "ok" | "not-equal" | "timed-out" {
    const hasTimeout = timeoutMs < Number.POSITIVE_INFINITY ? 1 : 0;
    const result = this.#access(WAIT, index, expected | 0, hasTimeout);
    if (result === NOT_EQUAL) return "not-equal";
    if (result !== SLEPT) throw new Error(`a wait cannot give ${result}`);
    return this.#access(WAKE, index, 0, hasTimeout) === NOTIFIED ? "ok" : "timed-out";
  }

  notify(index: number, count = Number.POSITIVE_INFINITY): number {
    return this.#access(NOTIFY, index, count > COUNT_MAX ? ALL : Math.max(0, count | 0), 0);
  }

  /** Adds 1 and wakes all, in one step. Not part of `Words`: the kernel does it. */
  ring(index: number): void {
    this.#access(RING, index, 0, 0);
  }

  read(index: number): number {
    return this.#access(READ, index, 0, 0);
  }

  write(index: number, value: number): void {
    this.#access(WRITE, index, value | 0, 0);
  }

  #access(kind: number, index: number, first: number, second: number): number {
    const log = this.#log;
    const position = this.#position;
    if (position >= log.length) {
      const result = this.#taker.step(kind, index, first, second);
      this.#position = log.length;
      return result;
    }
    if (!log.matches(position, kind, index, first, second)) this.#taker.diverged(kind, index);
    this.#position = position + 1;
    return log.resultAt(position);
  }
}
