/**
 * The HTTP/1 parser: llhttp as WebAssembly, from the build that undici ships, with the receive slab inside its memory. A request that
 * arrives whole is parsed where the kernel put it and nothing is copied. No lenient flag is ever set.
 *
 *     0 ........ 128 KiB ........................................................................
 *     [ llhttp's own ] [ receive slab, page-aligned ] [ scratch for copied chunks ] [ saved states ]
 *
 * The memory never grows: that would detach its ArrayBuffer, and the kernel receives into it (`wasm-memory.ts` has another reason).
 *
 * One shared state parses every request that arrives whole. Between two calls of `execute` the struct holds no pointer into the input,
 * so a connection that is inside a request gets a copy of the struct, and is parsed with that copy until its message is complete.
 */
import { createRequire } from "node:module";
import { assert } from "../assert.js";
import type { ReceiveSlab } from "../driver/contract.js";
import { RingloomError } from "../errors.js";
import type { HttpLimits } from "./limits.js";
import {
  FLAG_CONNECTION_CLOSE,
  FLAG_CONNECTION_KEEP_ALIVE,
  FLAG_CONTENT_LENGTH,
  HPE_INVALID_VERSION,
  HPE_PAUSED_H2_UPGRADE,
  PARSER_OK,
  PARSER_PAUSED,
} from "./llhttp-numbers.js";
import { METHOD_CONNECT, METHOD_GET } from "./methods.js";
import { emptyHead, RequestHead, SPAN_NAME, SPAN_NONE, SPAN_VALUE, SPAN_WORDS } from "./request-head.js";
import { SimpleHeadReader } from "./simple-head.js";
import { withMemoryPages } from "./wasm-memory.js";

/** What a callback returns to refuse a message; `rejectStatus` then says why. */
const REFUSE = -1;

/** Bytes of the scratch area: the largest piece of a copied chunk that is parsed at once. */
export const SCRATCH_BYTES = 65_536;

/** Field offsets of `llhttp__internal_s` on wasm32 (checked at creation). */
const OFFSET_CONTENT_LENGTH = 32;
const OFFSET_METHOD = 41;
const OFFSET_MAJOR = 42;
const OFFSET_MINOR = 43;
const OFFSET_UPGRADE = 48;
/** Where llhttp's flags lie in a parser's state, 16 bits. */
export const OFFSET_FLAGS = 50;
/** What is copied of a parser's state. */
export const STATE_BYTES = 64;
/** A page of WebAssembly memory. */
export const WASM_PAGE_BYTES = 65_536;
/** Result of `#runSimple`: a message asked to stop. */
const STOPPED = -1;
/** The short cut rests for at most 2^5 - 1 runs. */
const SIMPLE_MISSES_MAX = 5;
const SLAB_ALIGNMENT = 4096;

/** What the user of a parser is told, during {@link HttpParser.run}. */
export interface ParserEvents {
  /** The head is complete and `head` describes it. Returns 0 to go on, else the status that refuses it. */
  headComplete(): number;
  /** Bytes of a body, at `offset` in {@link HttpParser.bytes}. Returns 0 to go on, else the status that refuses them. */
  bodyBytes(offset: number, length: number): number;
  /** A piece of a trailer's name or value. Returns 0 to go on, else the status that refuses it. */
  trailerBytes(isValue: boolean, offset: number, length: number): number;
  /** The message is complete. Returns whether the next one may follow at once. */
  messageComplete(): boolean;
  /**
   * In place of `headComplete` and `messageComplete`, for a request that the short cut has read (`simple-head.ts`): `head` describes it and has been
   * checked, and there is no body. Returns whether the next one may follow at once.
   */
  simpleRequest(): boolean;
}

interface LlhttpExports {
  readonly memory: WebAssembly.Memory;
  readonly _initialize: () => void;
  readonly llhttp_alloc: (type: number) => number;
  readonly llhttp_execute: (pointer: number, offset: number, length: number) => number;
  readonly llhttp_get_error_pos: (pointer: number) => number;
  readonly llhttp_get_error_reason: (pointer: number) => number;
  readonly llhttp_reset: (pointer: number) => void;
}

/** What an {@link HttpParser} is made of. */
export interface HttpParserOptions {
  /** Room for the driver to receive into, in bytes. 0 where the driver brings its own chunks. */
  readonly slabBytes: number;
  readonly limits: Pick<HttpLimits, "headersMax" | "urlBytesMax" | "headerBytesMax" | "parserStatesMax">;
}

