/** The requests that a receive ended inside of: their parser state and, while that is incomplete, their head. An idle connection has neither. */
import { assert } from "../assert.js";
import { type ConnectionTable, PHASE_BODY, PHASE_HEAD, PHASE_IDLE } from "./connection-table.js";
import type { HttpLimits } from "./limits.js";
import type { HttpParser } from "./llhttp.js";
import { HeadPool, type RequestHead, SPAN_NONE } from "./request-head.js";
import type { HttpStats } from "./stats.js";

/** What a request line needs before its target: the longest method and a space. */
const METHOD_BYTES_MAX = 16;

/** What {@link IncomingHeads} is made of. */
export interface IncomingHeadsOptions {
  readonly parser: HttpParser;
  readonly table: ConnectionTable;
  readonly limits: HttpLimits;
  readonly stats: HttpStats;
  /** When something that takes `ms` from now times out. */
  readonly after: (ms: number) => number;
}

/** The incomplete requests of one server. */
export class IncomingHeads {
  /** Heads with memory of their own; those of requests that outlive their receive come from here too. */
  readonly pool: HeadPool;
  readonly #parser: HttpParser;
  readonly #table: ConnectionTable;
  readonly #limits: HttpLimits;
  readonly #stats: HttpStats;
  readonly #after: (ms: number) => number;
  readonly #heads: (RequestHead | undefined)[] = [];

  constructor(options: IncomingHeadsOptions) {
    const { limits, stats } = options;
    this.#parser = options.parser;
    this.#table = options.table;
    this.#limits = limits;
    this.#stats = stats;
    this.#after = options.after;
    this.pool = new HeadPool(limits.headersMax, limits.headerBytesMax, limits.headPoolBytesMax, stats);
  }

  /** The head of `slot` that is incomplete. */
  at(slot: number): RequestHead | undefined {
    return this.#heads[slot];
  }

  /** The head of `slot` is complete: if it was put together here, it belongs to its request from now on. */
  handOver(slot: number): void {
    if (this.#heads[slot] !== undefined) this.#heads[slot] = undefined;
  }

  /** A fresh run over bytes from `at` to `end` ended inside a message. Keeps what is needed; returns 0, or the status that refuses it. */
  save(slot: number, at: number, end: number): number {
    const table = this.#table;
    const phase = table.phases[slot];
    if (phase !== PHASE_IDLE && phase !== PHASE_BODY) {
      this.#parser.dropMessage();
      return 0;
    }
    const state = this.#parser.saveState();
    if (state === 0) return this.#noRoom();
    this.#stats.parserStatesNow += 1;
    table.parserStates[slot] = state;
    if (phase === PHASE_BODY) return 0;
    const live = this.#parser.head;
    const head = this.pool.acquire();
    if (head === undefined) return this.#noRoom();
    // Two bytes before the target are looked at later. Before the target has begun, all of the method may be needed.
    const from = live.targetLength === 0 ? Math.max(at, end - METHOD_BYTES_MAX) : live.targetStart - 2;
    head.beginFrom(live, from, end);
    this.#heads[slot] = head;
    table.phases[slot] = PHASE_HEAD;
    if (table.sequences[slot]! > 0) table.deadlines[slot] = this.#after(this.#limits.headerTimeoutMs);
    return this.#overflow(head);
  }

  /** A further run over bytes from `at` to `end` did not complete the head. Returns 0, or the status that refuses it. */
  append(slot: number, at: number, end: number): number {
    const head = this.#heads[slot];
    assert(head !== undefined, "an incomplete head is kept");
    head.append(this.#parser.bytes, at, end - at);
    return this.#overflow(head);
  }

  /** Gives back everything of `slot`. */
  release(slot: number): void {
    this.releaseState(slot);
    const head = this.#heads[slot];
    if (head === undefined) return;
    this.#heads[slot] = undefined;
    this.pool.release(head);
  }

  /** Gives the parser state of `slot` back: its message is complete. */
  releaseState(slot: number): void {
    const state = this.#table.parserStates[slot]!;
    if (state === 0) return;
    this.#table.parserStates[slot] = 0;
    this.#stats.parserStatesNow -= 1;
    this.#parser.releaseState(state);
  }

  #overflow(head: RequestHead): number {
    if (head.used <= this.#limits.headerBytesMax) return 0;
    return head.spanKind === SPAN_NONE ? 414 : 431;
  }

  #noRoom(): number {
    this.#stats.overloads += 1;
    return 503;
  }
}
