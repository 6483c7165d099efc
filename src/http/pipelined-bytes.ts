/**
 * What has arrived on a connection behind a request whose answer is awaited. It is kept, bounded, and from the second receive of it on the driver holds back the rest; when the
 * answer is complete, the requests in it are parsed as if they came only then.
 */
import type { Driver } from "../driver/contract.js";
import { type ConnectionTable, PAUSED_FOR_ANSWER, PAUSED_FOR_BODY, PHASE_BLOCKED } from "./connection-table.js";
import { type HttpParser, SCRATCH_BYTES } from "./llhttp.js";
import { type PendingBytes, PendingPool } from "./pending-bytes.js";
import type { HttpStats } from "./stats.js";

/** What {@link PipelinedBytes} is made of. */
export interface PipelinedBytesOptions {
  readonly parser: HttpParser;
  readonly table: ConnectionTable;
  readonly stats: HttpStats;
  /** Bytes that all connections together may keep. */
  readonly poolBytesMax: number;
  /** Parses what lies in the parser's memory from `start` to `end`, for a connection. Returns where it stopped because the connection cannot take more now. */
  readonly parse: (slot: number, start: number, end: number) => number;
}

/** The kept bytes of one server's connections. */
export class PipelinedBytes {
  readonly #options: PipelinedBytesOptions;
  readonly #pool: PendingPool;
  readonly #kept: (PendingBytes | undefined)[] = [];
  #driver!: Driver;

  constructor(options: PipelinedBytesOptions) {
    this.#options = options;
    this.#pool = new PendingPool(options.poolBytesMax, options.stats);
  }

  attach(driver: Driver): void {
    this.#driver = driver;
  }

  /** Makes room for the connection `slot`. */
  grow(slot: number): void {
    while (this.#kept.length <= slot) this.#kept.push(undefined);
  }

  /** Whether bytes of `slot` wait. */
  waits(slot: number): boolean {
    return this.#kept[slot] !== undefined;
  }

  /** Keeps what `slot` cannot take now. More than one receive of it holds the peer back. Returns false when there is no room. */
  keep(slot: number, offset: number, length: number): boolean {
    const { parser, table } = this.#options;
    const before = this.#kept[slot];
    const kept = this.#pool.append(before, parser.bytes, offset, length);
    if (kept === undefined) return false;
    this.#kept[slot] = kept;
    if (before === undefined || (table.flags[slot]! & PAUSED_FOR_ANSWER) !== 0) return true;
    table.flags[slot] = table.flags[slot]! | PAUSED_FOR_ANSWER;
    this.#driver.pause(slot);
    return true;
  }

  /**
   * Parses what `slot` has kept, as far as it can take it, and lets the peer go on when that was all. Returns whether it was. The connection is idle and the
   * parser is free.
   */
  feed(slot: number): boolean {
    const { parser, table, parse } = this.#options;
    for (let kept = this.#kept[slot]; kept !== undefined; kept = this.#kept[slot]) {
      if (table.phases[slot] === PHASE_BLOCKED) return false;
      const piece = Math.min(kept.length, SCRATCH_BYTES);
      kept.buffer.copy(parser.bytes, parser.scratchOffset, kept.start, kept.start + piece);
      const stop = parse(slot, parser.scratchOffset, parser.scratchOffset + piece);
      // The connection may have ended on the way.
      if (this.#kept[slot] !== kept) return false;
      kept.start += stop - parser.scratchOffset;
      if (kept.length === 0) this.release(slot);
    }
    const flags = table.flags[slot]!;
    if ((flags & PAUSED_FOR_ANSWER) !== 0) {
      table.flags[slot] = flags & ~PAUSED_FOR_ANSWER;
      if ((flags & PAUSED_FOR_BODY) === 0) this.#driver.resume(slot);
    }
    return true;
  }

  /** Forgets what `slot` has kept. */
  release(slot: number): void {
    const kept = this.#kept[slot];
    if (kept === undefined) return;
    this.#kept[slot] = undefined;
    this.#pool.release(kept);
  }
}
