/**
 * Reads what servers answer: llhttp in its mode for responses, in the build that the server's parser uses, and as strict. No lenient flag is ever set.
 *
 *     0 ........... own pages ......................................
 *     [ llhttp's own ] [ scratch: the piece that is parsed ] [ states, 64 bytes each ]
 *
 * One parser serves a thread. Each connection has a state of its own, because answers seldom arrive whole: a state is a copy of one that llhttp has made. Memory that no state has used
 * was never touched, and costs address space only.
 */
import { assert } from "../assert.js";
import { CONNECTIONS_MAX } from "../constants.js";
import { RingloomError } from "../errors.js";
import { lookup } from "../http/light-headers.js";
import { compileLlhttp, OFFSET_FLAGS, STATE_BYTES, WASM_PAGE_BYTES } from "../http/llhttp.js";
import { FLAG_TRANSFER_ENCODING, PARSER_OK, PARSER_PAUSED } from "../http/llhttp-numbers.js";
import { TrailerFields } from "../http/trailer-fields.js";

const SCRATCH_BYTES = WASM_PAGE_BYTES;
const STATES_MAX = Math.min(CONNECTIONS_MAX, 16_384);
/** llhttp's number of the mode for responses. */
const TYPE_RESPONSE = 2;
const REFUSE = -1;
/** What `on_headers_complete` returns when no body follows, whatever the fields say. */
const SKIP_BODY = 1;
/** Answers with 1xx that may come before the final one. */
const INTERIM_MAX = 16;

/** Bounds of the head of an answer, and of its trailer section. */
export interface ResponseLimits {
  readonly headersMax: number;
  readonly headerBytesMax: number;
}

/** Who is told what an answer brings. Neither method may call the reader. */
export interface ResponseEvents {
  /** The head is there: it stands in the reader. Returns whether a body may follow (none does after HEAD). */
  headComplete(): boolean;
  /** A piece of the body, lent. */
  bodyBytes(bytes: Buffer, offset: number, length: number): void;
}

interface LlhttpExports {
  readonly memory: WebAssembly.Memory;
  readonly _initialize: () => void;
  readonly llhttp_alloc: (type: number) => number;
  readonly llhttp_execute: (pointer: number, offset: number, length: number) => number;
  readonly llhttp_finish: (pointer: number) => number;
  readonly llhttp_get_error_pos: (pointer: number) => number;
  readonly llhttp_get_error_reason: (pointer: number) => number;
  readonly llhttp_get_http_major: (pointer: number) => number;
  readonly llhttp_get_http_minor: (pointer: number) => number;
}

/** The answers of one connection, one after the other. */
export class ResponseReader {
  /** Of the answer whose head is complete. */
  status = 0;
  statusText = "";
  /** Its fields: lines `name: value` divided by CRLF, one latin-1 character a byte. */
  fields = "";
  /** Whether its server would take another request on this connection. */
  keepAlive = false;
  /** Whether a byte of it has come, interim answers included. */
  hasBegun = false;
  isComplete = false;
  #trailers: TrailerFields | undefined;
  readonly #parser: ResponseParser;
  readonly #pointer: number;
  readonly #events: ResponseEvents;
  readonly #limits: ResponseLimits;
  #hasHead = false;
  #isInterim = false;
  #interimCount = 0;
  #isReleased = false;
  /** Of the head: where in the memory the part begins that is not in `fields` yet, and where what was seen of it ends. */
  #start = 0;
  #end = 0;
  #hasFields = false;
  #lastIsValue = false;
  #fieldCount = 0;
  /** Bytes that came while the head was incomplete. */
  #headBytes = 0;
  /** Why a callback refused the answer. */
  #refusal: Error | undefined;

  /** @throws RingloomError `ERR_RINGLOOM_OVERLOADED` when the thread has as many as it may. */
  constructor(events: ResponseEvents, limits: ResponseLimits) {
    this.#parser = threadParser();
    this.#pointer = this.#parser.acquire();
    this.#events = events;
    this.#limits = limits;
  }