/** One shard's parser. It is not reentrant: {@link HttpParser.isRunning} tells whether a run is under way. */
export class HttpParser {
  /** llhttp's memory, a `WebAssembly.Memory`. */
  readonly memory: { readonly buffer: ArrayBuffer };
  /** The same memory. */
  readonly bytes: Buffer;
  /** The same memory. */
  readonly view: DataView;
  readonly receiveSlab: ReceiveSlab;
  /** Where copied chunks go, {@link SCRATCH_BYTES} long. */
  readonly scratchOffset: number;

  /** The head under construction, and after `headComplete` the one to dispatch. */
  head: RequestHead;
  /** Whether a message has begun and is not complete. */
  inMessage = false;
  /** Where the last span of the complete head ended, as an offset in `bytes`; before the run if an earlier one held it. */
  headEnd = 0;
  /** Whether the head of that message is complete. */
  inBody = false;
  /** llhttp's flags of the complete head. */
  flags = 0;
  majorVersion = 0;
  /** Content-Length, where the flag says that there is one. */
  contentLength = 0;
  keepAlive = false;
  /** Why a run was refused by a callback: a status, or 0. */
  rejectStatus = 0;
  isRunning = false;
  /** Where the last run stopped, as an offset in `bytes`, unless it was a fresh one that consumed everything. */
  stoppedAt = 0;
  /** llhttp's words for the error that ended a run. */
  reason = "";

  readonly #live: RequestHead;
  readonly #events: ParserEvents;
  readonly #llhttp: LlhttpExports;
  readonly #shared: number;
  readonly #words: Int32Array;
  readonly #simple: SimpleHeadReader;
  readonly #freeStates: Int32Array;
  readonly #statesOffset: number;
  #freeCount = 0;
  #untouchedStates = 0;
  #pointer = 0;
  /** Runs for which the short cut rests, and misses in a row, which decide how long it rests. */
  #simpleRest = 0;
  #simpleMisses = 0;
  /** Whose bytes the fresh run parses. */
  #slot = 0;
  /** Added to a position in memory, it gives the position in the bytes of `head`. */
  #shift = 0;
  readonly #headersMax: number;
  readonly #urlBytesMax: number;
  readonly #headerBytesMax: number;

  constructor(options: HttpParserOptions, events: ParserEvents) {
    const { slabBytes, limits } = options;
    this.#events = events;
    this.#headersMax = limits.headersMax;
    this.#urlBytesMax = limits.urlBytesMax;
    this.#headerBytesMax = limits.headerBytesMax;
    this.head = emptyHead(limits.headersMax);
    const ownBytes = roundUp(slabBytes, SLAB_ALIGNMENT) + SCRATCH_BYTES + limits.parserStatesMax * STATE_BYTES;
    const { module, ownPages } = compileLlhttp(Math.ceil(ownBytes / WASM_PAGE_BYTES));
    const exports = this.#instantiate(module);
    this.#llhttp = exports;
    this.#shared = exports.llhttp_alloc(1);

    const slabOffset = ownPages * WASM_PAGE_BYTES;
    assert(this.#shared + STATE_BYTES <= slabOffset, "llhttp's own memory ends before the slab");
    this.scratchOffset = slabOffset + roundUp(slabBytes, SLAB_ALIGNMENT);
    this.#statesOffset = this.scratchOffset + SCRATCH_BYTES;
    this.memory = exports.memory;
    this.bytes = Buffer.from(exports.memory.buffer);
    this.view = new DataView(exports.memory.buffer);
    this.#words = new Int32Array(exports.memory.buffer);
    this.#freeStates = new Int32Array(limits.parserStatesMax);
    this.receiveSlab = { bytes: this.bytes, offset: slabOffset, length: slabBytes };
    this.#live = new RequestHead(this.bytes, limits.headersMax);
    this.#simple = new SimpleHeadReader(this.#live, this.view);
    this.head = this.#live;
  }

  /**
   * Parses `length` bytes of `bytes` at `offset` as the start of a message of the connection `slot`, with the shared state. Returns {@link PARSER_OK},
   * {@link PARSER_PAUSED} ({@link HttpParser.stoppedAt} then tells where), or llhttp's error number.
   */
  runFresh(offset: number, length: number, slot: number): number {
    this.head = this.#live;
    this.#slot = slot;
    this.#shift = 0;
    this.inMessage = false;
    const end = offset + length;
    let at = offset;
    if (this.#simpleRest > 0) {
      this.#simpleRest -= 1;
    } else {
      at = this.#runSimple(offset, end);
      if (at === end) return PARSER_OK;
      if (at === STOPPED) return PARSER_PAUSED;
    }
    const errno = this.#run(this.#shared, at, end - at);
    if (errno !== PARSER_OK) this.#stop();
    return errno;
  }

  /**
   * Takes simple requests off the front, without llhttp. Returns where the first one starts that is not simple, `end` when there is none, or
   * {@link STOPPED} when a message asked to stop behind it. After a miss it rests for a while, longer each time, so that traffic of other requests hardly pays.
   */
  #runSimple(start: number, end: number): number {
    const head = this.#live;
    let at = start;
    this.rejectStatus = 0;
    this.majorVersion = 1;
    this.flags = 0;
    this.keepAlive = true;
    assert(!this.isRunning, "the parser is not reentrant");
    this.isRunning = true;
    try {
      while (at < end) {
        const next = this.#simple.read(at, end, this.#slot);
        if (next < 0 || head.targetLength > this.#urlBytesMax || next - 4 - head.targetStart > this.#headerBytesMax) {
          this.#simpleMisses = Math.min(this.#simpleMisses + 1, SIMPLE_MISSES_MAX);
          this.#simpleRest = (1 << this.#simpleMisses) - 1;
          return at;
        }
        this.#simpleMisses = 0;
        this.headEnd = next - 4;
        at = next;
        if (!this.#events.simpleRequest()) {
          this.stoppedAt = next;
          return STOPPED;
        }
      }
    } finally {
      this.isRunning = false;
    }
    return end;
  }

