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
import { AsyncResource } from "node:async_hooks";
import { assert } from "../assert.js";
import type { Driver, DriverEvents } from "../driver/contract.js";
import { errnoError } from "../errors.js";
import { type TlsInfo, tlsInfoOf } from "../tls/tls-info.js";
import type { AccessObserver } from "./access-observer.js";
import { Answering, type AnsweringOptions, type ConnectionControl } from "./answering.js";
import { abortRequest, clientGone } from "./client-gone.js";
import {
  ConnectionTable,
  NEVER,
  PEER_ENDED,
  PHASE_BLOCKED,
  PHASE_BODY,
  PHASE_CLOSING,
  PHASE_FREE,
  PHASE_HEAD,
  PHASE_IDLE,
  PHASE_UPGRADED,
  STARVED,
  WANTS_DRAINED,
} from "./connection-table.js";
import { ConnectionTimeouts, type TimeoutControl } from "./connection-timeouts.js";
import { requestFinished } from "./diagnostics.js";
import {
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
  type Upgrade,
} from "./exchange.js";
import type { CoarseClock } from "./http-date.js";
import { refusal } from "./http-error.js";
import { BODY_DROPPED_TOO_MUCH, IncomingBodies } from "./incoming-bodies.js";
import { IncomingHeads } from "./incoming-heads.js";
import type { HttpLimits } from "./limits.js";
import { HttpParser, type ParserEvents, SCRATCH_BYTES } from "./llhttp.js";
import { FLAG_CHUNKED, FLAG_CONTENT_LENGTH, PARSER_OK, PARSER_PAUSED } from "./llhttp-numbers.js";
import { PipelinedBytes } from "./pipelined-bytes.js";
import type { RequestBody } from "./request-body.js";
import { checkHead, type HeadFindings } from "./request-checks.js";
import type { RequestHead } from "./request-head.js";
import { ResponseEncoder } from "./response-encoder.js";
import { SlotList } from "./slot-list.js";
import type { HttpStats } from "./stats.js";
import { UpgradedConnections } from "./upgraded-connections.js";

/** What {@link Connections} is made of. */
export interface ConnectionsOptions
  extends Pick<AnsweringOptions, "app" | "fetchHandler" | "log" | "scheme" | "stats"> {
  readonly limits: HttpLimits;
  readonly clock: CoarseClock;
  readonly connectionsMax: number;
  /** Room for the driver to receive into, in bytes. */
  readonly slabBytes: number;
}

/** Every connection of one server. It is the driver's and the parser's listener. */
export class Connections implements DriverEvents, ParserEvents, ConnectionControl, TimeoutControl {
  readonly parser: HttpParser;
  readonly table: ConnectionTable;
  /** While draining, every answer closes its connection. */
  isDraining = false;
  /** Called when a listener has stopped, and when the last connection is gone. */
  onListenerStopped: (listener: number) => void = ignore;
  onEmpty: () => void = ignore;
  /** Called when a connection begins while there was none. */
  onFirst: () => void = ignore;
  access: AccessObserver | undefined = undefined;

  readonly #options: ConnectionsOptions;
  readonly #limits: HttpLimits;
  readonly #stats: HttpStats;
  readonly #heads: IncomingHeads;
  readonly #pipelined: PipelinedBytes;
  readonly #findings: HeadFindings = { expectsContinue: false };
  readonly #bodies: IncomingBodies;
  readonly #timeouts: ConnectionTimeouts;
  /** By slot: the request that is not completely answered. */
  readonly #exchanges: (Exchange | undefined)[] = [];
  /** Who can go on when the parser is free, and who waits for the write pool. */
  readonly #ready = new SlotList();
  readonly #starved = new SlotList();
  /** The context of the server itself: an answer that came later ends in the context of its request, which the next one must not inherit. */
  readonly #root = new AsyncResource("RINGLOOM_SERVER");
  /** The slot that the parser is running for, or -1. */
  #current = -1;
  /** Where the bytes of that run end. */
  #currentEnd = 0;
  #driver!: Driver;
  #answering!: Answering;
  #upgraded!: UpgradedConnections;

