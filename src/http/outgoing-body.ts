/**
 * The body of an answer that does not fit one write block, or whose length is not known: it is handed to the driver in pieces, as
 * the peer takes them.
 */
import { WRITE_BLOCK_BYTES_MAX } from "../constants.js";
import { lowerHeaderName } from "./header-name.js";
import type { BodySink } from "./response-body.js";
import { NO_ROOM, type ResponseEncoder } from "./response-encoder.js";
import { checkedValue } from "./response-headers.js";

/** Room that a chunk's size line and end take, at most. */
const CHUNK_OVERHEAD_BYTES = 16;
/** The longest trailer section that an answer can have, in bytes. */
const TRAILER_BYTES_MAX = 16 * 1024;
const PIECE_BYTES_MAX = WRITE_BLOCK_BYTES_MAX - CHUNK_OVERHEAD_BYTES;

/** The connection, as an outgoing body sees it. */
export interface OutgoingOwner {
  /** Bytes of `slot` that wait in the driver. */
  queuedBytes(slot: number): number;
  /** `count` bytes were committed for `slot`. */
  committed(slot: number, count: number): void;
  /** Have {@link OutgoingBody.continue} called when `slot` has drained. */
  wantDrained(slot: number): void;
  /** Have {@link OutgoingBody.continue} called later: the write pool has no room. */
  starved(slot: number): void;
  /** Everything was committed. */
  outgoingEnded(body: OutgoingBody): void;
  /** The source failed. */
  outgoingFailed(body: OutgoingBody, error: unknown): void;
}

/** The body of one answer that is on its way. */
export class OutgoingBody implements BodySink {
  readonly slot: number;
  /** What the answer belongs to; only the owner looks at it. */
  readonly exchange: unknown;
  readonly #owner: OutgoingOwner;
  readonly #encoder: ResponseEncoder;
  readonly #chunked: boolean;
  readonly #highWaterBytes: number;
  #pending: Uint8Array | undefined;
  #pendingStart = 0;
  #endText: string | undefined;
  #isOver = false;
  #isAborted = false;
  #resolve: (() => void) | undefined;
  #drained: Promise<void> | undefined;
  #abortListeners: (() => void)[] = [];

  constructor(
    owner: OutgoingOwner,
    encoder: ResponseEncoder,
    options: {
      readonly slot: number;
      readonly exchange: unknown;
      readonly chunked: boolean;
      readonly highWaterBytes: number;
    },
  ) {
    this.#owner = owner;
    this.#encoder = encoder;
    this.slot = options.slot;
    this.exchange = options.exchange;
    this.#chunked = options.chunked;
    this.#highWaterBytes = options.highWaterBytes;
  }

  write(bytes: Uint8Array): boolean {
    if (this.#isOver || bytes.length === 0) return true;
    // A caller that does not wait for `drained` must not be able to replace what still waits.
    this.#pending =
      this.#pending === undefined ? bytes : Buffer.concat([this.#pending.subarray(this.#pendingStart), bytes]);
    this.#pendingStart = 0;
    this.#push();
    return this.#pending === undefined && this.#hasDrained();
  }

  drained(): Promise<void> {
    const isReady = this.#pending === undefined && this.#owner.queuedBytes(this.slot) <= this.#highWaterBytes;
    if (this.#isOver || isReady) return Promise.resolve();
    this.#drained ??= new Promise((resolve) => {
      this.#resolve = resolve;
    });
    return this.#drained;
  }

  end(trailers?: readonly string[]): void {
    if (this.#isOver || this.#endText !== undefined) return;
    this.#endText = this.#chunked ? endOfChunks(trailers) : "";
    this.#finish();
  }

  fail(error: unknown): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#pending = undefined;
    this.#wake();
    this.#owner.outgoingFailed(this, error);
  }

  onAborted(listener: () => void): void {
    if (this.#isAborted) listener();
    else if (!this.#isOver) this.#abortListeners.push(listener);
  }

  /** The connection drained, or the write pool may have room again. */
  continue(): void {
    if (this.#isOver) return;
    this.#push();
    if (this.#endText !== undefined) this.#finish();
    else if (this.#pending === undefined && this.#hasDrained()) this.#wake();
  }

  /** The connection is gone. */
  abort(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#isAborted = true;
    this.#pending = undefined;
    this.#wake();
    const listeners = this.#abortListeners;
    this.#abortListeners = [];
    for (const listener of listeners) listener();
  }

  /** Whether little enough is queued. If not, it is told when it is. */
  #hasDrained(): boolean {
    if (this.#owner.queuedBytes(this.slot) <= this.#highWaterBytes) return true;
    this.#owner.wantDrained(this.slot);
    return false;
  }

  /** Hands over what there is room for. What stays pending has asked for what it waits for: that the connection drains, or room in the write pool, never both. */
  #push(): void {
    let bytes = this.#pending;
    while (bytes !== undefined) {
      if (!this.#hasDrained()) return;
      const start = this.#pendingStart;
      const length = Math.min(bytes.length - start, PIECE_BYTES_MAX);
      const written = this.#chunked
        ? this.#encoder.chunk(this.slot, bytes, start, length)
        : this.#encoder.piece(this.slot, bytes, start, length);
      if (written === NO_ROOM) {
        this.#owner.starved(this.slot);
        return;
      }
      this.#owner.committed(this.slot, written);
      this.#pendingStart = start + length;
      if (this.#pendingStart < bytes.length) continue;
      bytes = undefined;
      this.#pending = undefined;
      this.#pendingStart = 0;
    }
  }

  #finish(): void {
    if (this.#pending !== undefined) return;
    if (this.#endText !== undefined && this.#endText !== "") {
      const written = this.#encoder.raw(this.slot, this.#endText);
      if (written === NO_ROOM) {
        this.#owner.starved(this.slot);
        return;
      }
      this.#owner.committed(this.slot, written);
    }
    this.#isOver = true;
    this.#wake();
    this.#owner.outgoingEnded(this);
  }

  #wake(): void {
    const resolve = this.#resolve;
    this.#resolve = undefined;
    this.#drained = undefined;
    resolve?.();
  }
}

/** Fields that frame, route or describe the body, or decide who may have it: a recipient needs them before it (RFC 9110, section 6.5.1). */
const NO_TRAILERS = new Set([
  "authorization",
  "cache-control",
  "connection",
  "content-encoding",
  "content-length",
  "content-range",
  "content-type",
  "host",
  "keep-alive",
  "proxy-connection",
  "set-cookie",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

/** The last chunk, the trailer fields and the end of the body (RFC 9112, section 7.1.2). */
function endOfChunks(trailers: readonly string[] | undefined): string {
  let text = "0\r\n";
  for (let index = 0; trailers !== undefined && index + 1 < trailers.length; index += 2) {
    const name = lowerHeaderName(trailers[index] ?? "");
    if (NO_TRAILERS.has(name)) throw new TypeError(`Cannot send trailers: ${name} has to stand in the head`);
    text += `${name}: ${checkedValue(trailers[index + 1], name)}\r\n`;
  }
  if (text.length > TRAILER_BYTES_MAX)
    throw new RangeError(`Cannot send trailers: they are longer than ${TRAILER_BYTES_MAX} bytes`);
  return `${text}\r\n`;
}
