/** Looks for connections whose time is up: a few at each tick, so that a tick stays short however many there are. */
import { takenBytesMin } from "../io/write-timeouts.js";
import {
  type ConnectionTable,
  NEVER,
  PAUSED_FOR_BODY,
  PEER_ENDED,
  PHASE_BLOCKED,
  PHASE_BODY,
  PHASE_HEAD,
  PHASE_IDLE,
  PHASE_UPGRADED,
} from "./connection-table.js";
import { type Exchange, FLAG_EXPECTS_CONTINUE, STATE_OPEN } from "./exchange.js";
import type { CoarseClock } from "./http-date.js";
import type { HttpLimits } from "./limits.js";
import type { HttpStats } from "./stats.js";

/** The connections, as their timeouts see them. */
export interface TimeoutControl {
  queuedBytes(slot: number): number;
  unacknowledgedBytes(slot: number): number;
  /** The request of `slot` that is not completely answered. */
  exchangeOf(slot: number): Exchange | undefined;
  /** Sends what is queued and closes. */
  close(slot: number): void;
  /** Closes at once. */
  kill(slot: number): void;
  /** The protocol that has taken `slot` over asked to be called now. */
  upgradedTimedOut(slot: number): void;
  /** Answers in the handler's place and closes. */
  refuseWith(slot: number, status: number): void;
}

/** The deadlines of all connections of one server. */
export class ConnectionTimeouts {
  readonly #control: TimeoutControl;
  readonly #table: ConnectionTable;
  readonly #clock: CoarseClock;
  readonly #limits: HttpLimits;
  readonly #takenBytesMin: number;
  readonly #stats: HttpStats;

  constructor(
    control: TimeoutControl,
    options: {
      readonly table: ConnectionTable;
      readonly clock: CoarseClock;
      readonly limits: HttpLimits;
      readonly stats: HttpStats;
    },
  ) {
    this.#control = control;
    this.#table = options.table;
    this.#clock = options.clock;
    this.#limits = options.limits;
    this.#takenBytesMin = takenBytesMin(options.limits.writeTimeoutMs);
    this.#stats = options.stats;
  }

  /** When something that may take `ms` from now times out; 0 is never. */
  after(ms: number): number {
    return ms === 0 ? NEVER : this.#clock.nowMs + ms;
  }

  /** When the handler of a complete request has to have answered. */
  answerDeadline(exchange: Exchange): number {
    if (exchange.state !== STATE_OPEN) return NEVER;
    const isHalfClosed = (this.#table.flags[exchange.slot]! & PEER_ENDED) !== 0;
    return this.after(isHalfClosed ? this.#limits.halfClosedTimeoutMs : this.#limits.handlerTimeoutMs);
  }

  /** Looks at `count` live connections from `cursor` on and returns where to go on. */
  scan(cursor: number, count: number): number {
    const table = this.#table;
    let at = cursor;
    for (let index = 0; index < count && table.count > 0; index++) {
      if (at >= table.count) at = 0;
      this.#look(table.live[at]!);
      at += 1;
    }
    return at;
  }

  #look(slot: number): void {
    const table = this.#table;
    if (this.#hasStoppedReading(slot)) {
      this.#stats.writeTimeouts += 1;
      this.#control.kill(slot);
    } else if (this.#clock.nowMs >= table.deadlines[slot]!) {
      this.#timedOut(slot);
    }
  }

  /** Whether bytes wait for the peer and it has taken next to none for too long. */
  #hasStoppedReading(slot: number): boolean {
    const table = this.#table;
    const { writeTimeoutMs } = this.#limits;
    const queued = this.#control.queuedBytes(slot);
    if (queued === 0 || writeTimeoutMs === 0) {
      table.writeDeadlines[slot] = NEVER;
      return false;
    }
    // The kernel takes nothing for seconds while a slow peer empties a full buffer, so what that has acknowledged counts.
    const taken = table.committed[slot]! - queued - this.#control.unacknowledgedBytes(slot);
    if (taken - table.taken[slot]! < this.#takenBytesMin && table.writeDeadlines[slot] !== NEVER) {
      return this.#clock.nowMs >= table.writeDeadlines[slot]!;
    }
    table.taken[slot] = taken;
    table.writeDeadlines[slot] = this.after(writeTimeoutMs);
    return false;
  }

  #timedOut(slot: number): void {
    const stats = this.#stats;
    switch (this.#table.phases[slot]) {
      case PHASE_IDLE:
        stats.idleTimeouts += 1;
        this.#control.close(slot);
        break;
      case PHASE_HEAD:
        stats.headerTimeouts += 1;
        this.#control.refuseWith(slot, 408);
        break;
      case PHASE_BODY:
        this.#bodyTimedOut(slot);
        break;
      case PHASE_BLOCKED:
        this.#answerTimedOut(slot);
        break;
      case PHASE_UPGRADED:
        this.#control.upgradedTimedOut(slot);
        break;
    }
  }

  #bodyTimedOut(slot: number): void {
    const table = this.#table;
    const exchange = this.#control.exchangeOf(slot);
    const isPaused = (table.flags[slot]! & PAUSED_FOR_BODY) !== 0;
    // Both who waits for 100 Continue and who was paused go on when the handler reads: it is the one that is late.
    if (exchange !== undefined && (isPaused || this.#awaitsContinue(exchange))) {
      this.#answerTimedOut(slot);
      return;
    }
    this.#stats.bodyTimeouts += 1;
    this.#control.refuseWith(slot, 408);
  }

  #awaitsContinue(exchange: Exchange): boolean {
    return (exchange.flags & FLAG_EXPECTS_CONTINUE) !== 0 && this.#table.bodyBytes[exchange.slot] === 0;
  }

  #answerTimedOut(slot: number): void {
    const exchange = this.#control.exchangeOf(slot);
    if ((this.#table.flags[slot]! & PEER_ENDED) !== 0) {
      this.#stats.halfClosedTimeouts += 1;
      this.#control.kill(slot);
    } else if (exchange === undefined || exchange.state !== STATE_OPEN) {
      // The answer is on its way: from now on only the write timeout counts.
      this.#table.deadlines[slot] = NEVER;
    } else {
      this.#stats.handlerTimeouts += 1;
      this.#control.refuseWith(slot, 503);
    }
  }
}
