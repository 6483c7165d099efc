/** Follows each request from its dispatch to its end, for the access log. Where there is no access log, there is no observer. */
import type { AccessLog } from "../observe/access-log.js";
import { monotonicMs } from "../observe/monotonic.js";
import { AccessTurn } from "./access-turn.js";
import { type Exchange, STATE_OPEN } from "./exchange.js";
import { METHOD_NAMES } from "./methods.js";
import type { RequestHead } from "./request-head.js";

interface Begun {
  readonly method: string;
  readonly path: string;
  readonly startMs: number;
  readonly committed: number;
}

/** Notes when requests begin and end. A connection has one at a time. */
export class AccessObserver {
  readonly #turn: AccessTurn;
  readonly #begun = new Map<number, Begun>();

  constructor(log: AccessLog) {
    this.#turn = new AccessTurn(log);
  }

  /** @param committed Bytes that the connection has been given to send so far. */
  begun(slot: number, head: RequestHead, committed: number): void {
    const method = METHOD_NAMES[head.method] ?? "";
    this.#begun.set(slot, { method, path: head.path(), startMs: monotonicMs(), committed });
  }

  ended(exchange: Exchange, isAborted: boolean, committed: number): void {
    const { slot, answerStatus, state } = exchange;
    const begun = this.#begun.get(slot);
    if (begun === undefined) return;
    this.#begun.delete(slot);
    this.#turn.note({
      method: begun.method,
      path: begun.path,
      // Nothing was answered when the client went first.
      status: isAborted && state === STATE_OPEN ? 0 : answerStatus,
      bytes: committed - begun.committed,
      durationMs: monotonicMs() - begun.startMs,
      isAborted,
    });
  }
}
