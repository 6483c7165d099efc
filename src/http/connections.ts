/**
 * The connections of one shard, from received bytes to dispatched requests. It implements the driver's events and the parser's.
 *
 * A connection is always in one phase (see connection-table.ts):
 *
 *     IDLE ── first byte ──▶ HEAD ── head complete ──▶ BODY ── complete ──▶ BLOCKED ── answered ──▶ IDLE
 *       └──── a request that arrives whole and is answered at once never leaves IDLE ────┘
 *     any ── error, Connection: close, timeout ──▶ CLOSING ── closed ──▶ FREE
 *
 * Requests of a connection are answered one at a time, in order: the parser stops behind a request whose answer is awaited, and what arrives
 * after it is kept, bounded, while the driver holds back the rest. Handlers run inside the parser's callbacks, so nothing here may run the
 * parser while it runs; a connection that could go on by then waits in `#ready`.
 */
import { assert } from "../assert.js";
import type { Driver, DriverEvents } from "../driver/contract.js";
import { errnoError, RingloomError } from "../errors.js";
import { Answering, type AnsweringOptions, type ConnectionControl } from "./answering.js";
import {
  ConnectionTable,
  NEVER,
  PAUSED_FOR_ANSWER,
  PAUSED_FOR_BODY,
  PEER_ENDED,
  PHASE_BLOCKED,
  PHASE_BODY,
  PHASE_CLOSING,
  PHASE_FREE,
  PHASE_HEAD,
  PHASE_IDLE,
  WANTS_DRAINED,
} from "./connection-table.js";
import {
  clientGone,
  type Exchange,
  FLAG_CLOSE,
  FLAG_EXPECTS_CONTINUE,
  FLAG_HAS_BODY,
  FLAG_HTTP_10,
  FLAG_KEEP_ALIVE,
  FLAG_PEER_ENDED,
  STATE_ABORTED,
  STATE_ANSWERED,
  STATE_ANSWERING,
  STATE_OPEN,
} from "./exchange.js";
import type { CoarseClock } from "./http-date.js";
import { HttpError } from "./http-error.js";
import { LargeBodyPool } from "./large-body-pool.js";
import type { HttpLimits } from "./limits.js";
import {
  FLAG_CHUNKED,
  FLAG_CONTENT_LENGTH,
  HPE_INVALID_VERSION,
  HPE_PAUSED_H2_UPGRADE,
  HttpParser,
  PARSER_OK,
  PARSER_PAUSED,
  type ParserEvents,
  SCRATCH_BYTES,
} from "./llhttp.js";
import { type PendingBytes, PendingPool } from "./pending-bytes.js";
import { type BodyOwner, RequestBody } from "./request-body.js";
import { checkHead, type HeadFindings } from "./request-checks.js";
import { HeadPool, type RequestHead, SPAN_NONE } from "./request-head.js";
import { CONNECTION_CLOSE, ResponseEncoder, TYPE_TEXT } from "./response-encoder.js";
import type { HttpStats } from "./stats.js";
import { reasonPhrase } from "./status.js";
import { TrailerFields } from "./trailer-fields.js";

/** What a request line needs around its target: the method before it. */
const METHOD_BYTES_MAX = 16;
/** Framing of a chunked body may take this many times the body (a chunk of one byte takes five), and one header section. */
const CHUNK_OVERHEAD_FACTOR = 16;

export interface ConnectionsOptions extends Pick<AnsweringOptions, "app" | "fetchHandler" | "log" | "stats"> {
  readonly limits: HttpLimits;
  readonly clock: CoarseClock;
  readonly connectionsMax: number;
  /** Room for the driver to receive into, in bytes. */
  readonly slabBytes: number;
}

export class Connections implements DriverEvents, ParserEvents, ConnectionControl {
  readonly parser: HttpParser;
  readonly table: ConnectionTable;
  readonly largeBodies: LargeBodyPool;
  /** While draining, every answer closes its connection. */
  isDraining = false;
  /** Called when a listener has stopped, and when the last connection is gone. */
  onListenerStopped: (listener: number) => void = ignore;
  onEmpty: () => void = ignore;
  /** Called when a connection begins while there was none. */
  onFirst: () => void = ignore;

  readonly #options: ConnectionsOptions;
  readonly #limits: HttpLimits;
  readonly #clock: CoarseClock;
  readonly #stats: HttpStats;
  readonly #heads: HeadPool;
  readonly #pendingPool: PendingPool;
  readonly #findings: HeadFindings = { expectsContinue: false };
  /** By slot: the request that is not answered, the body that is being received, the head that is incomplete, what waits. */
  readonly #exchanges: (Exchange | undefined)[] = [];
  readonly #bodies: (RequestBody | undefined)[] = [];
  readonly #partialHeads: (RequestHead | undefined)[] = [];
  readonly #pending: (PendingBytes | undefined)[] = [];
  readonly #trailers: (TrailerFields | undefined)[] = [];
  /** Slots that can go on when the parser is free, and slots that wait for the write pool, with their generations. */
  #ready: number[] = [];
  #starved: number[] = [];
  /** The slot that the parser is running for, or -1. */
  #current = -1;
  /** Where the bytes of that run end, and from where on they count as framing of the body. */
  #currentEnd = 0;
  #wireStart = 0;
  /** Body bytes of the message before that run. */
  #bodyBytesBefore = 0;
  #driver!: Driver;
  #encoder!: ResponseEncoder;
  #answering!: Answering;

