/**
 * Compression of one socket: what each direction remembers, and the messages that wait to be compressed. Only sockets that have agreed on it have one.
 *
 *     send ─▶ compressed at once ─────────────────────────────▶ queued
 *        └──▶ [the outbox: too large for that, or behind one] ─▶ queued, in the order of the calls
 */
import { Buffer } from "node:buffer";
import { Fifo } from "../messages/fifo.js";
import type { CompressionSettings } from "./compression-options.js";
import {
  DEFLATE_NOW_BYTES_MAX,
  type DeflateParameters,
  deflateLater,
  deflateNow,
  INFLATE_NOW_BYTES_MAX,
  type Inflated,
  inflateLater,
  inflateNow,
} from "./deflate.js";
import { type DeflateAgreement, windowBytes } from "./deflate-agreement.js";
import { BIT_DEFLATED, OPCODE_BINARY, OPCODE_TEXT } from "./frame.js";
import { HistoryWindow } from "./history-window.js";
import type { PublishedFrame } from "./published-frame.js";
import type { WebSocketMessage } from "./web-socket.js";
import { runZlibJob } from "./zlib-jobs.js";

/** Copies of messages that wait to be compressed, of all sockets of a thread, at most, in bytes. */
const OUTBOX_BYTES_MAX = 32 * 1024 * 1024;

/** Such copies, of all sockets of this thread. */
let copiedBytesNow = 0;

/** What became of a message: it is queued, it waits to be, or there is no room for it and it is forgotten. */
export type DeflatedSend = "queued" | "waits" | "refused";

/** The socket, as its compression sees it. */
export interface SendingSocket {
  /** Queues a frame as a whole; false where there is no room for it. `first` is its opcode with reserved bits. */
  queueFrame(first: number, payload: Uint8Array): boolean;
  queuePublished(frame: PublishedFrame): boolean;
  /** Whether so many bytes may wait besides what does. */
  hasRoom(bytes: number): boolean;
  /** Has {@link SocketDeflate.proceed} called when there may be room. */
  awaitRoom(): void;
  /** Nothing waits any more; with the payload of the close frame that waited for it. */
  outboxEmptied(closePayload: Uint8Array | undefined): void;
}

/** A message that arrived compressed and waits for its handler. It is inflated when it is its turn, so what waits is what came. */
export class DeflatedMessage {
  readonly isText: boolean;
  readonly payload: Buffer;

  constructor(isText: boolean, payload: Buffer) {
    this.isText = isText;
    this.payload = payload;
  }

  get length(): number {
    return this.payload.length;
  }
}

/** A message on its way out. */
interface Outgoing {
  readonly opcode: number;
  readonly plain: Uint8Array;
  /** Of `plain`, what is this socket's alone. */
  readonly copiedBytes: number;
  /** Compressed for many sockets; undefined where that did not make it smaller. */
  readonly shared?: Promise<Uint8Array | undefined>;
}

interface OutgoingFrame {
  readonly first: number;
  readonly payload: Uint8Array;
  /** What the peer's window has of it. */
  readonly plain: Uint8Array | undefined;
}

/** Compresses what a socket sends, inflates what it receives. */
export class SocketDeflate {
  readonly agreement: DeflateAgreement;
  readonly #settings: CompressionSettings;
  readonly #socket: SendingSocket;
  readonly #sent: HistoryWindow | undefined;
  readonly #received: HistoryWindow | undefined;
  #outbox: Fifo<Outgoing> | undefined;
  #waitingBytes = 0;
  #copiedBytes = 0;
  #isCompressing = false;
  /** The frame of the first message that waits, when there was no room for it. */
  #ready: OutgoingFrame | undefined;
  #closePayload: Uint8Array | undefined;

  constructor(agreement: DeflateAgreement, settings: CompressionSettings, socket: SendingSocket) {
    const { sending, receiving } = agreement;
    this.agreement = agreement;
    this.#settings = settings;
    this.#socket = socket;
    this.#sent = sending.keepsContext ? new HistoryWindow(windowBytes(sending)) : undefined;
    this.#received = receiving.keepsContext ? new HistoryWindow(windowBytes(receiving)) : undefined;
  }

  // --- sending

  /** Bytes of the messages that wait. */
  get waitingBytes(): number {
    return this.#waitingBytes;
  }

  get isWaiting(): boolean {
    return this.#outbox !== undefined && this.#outbox.length > 0;
  }

