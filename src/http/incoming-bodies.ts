/**
 * The request bodies that are arriving, one per connection at most: from parsed bytes to the body's reader, with the pauses, the limits and
 * the `100 Continue` that belong to it. The connection tells when a body begins and ends; what happens to the connection stays its own business.
 */
import type { Driver } from "../driver/contract.js";
import type { RingloomError } from "../errors.js";
import { type ConnectionTable, PAUSED_FOR_ANSWER, PAUSED_FOR_BODY, PHASE_BODY } from "./connection-table.js";
import { type Exchange, FLAG_EXPECTS_CONTINUE, FLAG_HAS_BODY, STATE_ANSWERED, STATE_OPEN } from "./exchange.js";
import { LargeBodyPool } from "./large-body-pool.js";
import type { HttpLimits } from "./limits.js";
import { type BodyOwner, RequestBody } from "./request-body.js";
import type { ResponseEncoder } from "./response-encoder.js";
import { TrailerFields } from "./trailer-fields.js";

/** Framing of a chunked body may take this many times the body (a chunk of one byte takes five), and one header section. */
const CHUNK_OVERHEAD_FACTOR = 16;

/** Results of {@link IncomingBodies.receive} besides a status: the bytes were taken, or more were dropped than may be. */
export const BODY_TAKEN = 0;
export const BODY_DROPPED_TOO_MUCH = -1;

/** What {@link IncomingBodies} is made of. */
export interface IncomingBodiesOptions {
  readonly table: ConnectionTable;
  readonly limits: HttpLimits;
  /** When something that takes `ms` from now times out. */
  readonly after: (ms: number) => number;
  /** When the handler of a request has to have answered. */
  readonly answerDeadline: (exchange: Exchange) => number;
  /** Bytes were committed for a slot. */
  readonly committed: (slot: number, count: number) => void;
}

/** The bodies that are arriving on the connections of one server. */
export class IncomingBodies {
  readonly largeBodies: LargeBodyPool;
  readonly #table: ConnectionTable;
  readonly #limits: HttpLimits;
  readonly #after: (ms: number) => number;
  readonly #answerDeadline: (exchange: Exchange) => number;
  readonly #committed: (slot: number, count: number) => void;
  readonly #bodies: (RequestBody | undefined)[] = [];
  readonly #trailers: (TrailerFields | undefined)[] = [];
  /** From where on bytes of the parser's current run count as framing of the body, and what the body had before that run. */
  #wireStart = 0;
  #bodyBytesBefore = 0;
  #driver!: Driver;
  #encoder!: ResponseEncoder;

  constructor(options: IncomingBodiesOptions) {
    const { limits } = options;
    this.#table = options.table;
    this.#limits = limits;
    this.#after = options.after;
    this.#answerDeadline = options.answerDeadline;
    this.#committed = options.committed;
    this.largeBodies = new LargeBodyPool({ blocks: limits.largeBodyBlocksMax, blockBytes: limits.largeBodyBlockBytes });
  }

  attach(driver: Driver, encoder: ResponseEncoder): void {
    this.#driver = driver;
    this.#encoder = encoder;
  }

  /** A connection was accepted. */
  grow(slot: number): void {
    while (this.#bodies.length <= slot) {
      this.#bodies.push(undefined);
      this.#trailers.push(undefined);
    }
  }

  /** A body of `contentLength` bytes, or -1 for a chunked one, begins behind `headEnd`; with `expectsContinue`, once the handler wants it. */
  begin(slot: number, contentLength: number, headEnd: number, expectsContinue: boolean): void {
    const table = this.#table;
    table.phases[slot] = PHASE_BODY;
    table.contentLengths[slot] = contentLength;
    table.bodyBytes[slot] = 0;
    table.wireBytes[slot] = 0;
    table.discardedBytes[slot] = 0;
    const { bodyTimeoutMs, handlerTimeoutMs } = this.#limits;
    table.deadlines[slot] = this.#after(expectsContinue ? handlerTimeoutMs : bodyTimeoutMs);
    this.#wireStart = headEnd;
    this.#bodyBytesBefore = 0;
  }

  /** The parser is about to go on with a message of `slot` at `offset`. */
  resumeAt(slot: number, offset: number): void {
    this.#wireStart = offset;
    this.#bodyBytesBefore = this.#table.bodyBytes[slot]!;
  }