  /** Makes ready for the next answer. */
  begin(): void {
    this.#parser.reset(this.#pointer);
    this.hasBegun = false;
    this.isComplete = false;
    this.#trailers = undefined;
    this.#interimCount = 0;
    this.#forgetHead();
  }

  /**
   * Takes bytes up to the end of the answer. Returns how many those were: less than `length` only when it is complete, and something follows that nobody asked for.
   * @throws RingloomError `ERR_RINGLOOM_BAD_RESPONSE`, `ERR_RINGLOOM_TOO_LARGE`, `ERR_RINGLOOM_UNSUPPORTED`; the reader is of no more use then.
   */
  read(bytes: Uint8Array, offset: number, length: number): number {
    if (length > 0) this.hasBegun = true;
    const { memory, scratchOffset } = this.#parser;
    let taken = 0;
    while (taken < length && !this.isComplete) {
      const pieceLength = Math.min(length - taken, SCRATCH_BYTES);
      const from = offset + taken;
      if (bytes instanceof Buffer) bytes.copy(memory, scratchOffset, from, from + pieceLength);
      else memory.set(bytes.subarray(from, from + pieceLength), scratchOffset);
      taken += this.#readPiece(pieceLength);
    }
    return taken;
  }

  /** The server has sent its end. Completes an answer whose body goes on until then; else it stays incomplete. */
  end(): void {
    if (this.isComplete || !this.hasBegun) return;
    this.#parser.finish(this, this.#pointer);
  }

  /** The trailer section of the complete answer, flat, name after value. */
  get trailers(): readonly string[] {
    return this.#trailers?.list() ?? [];
  }