  send(message: WebSocketMessage): DeflatedSend {
    const isText = typeof message === "string";
    const plain = isText ? Buffer.from(message, "utf8") : message;
    const opcode = isText ? OPCODE_TEXT : OPCODE_BINARY;
    if (this.isWaiting || this.#isLarge(plain)) {
      const { length } = plain;
      if (copiedBytesNow + length > OUTBOX_BYTES_MAX || !this.#socket.hasRoom(length)) return "refused";
      // It is the caller's memory, and the message is compressed after the call.
      this.#wait({ opcode, plain: isText ? plain : Buffer.from(plain), copiedBytes: length });
      return "waits";
    }
    // Where there is no room for a byte, compressing is in vain.
    if (!this.#socket.hasRoom(1)) return "refused";
    return this.#queue(this.#frameNow(opcode, plain)) ? "queued" : "refused";
  }

  /** Sends a message of many sockets. False where there is no room. */
  deliver(frame: PublishedFrame): boolean {
    const { payload, opcode } = frame;
    if (!this.isWaiting && !this.#isWorthIt(payload)) return this.#socket.queuePublished(frame);
    if (this.isWaiting || this.#isLarge(payload)) {
      if (!this.#socket.hasRoom(payload.length)) return false;
      const message = { opcode, plain: frame.keptPayload(), copiedBytes: 0 };
      if (!this.#isWorthIt(payload)) this.#wait(message);
      else this.#wait({ ...message, shared: frame.deflatedLater(this.#sendingNow(undefined)) });
      return true;
    }
    const deflated = frame.deflatedNow(this.#sendingNow(undefined));
    if (!this.#socket.queuePublished(deflated ?? frame)) return false;
    if (deflated !== undefined) this.#sent?.append(payload);
    return true;
  }

  /** There may be room. */
  proceed(): void {
    while (!this.#isCompressing) {
      const message = this.#outbox?.first;
      if (message === undefined) return;
      if (this.#ready === undefined && (message.shared !== undefined || this.#isLarge(message.plain)))
        return this.#compressLater(message);
      this.#ready ??= this.#frameNow(message.opcode, message.plain);
      if (!this.#queue(this.#ready)) {
        if (this.isWaiting) this.#socket.awaitRoom();
        return;
      }
      this.#ready = undefined;
      this.#waitingBytes -= message.plain.length;
      this.#copied(-message.copiedBytes);
      this.#outbox?.shift();
      if (!this.isWaiting) return this.#emptied();
    }
  }

  /** Has a close frame with this payload sent behind what waits; false where nothing does. */
  closeBehind(payload: Uint8Array): boolean {
    if (!this.isWaiting) return false;
    this.#closePayload = payload;
    return true;
  }

  /** The payload of the close frame that waits. */
  get closePayload(): Uint8Array | undefined {
    return this.#closePayload;
  }

  /** Forgets what waits. */
  clear(): void {
    this.#outbox = undefined;
    this.#waitingBytes = 0;
    this.#copied(-this.#copiedBytes);
    this.#ready = undefined;
    this.#closePayload = undefined;
  }

  #isWorthIt(plain: Uint8Array): boolean {
    return plain.length > 0 && plain.length >= this.#settings.thresholdBytes;
  }

  #isLarge(plain: Uint8Array): boolean {
    return plain.length > DEFLATE_NOW_BYTES_MAX && this.#isWorthIt(plain);
  }

  #sendingNow(history: Buffer | undefined): DeflateParameters {
    return { windowBits: this.agreement.sending.windowBits, level: this.#settings.level, history };
  }

  #wait(message: Outgoing): void {
    const outbox = (this.#outbox ??= new Fifo());
    outbox.push(message);
    this.#waitingBytes += message.plain.length;
    this.#copied(message.copiedBytes);
    if (outbox.length === 1) this.proceed();
  }

  #copied(bytes: number): void {
    this.#copiedBytes += bytes;
    copiedBytesNow += bytes;
  }

  /** Queues a frame. Only what is queued is in the peer's window. */
  #queue({ first, payload, plain }: OutgoingFrame): boolean {
    if (!this.#socket.queueFrame(first, payload)) return false;
    if (plain !== undefined) this.#sent?.append(plain);
    return true;
  }

  #frameNow(opcode: number, plain: Uint8Array): OutgoingFrame {
    if (!this.#isWorthIt(plain)) return { first: opcode, payload: plain, plain: undefined };
    return frameOf(opcode, plain, deflateNow(plain, this.#sendingNow(this.#sent?.bytes)));
  }

  #compressLater(message: Outgoing): void {
    const { opcode, plain, shared } = message;
    this.#isCompressing = true;
    const deflated = shared ?? runZlibJob(() => deflateLater(plain, this.#sendingNow(this.#sent?.bytes)));
    // What cannot be compressed, for want of memory, is sent as it is.
    void deflated
      .catch(() => undefined)
      .then((payload) => {
        this.#isCompressing = false;
        if (this.#outbox?.first === message) this.#ready = frameOf(opcode, plain, payload);
        this.proceed();
      });
  }

  #emptied(): void {
    const payload = this.#closePayload;
    this.#closePayload = undefined;
    this.#socket.outboxEmptied(payload);
  }

  // --- receiving

  /** The message; undefined where {@link SocketDeflate.inflateLater} has to inflate it, because it becomes large. */
  inflateNow(payload: Uint8Array, bytesMax: number): Inflated | undefined {
    if (payload.length > INFLATE_NOW_BYTES_MAX) return undefined;
    const inflated = inflateNow(payload, this.#receivingNow(Math.min(bytesMax, INFLATE_NOW_BYTES_MAX)));
    if (inflated === "tooLarge" && bytesMax > INFLATE_NOW_BYTES_MAX) return undefined;
    return this.#remember(inflated);
  }

  /** As `inflateNow`, in libuv's pool. One message at a time: the next one may refer to it. */
  async inflateLater(payload: Uint8Array, bytesMax: number): Promise<Inflated> {
    return this.#remember(await runZlibJob(() => inflateLater(payload, this.#receivingNow(bytesMax))));
  }

  #receivingNow(bytesMax: number): Parameters<typeof inflateNow>[1] {
    return { windowBits: this.agreement.receiving.windowBits, history: this.#received?.bytes, bytesMax };
  }

  #remember(inflated: Inflated): Inflated {
    if (typeof inflated !== "string") this.#received?.append(inflated);
    return inflated;
  }
}

/** Compressed where that is smaller. */
function frameOf(opcode: number, plain: Uint8Array, deflated: Uint8Array | undefined): OutgoingFrame {
  if (deflated === undefined || deflated.length >= plain.length)
    return { first: opcode, payload: plain, plain: undefined };
  return { first: opcode | BIT_DEFLATED, payload: deflated, plain };
}