  constructor(options: ConnectionsOptions) {
    const { limits, stats } = options;
    this.#options = options;
    this.#limits = limits;
    this.#clock = options.clock;
    this.#stats = stats;
    this.parser = new HttpParser({ slabBytes: options.slabBytes, limits }, this);
    this.table = new ConnectionTable(options.connectionsMax);
    this.largeBodies = new LargeBodyPool({ blocks: limits.largeBodyBlocksMax, blockBytes: limits.largeBodyBlockBytes });
    this.#heads = new HeadPool(limits.headersMax, limits.headerBytesMax, limits.headPoolBytesMax, stats);
    this.#pendingPool = new PendingPool(limits.pendingPoolBytesMax, stats);
  }

  /** Connects the driver, which is made after this object because it needs its events and its receive slab. */
  attach(driver: Driver): void {
    const { app, fetchHandler, log, stats } = this.#options;
    this.#driver = driver;
    this.#encoder = new ResponseEncoder(driver, this.#clock);
    this.#answering = new Answering({
      control: this,
      encoder: this.#encoder,
      stats,
      log,
      queuedBytesMax: this.#limits.queuedBytesMax,
      app,
      fetchHandler,
    });
  }

  // Events of the driver.

  accepted(slot: number, _listener: number): void {
    if (this.table.count === 0) this.onFirst();
    while (this.#exchanges.length <= slot) {
      this.#exchanges.push(undefined);
      this.#bodies.push(undefined);
      this.#partialHeads.push(undefined);
      this.#pending.push(undefined);
      this.#trailers.push(undefined);
    }
    this.#stats.connectionsNow += 1;
    this.table.add(slot, this.#after(this.#limits.headerTimeoutMs));
  }

  connected(_slot: number, _errno: number): void {
    assert(false, "an HTTP server connects to nobody");
  }

  received(slot: number, bytes: Uint8Array, offset: number, length: number): void {
    const { parser } = this;
    if (bytes === parser.bytes) {
      const stop = this.#parse(slot, offset, offset + length);
      if (stop < offset + length) this.#keepBytes(slot, stop, offset + length - stop);
    } else {
      this.#receivedCopy(slot, bytes, offset, length);
    }
    if (this.isDraining && this.table.phases[slot] === PHASE_IDLE && this.table.sequences[slot]! > 0) this.#close(slot);
    if (this.#ready.length > 0) this.#runReady();
  }

  #receivedCopy(slot: number, bytes: Uint8Array, offset: number, length: number): void {
    const { scratchOffset, bytes: memory } = this.parser;
    for (let done = 0; done < length; ) {
      const piece = Math.min(length - done, SCRATCH_BYTES);
      const start = offset + done;
      memory.set(start === 0 && piece === bytes.length ? bytes : bytes.subarray(start, start + piece), scratchOffset);
      const stop = this.#parse(slot, scratchOffset, scratchOffset + piece);
      if (stop < scratchOffset + piece) this.#keepBytes(slot, stop, scratchOffset + piece - stop);
      done += piece;
    }
  }

  ended(slot: number): void {
    const { table } = this;
    table.flags[slot] = table.flags[slot]! | PEER_ENDED;
    if (this.#pending[slot] === undefined) this.#takeEnd(slot);
    else this.#noticeEnd(slot);
  }

  /** The peer's end has been reached in the stream of requests. */
  #takeEnd(slot: number): void {
    switch (this.table.phases[slot]) {
      case PHASE_IDLE:
        this.#close(slot);
        break;
      case PHASE_HEAD:
      case PHASE_BODY:
        this.#refuseWith(slot, 400);
        break;
      case PHASE_BLOCKED:
        this.#noticeEnd(slot);
        break;
    }
  }

  /** A peer that half-closes may still be reading, so its answer is sent; but it may also be gone, so whoever listens to the signal is told. */
  #noticeEnd(slot: number): void {
    const exchange = this.#exchanges[slot];
    if (exchange === undefined) return;
    exchange.flags |= FLAG_PEER_ENDED;
    this.table.deadlines[slot] = this.#after(this.#limits.halfClosedTimeoutMs);
    exchange.extras?.abort?.abort(clientGone());
  }

  drained(slot: number): void {
    const { table } = this;
    table.flags[slot] = table.flags[slot]! & ~WANTS_DRAINED;
    const exchange = this.#exchanges[slot];
    if (exchange !== undefined) exchange.extras?.outgoing?.continue();
    else if (table.phases[slot] === PHASE_BLOCKED) this.#idle(slot);
  }

  closed(slot: number, errno: number): void {
    if (errno !== 0) this.#stats.resets += 1;
    const exchange = this.#exchanges[slot];
    if (exchange !== undefined) this.#abort(exchange);
    this.#releaseInput(slot, errno);
    this.table.remove(slot);
    this.#stats.connectionsNow -= 1;
    if (this.table.count === 0) this.onEmpty();
  }

  listenerStopped(listener: number): void {
    this.onListenerStopped(listener);
  }

  turnEnded(): void {
    if (this.#starved.length > 0) this.#feedStarved();
  }

  // From bytes to messages.

  /** Parses what lies in the parser's memory from `start` to `end`. Returns where it stopped because the connection cannot take more now. */
  #parse(slot: number, start: number, end: number): number {
    let at = start;
    while (at < end) {
      const phase = this.table.phases[slot];
      if (phase === PHASE_IDLE) at = this.#parseFresh(slot, at, end);
      else if (phase === PHASE_HEAD || phase === PHASE_BODY) at = this.#parseSaved(slot, at, end);
      else if (phase === PHASE_BLOCKED) return at;
      else return end;
    }
    return end;
  }

  #parseFresh(slot: number, at: number, end: number): number {
    const { parser } = this;
    this.#current = slot;
    this.#currentEnd = end;
    const errno = parser.runFresh(at, end - at);
    this.#current = -1;
    if (errno === PARSER_OK) {
      if (parser.inMessage) this.#saveMessage(slot, at, end);
      return end;
    }
    if (errno === PARSER_PAUSED) {
      this.#countLastWire(slot);
      return parser.stoppedAt;
    }
    this.#refuse(slot, errno);
    return end;
  }

  #parseSaved(slot: number, at: number, end: number): number {
    const { parser, table } = this;
    const head = this.#partialHeads[slot];
    this.#current = slot;
    this.#wireStart = at;
    this.#bodyBytesBefore = table.bodyBytes[slot]!;
    const errno = parser.runSaved(table.parserStates[slot]!, head, at, end - at);
    this.#current = -1;
    const phase = table.phases[slot];
    if (errno === PARSER_PAUSED) {
      this.#releaseState(slot);
      this.#countLastWire(slot);
      return parser.stoppedAt;
    }
    if (phase !== PHASE_HEAD && phase !== PHASE_BODY) return end;
    if (errno !== PARSER_OK) {
      this.#refuse(slot, errno);
      return end;
    }
    if (phase === PHASE_HEAD) {
      assert(head !== undefined, "an incomplete head is kept");
      head.append(parser.bytes, at, end - at);
      if (head.used > this.#limits.headerBytesMax) this.#refuseWith(slot, head.spanKind === SPAN_NONE ? 414 : 431);
      return end;
    }
    this.#countWire(slot, end);
    return end;
  }

  /** A receive ended inside a message: its state and, if that is incomplete, its head are kept. */
  #saveMessage(slot: number, at: number, end: number): void {
    const { parser, table } = this;
    const phase = table.phases[slot];
    if (phase !== PHASE_IDLE && phase !== PHASE_BODY) {
      parser.dropMessage();
      return;
    }
    const state = parser.saveState();
    if (state === 0) {
      this.#stats.overloads += 1;
      this.#refuseWith(slot, 503);
      return;
    }
    this.#stats.parserStatesNow += 1;
    table.parserStates[slot] = state;
    if (phase === PHASE_BODY) {
      this.#countWire(slot, end);
      return;
    }
    const live = parser.head;
    const head = this.#heads.acquire();
    if (head === undefined) {
      this.#stats.overloads += 1;
      this.#refuseWith(slot, 503);
      return;
    }
    // Two bytes before the target are looked at later. Before the target has begun, all of the method may be needed.
    head.beginFrom(live, live.targetLength === 0 ? Math.max(at, end - METHOD_BYTES_MAX) : live.targetStart - 2, end);
    this.#partialHeads[slot] = head;
    table.phases[slot] = PHASE_HEAD;
    if (table.sequences[slot]! > 0) table.deadlines[slot] = this.#after(this.#limits.headerTimeoutMs);
    if (head.used > this.#limits.headerBytesMax) this.#refuseWith(slot, head.spanKind === SPAN_NONE ? 414 : 431);
  }

  /** The run has consumed a body up to `end` and the message is not complete. */
  #countWire(slot: number, end: number): void {
    const { table } = this;
    // Framing alone is no progress: an extension that never ends must time out.
    const hasProgress = table.bodyBytes[slot] !== this.#bodyBytesBefore;
    if (hasProgress && (table.flags[slot]! & PAUSED_FOR_BODY) === 0)
      table.deadlines[slot] = this.#after(this.#limits.bodyTimeoutMs);
    if (this.#hasTooMuchFraming(slot, end)) this.#refuseWith(slot, 400);
    else table.wireBytes[slot] = table.wireBytes[slot]! + end - this.#wireStart;
  }

  /** The same for the run that completed a chunked message, whose last chunk may have had an extension. */
  #countLastWire(slot: number): void {
    if (this.table.contentLengths[slot]! >= 0) return;
    const isTooMuch = this.#hasTooMuchFraming(slot, this.parser.stoppedAt);
    // The next message has a length of its own.
    this.table.contentLengths[slot] = 0;
    if (isTooMuch && this.table.phases[slot] === PHASE_BLOCKED && this.#exchanges[slot] !== undefined)
      this.#refuseWith(slot, 400);
  }

  /** Endless chunk extensions, or chunks of one byte with leading zeros, must not pass for a body. */
  #hasTooMuchFraming(slot: number, end: number): boolean {
    const { table } = this;
    if (table.contentLengths[slot]! >= 0) return false;
    const bodyBytes = table.bodyBytes[slot]!;
    const framing = table.wireBytes[slot]! + end - this.#wireStart - bodyBytes;
    return framing > this.#limits.headerBytesMax + bodyBytes * CHUNK_OVERHEAD_FACTOR;
  }

  headComplete(): number {
    const { parser, table } = this;
    const { head, flags } = parser;
    const slot = this.#current;
    const status = checkHead(head, parser.majorVersion, flags, this.#findings);
    if (status !== 0) return status;
    const isChunked = (flags & FLAG_CHUNKED) !== 0;
    if (!isChunked && ((flags & FLAG_CONTENT_LENGTH) === 0 || parser.contentLength === 0)) return 0;
    const { bodyStreamBytesMax } = this.#limits;
    if (!isChunked && parser.contentLength > (bodyStreamBytesMax || Number.MAX_SAFE_INTEGER)) return 413;
    table.phases[slot] = PHASE_BODY;
    table.contentLengths[slot] = isChunked ? -1 : parser.contentLength;
    table.bodyBytes[slot] = 0;
    table.wireBytes[slot] = 0;
    table.discardedBytes[slot] = 0;
    this.#wireStart = parser.headEnd;
    this.#bodyBytesBefore = 0;
    table.deadlines[slot] = this.#after(this.#limits.bodyTimeoutMs);
    this.#dispatch(slot, head, FLAG_HAS_BODY | (this.#findings.expectsContinue ? FLAG_EXPECTS_CONTINUE : 0));
    return 0;
  }

  bodyBytes(offset: number, length: number): number {
    const { table } = this;
    const slot = this.#current;
    if (table.phases[slot] !== PHASE_BODY) return 0;
    const total = table.bodyBytes[slot]! + length;
    table.bodyBytes[slot] = total;
    const { bodyStreamBytesMax, bodyDiscardBytesMax } = this.#limits;
    if (bodyStreamBytesMax > 0 && total > bodyStreamBytesMax) return 413;
    if (this.#hasTooMuchFraming(slot, offset + length)) return 400;
    const exchange = this.#exchanges[slot];
    const body = this.#bodies[slot] ?? (exchange === undefined ? undefined : this.requestBody(exchange));
    if (body !== undefined) {
      body.push(this.parser.bytes, offset, length);
      return 0;
    }
    const discarded = table.discardedBytes[slot]! + length;
    table.discardedBytes[slot] = discarded;
    if (discarded > bodyDiscardBytesMax) this.#close(slot);
    return 0;
  }

  trailerBytes(isValue: boolean, offset: number, length: number): number {
    if (this.#hasTooMuchFraming(this.#current, offset)) return 400;
    const trailers = (this.#trailers[this.#current] ??= new TrailerFields(this.#limits));
    return trailers.add(isValue, this.parser.bytes, offset, length) ? 0 : 431;
  }

  simpleRequest(): boolean {
    const { table, parser } = this;
    const slot = this.#current;
    this.#dispatch(slot, parser.head, 0);
    return table.phases[slot] === PHASE_IDLE;
  }

  messageComplete(): boolean {
    const { table, parser } = this;
    const slot = this.#current;
    const phase = table.phases[slot];
    if (phase === PHASE_IDLE || phase === PHASE_HEAD) {
      table.phases[slot] = PHASE_IDLE;
      this.#dispatch(slot, parser.head, 0);
      return table.phases[slot] === PHASE_IDLE;
    }
    if (phase === PHASE_BODY) this.#bodyComplete(slot);
    // The run stops behind a chunked message, so that the size of its last chunk's line is known.
    return table.phases[slot] === PHASE_IDLE && table.contentLengths[slot]! >= 0;
  }

  #bodyComplete(slot: number): void {
    const body = this.#bodies[slot];
    const trailers = this.#trailers[slot];
    const exchange = this.#exchanges[slot];
    this.#bodies[slot] = undefined;
    this.#trailers[slot] = undefined;
    this.table.phases[slot] = PHASE_BLOCKED;
    this.#releaseBodyPause(slot);
    if (exchange !== undefined) {
      // A chunked body without a byte was never made an object: whoever asks now gets an empty one.
      if (body === undefined) exchange.flags &= ~FLAG_HAS_BODY;
      this.table.deadlines[slot] = this.#answerDeadline(exchange);
    }
    body?.end(trailers?.list());
    if (exchange === undefined) this.#idle(slot);
  }

  #dispatch(slot: number, head: RequestHead, flags: number): void {
    const { table, parser } = this;
    const stats = this.#stats;
    stats.requests += 1;
    stats.requestsNow += 1;
    const sequence = table.sequences[slot]! + 1;
    table.sequences[slot] = sequence;
    // The exchange owns a head that was put together from now on.
    if (this.#partialHeads[slot] !== undefined) this.#partialHeads[slot] = undefined;
    const { requestsPerConnectionMax } = this.#limits;
    const isLast = requestsPerConnectionMax > 0 && sequence >= requestsPerConnectionMax;
    const keepAlive = parser.keepAlive && !isLast ? FLAG_KEEP_ALIVE : 0;
    this.#answering.run(slot, head, flags | keepAlive | (head.minorVersion === 0 ? FLAG_HTTP_10 : 0));
  }

  /** Keeps bytes that the connection cannot take now. More than one receive of them holds the peer back. */
  #keepBytes(slot: number, offset: number, length: number): void {
    const { table } = this;
    if (table.phases[slot] !== PHASE_BLOCKED) return;
    const before = this.#pending[slot];
    const kept = this.#pendingPool.append(before, this.parser.bytes, offset, length);
    if (kept === undefined) {
      this.#stats.overloads += 1;
      this.#kill(slot);
      return;
    }
    this.#pending[slot] = kept;
    if (before === undefined || (table.flags[slot]! & PAUSED_FOR_ANSWER) !== 0) return;
    table.flags[slot] = table.flags[slot]! | PAUSED_FOR_ANSWER;
    this.#driver.pause(slot);
  }

  /** Goes on with what a connection's bytes that were kept. The connection is idle and the parser is free. */
  #continue(slot: number): void {
    const { parser, table } = this;
    for (let pending = this.#pending[slot]; pending !== undefined; pending = this.#pending[slot]) {
      if (table.phases[slot] === PHASE_BLOCKED) return;
      const piece = Math.min(pending.length, SCRATCH_BYTES);
      pending.buffer.copy(parser.bytes, parser.scratchOffset, pending.start, pending.start + piece);
      const stop = this.#parse(slot, parser.scratchOffset, parser.scratchOffset + piece);
      if (this.#pending[slot] !== pending) return;
      pending.start += stop - parser.scratchOffset;
      if (pending.length > 0) continue;
      this.#pending[slot] = undefined;
      this.#pendingPool.release(pending);
    }
    const flags = table.flags[slot]!;
    if ((flags & PAUSED_FOR_ANSWER) !== 0) {
      table.flags[slot] = flags & ~PAUSED_FOR_ANSWER;
      if ((flags & PAUSED_FOR_BODY) === 0) this.#driver.resume(slot);
    }
    if ((flags & PEER_ENDED) !== 0) this.#takeEnd(slot);
  }

  #runReady(): void {
    while (this.#ready.length > 0) {
      const ready = this.#ready;
      this.#ready = [];
      for (let index = 0; index < ready.length; index += 2) {
        const slot = ready[index]!;
        if (this.#driver.generations[slot] === ready[index + 1] && this.table.phases[slot] === PHASE_IDLE)
          this.#continue(slot);
      }
    }
  }

  // What answering asks for.

  mustClose(exchange: Exchange): boolean {
    const { slot, flags } = exchange;
    if ((flags & (FLAG_KEEP_ALIVE | FLAG_CLOSE)) !== FLAG_KEEP_ALIVE) return true;
    if (this.isDraining && this.#isLast(exchange)) return true;
    if (this.table.phases[slot] === PHASE_BODY) return this.#bodyForcesClose(exchange);
    return (this.table.flags[slot]! & PEER_ENDED) !== 0 && this.#pending[slot] === undefined;
  }

  /**
   * Whether no request has arrived behind this one: while draining, only the last answer may say that the connection closes. Where it cannot be
   * told, the connection closes without having said so.
   */
  #isLast(exchange: Exchange): boolean {
    const { slot, head } = exchange;
    if (slot !== this.#current) return this.#pending[slot] === undefined;
    if (head === undefined || !this.parser.isLive(head) || this.#pending[slot] !== undefined) return false;
    if (this.table.phases[slot] !== PHASE_IDLE) return false;
    return this.parser.bytes.indexOf("\r\n\r\n", head.end(), "latin1") + 4 === this.#currentEnd;
  }

  /** Whether the rest of a body is better not waited for. */
  #bodyForcesClose(exchange: Exchange): boolean {
    const { slot } = exchange;
    if (exchange.answerStatus === 413) return true;
    if (this.#bodies[slot]?.reading === true) return false;
    // The client still waits for 100 Continue: whether its body follows cannot be known (RFC 9110, section 10.1.1).
    if ((exchange.flags & FLAG_EXPECTS_CONTINUE) !== 0 && this.table.bodyBytes[slot] === 0) return true;
    const contentLength = this.table.contentLengths[slot]!;
    return contentLength - this.table.bodyBytes[slot]! > this.#limits.bodyDiscardBytesMax;
  }

  keep(exchange: Exchange, keepHead: boolean): boolean {
    const { slot, head } = exchange;
    if (head !== undefined && this.parser.isLive(head)) {
      const kept = keepHead ? this.#heads.acquire() : undefined;
      if (keepHead && kept === undefined) return false;
      kept?.copyFrom(head);
      exchange.head = kept;
    }
    if (this.#exchanges[slot] === exchange) return true;
    assert(this.#exchanges[slot] === undefined, "a connection has one request at a time");
    this.#exchanges[slot] = exchange;
    if (this.table.phases[slot] === PHASE_IDLE) {
      this.table.phases[slot] = PHASE_BLOCKED;
      this.table.deadlines[slot] = this.#answerDeadline(exchange);
    }
    return true;
  }

  committed(slot: number, count: number): void {
    const { table } = this;
    table.committed[slot] = table.committed[slot]! + count;
    if ((table.flags[slot]! & PEER_ENDED) !== 0) table.deadlines[slot] = this.#after(this.#limits.halfClosedTimeoutMs);
  }

  queuedBytes(slot: number): number {
    return this.#driver.queuedBytes(slot);
  }

  completed(exchange: Exchange, close: boolean): void {
    const { slot } = exchange;
    this.#finish(exchange, STATE_ANSWERED);
    this.#countAnswer(exchange.answerStatus);
    if (close) {
      this.#close(slot);
      return;
    }
    if (this.table.phases[slot] === PHASE_BODY) {
      const body = this.#bodies[slot];
      if (body === undefined || !body.discard()) return;
      this.#bodies[slot] = undefined;
      return;
    }
    this.#idle(slot);
  }

  cut(exchange: Exchange): void {
    this.#kill(exchange.slot);
    if (exchange.state < STATE_ANSWERED) this.#abort(exchange);
  }

  wantDrained(slot: number): void {
    const flags = this.table.flags[slot]!;
    if ((flags & WANTS_DRAINED) !== 0) return;
    this.table.flags[slot] = flags | WANTS_DRAINED;
    this.#driver.requestDrained(slot);
  }

  starved(slot: number): void {
    this.#starved.push(slot, this.#driver.generations[slot]!);
  }

  requestBody(exchange: Exchange): RequestBody {
    const known = exchange.extras?.body;
    if (known !== undefined) return known;
    const { slot } = exchange;
    if (exchange.state >= STATE_ANSWERED) throw exchange.over();
    const hasBody = (exchange.flags & FLAG_HAS_BODY) !== 0;
    const body: RequestBody = new RequestBody(new ConnectionBodyOwner(this, exchange), {
      limitBytes: this.#limits.bodyBytesMax,
      expectedLength: hasBody ? this.table.contentLengths[slot]! : 0,
      pool: this.largeBodies,
    });
    exchange.more().body = body;
    if (hasBody) this.#bodies[slot] = body;
    else body.end();
    return body;
  }

  remoteAddress(slot: number): string | undefined {
    return this.#driver.peerAddress(slot)?.host;
  }

  // What a request's body asks for.

  isReceiving(exchange: Exchange): boolean {
    const body = exchange.extras?.body;
    return body !== undefined && this.#bodies[exchange.slot] === body;
  }

  pauseBody(exchange: Exchange): void {
    if (!this.isReceiving(exchange)) return;
    const { table } = this;
    const { slot } = exchange;
    table.flags[slot] = table.flags[slot]! | PAUSED_FOR_BODY;
    table.deadlines[slot] = NEVER;
    this.#driver.pause(slot);
  }

  resumeBody(exchange: Exchange): void {
    const { table } = this;
    const { slot } = exchange;
    if (!this.isReceiving(exchange)) return;
    this.#releaseBodyPause(slot);
    if (table.phases[slot] === PHASE_BODY) table.deadlines[slot] = this.#after(this.#limits.bodyTimeoutMs);
  }

  #releaseBodyPause(slot: number): void {
    const flags = this.table.flags[slot]!;
    if ((flags & PAUSED_FOR_BODY) === 0) return;
    this.table.flags[slot] = flags & ~PAUSED_FOR_BODY;
    if ((flags & PAUSED_FOR_ANSWER) === 0) this.#driver.resume(slot);
  }

  bodyWanted(exchange: Exchange): void {
    if ((exchange.flags & FLAG_EXPECTS_CONTINUE) === 0 || exchange.state !== STATE_OPEN || !this.isReceiving(exchange))
      return;
    exchange.flags &= ~FLAG_EXPECTS_CONTINUE;
    const { slot } = exchange;
    if (this.table.bodyBytes[slot]! > 0) return;
    const written = this.#encoder.continue(slot);
    if (written > 0) this.committed(slot, written);
  }

  // Ends.

  /** An answer is complete and the connection stays: waits for the next request, or first for room. */
  #idle(slot: number): void {
    const { table } = this;
    if (this.#driver.queuedBytes(slot) > this.#limits.queuedBytesMax) {
      table.phases[slot] = PHASE_BLOCKED;
      table.deadlines[slot] = NEVER;
      this.#stats.stalls += 1;
      this.wantDrained(slot);
      return;
    }
    table.phases[slot] = PHASE_IDLE;
    table.deadlines[slot] = this.#after(this.#limits.idleTimeoutMs);
    if (slot === this.#current) return;
    const mayContinue = this.#pending[slot] !== undefined || (table.flags[slot]! & PEER_ENDED) !== 0;
    if (this.isDraining && !mayContinue) this.#close(slot);
    else if (!mayContinue) return;
    else if (this.parser.isRunning) this.#ready.push(slot, this.#driver.generations[slot]!);
    else this.#continue(slot);
  }

  #refuse(slot: number, errno: number): void {
    const { parser } = this;
    if (parser.rejectStatus !== 0) this.#refuseWith(slot, parser.rejectStatus);
    else if (errno === HPE_PAUSED_H2_UPGRADE) this.#refuseWith(slot, 505);
    else if (errno === HPE_INVALID_VERSION && parser.reason === "Invalid HTTP version") this.#refuseWith(slot, 505);
    else this.#refuseWith(slot, 400);
  }

  /** Answers in the handler's place, if nothing of an answer has left, and closes (RFC 9112, sections 2.2 and 9.6). */
  #refuseWith(slot: number, status: number): void {
    const phase = this.table.phases[slot];
    if (phase === PHASE_CLOSING || phase === PHASE_FREE) return;
    this.#countRefusal(status);
    const exchange = this.#exchanges[slot];
    const mustCut = exchange !== undefined && exchange.state === STATE_ANSWERING;
    if (this.#bodies[slot] !== undefined) this.#failBody(slot, refusal(status));
    if (exchange !== undefined) this.#abort(exchange);
    if (mustCut) {
      this.#kill(slot);
      return;
    }
    // A request that was answered while its body was arriving has its answer; a second one would be taken for the next request's.
    if (phase !== PHASE_BODY || exchange !== undefined) {
      const headers = status === 503 ? ["retry-after", "1"] : undefined;
      const isHead = exchange?.isHead === true;
      const body = `${reasonPhrase(status)}\n`;
      const written = this.#encoder.whole(slot, status, CONNECTION_CLOSE, TYPE_TEXT, headers, body, isHead);
      if (written > 0) {
        this.committed(slot, written);
        this.#countAnswer(status);
      } else {
        this.#stats.writePoolExhausted += 1;
      }
    }
    this.#close(slot);
  }

  /** Sends what is queued and closes. */
  #close(slot: number): void {
    const { table } = this;
    if (table.phases[slot] === PHASE_CLOSING || table.phases[slot] === PHASE_FREE) return;
    table.phases[slot] = PHASE_CLOSING;
    table.deadlines[slot] = NEVER;
    this.#releaseInput(slot, 0);
    this.#driver.closeAfterFlush(slot);
  }

  /** Closes at once; what is queued is lost. */
  #kill(slot: number): void {
    const { table } = this;
    if (table.phases[slot] === PHASE_FREE) return;
    table.phases[slot] = PHASE_CLOSING;
    table.deadlines[slot] = NEVER;
    const exchange = this.#exchanges[slot];
    if (exchange !== undefined) this.#abort(exchange);
    this.#releaseInput(slot, 0);
    this.#driver.close(slot);
  }

  /** Ends a request whose answer will not be complete. */
  #abort(exchange: Exchange): void {
    this.#stats.aborted += 1;
    this.#finish(exchange, STATE_ABORTED);
    const { extras } = exchange;
    if (extras === undefined) return;
    extras.abort?.abort(clientGone());
    extras.outgoing?.abort();
  }

  #finish(exchange: Exchange, state: number): void {
    const { slot, head } = exchange;
    exchange.state = state;
    this.#stats.requestsNow -= 1;
    if (head !== undefined) {
      exchange.head = undefined;
      if (!this.parser.isLive(head)) this.#heads.release(head);
    }
    if (this.#exchanges[slot] === exchange) this.#exchanges[slot] = undefined;
  }

  /** Lets go of everything that was kept for the requests to come. */
  #releaseInput(slot: number, errno: number): void {
    this.#releaseState(slot);
    const head = this.#partialHeads[slot];
    if (head !== undefined) {
      this.#partialHeads[slot] = undefined;
      this.#heads.release(head);
    }
    const pending = this.#pending[slot];
    if (pending !== undefined) {
      this.#pending[slot] = undefined;
      this.#pendingPool.release(pending);
    }
    // Errors are made only for somebody who may see them: one takes microseconds.
    if (this.#bodies[slot] !== undefined)
      this.#failBody(slot, clientGone(errno === 0 ? undefined : errnoError("receive", errno)));
    this.#trailers[slot] = undefined;
  }

  #failBody(slot: number, error: RingloomError): void {
    const body = this.#bodies[slot];
    this.#bodies[slot] = undefined;
    body?.fail(error);
  }

  #releaseState(slot: number): void {
    const state = this.table.parserStates[slot]!;
    if (state === 0) return;
    this.table.parserStates[slot] = 0;
    this.#stats.parserStatesNow -= 1;
    this.parser.releaseState(state);
  }

  #feedStarved(): void {
    const starved = this.#starved;
    this.#starved = [];
    for (let index = 0; index < starved.length; index += 2) {
      const slot = starved[index]!;
      if (this.#driver.generations[slot] !== starved[index + 1]) continue;
      this.#exchanges[slot]?.extras?.outgoing?.continue();
    }
  }

  // Time.

  /** Looks at `count` live connections from `cursor` on and returns where to go on. */
  scan(cursor: number, count: number): number {
    const { table } = this;
    if (this.#starved.length > 0) this.#feedStarved();
    let at = cursor;
    for (let index = 0; index < count && table.count > 0; index++) {
      if (at >= table.count) at = 0;
      this.#scanSlot(table.live[at]!);
      at += 1;
    }
    return at;
  }

  #scanSlot(slot: number): void {
    const { table } = this;
    const now = this.#clock.nowMs;
    const { writeTimeoutMs } = this.#limits;
    const queued = this.#driver.queuedBytes(slot);
    if (queued > 0 && writeTimeoutMs > 0) {
      const taken = table.committed[slot]! - queued;
      if (taken !== table.taken[slot] || table.writeDeadlines[slot] === NEVER) {
        table.taken[slot] = taken;
        table.writeDeadlines[slot] = now + writeTimeoutMs;
      } else if (now >= table.writeDeadlines[slot]!) {
        this.#stats.writeTimeouts += 1;
        this.#kill(slot);
        return;
      }
    } else {
      table.writeDeadlines[slot] = NEVER;
    }
    if (now >= table.deadlines[slot]!) this.#timedOut(slot);
  }

  #timedOut(slot: number): void {
    const stats = this.#stats;
    const exchange = this.#exchanges[slot];
    switch (this.table.phases[slot]) {
      case PHASE_IDLE:
        stats.idleTimeouts += 1;
        this.#close(slot);
        break;
      case PHASE_HEAD:
        stats.headerTimeouts += 1;
        this.#refuseWith(slot, 408);
        break;
      case PHASE_BODY:
        if (
          exchange !== undefined &&
          (exchange.flags & FLAG_EXPECTS_CONTINUE) !== 0 &&
          this.table.bodyBytes[slot] === 0
        ) {
          // The client waits for 100 Continue, which the handler's first read sends.
          this.table.deadlines[slot] = this.#after(this.#limits.bodyTimeoutMs);
          break;
        }
        stats.bodyTimeouts += 1;
        this.#refuseWith(slot, 408);
        break;
      case PHASE_BLOCKED:
        this.#answerTimedOut(slot, exchange);
        break;
    }
  }

  #answerTimedOut(slot: number, exchange: Exchange | undefined): void {
    if ((this.table.flags[slot]! & PEER_ENDED) !== 0) {
      this.#stats.halfClosedTimeouts += 1;
      this.#kill(slot);
    } else if (exchange === undefined || exchange.state !== STATE_OPEN) {
      // The answer is on its way: from now on only the write timeout counts.
      this.table.deadlines[slot] = NEVER;
    } else {
      this.#stats.handlerTimeouts += 1;
      this.#refuseWith(slot, 503);
    }
  }

  #after(ms: number): number {
    return ms === 0 ? NEVER : this.#clock.nowMs + ms;
  }

  #answerDeadline(exchange: Exchange): number {
    if (exchange.state !== STATE_OPEN) return NEVER;
    if ((this.table.flags[exchange.slot]! & PEER_ENDED) !== 0) return this.#after(this.#limits.halfClosedTimeoutMs);
    return this.#after(this.#limits.handlerTimeoutMs);
  }

  // Drain.

  /** Closes the connections that are between two requests. Returns how many. */
  closeIdle(): number {
    return this.#endEach((slot) => {
      if (this.table.phases[slot] !== PHASE_IDLE) return false;
      this.#close(slot);
      return true;
    });
  }

  /** Cuts every connection. Returns how many. */
  killAll(): number {
    return this.#endEach((slot) => {
      this.#kill(slot);
      return true;
    });
  }

  #endEach(end: (slot: number) => boolean): number {
    let count = 0;
    for (const slot of this.table.live.slice(0, this.table.count)) {
      if (end(slot)) count += 1;
    }
    return count;
  }

  #countAnswer(status: number): void {
    const stats = this.#stats;
    stats.answers += 1;
    if (status < 300) stats.answers2xx += 1;
    else if (status < 400) stats.answers3xx += 1;
    else if (status < 500) stats.answers4xx += 1;
    else stats.answers5xx += 1;
  }

  #countRefusal(status: number): void {
    const stats = this.#stats;
    if (status === 400) stats.badRequests += 1;
    else if (status === 413) stats.bodyOverflows += 1;
    else if (status === 414) stats.urlOverflows += 1;
    else if (status === 417) stats.expectationsFailed += 1;
    else if (status === 431) stats.headerOverflows += 1;
    else if (status === 501) stats.notImplemented += 1;
    else if (status === 505) stats.versionsRejected += 1;
  }
}

/** What a request's body sees of its connection. */
class ConnectionBodyOwner implements BodyOwner {
  readonly #connections: Connections;
  readonly #exchange: Exchange;

  constructor(connections: Connections, exchange: Exchange) {
    this.#connections = connections;
    this.#exchange = exchange;
  }

  pauseBody(): void {
    this.#connections.pauseBody(this.#exchange);
  }

  resumeBody(): void {
    this.#connections.resumeBody(this.#exchange);
  }

  bodyWanted(): void {
    this.#connections.bodyWanted(this.#exchange);
  }
}

/** What a body's reader is told when the server answers in the handler's place. */
function refusal(status: number): RingloomError {
  if (status === 408)
    return new HttpError("ERR_RINGLOOM_TIMEOUT", 408, "Cannot read the request body: the client stopped sending it");
  if (status === 413)
    return new HttpError("ERR_RINGLOOM_BODY_TOO_LARGE", 413, "Cannot read the request body: it is too long");
  return new RingloomError("ERR_RINGLOOM_ABORTED", `Cannot read the request body: the request was answered ${status}`);
}

function ignore(): void {}