  /** Goes on with a message whose state was saved. `head` is the head that is being put together, while it is incomplete. */
  runSaved(pointer: number, head: RequestHead | undefined, offset: number, length: number): number {
    this.inMessage = true;
    this.inBody = head === undefined;
    this.head = head ?? this.#live;
    this.#shift = head === undefined ? 0 : head.used - offset;
    const errno = this.#run(pointer, offset, length);
    this.stoppedAt = errno === PARSER_OK ? offset + length : this.#llhttp.llhttp_get_error_pos(pointer);
    return errno;
  }

  /** The status that answers the error of the last run. */
  refusal(errno: number): number {
    if (this.rejectStatus !== 0) return this.rejectStatus;
    const isVersion = errno === HPE_INVALID_VERSION && this.reason === "Invalid HTTP version";
    return isVersion || errno === HPE_PAUSED_H2_UPGRADE ? 505 : 400;
  }

  /** Forgets the message that the shared state is inside of. */
  dropMessage(): void {
    this.#llhttp.llhttp_reset(this.#shared);
  }

  /** Whether `head` is the live one, which the next run overwrites. */
  isLive(head: RequestHead): boolean {
    return head === this.#live;
  }

  /** Copies the shared state, which is inside a message, for the connection that the message belongs to. Returns 0 when there is no room. */
  saveState(): number {
    let pointer: number;
    if (this.#freeCount > 0) {
      this.#freeCount -= 1;
      pointer = this.#freeStates[this.#freeCount]!;
    } else if (this.#untouchedStates < this.#freeStates.length) {
      pointer = this.#statesOffset + this.#untouchedStates * STATE_BYTES;
      this.#untouchedStates += 1;
    } else {
      this.#llhttp.llhttp_reset(this.#shared);
      return 0;
    }
    const words = this.#words;
    const from = this.#shared >>> 2;
    const to = pointer >>> 2;
    for (let index = 0; index < STATE_BYTES >>> 2; index++) words[to + index] = words[from + index]!;
    this.#llhttp.llhttp_reset(this.#shared);
    return pointer;
  }

  /** Gives a saved state back. */
  releaseState(pointer: number): void {
    assert(this.#freeCount < this.#freeStates.length, "a released parser state was taken");
    this.#freeStates[this.#freeCount] = pointer;
    this.#freeCount += 1;
  }

  #reason(pointer: number): string {
    let at = this.#llhttp.llhttp_get_error_reason(pointer);
    if (at === 0) return "";
    const start = at;
    while (this.bytes[at] !== 0) at += 1;
    return this.bytes.latin1Slice(start, at);
  }

