/** What the HTTP server knows of each connection, in typed arrays by slot, and the list of those alive. One thread owns it. */
import { assert } from "../assert.js";

/** No connection. */
export const PHASE_FREE = 0;
/** Between two requests. */
export const PHASE_IDLE = 1;
/** Inside the head of a request. */
export const PHASE_HEAD = 2;
/** Inside the body of a request. */
export const PHASE_BODY = 3;
/** The request is complete and its answer, or the room for a further one, is awaited. */
export const PHASE_BLOCKED = 4;
/** Closing: nothing more is read. */
export const PHASE_CLOSING = 5;
/** Taken over by another protocol. */
export const PHASE_UPGRADED = 6;

/** Bits of {@link ConnectionTable.flags}. */
export const PAUSED_FOR_ANSWER = 1;
export const PAUSED_FOR_BODY = 2;
/** The peer will send no more. */
export const PEER_ENDED = 4;
/** `drained` has been asked for. */
export const WANTS_DRAINED = 8;
/** The answer waits for room in the write pool. */
export const STARVED = 16;

/** A deadline that is never reached. */
export const NEVER = Number.POSITIVE_INFINITY;

/** Columns of numbers by connection slot, and the dense list of slots in use. */
export class ConnectionTable {
  readonly phases: Uint8Array;
  readonly flags: Uint8Array;
  /** Requests dispatched on this connection. */
  readonly sequences: Uint32Array;
  /** The saved parser state, or 0. */
  readonly parserStates: Int32Array;
  /** When the phase times out, on the coarse clock. */
  readonly deadlines: Float64Array;
  /** Bytes committed since the connection began. */
  readonly committed: Float64Array;
  /** Bytes that the peer had taken when the scan last looked, and when it has to have taken more. */
  readonly taken: Float64Array;
  readonly writeDeadlines: Float64Array;
  /** Body bytes of the current request, and all bytes received for it, framing included. */
  readonly bodyBytes: Float64Array;
  readonly wireBytes: Float64Array;
  /** Body bytes that nobody read. */
  readonly discardedBytes: Float64Array;
  /** Content-Length of the current request, or -1. */
  readonly contentLengths: Float64Array;

  /** The taken slots are `live[0]` to `live[count - 1]`, in no order. */
  readonly live: Int32Array;
  count = 0;
  readonly #position: Int32Array;

  constructor(capacity: number) {
    this.phases = new Uint8Array(capacity);
    this.flags = new Uint8Array(capacity);
    this.sequences = new Uint32Array(capacity);
    this.parserStates = new Int32Array(capacity);
    this.deadlines = new Float64Array(capacity);
    this.committed = new Float64Array(capacity);
    this.taken = new Float64Array(capacity);
    this.writeDeadlines = new Float64Array(capacity);
    this.bodyBytes = new Float64Array(capacity);
    this.wireBytes = new Float64Array(capacity);
    this.discardedBytes = new Float64Array(capacity);
    this.contentLengths = new Float64Array(capacity);
    this.live = new Int32Array(capacity);
    this.#position = new Int32Array(capacity);
  }

  add(slot: number, deadlineMs: number): void {
    assert(this.phases[slot] === PHASE_FREE, "a new connection's slot was free");
    this.phases[slot] = PHASE_IDLE;
    this.flags[slot] = 0;
    this.sequences[slot] = 0;
    this.parserStates[slot] = 0;
    this.deadlines[slot] = deadlineMs;
    this.committed[slot] = 0;
    this.taken[slot] = 0;
    this.writeDeadlines[slot] = NEVER;
    this.bodyBytes[slot] = 0;
    this.wireBytes[slot] = 0;
    this.discardedBytes[slot] = 0;
    this.contentLengths[slot] = 0;
    this.live[this.count] = slot;
    this.#position[slot] = this.count;
    this.count += 1;
  }

  /** Asks for each connection that is there now, which may end by that, and counts those that `judge` says yes to. */
  countEach(judge: (slot: number) => boolean): number {
    let count = 0;
    for (const slot of this.live.slice(0, this.count)) {
      if (judge(slot)) count += 1;
    }
    return count;
  }

  remove(slot: number): void {
    assert(this.phases[slot] !== PHASE_FREE, "a removed connection was there");
    this.phases[slot] = PHASE_FREE;
    this.count -= 1;
    const last = this.live[this.count]!;
    const position = this.#position[slot]!;
    this.live[position] = last;
    this.#position[last] = position;
  }
}
