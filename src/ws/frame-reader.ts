/**
 * The frames that a socket receives (RFC 6455, section 5), wherever they are cut: from bytes that are lent to messages and control frames. What a frame in pieces or a message in fragments needs is made when it does.
 */
import { Buffer } from "node:buffer";
import { CLOSE_PROTOCOL_ERROR, CLOSE_TOO_LARGE, CLOSE_TRY_AGAIN } from "./close-code.js";
import { BIT_CONTROL, BIT_DEFLATED, BIT_FIN, BITS_OPCODE, OPCODE_BINARY, OPCODE_TEXT } from "./frame.js";
import { FRAMES, frameProblem } from "./frame-rules.js";
import type { WebSocketHub } from "./hub.js";
import { announcedBytes, lengthEnd, PartialFrame } from "./partial-frame.js";
import { kept, ownedPayload, type Payload } from "./payload.js";
import type { SocketTransport } from "./transport.js";
import type { WebSocketMessage } from "./web-socket.js";

/** The first byte of a whole binary message, which takes a short way while its payload has no more than so many bytes. */
const SHORT_BINARY_FIRST = BIT_FIN | OPCODE_BINARY;
const SHORT_BYTES_MAX = 512;
const SHORT_BYTES_BEHIND = 7;
/** More than any header has: the second byte is not there. */
const HEADER_UNKNOWN = 2;
/** The masking key of a client's frame. */
const KEY_BYTES = 4;

/** A message in fragments. */
interface Assembly {
  readonly isText: boolean;
  readonly isDeflated: boolean;
  readonly pieces: Buffer[];
  length: number;
}

/** The reading side of a socket. What it has read goes to the methods that the socket gives it. */
export abstract class FrameReader {
  protected readonly hub: WebSocketHub;
  protected readonly transport: SocketTransport;
  #partial: PartialFrame | undefined = undefined;
  #assembly: Assembly | undefined = undefined;

  constructor(hub: WebSocketHub, transport: SocketTransport) {
    this.hub = hub;
    this.transport = transport;
  }

  /** Whether messages are read; control frames are as long as {@link FrameReader.isReading}. */
  abstract get isOpen(): boolean;
  protected abstract get isReading(): boolean;
  /** Whether messages may be compressed. */
  protected abstract get hasDeflate(): boolean;
  /** A message that is the program's. */
  protected abstract arrived(message: WebSocketMessage): void;
  /** A message as it lies in a lent payload. */
  protected abstract payloadArrived(isText: boolean, payload: Payload): void;
  /** A compressed message. */
  protected abstract deflatedArrived(isText: boolean, payload: Buffer): void;
  protected abstract controlArrived(opcode: number, bytes: Buffer, start: number, length: number): void;
  /** Closes the socket: the peer has broken a rule or a limit. */
  protected abstract fail(code: number, reason: string): void;

  /** Reads what there is. */
  protected readFrames(bytes: Buffer, view: DataView, start: number, end: number): void {
    let at = start;
    if (this.#partial !== undefined) at = this.#goOn(this.#partial, bytes, at, end);
    while (at < end && this.isReading) at = this.#readFrame(bytes, view, at, end);
  }

  /** Forgets a message of which fragments have come. */
  protected forgetMessage(): void {
    this.transport.stats.webSocketInboundBytesNow -= this.#assembly?.length ?? 0;
    this.#assembly = undefined;
  }

  /** Forgets all that is incomplete. */
  protected forgetFrames(): void {
    this.transport.stats.webSocketInboundBytesNow -= this.#partial?.filled ?? 0;
    this.#partial = undefined;
    this.forgetMessage();
  }

  protected failTooLarge(): void {
    this.fail(CLOSE_TOO_LARGE, `Messages have ${this.hub.limits.messageBytesMax} bytes at most`);
  }

  /** Reads the frame at `at`; returns where the next one starts. */
  #readFrame(bytes: Buffer, view: DataView, at: number, end: number): number {
    const available = end - at;
    const keyAt = available < 2 ? HEADER_UNKNOWN : lengthEnd(bytes[at + 1]!);
    if (available < keyAt) return this.#keepHeader(bytes, at, end);
    const length = announcedBytes(bytes, at);
    const first = bytes[at]!;
    if (!this.#accepts(first, bytes[at + 1]!, length)) return end;
    const keyBytes = this.transport.isClient ? 0 : KEY_BYTES;
    if (available < keyAt + keyBytes) return this.#keepHeader(bytes, at, end);
    const key = keyBytes === 0 ? 0 : view.getInt32(at + keyAt, true);
    const payload = at + keyAt + keyBytes;
    if (payload + length > end) return this.#keepPayload(first, length, key, bytes, payload, end);
    if (
      first === SHORT_BINARY_FIRST &&
      length <= SHORT_BYTES_MAX &&
      payload + length + SHORT_BYTES_BEHIND <= view.byteLength
    ) {
      if (this.isOpen) this.arrived(this.transport.messages.unmasked(view, payload, length, key));
      return payload + length;
    }
    this.transport.unmask(payload, length, key, 0);
    this.#frame(first, { bytes, view, start: payload, length });
    return payload + length;
  }

  #keepHeader(bytes: Buffer, start: number, end: number): number {
    const partial = new PartialFrame();
    partial.keepHeader(bytes, start, end);
    this.#partial = partial;
    return end;
  }