  #run(pointer: number, offset: number, length: number): number {
    assert(!this.isRunning, "the parser is not reentrant");
    this.isRunning = true;
    this.#pointer = pointer;
    this.rejectStatus = 0;
    let errno: number;
    try {
      errno = this.#llhttp.llhttp_execute(pointer, offset, length);
    } catch (error) {
      // A broken assertion in a callback: the connection is lost, the parser must not be.
      this.#llhttp.llhttp_reset(this.#shared);
      throw error;
    } finally {
      this.isRunning = false;
    }
    if (errno !== PARSER_OK && errno !== PARSER_PAUSED) this.reason = this.#reason(pointer);
    return errno;
  }

  #stop(): void {
    this.stoppedAt = this.#llhttp.llhttp_get_error_pos(this.#shared);
    this.#llhttp.llhttp_reset(this.#shared);
  }

  #onMessageBegin(): number {
    this.inMessage = true;
    this.inBody = false;
    const head = this.head;
    head.headerCount = 0;
    head.spanKind = SPAN_NONE;
    head.targetLength = 0;
    return 0;
  }

  #onUrl(offset: number, length: number): number {
    const head = this.head;
    if (head.targetLength === 0) head.targetStart = offset + this.#shift;
    head.targetLength += length;
    return head.targetLength > this.#urlBytesMax ? this.#refuse(414) : 0;
  }

  #onHeaderField(offset: number, length: number): number {
    if (this.inBody) return this.#onTrailer(false, offset, length);
    const head = this.head;
    const spans = head.spans;
    if (head.spanKind === SPAN_NAME) {
      const at = (head.headerCount - 1) * SPAN_WORDS + 1;
      spans[at] = spans[at]! + length;
      return 0;
    }
    if (head.headerCount === this.#headersMax) return this.#refuse(431);
    const at = head.headerCount * SPAN_WORDS;
    spans[at] = offset + this.#shift;
    spans[at + 1] = length;
    spans[at + 2] = 0;
    spans[at + 3] = 0;
    head.headerCount += 1;
    head.spanKind = SPAN_NAME;
    return 0;
  }

  #onHeaderValue(offset: number, length: number): number {
    if (this.inBody) return this.#onTrailer(true, offset, length);
    const head = this.head;
    const spans = head.spans;
    const at = (head.headerCount - 1) * SPAN_WORDS;
    if (head.spanKind === SPAN_VALUE) {
      spans[at + 3] = spans[at + 3]! + length;
      return 0;
    }
    spans[at + 2] = offset + this.#shift;
    spans[at + 3] = length;
    head.spanKind = SPAN_VALUE;
    return 0;
  }

  #onHeadersComplete(keepAlive: number): number {
    const pointer = this.#pointer;
    const { bytes, head } = this;
    const words = this.#words;
    if (head !== this.#live) {
      // The head is being put together, and the values that arrived with this receive still lie in it.
      const missing = head.end() - head.used;
      this.headEnd = head.end() - this.#shift;
      if (head.end() > this.#headerBytesMax) return this.#refuse(431);
      if (missing > 0) head.append(bytes, head.used - this.#shift, missing);
      this.#shift = 0;
    } else {
      this.headEnd = head.end();
      if (this.headEnd - head.targetStart > this.#headerBytesMax) return this.#refuse(431);
    }
    head.method = bytes[pointer + OFFSET_METHOD]!;
    head.minorVersion = bytes[pointer + OFFSET_MINOR]!;
    this.majorVersion = bytes[pointer + OFFSET_MAJOR]!;
    this.flags = bytes[pointer + OFFSET_FLAGS]! | (bytes[pointer + OFFSET_FLAGS + 1]! << 8);
    if ((this.flags & FLAG_CONTENT_LENGTH) !== 0) {
      const lengthAt = (pointer + OFFSET_CONTENT_LENGTH) >>> 2;
      this.contentLength = (words[lengthAt]! >>> 0) + (words[lengthAt + 1]! >>> 0) * 0x1_0000_0000;
    }
    // For HTTP/1.0 llhttp looks at keep-alive alone, but close is looked at first (RFC 9112, section 9.3).
    this.keepAlive = keepAlive === 1 && (this.flags & FLAG_CONNECTION_CLOSE) === 0;
    // An upgrade that nobody handles is ignored (RFC 9110, section 7.8); llhttp would stop at the end of the message.
    if (head.method !== METHOD_CONNECT) bytes[pointer + OFFSET_UPGRADE] = 0;
    const status = this.#events.headComplete();
    this.inBody = true;
    if (status !== 0) return this.#refuse(status);
    const isPlain = head === this.#live && head.method === METHOD_GET && head.minorVersion === 1 && this.keepAlive;
    if (isPlain && (this.flags & ~FLAG_CONNECTION_KEEP_ALIVE) === 0) this.#simple.learn(this.#slot);
    return 0;
  }

  #onTrailer(isValue: boolean, offset: number, length: number): number {
    const status = this.#events.trailerBytes(isValue, offset, length);
    return status === 0 ? 0 : this.#refuse(status);
  }

  #onMessageComplete(): number {
    this.inMessage = false;
    this.inBody = false;
    return this.#events.messageComplete() && this.#pointer === this.#shared ? 0 : PARSER_PAUSED;
  }

  #refuse(status: number): number {
    this.rejectStatus = status;
    return REFUSE;
  }

  #instantiate(module: WebAssembly.Module): LlhttpExports {
    const instance = new WebAssembly.Instance(module, {
      env: {
        wasm_on_message_begin: () => this.#onMessageBegin(),
        wasm_on_url: (_pointer: number, offset: number, length: number) => this.#onUrl(offset, length),
        wasm_on_status: () => 0,
        wasm_on_header_field: (_pointer: number, offset: number, length: number) => this.#onHeaderField(offset, length),
        wasm_on_header_value: (_pointer: number, offset: number, length: number) => this.#onHeaderValue(offset, length),
        wasm_on_headers_complete: (_pointer: number, _status: number, _upgrade: number, keepAlive: number) =>
          this.#onHeadersComplete(keepAlive),
        wasm_on_body: (_pointer: number, offset: number, length: number) => {
          const status = this.#events.bodyBytes(offset, length);
          return status === 0 ? 0 : this.#refuse(status);
        },
        wasm_on_message_complete: () => this.#onMessageComplete(),
      },
    });
    const exports = instance.exports as unknown as LlhttpExports;
    exports._initialize();
    return exports;
  }
}