  constructor(options: ConnectionsOptions) {
    const { limits, stats } = options;
    this.#options = options;
    this.#limits = limits;
    this.#stats = stats;
    this.parser = new HttpParser({ slabBytes: options.slabBytes, limits }, this);
    this.table = new ConnectionTable(options.connectionsMax);
    this.#timeouts = new ConnectionTimeouts(this, { table: this.table, clock: options.clock, limits, stats });
    const { table, parser } = this;
    const after = (ms: number): number => this.#timeouts.after(ms);
    this.#heads = new IncomingHeads({ parser, table, limits, stats, after });
    const answerDeadline = (exchange: Exchange): number => this.#timeouts.answerDeadline(exchange);
    const committed = (slot: number, count: number): void => this.committed(slot, count);
    this.#bodies = new IncomingBodies({ table, limits, after, answerDeadline, committed });
    const parse = (slot: number, start: number, end: number): number => this.#parse(slot, start, end);
    this.#pipelined = new PipelinedBytes({ parser, table, stats, poolBytesMax: limits.pendingPoolBytesMax, parse });
  }

  /** Blocks of the large-body pool in use. */
  get largeBodiesNow(): number {
    return this.#bodies.largeBodies.inUse;
  }

  /** Connects the driver, which is made after this object because it needs its events and its receive slab. */
  attach(driver: Driver): void {
    this.#driver = driver;
    this.#pipelined.attach(driver);
    const encoder = new ResponseEncoder(driver, this.#options.clock);
    this.#bodies.attach(driver, encoder);
    const { queuedBytesMax } = this.#limits;
    this.#upgraded = new UpgradedConnections(driver, this, { ...this.#options, memory: this.parser.memory });
    this.#answering = new Answering({ ...this.#options, control: this, encoder, queuedBytesMax });
  }

  // Events of the driver.

  accepted(slot: number, _listener: number): void {
    if (this.table.count === 0) this.onFirst();
    while (this.#exchanges.length <= slot) this.#exchanges.push(undefined);
    this.#pipelined.grow(slot);
    this.#bodies.grow(slot);
    this.#stats.connectionsNow += 1;
    this.table.add(slot, this.#timeouts.after(this.#limits.headerTimeoutMs));
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
    if (this.isDraining && this.table.phases[slot] === PHASE_IDLE && this.table.sequences[slot]! > 0) this.close(slot);
    if (!this.#ready.isEmpty) this.#runReady();
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
    if (this.#pipelined.waits(slot)) this.#noticeEnd(slot);
    else this.#takeEnd(slot);
  }

  /** The peer's end has been reached in the stream of requests. */
  #takeEnd(slot: number): void {
    switch (this.table.phases[slot]) {
      case PHASE_IDLE:
        this.close(slot);
        break;
      case PHASE_HEAD:
      case PHASE_BODY:
        this.refuseWith(slot, 400);
        break;
      case PHASE_BLOCKED:
        this.#noticeEnd(slot);
        break;
      case PHASE_UPGRADED:
        this.#upgraded.at(slot)?.ended();
        break;
    }
  }

  /** A peer that half-closes may still be reading, so its answer is sent; but it may also be gone, so whoever listens to the signal is told. */
  #noticeEnd(slot: number): void {
    const exchange = this.#exchanges[slot];
    if (exchange === undefined) return;
    exchange.flags |= FLAG_PEER_ENDED;
    this.table.deadlines[slot] = this.#timeouts.after(this.#limits.halfClosedTimeoutMs);
    abortRequest(exchange.extras?.abort);
  }

  drained(slot: number): void {
    const { table } = this;
    table.flags[slot] = table.flags[slot]! & ~WANTS_DRAINED;
    const exchange = this.#exchanges[slot];
    if (table.phases[slot] === PHASE_UPGRADED) this.#upgraded.at(slot)?.drained();
    else if (exchange !== undefined) exchange.extras?.outgoing?.continue();
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
    this.#upgraded.closed(slot, errno);
  }

  listenerStopped(listener: number): void {
    this.onListenerStopped(listener);
  }

  turnEnded(): void {
    if (!this.#starved.isEmpty) this.#feedStarved();
  }

  // From bytes to messages.

  /** Parses what lies in the parser's memory from `start` to `end`. Returns where it stopped because the connection cannot take more now. */
  #parse(slot: number, start: number, end: number): number {
    const { table } = this;
    const sequence = table.sequences[slot];
    let at = start;
    while (at < end) {
      const phase = table.phases[slot];
      if (phase === PHASE_IDLE) at = this.#parseFresh(slot, at, end);
      else if (phase === PHASE_HEAD || phase === PHASE_BODY) at = this.#parseSaved(slot, at, end);
      else if (phase === PHASE_BLOCKED) return at;
      else {
        this.#upgraded.at(slot)?.received(this.parser.bytes, this.parser.view, at, end);
        return end;
      }
    }
    // Requests that were answered on the way left the deadline alone. Empty lines between requests do not move it.
    if (table.sequences[slot] !== sequence && table.phases[slot] === PHASE_IDLE)
      table.deadlines[slot] = this.#timeouts.after(this.#limits.idleTimeoutMs);
    return end;
  }

  #parseFresh(slot: number, at: number, end: number): number {
    const { parser } = this;
    this.#current = slot;
    this.#currentEnd = end;
    const errno = parser.runFresh(at, end - at, slot);
    this.#current = -1;
    if (errno === PARSER_OK) {
      if (parser.inMessage) this.#saveMessage(slot, at, end);
      return end;
    }
    if (errno !== PARSER_PAUSED) {
      this.refuseWith(slot, parser.refusal(errno));
      return end;
    }
    this.#takeLastProgress(slot);
    return parser.stoppedAt;
  }

  #parseSaved(slot: number, at: number, end: number): number {
    const { parser, table } = this;
    const head = this.#heads.at(slot);
    this.#current = slot;
    this.#bodies.resumeAt(slot, at);
    const errno = parser.runSaved(table.parserStates[slot]!, head, at, end - at);
    this.#current = -1;
    const phase = table.phases[slot];
    if (errno === PARSER_PAUSED) {
      this.#heads.releaseState(slot);
      this.#takeLastProgress(slot);
      return parser.stoppedAt;
    }
    if (phase !== PHASE_HEAD && phase !== PHASE_BODY) return end;
    if (errno !== PARSER_OK) {
      this.refuseWith(slot, parser.refusal(errno));
      return end;
    }
    if (phase === PHASE_HEAD) {
      const status = this.#heads.append(slot, at, end);
      if (status !== 0) this.refuseWith(slot, status);
      return end;
    }
    if (!this.#bodies.progress(slot, end)) this.refuseWith(slot, 400);
    return end;
  }

  #takeLastProgress(slot: number): void {
    if (this.#bodies.lastProgress(slot, this.parser.stoppedAt)) return;
    const isAwaited = this.table.phases[slot] === PHASE_BLOCKED && this.#exchanges[slot] !== undefined;
    if (isAwaited) this.refuseWith(slot, 400);
  }

  /** A receive ended inside a message. */
  #saveMessage(slot: number, at: number, end: number): void {
    const status = this.#heads.save(slot, at, end);
    if (status !== 0) this.refuseWith(slot, status);
    else if (this.table.phases[slot] === PHASE_BODY && !this.#bodies.progress(slot, end)) this.refuseWith(slot, 400);
  }

  headComplete(): number {
    const { parser } = this;
    const { head, flags } = parser;
    const slot = this.#current;
    const status = checkHead(head, parser.majorVersion, flags, this.#findings);
    if (status !== 0) return status;
    const isChunked = (flags & FLAG_CHUNKED) !== 0;
    if (!isChunked && ((flags & FLAG_CONTENT_LENGTH) === 0 || parser.contentLength === 0)) return 0;
    const { bodyStreamBytesMax } = this.#limits;
    if (!isChunked && parser.contentLength > (bodyStreamBytesMax || Number.MAX_SAFE_INTEGER)) return 413;
    const { expectsContinue } = this.#findings;
    this.#bodies.begin(slot, isChunked ? -1 : parser.contentLength, parser.headEnd, expectsContinue);
    this.#heads.handOver(slot);
    this.#dispatch(slot, head, FLAG_HAS_BODY | (expectsContinue ? FLAG_EXPECTS_CONTINUE : 0));
    return 0;
  }

  bodyBytes(offset: number, length: number): number {
    const slot = this.#current;
    if (this.table.phases[slot] !== PHASE_BODY) return 0;
    const result = this.#bodies.receive(slot, this.#exchanges[slot], this.parser.bytes, offset, length);
    if (result !== BODY_DROPPED_TOO_MUCH) return result;
    this.close(slot);
    return 0;
  }

  trailerBytes(isValue: boolean, offset: number, length: number): number {
    return this.#bodies.receiveTrailer(this.#current, isValue, this.parser.bytes, offset, length);
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
      this.#heads.handOver(slot);
      this.#dispatch(slot, parser.head, 0);
      return table.phases[slot] === PHASE_IDLE;
    }
    if (phase === PHASE_BODY) this.#bodyComplete(slot);
    // The run stops behind a chunked message, so that the size of its last chunk's line is known.
    return table.phases[slot] === PHASE_IDLE && table.contentLengths[slot]! >= 0;
  }

  #bodyComplete(slot: number): void {
    const exchange = this.#exchanges[slot];
    this.table.phases[slot] = PHASE_BLOCKED;
    if (exchange !== undefined) this.table.deadlines[slot] = this.#timeouts.answerDeadline(exchange);
    this.#bodies.complete(slot, exchange);
    if (exchange !== undefined) return;
    this.table.deadlines[slot] = this.#timeouts.after(this.#limits.idleTimeoutMs);
    this.#idle(slot);
  }

  #dispatch(slot: number, head: RequestHead, flags: number): void {
    const { table, parser } = this;
    this.#stats.requests += 1;
    this.#stats.requestsNow += 1;
    const sequence = table.sequences[slot]! + 1;
    table.sequences[slot] = sequence;
    this.access?.begun(slot, head, table.committed[slot]!);
    const { requestsPerConnectionMax } = this.#limits;
    const isLast = requestsPerConnectionMax > 0 && sequence >= requestsPerConnectionMax;
    const keepAlive = parser.keepAlive && !isLast ? FLAG_KEEP_ALIVE : 0;
    this.#answering.run(slot, head, flags | keepAlive | (head.minorVersion === 0 ? FLAG_HTTP_10 : 0));
  }