  #keepPayload(first: number, length: number, key: number, bytes: Buffer, start: number, end: number): number {
    const partial = new PartialFrame();
    partial.begin(first, length, key);
    return this.#fill(partial, bytes, start, end);
  }

  /** Goes on with a frame that came in pieces. Returns the position behind what belongs to it. */
  #goOn(partial: PartialFrame, bytes: Buffer, start: number, end: number): number {
    if (partial.length >= 0) return this.#fill(partial, bytes, start, end);
    const { header, kept } = partial.joined(bytes, start, end);
    const keyAt = header.length < 2 ? HEADER_UNKNOWN : lengthEnd(header[1]!);
    if (header.length < keyAt) {
      partial.keepHeader(bytes, start, end);
      return end;
    }
    const length = announcedBytes(header, 0);
    if (!this.#accepts(header[0]!, header[1]!, length)) return end;
    const keyBytes = this.transport.isClient ? 0 : KEY_BYTES;
    if (header.length < keyAt + keyBytes) {
      partial.keepHeader(bytes, start, end);
      return end;
    }
    partial.begin(header[0]!, length, keyBytes === 0 ? 0 : header.readInt32LE(keyAt));
    return this.#fill(partial, bytes, start + keyAt + keyBytes - kept, end);
  }

  #fill(partial: PartialFrame, bytes: Buffer, start: number, end: number): number {
    const next = partial.fill(bytes, start, end, this.transport.unmask);
    const { stats } = this.transport;
    const { limits } = this.hub;
    stats.webSocketInboundBytesNow += next - start;
    if (!partial.isComplete) {
      this.#partial = partial;
      if (stats.webSocketInboundBytesNow > limits.inboundBytesTotalMax)
        this.fail(CLOSE_TRY_AGAIN, "The server is busy");
      return next;
    }
    this.#partial = undefined;
    stats.webSocketInboundBytesNow -= partial.length;
    this.#frame(partial.first, ownedPayload(partial.payload.subarray(0, partial.length)));
    return next;
  }

  /** Checks the two bytes and the length that every header begins with; a violation closes the socket. */
  #accepts(first: number, second: number, length: number): boolean {
    let state = this.transport.isClient ? FRAMES.fromServer : 0;
    if (this.#assembly !== undefined) state |= FRAMES.inMessage;
    // What comes behind our close frame is not put together, so nothing is known of where its messages begin.
    if (!this.isOpen) state |= FRAMES.afterClose;
    if (this.hasDeflate) state |= FRAMES.mayBeDeflated;
    const problem = frameProblem(first, second, length, state);
    if (problem !== "") {
      this.fail(CLOSE_PROTOCOL_ERROR, problem);
      return false;
    }
    if ((first & BIT_CONTROL) !== 0) return true;
    if (length + (this.#assembly?.length ?? 0) <= this.hub.limits.messageBytesMax) return true;
    this.failTooLarge();
    return false;
  }

  /** A whole frame, its mask taken off. */
  #frame(first: number, payload: Payload): void {
    const opcode = first & BITS_OPCODE;
    if ((opcode & BIT_CONTROL) !== 0) {
      this.controlArrived(opcode, payload.bytes, payload.start, payload.length);
      return;
    }
    if (!this.isOpen) return;
    if (this.#assembly !== undefined || (first & BIT_FIN) === 0) {
      this.#fragment(first, payload);
      return;
    }
    const isText = opcode === OPCODE_TEXT;
    if ((first & BIT_DEFLATED) !== 0) this.deflatedArrived(isText, kept(payload));
    else this.payloadArrived(isText, payload);
  }

  #fragment(first: number, payload: Payload): void {
    const { length } = payload;
    const assembly = (this.#assembly ??= {
      isText: (first & BITS_OPCODE) === OPCODE_TEXT,
      isDeflated: (first & BIT_DEFLATED) !== 0,
      pieces: [],
      length: 0,
    });
    const { stats } = this.transport;
    const { limits } = this.hub;
    assembly.pieces.push(kept(payload));
    assembly.length += length;
    stats.webSocketInboundBytesNow += length;
    if (assembly.pieces.length > limits.fragmentsMax) {
      this.fail(CLOSE_TOO_LARGE, `Messages have ${limits.fragmentsMax} fragments at most`);
    } else if (stats.webSocketInboundBytesNow > limits.inboundBytesTotalMax) {
      this.fail(CLOSE_TRY_AGAIN, "The server is busy");
    } else if ((first & BIT_FIN) !== 0) {
      this.forgetMessage();
      const whole = Buffer.concat(assembly.pieces, assembly.length);
      if (assembly.isDeflated) this.deflatedArrived(assembly.isText, whole);
      else this.payloadArrived(assembly.isText, ownedPayload(whole));
    }
  }
}