/** Compiles the SIMD build, or the plain one where SIMD is missing, with `morePages` pages of memory besides its own. */
export function compileLlhttp(morePages: number): { readonly module: WebAssembly.Module; readonly ownPages: number } {
  for (const build of ["llhttp_simd-wasm", "llhttp-wasm"]) {
    const { bytes, ownPages } = withMemoryPages(loadBuild(build), morePages);
    if (!WebAssembly.validate(bytes)) continue;
    const module = new WebAssembly.Module(bytes);
    assertLayout(module);
    return { module, ownPages };
  }
  assert(false, "undici's build of llhttp runs here");
}

function loadBuild(build: string): Uint8Array {
  try {
    return createRequire(import.meta.url)(`undici/lib/llhttp/${build}.js`) as Uint8Array;
  } catch (cause) {
    throw new RingloomError(
      "ERR_RINGLOOM_MODULE_LOAD",
      "Cannot load the HTTP parser: the package undici is not there. Did a bundler take ringloom in? It must stay outside (--external:ringloom).",
      { operation: "load", cause },
    );
  }
}

/** The field offsets belong to one build of llhttp: a build with another layout must stop here. */
function assertLayout(module: WebAssembly.Module): void {
  const probe = "PUT /p HTTP/1.0\r\nContent-Length: 4294967301\r\n\r\n";
  let isAsExpected = false;
  const ignore = (): number => 0;
  const instance = new WebAssembly.Instance(module, {
    env: {
      wasm_on_message_begin: ignore,
      wasm_on_url: ignore,
      wasm_on_status: ignore,
      wasm_on_header_field: ignore,
      wasm_on_header_value: ignore,
      wasm_on_headers_complete: (pointer: number) => {
        const view = new DataView(exports.memory.buffer, pointer);
        isAsExpected =
          view.getUint32(OFFSET_CONTENT_LENGTH, true) === 5 &&
          view.getUint32(OFFSET_CONTENT_LENGTH + 4, true) === 1 &&
          view.getUint8(OFFSET_METHOD) === 4 &&
          view.getUint8(OFFSET_MAJOR) === 1 &&
          view.getUint8(OFFSET_MINOR) === 0 &&
          view.getUint8(OFFSET_UPGRADE) === 0 &&
          view.getUint16(OFFSET_FLAGS, true) === FLAG_CONTENT_LENGTH;
        return 0;
      },
      wasm_on_body: ignore,
      wasm_on_message_complete: ignore,
    },
  });
  const exports = instance.exports as unknown as LlhttpExports & { readonly malloc: (size: number) => number };
  exports._initialize();
  const pointer = exports.llhttp_alloc(1);
  const other = exports.llhttp_alloc(1);
  assert(
    pointer % 8 === 0 && Math.abs(other - pointer) >= STATE_BYTES,
    "a parser state is no longer than what is copied of it",
  );
  const text = exports.malloc(probe.length);
  Buffer.from(exports.memory.buffer).latin1Write(probe, text, probe.length);
  exports.llhttp_execute(pointer, text, probe.length);
  assert(isAsExpected, "llhttp's state has the layout that this file knows");
}

function roundUp(value: number, multiple: number): number {
  return Math.ceil(value / multiple) * multiple;
}