  /** Gives the state back. */
  release(): void {
    if (!this.#isReleased) this.#parser.release(this.#pointer);
    this.#isReleased = true;
  }

  #readPiece(length: number): number {
    const parser = this.#parser;
    this.#start = parser.scratchOffset;
    this.#end = parser.scratchOffset;
    const errno = parser.execute(this, this.#pointer, length);
    if (errno === PARSER_PAUSED && this.isComplete) return parser.stoppedAt(this.#pointer) - parser.scratchOffset;
    if (errno !== PARSER_OK) throw this.#refusal ?? badResponse(parser.reason(this.#pointer));
    if (!this.#hasHead) this.#keepHead(length);
    return length;
  }

  /** The head goes on with the next piece. */
  #keepHead(length: number): void {
    const { memory, scratchOffset } = this.#parser;
    this.#headBytes += length;
    if (this.#headBytes > this.#limits.headerBytesMax) throw this.#tooLarge();
    if (this.#hasFields) this.fields += memory.latin1Slice(this.#start, scratchOffset + length);
  }

  #forgetHead(): void {
    this.status = 0;
    this.statusText = "";
    this.fields = "";
    this.#hasHead = false;
    this.#isInterim = false;
    this.#hasFields = false;
    this.#lastIsValue = false;
    this.#fieldCount = 0;
    this.#headBytes = 0;
    this.#refusal = undefined;
  }

  // --- what llhttp says

  /** @internal */
  onMessageBegin(): number {
    this.#forgetHead();
    return 0;
  }

  /** @internal */
  onStatus(offset: number, length: number): number {
    const { memory } = this.#parser;
    const isOk = length === 2 && this.statusText === "" && memory[offset] === 0x4f && memory[offset + 1] === 0x4b;
    this.statusText = isOk ? "OK" : this.statusText + memory.latin1Slice(offset, offset + length);
    return 0;
  }

  /** @internal */
  onHeaderField(offset: number, length: number): number {
    if (this.#hasHead) return this.#onTrailer(false, offset, length);
    if (!this.#hasFields) this.#start = offset;
    if (this.#lastIsValue || !this.#hasFields) this.#fieldCount += 1;
    this.#hasFields = true;
    this.#lastIsValue = false;
    this.#end = offset + length;
    return this.#fieldCount > this.#limits.headersMax ? this.#refuse(this.#tooLarge()) : 0;
  }

  /** @internal */
  onHeaderValue(offset: number, length: number): number {
    if (this.#hasHead) return this.#onTrailer(true, offset, length);
    this.#lastIsValue = true;
    this.#end = offset + length;
    return 0;
  }

  /** @internal */
  onHeadersComplete(status: number, keepAlive: number): number {
    this.status = status;
    this.keepAlive = keepAlive === 1;
    if (this.#hasFields) this.#finishFields();
    this.#hasHead = true;
    const refusal = this.#checkHead();
    if (refusal !== undefined) return this.#refuse(refusal);
    if (status < 200) {
      this.#isInterim = true;
      this.#interimCount += 1;
      return this.#interimCount > INTERIM_MAX ? this.#refuse(badResponse("too many interim answers")) : SKIP_BODY;
    }
    const mayHaveBody = this.#events.headComplete();
    // Neither has a body, whatever its fields say (RFC 9112, section 6.3).
    return mayHaveBody && status !== 204 && status !== 304 ? 0 : SKIP_BODY;
  }

  /** @internal */
  onBody(offset: number, length: number): number {
    this.#events.bodyBytes(this.#parser.memory, offset, length);
    return 0;
  }

  /** @internal */
  onMessageComplete(): number {
    if (this.#isInterim) return 0;
    this.isComplete = true;
    return PARSER_PAUSED;
  }

  #finishFields(): void {
    const isPieced = this.fields !== "";
    this.fields += this.#parser.memory.latin1Slice(this.#start, this.#end);
    // The end of a line may have come with the piece before, where nobody knew that it was the last.
    if (isPieced) this.fields = this.fields.replace(/[\r\n]+$/, "");
    if (!this.#lastIsValue && !this.fields.endsWith(":")) this.fields += ":";
  }

  #checkHead(): Error | undefined {
    const { fields, status } = this;
    if (fields.length > this.#limits.headerBytesMax) return this.#tooLarge();
    const parser = this.#parser;
    if (parser.majorVersion(this.#pointer) !== 1) return badResponse("its version is not HTTP/1");
    if (status < 100) return badResponse(`there is no status ${status}`);
    if (status === 101)
      return new RingloomError(
        "ERR_RINGLOOM_UNSUPPORTED",
        "Cannot read the response: the server switches to another protocol, and nobody asked for that",
        { operation: "request", details: { status } },
      );
    if ((parser.flags(this.#pointer) & FLAG_TRANSFER_ENCODING) === 0) return undefined;
    // Any other list of codings has an end that two readers may see in two places.
    if (lookup(fields, 0, "transfer-encoding")?.toLowerCase() !== "chunked")
      return badResponse("its Transfer-Encoding is not chunked alone");
    return parser.minorVersion(this.#pointer) === 0 ? badResponse("HTTP/1.0 has no Transfer-Encoding") : undefined;
  }

  #onTrailer(isValue: boolean, offset: number, length: number): number {
    this.#trailers ??= new TrailerFields(this.#limits);
    return this.#trailers.add(isValue, this.#parser.memory, offset, length) ? 0 : this.#refuse(this.#tooLarge());
  }

  #refuse(error: Error): number {
    this.#refusal = error;
    return REFUSE;
  }

  #tooLarge(): RingloomError {
    const { headersMax, headerBytesMax } = this.#limits;
    return new RingloomError(
      "ERR_RINGLOOM_TOO_LARGE",
      `Cannot read the response: its fields are more than ${headersMax}, or longer than ${headerBytesMax} bytes`,
      { operation: "request", details: { headersMax, headerBytesMax } },
    );
  }
}

/** The error of an answer that breaks the rules of HTTP. */
export function badResponse(why: string): RingloomError {
  return new RingloomError("ERR_RINGLOOM_BAD_RESPONSE", `Cannot read the response: ${why}`, { operation: "request" });
}

let ofThread: ResponseParser | undefined;

function threadParser(): ResponseParser {
  ofThread ??= new ResponseParser();
  return ofThread;
}

/** llhttp, and the states of all connections. */
class ResponseParser {
  readonly memory: Buffer;
  readonly scratchOffset: number;
  readonly #llhttp: LlhttpExports;
  /** A state that has read nothing yet. */
  readonly #fresh: number;
  readonly #free: number[] = [];
  #untouched: number;
  readonly #statesEnd: number;
  #current: ResponseReader | undefined;

  constructor() {
    const morePages = 1 + Math.ceil((STATES_MAX * STATE_BYTES) / WASM_PAGE_BYTES);
    const { module, ownPages } = compileLlhttp(morePages);
    this.#llhttp = this.#instantiate(module);
    this.#fresh = this.#llhttp.llhttp_alloc(TYPE_RESPONSE);
    this.scratchOffset = ownPages * WASM_PAGE_BYTES;
    assert(this.#fresh > 0 && this.#fresh + STATE_BYTES <= this.scratchOffset, "llhttp's memory ends before ours");
    this.#untouched = this.scratchOffset + SCRATCH_BYTES;
    this.#statesEnd = this.#untouched + STATES_MAX * STATE_BYTES;
    this.memory = Buffer.from(this.#llhttp.memory.buffer);
  }

  acquire(): number {
    const pointer = this.#free.pop();
    if (pointer !== undefined) return pointer;
    if (this.#untouched === this.#statesEnd)
      throw new RingloomError(
        "ERR_RINGLOOM_OVERLOADED",
        `Cannot connect: ${STATES_MAX} connections of HTTP clients are open on this thread`,
        { operation: "connect", details: { connectionsMax: STATES_MAX } },
      );
    this.#untouched += STATE_BYTES;
    return this.#untouched - STATE_BYTES;
  }

  release(pointer: number): void {
    this.#free.push(pointer);
  }

  reset(pointer: number): void {
    this.memory.copyWithin(pointer, this.#fresh, this.#fresh + STATE_BYTES);
  }

  execute(reader: ResponseReader, pointer: number, length: number): number {
    assert(this.#current === undefined, "the parser is not reentrant");
    this.#current = reader;
    try {
      return this.#llhttp.llhttp_execute(pointer, this.scratchOffset, length);
    } finally {
      this.#current = undefined;
    }
  }

  finish(reader: ResponseReader, pointer: number): void {
    this.#current = reader;
    try {
      this.#llhttp.llhttp_finish(pointer);
    } finally {
      this.#current = undefined;
    }
  }

  stoppedAt(pointer: number): number {
    return this.#llhttp.llhttp_get_error_pos(pointer);
  }

  majorVersion(pointer: number): number {
    return this.#llhttp.llhttp_get_http_major(pointer);
  }

  minorVersion(pointer: number): number {
    return this.#llhttp.llhttp_get_http_minor(pointer);
  }

  flags(pointer: number): number {
    return this.memory.readUInt16LE(pointer + OFFSET_FLAGS);
  }

  /** llhttp's words for the error. */
  reason(pointer: number): string {
    const start = this.#llhttp.llhttp_get_error_reason(pointer);
    return start === 0 ? "it is no HTTP" : this.memory.latin1Slice(start, this.memory.indexOf(0, start));
  }

  #instantiate(module: WebAssembly.Module): LlhttpExports {
    const reader = (): ResponseReader => {
      assert(this.#current !== undefined, "a callback belongs to a reader");
      return this.#current;
    };
    const instance = new WebAssembly.Instance(module, {
      env: {
        wasm_on_message_begin: () => reader().onMessageBegin(),
        wasm_on_url: () => 0,
        wasm_on_status: (_pointer: number, offset: number, length: number) => reader().onStatus(offset, length),
        wasm_on_header_field: (_pointer: number, offset: number, length: number) =>
          reader().onHeaderField(offset, length),
        wasm_on_header_value: (_pointer: number, offset: number, length: number) =>
          reader().onHeaderValue(offset, length),
        wasm_on_headers_complete: (_pointer: number, status: number, _upgrade: number, keepAlive: number) =>
          reader().onHeadersComplete(status, keepAlive),
        wasm_on_body: (_pointer: number, offset: number, length: number) => reader().onBody(offset, length),
        wasm_on_message_complete: () => reader().onMessageComplete(),
      },
    });
    const exports = instance.exports as unknown as LlhttpExports;
    exports._initialize();
    return exports;
  }
}