  /** The parser found body bytes. Returns {@link BODY_TAKEN}, {@link BODY_DROPPED_TOO_MUCH}, or the status that refuses them. */
  receive(slot: number, exchange: Exchange | undefined, bytes: Buffer, offset: number, length: number): number {
    const table = this.#table;
    const total = table.bodyBytes[slot]! + length;
    table.bodyBytes[slot] = total;
    const { bodyStreamBytesMax, bodyDiscardBytesMax } = this.#limits;
    if (bodyStreamBytesMax > 0 && total > bodyStreamBytesMax) return 413;
    if (this.#hasTooMuchFraming(slot, offset + length)) return 400;
    const body = this.#bodies[slot] ?? (exchange === undefined ? undefined : this.bodyOf(exchange));
    if (body !== undefined) {
      body.push(bytes, offset, length);
      return BODY_TAKEN;
    }
    const discarded = table.discardedBytes[slot]! + length;
    table.discardedBytes[slot] = discarded;
    return discarded > bodyDiscardBytesMax ? BODY_DROPPED_TOO_MUCH : BODY_TAKEN;
  }

  /** The parser found a piece of a trailer. Returns 0, or the status that refuses it. */
  receiveTrailer(slot: number, isValue: boolean, bytes: Buffer, offset: number, length: number): number {
    if (this.#hasTooMuchFraming(slot, offset)) return 400;
    const trailers = (this.#trailers[slot] ??= new TrailerFields(this.#limits));
    return trailers.add(isValue, bytes, offset, length) ? 0 : 431;
  }

  /** The run ended at `end`, inside a body. Returns false when its framing is out of proportion. */
  progress(slot: number, end: number): boolean {
    const table = this.#table;
    // Framing alone is no progress: an extension that never ends must time out.
    const hasProgress = table.bodyBytes[slot] !== this.#bodyBytesBefore;
    const isPaused = (table.flags[slot]! & PAUSED_FOR_BODY) !== 0;
    if (hasProgress && !isPaused) table.deadlines[slot] = this.#after(this.#limits.bodyTimeoutMs);
    if (this.#hasTooMuchFraming(slot, end)) return false;
    table.wireBytes[slot] = table.wireBytes[slot]! + end - this.#wireStart;
    return true;
  }

  /** The same for the run that completed a message: the last chunk may have had an extension. */
  lastProgress(slot: number, end: number): boolean {
    const table = this.#table;
    if (table.contentLengths[slot]! >= 0) return true;
    const isTooMuch = this.#hasTooMuchFraming(slot, end);
    // The next message has a length of its own.
    table.contentLengths[slot] = 0;
    return !isTooMuch;
  }

  /** The body of `slot` is complete. `exchange` is its request, when that is not answered yet. */
  complete(slot: number, exchange: Exchange | undefined): void {
    const body = this.#bodies[slot];
    const trailers = this.#trailers[slot];
    this.#bodies[slot] = undefined;
    this.#trailers[slot] = undefined;
    this.#endPause(slot);
    // A body without a byte was never made an object: whoever asks now gets an empty one.
    if (body === undefined && exchange !== undefined) exchange.flags &= ~FLAG_HAS_BODY;
    body?.end(trailers?.list());
  }

  /** The rest of the body will not come, or not be taken. `error` is made only for a body that somebody may read: one takes microseconds. */
  fail(slot: number, error: () => RingloomError): void {
    const body = this.#bodies[slot];
    this.#trailers[slot] = undefined;
    if (body === undefined) return;
    this.#bodies[slot] = undefined;
    body.fail(error());
  }

  /** The answer is complete and the body is not: what nobody reads is dropped from now on, and a reader that lags has limited time. */
  answered(slot: number): void {
    const body = this.#bodies[slot];
    if (body?.discard() === true) this.#bodies[slot] = undefined;
    const table = this.#table;
    if ((table.flags[slot]! & PAUSED_FOR_BODY) !== 0) table.deadlines[slot] = this.#after(this.#limits.bodyTimeoutMs);
  }

  /** Whether the rest of a body is better not waited for, so that the connection ends with the answer. */
  forcesClose(exchange: Exchange): boolean {
    const { slot } = exchange;
    if (exchange.answerStatus === 413) return true;
    if (this.#bodies[slot]?.reading === true) return false;
    const bodyBytes = this.#table.bodyBytes[slot]!;
    // The client still waits for 100 Continue: whether its body follows cannot be known (RFC 9110, section 10.1.1).
    if ((exchange.flags & FLAG_EXPECTS_CONTINUE) !== 0 && bodyBytes === 0) return true;
    return this.#table.contentLengths[slot]! - bodyBytes > this.#limits.bodyDiscardBytesMax;
  }

  /** The body of a request, made when it is first asked for. Throws when the request is over. */
  bodyOf(exchange: Exchange): RequestBody {
    const known = exchange.extras?.body;
    if (known !== undefined) return known;
    const { slot } = exchange;
    if (exchange.state >= STATE_ANSWERED) throw exchange.over();
    const hasBody = (exchange.flags & FLAG_HAS_BODY) !== 0;
    const body: RequestBody = new RequestBody(new ConnectionBodyOwner(this, exchange), {
      limitBytes: this.#limits.bodyBytesMax,
      expectedLength: hasBody ? this.#table.contentLengths[slot]! : 0,
      pool: this.largeBodies,
    });
    exchange.more().body = body;
    if (hasBody) this.#bodies[slot] = body;
    else body.end();
    return body;
  }

  /** See {@link BodyOwner}. A body that is not arriving any more has no say. */
  pause(exchange: Exchange): void {
    if (!this.#isArriving(exchange)) return;
    const table = this.#table;
    const { slot } = exchange;
    table.flags[slot] = table.flags[slot]! | PAUSED_FOR_BODY;
    // Until the answer is complete, the handler decides how fast it reads. A reader that outlives the answer must not hold the connection.
    table.deadlines[slot] =
      exchange.state < STATE_ANSWERED ? this.#answerDeadline(exchange) : this.#after(this.#limits.bodyTimeoutMs);
    this.#driver.pause(slot);
  }

  /** See {@link BodyOwner}. */
  resume(exchange: Exchange): void {
    if (!this.#isArriving(exchange)) return;
    const table = this.#table;
    const { slot } = exchange;
    this.#endPause(slot);
    if (table.phases[slot] === PHASE_BODY) table.deadlines[slot] = this.#after(this.#limits.bodyTimeoutMs);
  }

  /** See {@link BodyOwner}. */
  wanted(exchange: Exchange): void {
    if ((exchange.flags & FLAG_EXPECTS_CONTINUE) === 0 || !this.#isArriving(exchange)) return;
    exchange.flags &= ~FLAG_EXPECTS_CONTINUE;
    const { slot } = exchange;
    if (this.#table.bodyBytes[slot]! > 0) return;
    // From now on the client is the one that is waited for.
    this.#table.deadlines[slot] = this.#after(this.#limits.bodyTimeoutMs);
    if (exchange.state !== STATE_OPEN) return;
    const written = this.#encoder.continue(slot);
    if (written > 0) this.#committed(slot, written);
  }

  #isArriving(exchange: Exchange): boolean {
    const body = exchange.extras?.body;
    return body !== undefined && this.#bodies[exchange.slot] === body;
  }

  #endPause(slot: number): void {
    const flags = this.#table.flags[slot]!;
    if ((flags & PAUSED_FOR_BODY) === 0) return;
    this.#table.flags[slot] = flags & ~PAUSED_FOR_BODY;
    if ((flags & PAUSED_FOR_ANSWER) === 0) this.#driver.resume(slot);
  }

  /** Endless chunk extensions, or chunks of one byte with leading zeros, must not pass for a body. */
  #hasTooMuchFraming(slot: number, end: number): boolean {
    const table = this.#table;
    if (table.contentLengths[slot]! >= 0) return false;
    const bodyBytes = table.bodyBytes[slot]!;
    const framing = table.wireBytes[slot]! + end - this.#wireStart - bodyBytes;
    return framing > this.#limits.headerBytesMax + bodyBytes * CHUNK_OVERHEAD_FACTOR;
  }
}

/** What a request's body sees of its connection. */
class ConnectionBodyOwner implements BodyOwner {
  readonly #bodies: IncomingBodies;
  readonly #exchange: Exchange;

  constructor(bodies: IncomingBodies, exchange: Exchange) {
    this.#bodies = bodies;
    this.#exchange = exchange;
  }

  pauseBody(): void {
    this.#bodies.pause(this.#exchange);
  }

  resumeBody(): void {
    this.#bodies.resume(this.#exchange);
  }

  bodyWanted(): void {
    this.#bodies.wanted(this.#exchange);
  }
}