  /** Keeps bytes that the connection cannot take now, if it is one that may take them later. */
  #keepBytes(slot: number, offset: number, length: number): void {
    if (this.table.phases[slot] !== PHASE_BLOCKED || this.#pipelined.keep(slot, offset, length)) return;
    this.#stats.overloads += 1;
    this.kill(slot);
  }

  /** Goes on with the bytes of a connection that were kept. The connection is idle and the parser is free. */
  #continue(slot: number): void {
    if (this.#pipelined.feed(slot) && (this.table.flags[slot]! & PEER_ENDED) !== 0) this.#takeEnd(slot);
  }

  #runReady(): void {
    while (!this.#ready.isEmpty) {
      this.#ready.takeEach(this.#driver.generations, (slot) => {
        const phase = this.table.phases[slot];
        if (phase === PHASE_IDLE || phase === PHASE_UPGRADED) this.#continue(slot);
      });
    }
  }

  // What answering asks for.

  mustClose(exchange: Exchange): boolean {
    const { slot, flags } = exchange;
    if ((flags & (FLAG_KEEP_ALIVE | FLAG_CLOSE)) !== FLAG_KEEP_ALIVE) return true;
    if (this.isDraining && this.#isLast(exchange)) return true;
    if (this.table.phases[slot] === PHASE_BODY) return this.#bodies.forcesClose(exchange);
    return (this.table.flags[slot]! & PEER_ENDED) !== 0 && !this.#pipelined.waits(slot);
  }

  /**
   * Whether no request has arrived behind this one: while draining, only the last answer may say that the connection closes. Where it cannot be
   * told, the connection closes without having said so.
   */
  #isLast(exchange: Exchange): boolean {
    const { slot, head } = exchange;
    if (slot !== this.#current) return !this.#pipelined.waits(slot);
    if (head === undefined || !this.parser.isLive(head) || this.#pipelined.waits(slot)) return false;
    if (this.table.phases[slot] !== PHASE_IDLE) return false;
    return this.parser.bytes.indexOf("\r\n\r\n", head.end(), "latin1") + 4 === this.#currentEnd;
  }

  keep(exchange: Exchange, keepHead: boolean): boolean {
    const { slot, head } = exchange;
    if (head !== undefined && this.parser.isLive(head)) {
      const kept = keepHead ? this.#heads.pool.acquire() : undefined;
      if (keepHead && kept === undefined) return false;
      kept?.copyFrom(head);
      exchange.head = kept;
    }
    if (this.#exchanges[slot] === exchange) return true;
    assert(this.#exchanges[slot] === undefined, "a connection has one request at a time");
    this.#exchanges[slot] = exchange;
    if (this.table.phases[slot] === PHASE_IDLE) {
      this.table.phases[slot] = PHASE_BLOCKED;
      this.table.deadlines[slot] = this.#timeouts.answerDeadline(exchange);
    }
    return true;
  }

  committed(slot: number, count: number): void {
    const { table } = this;
    table.committed[slot] = table.committed[slot]! + count;
    if ((table.flags[slot]! & PEER_ENDED) === 0) return;
    table.deadlines[slot] = this.#timeouts.after(this.#limits.halfClosedTimeoutMs);
  }

  queuedBytes(slot: number): number {
    return this.#driver.queuedBytes(slot);
  }

  unacknowledgedBytes(slot: number): number {
    return this.#driver.unacknowledgedBytes?.(slot) ?? 0;
  }

  completed(exchange: Exchange, close: boolean): void {
    const { slot } = exchange;
    this.#finish(exchange, STATE_ANSWERED);
    this.#stats.countAnswer(exchange.answerStatus);
    if (close) {
      this.close(slot);
      return;
    }
    if (this.table.phases[slot] === PHASE_BODY) {
      this.#bodies.answered(slot);
      return;
    }
    this.#idle(slot);
  }

  upgraded(exchange: Exchange, upgrade: Upgrade): void {
    const { slot } = exchange;
    this.#finish(exchange, STATE_ANSWERED);
    this.#stats.countAnswer(exchange.answerStatus);
    this.table.phases[slot] = PHASE_UPGRADED;
    this.table.deadlines[slot] = NEVER;
    this.#upgraded.start(slot, upgrade);
    this.#goOn(slot);
  }

  upgradedTimedOut(slot: number): void {
    this.#upgraded.at(slot)?.timedOut();
  }

  /** When the protocol that has taken `slot` over wants to be called. */
  setUpgradedTimeout(slot: number, ms: number): void {
    if (this.table.phases[slot] === PHASE_UPGRADED) this.table.deadlines[slot] = this.#timeouts.after(ms);
  }

  cut(exchange: Exchange): void {
    this.kill(exchange.slot);
    if (exchange.state < STATE_ANSWERED) this.#abort(exchange);
  }

  wantDrained(slot: number): void {
    const flags = this.table.flags[slot]!;
    if ((flags & WANTS_DRAINED) !== 0) return;
    this.table.flags[slot] = flags | WANTS_DRAINED;
    this.#driver.requestDrained(slot);
  }

  starved(slot: number): void {
    const flags = this.table.flags[slot]!;
    if ((flags & STARVED) !== 0) return;
    this.table.flags[slot] = flags | STARVED;
    this.#starved.add(slot, this.#driver.generations[slot]!);
  }

  requestBody(exchange: Exchange): RequestBody {
    return this.#bodies.bodyOf(exchange);
  }

  remoteAddress(slot: number): string | undefined {
    return this.#driver.peerAddress(slot)?.host;
  }

  tlsInfo(slot: number): TlsInfo | undefined {
    const socket = this.#driver.tlsSocket?.(slot);
    return socket === undefined ? undefined : tlsInfoOf(socket);
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
    if (slot === this.#current && this.parser.isRunning) return;
    table.deadlines[slot] = this.#timeouts.after(this.#limits.idleTimeoutMs);
    if (!this.#goOn(slot) && this.isDraining) this.close(slot);
  }

  /** Lets a connection go on with what has arrived meanwhile. False when nothing has. */
  #goOn(slot: number): boolean {
    if (!this.#pipelined.waits(slot) && (this.table.flags[slot]! & PEER_ENDED) === 0) return false;
    this.#ready.add(slot, this.#driver.generations[slot]!);
    if (!this.parser.isRunning) this.#root.runInAsyncScope(this.#runReady, this);
    return true;
  }

  /** Answers in the handler's place, if nothing of an answer has left, and closes (RFC 9112, sections 2.2 and 9.6). */
  refuseWith(slot: number, status: number): void {
    const phase = this.table.phases[slot];
    if (phase === PHASE_CLOSING || phase === PHASE_FREE) return;
    this.#stats.countRefusal(status);
    const exchange = this.#exchanges[slot];
    const mustCut = exchange !== undefined && exchange.state === STATE_ANSWERING;
    this.#bodies.fail(slot, () => refusal(status));
    if (exchange !== undefined) this.#abort(exchange);
    if (mustCut) {
      this.kill(slot);
      return;
    }
    // A request that was answered while its body was arriving has its answer; a second one would be taken for the next request's.
    if (phase !== PHASE_BODY || exchange !== undefined) {
      this.#answering.refuse(slot, status, exchange?.isHead === true);
    }
    this.close(slot);
  }

  /** Sends what is queued and closes. */
  close(slot: number): void {
    const { table } = this;
    if (table.phases[slot] === PHASE_CLOSING || table.phases[slot] === PHASE_FREE) return;
    table.phases[slot] = PHASE_CLOSING;
    table.deadlines[slot] = NEVER;
    this.#releaseInput(slot, 0);
    this.#driver.closeAfterFlush(slot);
  }

  /** Closes at once; what is queued is lost. */
  kill(slot: number): void {
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
    abortRequest(extras.abort);
    extras.outgoing?.abort();
  }

  #finish(exchange: Exchange, state: number): void {
    const { slot, head } = exchange;
    this.access?.ended(exchange, state === STATE_ABORTED, this.table.committed[slot]!);
    exchange.state = state;
    this.#stats.requestsNow -= 1;
    if (head !== undefined) {
      exchange.head = undefined;
      if (!this.parser.isLive(head)) this.#heads.pool.release(head);
    }
    if (this.#exchanges[slot] === exchange) this.#exchanges[slot] = undefined;
    requestFinished(exchange, state === STATE_ANSWERED);
  }

  /** Lets go of everything that was kept for the requests to come. */
  #releaseInput(slot: number, errno: number): void {
    this.#heads.release(slot);
    this.#pipelined.release(slot);
    this.#bodies.fail(slot, () => clientGone(errno === 0 ? undefined : errnoError("receive", errno)));
  }

  #feedStarved(): void {
    this.#starved.takeEach(this.#driver.generations, (slot) => {
      this.table.flags[slot] = this.table.flags[slot]! & ~STARVED;
      if (this.table.phases[slot] === PHASE_UPGRADED) this.#upgraded.at(slot)?.drained();
      else this.#exchanges[slot]?.extras?.outgoing?.continue();
    });
  }

  // Time.

  exchangeOf(slot: number): Exchange | undefined {
    return this.#exchanges[slot];
  }

  /** Looks at `count` live connections from `cursor` on and returns where to go on. */
  scan(cursor: number, count: number): number {
    if (!this.#starved.isEmpty) this.#feedStarved();
    return this.#timeouts.scan(cursor, count);
  }

  // Drain.

  /** Closes the connections that are between two requests. Returns how many. */
  closeIdle(): number {
    return this.table.countEach((slot) => {
      if (this.table.phases[slot] === PHASE_UPGRADED) this.#upgraded.at(slot)?.leave();
      if (this.table.phases[slot] !== PHASE_IDLE) return false;
      this.close(slot);
      return true;
    });
  }

  /** Cuts every connection. Returns how many had a request or an answer under way. */
  killAll(): number {
    return this.table.countEach((slot) => {
      const isThrough = this.table.phases[slot] === PHASE_CLOSING && this.#driver.queuedBytes(slot) === 0;
      this.kill(slot);
      return !isThrough;
    });
  }
}

function ignore(): void {}
