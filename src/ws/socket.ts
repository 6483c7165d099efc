/**
 * One WebSocket of a server (RFC 6455): frames in, messages to the handler, frames out. The same object from `open` to `close`, so that programs can keep it in maps.
 *
 *     OPEN ── close() ──▶ CLOSING ── the peer's close frame, or its time is over ──▶ CLOSED
 *       └──── the peer's close frame, a violation, the connection's end ────────────────┘
 *
 * What had been received before the end is handled to the end, unless a handler has failed or the program has cut the socket: `close` is called behind it.
 *
 * An idle socket is this object and nothing else: what a frame in pieces, a message in fragments or a busy handler need is made when they do.
 */
import { Buffer } from "node:buffer";
import { WRITE_BLOCK_BYTES_MAX, WRITE_BLOCK_BYTES_MIN } from "../constants.js";
import { Fifo } from "../messages/fifo.js";
import {
  CLOSE_ABNORMAL,
  CLOSE_GOING_AWAY,
  CLOSE_INTERNAL_ERROR,
  CLOSE_INVALID_PAYLOAD,
  CLOSE_NO_STATUS,
  CLOSE_NORMAL,
  CLOSE_PROTOCOL_ERROR,
  CLOSE_REASON_BYTES_MAX,
  CLOSE_TOO_LARGE,
  CLOSE_TRY_AGAIN,
  isSendableCloseCode,
} from "./close-code.js";
import {
  BIT_CONTROL,
  BIT_FIN,
  BIT_MASKED,
  BITS_OPCODE,
  BITS_RESERVED,
  CONTROL_BYTES_MAX,
  headerBytes,
  OPCODE_BINARY,
  OPCODE_CLOSE,
  OPCODE_CONTINUATION,
  OPCODE_PING,
  OPCODE_PONG,
  OPCODE_TEXT,
} from "./frame.js";
import { type HandlerOutcome, runHandler, type WebSocketHub } from "./hub.js";
import { announcedBytes, lengthEnd, PartialFrame } from "./partial-frame.js";
import { kept, ownedPayload, type Payload, viewOf } from "./payload.js";
import type { PublishedFrame } from "./published-frame.js";
import { closePayload, FRAME, type FrameOutcome, sendFrame, sendPublished, sendText } from "./sending.js";
import { textOf } from "./text.js";
import { checkTopic, type Subscriber } from "./topics.js";
import type { SocketTransport, UpgradedConnection } from "./transport.js";
import type { PublishStatus, SendStatus, WebSocket, WebSocketMessage } from "./web-socket.js";

const OPEN = 0;
const CLOSING = 1;
const CLOSED = 2;

/** Bits of `#flags`. */
const PAUSED = 1;
const PINGED = 2;
const WANTS_DRAINED = 4;
/** Nothing more is read: the peer has sent its close frame, or the connection is being cut. */
const DEAF = 8;
/** What waits for a handler is not handled any more. */
const DROPPING = 16;

const NO_BYTES = new Uint8Array(0);
/** The first byte of a whole binary message, which takes a short way while its payload has no more than so many bytes. */
const SHORT_BINARY_FIRST = BIT_FIN | OPCODE_BINARY;
const SHORT_BYTES_MAX = 512;
const SHORT_BYTES_BEHIND = 7;
/** What a message that waits costs beside its payload, roughly: empty ones must not be free. */
const WAITING_BYTES = 128;

/** A message in fragments. */
interface Assembly {
  readonly isText: boolean;
  readonly pieces: Buffer[];
  length: number;
}

/** What a socket with a busy handler has besides. */
interface Inbox {
  running: number;
  bytes: number;
  readonly waiting: Fifo<WebSocketMessage>;
}

/** A {@link WebSocket} on a connection of the server's. */
export class ServerWebSocket implements WebSocket, UpgradedConnection, Subscriber {
  data: unknown;
  readonly protocol: string;
  readonly #hub: WebSocketHub;
  readonly #transport: SocketTransport;
  readonly #slot: number;
  #state = OPEN;
  #flags = 0;
  #partial: PartialFrame | undefined = undefined;
  #assembly: Assembly | undefined = undefined;
  #inbox: Inbox | undefined = undefined;
  /** How it ended, while messages are still being handled. */
  #end: { readonly code: number; readonly reason: string } | undefined = undefined;
  #topics: Set<string> | undefined = undefined;
  /** The answer to the last ping, for which there was no room. */
  #owedPong: Uint8Array | undefined = undefined;

  constructor(options: WebSocketOptions) {
    this.#hub = options.hub;
    this.#transport = options.transport;
    this.#slot = options.slot;
    this.data = options.data;
    this.protocol = options.protocol;
  }

  get isOpen(): boolean {
    return this.#state === OPEN;
  }

  get queuedBytes(): number {
    return this.#state === CLOSED ? 0 : this.#transport.queuedBytes(this.#slot);
  }

  get remoteAddress(): string | undefined {
    return this.#state === CLOSED ? undefined : this.#transport.remoteAddress(this.#slot);
  }

  send(message: WebSocketMessage): SendStatus {
    if (this.#state !== OPEN) return "closed";
    if (typeof message !== "string" && !(message instanceof Uint8Array))
      throw new TypeError("Cannot send: a message is a string or a Uint8Array");
    const before = this.#transport.queuedBytes(this.#slot);
    if (before > 0 && !this.#mayQueue(message.length)) return this.#drop();
    const isSent = typeof message === "string" ? this.#sendText(message) : this.#sendFrame(OPCODE_BINARY, message);
    if (!isSent) return this.#state === OPEN ? this.#drop() : "closed";
    this.#transport.stats.webSocketMessagesSent += 1;
    if (this.#transport.queuedBytes(this.#slot) <= WRITE_BLOCK_BYTES_MAX) return "sent";
    this.#wantDrained();
    return "backpressure";
  }

  ping(payload: Uint8Array = NO_BYTES): SendStatus {
    if (payload.length > CONTROL_BYTES_MAX)
      throw new RangeError(`Cannot ping: ${payload.length} bytes, and a control frame carries ${CONTROL_BYTES_MAX}`);
    if (this.#state !== OPEN) return "closed";
    return this.#sendFrame(OPCODE_PING, payload) ? "sent" : "dropped";
  }

  close(code: number = CLOSE_NORMAL, reason = ""): void {
    if (!isSendableCloseCode(code)) throw new RangeError(`Cannot close with code ${String(code)}: it may not be sent`);
    if (Buffer.byteLength(reason) > CLOSE_REASON_BYTES_MAX)
      throw new RangeError(`Cannot close: the reason is longer than ${CLOSE_REASON_BYTES_MAX} bytes`);
    if (this.#state !== OPEN) return;
    this.#state = CLOSING;
    this.#forgetAssembly();
    this.#forgetTopics();
    this.#sendClose(code, reason);
    this.#transport.setTimeout(this.#slot, this.#hub.limits.closeTimeoutMs);
    // What a paused peer has sent is read again: its close frame is among it.
    this.#resume();
  }

  terminate(): void {
    if (this.#state !== CLOSED) this.#cut();
  }

  /** The handshake has been answered. */
  opened(): void {
    const hub = this.#hub;
    this.#transport.stats.webSocketsOpened += 1;
    this.#transport.stats.webSocketsNow += 1;
    this.#transport.setTimeout(this.#slot, hub.limits.idleTimeoutMs);
    const { open } = hub.handlers;
    if (open === undefined) return;
    this.#follow(this.#run(() => open.call(hub.handlers, this)));
  }

  // --- receiving

  received(bytes: Buffer, view: DataView, start: number, end: number): void {
    if (this.#state === OPEN) {
      this.#flags &= ~PINGED;
      this.#transport.setTimeout(this.#slot, this.#hub.limits.idleTimeoutMs);
    }
    let at = start;
    if (this.#partial !== undefined) at = this.#goOn(this.#partial, bytes, at, end);
    while (at < end && this.#isReading) at = this.#readFrame(bytes, view, at, end);
  }

  get #isReading(): boolean {
    return this.#state !== CLOSED && (this.#flags & DEAF) === 0;
  }

  /** Reads the frame at `at`; returns where the next one starts. */
  #readFrame(bytes: Buffer, view: DataView, at: number, end: number): number {
    const available = end - at;
    const keyAt = available < 2 ? HEADER_UNKNOWN : lengthEnd(bytes[at + 1]!);
    if (available < keyAt) return this.#keepHeader(bytes, at, end);
    const length = announcedBytes(bytes, at);
    const first = bytes[at]!;
    if (!this.#accepts(first, bytes[at + 1]!, length)) return end;
    if (available < keyAt + 4) return this.#keepHeader(bytes, at, end);
    const key = view.getInt32(at + keyAt, true);
    const payload = at + keyAt + 4;
    if (payload + length > end) return this.#keepPayload(first, length, key, bytes, payload, end);
    if (
      first === SHORT_BINARY_FIRST &&
      length <= SHORT_BYTES_MAX &&
      payload + length + SHORT_BYTES_BEHIND <= view.byteLength
    ) {
      if (this.#state === OPEN) this.#arrived(this.#transport.messages.unmasked(view, payload, length, key));
      return payload + length;
    }
    this.#transport.unmask(payload, length, key, 0);
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
    if (header.length < keyAt + 4) {
      partial.keepHeader(bytes, start, end);
      return end;
    }
    partial.begin(header[0]!, length, header.readInt32LE(keyAt));
    return this.#fill(partial, bytes, start + keyAt + 4 - kept, end);
  }

  #fill(partial: PartialFrame, bytes: Buffer, start: number, end: number): number {
    const next = partial.fill(bytes, start, end, this.#transport.unmask);
    const { stats } = this.#transport;
    const { limits } = this.#hub;
    stats.webSocketInboundBytesNow += next - start;
    if (!partial.isComplete) {
      this.#partial = partial;
      if (stats.webSocketInboundBytesNow > limits.inboundBytesTotalMax)
        this.#fail(CLOSE_TRY_AGAIN, "The server is busy");
      return next;
    }
    this.#partial = undefined;
    stats.webSocketInboundBytesNow -= partial.length;
    this.#frame(partial.first, ownedPayload(partial.payload.subarray(0, partial.length)));
    return next;
  }

  /** Checks the two bytes and the length that every header begins with (RFC 6455, sections 5.1, 5.2, 5.4 and 5.5); a violation closes the socket. */
  #accepts(first: number, second: number, length: number): boolean {
    const opcode = first & BITS_OPCODE;
    const problem = this.#problem(first, second, opcode, length);
    if (problem !== "") {
      this.#fail(CLOSE_PROTOCOL_ERROR, problem);
      return false;
    }
    if ((opcode & BIT_CONTROL) !== 0) return true;
    if (length + (this.#assembly?.length ?? 0) <= this.#hub.limits.messageBytesMax) return true;
    this.#fail(CLOSE_TOO_LARGE, `Messages have ${this.#hub.limits.messageBytesMax} bytes at most`);
    return false;
  }

  #problem(first: number, second: number, opcode: number, length: number): string {
    if ((first & BITS_RESERVED) !== 0) return "A reserved bit is set";
    if ((second & BIT_MASKED) === 0) return "A frame of a client is not masked";
    if (length < 0) return "A length is not in its shortest form";
    switch (opcode) {
      case OPCODE_CONTINUATION:
        // What comes behind our close frame is not put together, so nothing is known of where its messages begin.
        return this.#assembly === undefined && this.#state === OPEN ? "A continuation continues nothing" : "";
      case OPCODE_TEXT:
      case OPCODE_BINARY:
        return this.#assembly === undefined ? "" : "A message begins inside of another";
      case OPCODE_CLOSE:
      case OPCODE_PING:
      case OPCODE_PONG:
        if ((first & BIT_FIN) === 0) return "A control frame is fragmented";
        return length > CONTROL_BYTES_MAX ? "A control frame is too long" : "";
      default:
        return `Opcode ${opcode} is unknown`;
    }
  }

  /** A whole frame, its mask taken off. */
  #frame(first: number, payload: Payload): void {
    const opcode = first & BITS_OPCODE;
    if ((opcode & BIT_CONTROL) !== 0) {
      this.#control(opcode, payload.bytes, payload.start, payload.length);
      return;
    }
    if (this.#state !== OPEN) return;
    if (this.#assembly === undefined && (first & BIT_FIN) !== 0) {
      this.#deliver(opcode === OPCODE_TEXT, payload);
      return;
    }
    this.#fragment(opcode, (first & BIT_FIN) !== 0, payload);
  }

  #fragment(opcode: number, isLast: boolean, payload: Payload): void {
    const { length } = payload;
    const assembly = (this.#assembly ??= { isText: opcode === OPCODE_TEXT, pieces: [], length: 0 });
    const { stats } = this.#transport;
    const { limits } = this.#hub;
    assembly.pieces.push(kept(payload));
    assembly.length += length;
    stats.webSocketInboundBytesNow += length;
    if (assembly.pieces.length > limits.fragmentsMax) {
      this.#fail(CLOSE_TOO_LARGE, `Messages have ${limits.fragmentsMax} fragments at most`);
    } else if (stats.webSocketInboundBytesNow > limits.inboundBytesTotalMax) {
      this.#fail(CLOSE_TRY_AGAIN, "The server is busy");
    } else if (isLast) {
      this.#assembly = undefined;
      stats.webSocketInboundBytesNow -= assembly.length;
      const whole = Buffer.concat(assembly.pieces, assembly.length);
      this.#deliver(assembly.isText, ownedPayload(whole));
    }
  }

  #deliver(isText: boolean, payload: Payload): void {
    const { bytes, view, start, length } = payload;
    const message = isText ? textOf(bytes, view ?? viewOf(bytes), start, length) : kept(payload);
    if (message === undefined) this.#fail(CLOSE_INVALID_PAYLOAD, "Text is not UTF-8");
    else this.#arrived(message);
  }

  /** A message that is the program's. */
  #arrived(message: WebSocketMessage): void {
    this.#transport.stats.webSocketMessagesReceived += 1;
    const inbox = this.#inbox;
    if (inbox === undefined || (inbox.running < this.#hub.limits.concurrency && inbox.waiting.length === 0))
      this.#handle(message);
    else this.#enqueue(inbox, message);
  }

  #enqueue(inbox: Inbox, message: WebSocketMessage): void {
    const { stats } = this.#transport;
    const { limits } = this.#hub;
    const bytes = message.length + WAITING_BYTES;
    inbox.waiting.push(message);
    inbox.bytes += bytes;
    stats.webSocketInboundBytesNow += bytes;
    if (stats.webSocketInboundBytesNow > limits.inboundBytesTotalMax) {
      this.#fail(CLOSE_TRY_AGAIN, "The server is busy");
    } else if (inbox.bytes > limits.inboundBytesMax && (this.#flags & PAUSED) === 0) {
      this.#flags |= PAUSED;
      this.#transport.pause(this.#slot);
    }
  }

  #handle(message: WebSocketMessage): void {
    const { handlers } = this.#hub;
    if (handlers.message === undefined) return;
    this.#follow(this.#run(() => handlers.message?.(this, message)));
  }

  /** What becomes of a handler that was run: a failure closes the socket, a promise holds the next messages back. */
  #follow({ isFailed, promise }: HandlerOutcome): void {
    if (isFailed) this.#fail(CLOSE_INTERNAL_ERROR, "");
    if (promise === undefined) return;
    const inbox = (this.#inbox ??= { running: 0, bytes: 0, waiting: new Fifo<WebSocketMessage>() });
    inbox.running += 1;
    promise.then(
      () => this.#settled(inbox),
      (error: unknown) => {
        this.#report(error);
        this.#fail(CLOSE_INTERNAL_ERROR, "");
        this.#settled(inbox);
      },
    );
  }

  #run(handler: () => unknown): HandlerOutcome {
    return runHandler(handler, (error) => this.#report(error));
  }

  #report(error: unknown): void {
    this.#transport.stats.handlerErrors += 1;
    this.#transport.report(error);
  }

  #settled(inbox: Inbox): void {
    inbox.running -= 1;
    // A handler that was running when the rest was given up.
    if (this.#inbox !== inbox) return;
    const { stats } = this.#transport;
    const { limits } = this.#hub;
    while ((this.#flags & DROPPING) === 0 && inbox.running < limits.concurrency) {
      const message = inbox.waiting.shift();
      if (message === undefined) break;
      const bytes = message.length + WAITING_BYTES;
      inbox.bytes -= bytes;
      stats.webSocketInboundBytesNow -= bytes;
      this.#handle(message);
    }
    if (this.#inbox !== inbox) return;
    if (inbox.bytes * 2 <= limits.inboundBytesMax) this.#resume();
    if ((this.#flags & DROPPING) === 0 && (inbox.running > 0 || inbox.waiting.length > 0)) return;
    this.#forgetInbox();
    if (this.#state === CLOSED) this.#tellEnd();
  }

  #resume(): void {
    if ((this.#flags & PAUSED) === 0 || this.#state === CLOSED) return;
    this.#flags &= ~PAUSED;
    this.#transport.resume(this.#slot);
  }

  // --- control frames and the end

  #control(opcode: number, bytes: Buffer, start: number, length: number): void {
    if (opcode === OPCODE_CLOSE) {
      this.#closeReceived(bytes, start, length);
      return;
    }
    const { handlers } = this.#hub;
    const payload = length === 0 ? NO_BYTES : Buffer.from(bytes.subarray(start, start + length));
    if (opcode === OPCODE_PING && this.#state === OPEN) this.#answerPing(payload);
    const handler = opcode === OPCODE_PING ? handlers.ping : handlers.pong;
    if (handler !== undefined) this.#contain(this.#run(() => handler.call(handlers, this, payload)));
  }

  /** A peer that pings and does not read gets the answer to its last ping when there is room (RFC 6455, section 5.5.3). */
  #answerPing(payload: Uint8Array): void {
    const hasRoom = this.#transport.queuedBytes(this.#slot) <= this.#hub.limits.sendBytesMax;
    this.#owedPong = hasRoom && this.#sendFrame(OPCODE_PONG, payload) ? undefined : payload;
    if (this.#owedPong !== undefined) this.#wantDrained();
  }

  /** A handler that nothing waits for: its failure closes the socket all the same. */
  #contain({ isFailed, promise }: HandlerOutcome): void {
    if (isFailed) this.#fail(CLOSE_INTERNAL_ERROR, "");
    promise?.then(undefined, (error: unknown) => {
      this.#report(error);
      this.#fail(CLOSE_INTERNAL_ERROR, "");
    });
  }

  #closeReceived(bytes: Buffer, start: number, length: number): void {
    this.#flags |= DEAF;
    const code = length === 0 ? CLOSE_NO_STATUS : length === 1 ? 0 : bytes.readUInt16BE(start);
    if (length > 0 && !isSendableCloseCode(code)) {
      this.#fail(CLOSE_PROTOCOL_ERROR, length === 1 ? "A close frame has one byte" : `Close code ${code} is none`);
      return;
    }
    const end = start + length;
    const reason = length <= 2 ? "" : textOf(bytes, viewOf(bytes), start + 2, end - start - 2);
    if (reason === undefined) {
      this.#fail(CLOSE_INVALID_PAYLOAD, "A reason is not UTF-8");
      return;
    }
    // Who began it has sent a close frame already; else this is the answer (RFC 6455, section 5.5.1).
    if (this.#state === OPEN) this.#sendClose(code, "");
    this.#transport.close(this.#slot);
    this.#finish(code, reason);
  }

  /** Closes because of the peer, a handler or a limit: what went wrong is in the close frame. */
  #fail(code: number, reason: string): void {
    if (code === CLOSE_INTERNAL_ERROR) this.#flags |= DROPPING;
    if (this.#state === CLOSED) return;
    if (code !== CLOSE_INTERNAL_ERROR) this.#transport.stats.webSocketViolations += 1;
    if (this.#state === OPEN) this.#sendClose(code, reason);
    this.#transport.close(this.#slot);
    this.#finish(code, reason);
  }

  /** Cuts the connection under the socket. Who is told of the end is told when it is gone. */
  #cut(): void {
    this.#state = CLOSING;
    this.#flags |= DEAF | DROPPING;
    this.#forgetTopics();
    this.#transport.kill(this.#slot);
  }

  /** The socket is over. The handler is told when what was received has been handled. */
  #finish(code: number, reason: string): void {
    if (this.#state === CLOSED) return;
    this.#state = CLOSED;
    const { stats } = this.#transport;
    stats.webSocketsNow -= 1;
    if (this.#partial !== undefined) stats.webSocketInboundBytesNow -= this.#partial.filled;
    this.#partial = undefined;
    this.#owedPong = undefined;
    this.#forgetAssembly();
    this.#forgetTopics();
    this.#end = { code, reason };
    if ((this.#flags & DROPPING) !== 0) this.#forgetInbox();
    if (this.#inbox === undefined) this.#tellEnd();
  }

  #forgetAssembly(): void {
    this.#transport.stats.webSocketInboundBytesNow -= this.#assembly?.length ?? 0;
    this.#assembly = undefined;
  }

  #forgetInbox(): void {
    this.#transport.stats.webSocketInboundBytesNow -= this.#inbox?.bytes ?? 0;
    this.#inbox = undefined;
  }

  /** Tells the handler, once. */
  #tellEnd(): void {
    const end = this.#end;
    const { handlers } = this.#hub;
    const { close } = handlers;
    this.#end = undefined;
    if (end === undefined || close === undefined) return;
    const { promise } = this.#run(() => close.call(handlers, this, end.code, end.reason));
    promise?.then(undefined, (error: unknown) => this.#report(error));
  }

  ended(): void {
    if (this.#state === CLOSED) return;
    this.#transport.close(this.#slot);
    this.#finish(CLOSE_ABNORMAL, "");
  }

  drained(): void {
    this.#flags &= ~WANTS_DRAINED;
    if (this.#state !== OPEN) return;
    if (this.#owedPong !== undefined) this.#answerPing(this.#owedPong);
    const { handlers } = this.#hub;
    if (handlers.drain !== undefined) this.#contain(this.#run(() => handlers.drain?.(this)));
  }

  timedOut(): void {
    const { idleTimeoutMs } = this.#hub.limits;
    if (this.#state === OPEN && (this.#flags & PAUSED) !== 0) {
      // Its answers cannot be heard while we do not read.
      this.#transport.setTimeout(this.#slot, idleTimeoutMs);
      return;
    }
    if (this.#state === OPEN && (this.#flags & PINGED) === 0) {
      this.#flags |= PINGED;
      this.#sendFrame(OPCODE_PING, NO_BYTES);
      this.#transport.setTimeout(this.#slot, idleTimeoutMs);
      return;
    }
    if (this.#state === OPEN) this.#transport.stats.webSocketIdleTimeouts += 1;
    this.#transport.kill(this.#slot);
  }

  leave(): void {
    this.close(CLOSE_GOING_AWAY, "The server stops");
  }

  closed(_errno: number): void {
    this.#finish(CLOSE_ABNORMAL, "");
  }

  // --- topics

  get topics(): readonly string[] {
    return this.#topics === undefined ? [] : [...this.#topics];
  }

  subscribe(topic: string): boolean {
    checkTopic("subscribe", topic);
    if (this.#state !== OPEN) return false;
    const topics = (this.#topics ??= new Set());
    if (topics.has(topic)) return true;
    this.#hub.checkRoom(topics.size);
    topics.add(topic);
    this.#hub.topics.subscribe(topic, this);
    return true;
  }

  unsubscribe(topic: string): boolean {
    checkTopic("unsubscribe", topic);
    if (this.#topics?.delete(topic) !== true) return false;
    this.#hub.topics.unsubscribe(topic, this);
    if (this.#topics.size === 0) this.#topics = undefined;
    return true;
  }

  isSubscribed(topic: string): boolean {
    checkTopic("ask for a subscription", topic);
    return this.#topics?.has(topic) === true;
  }

  publish(topic: string, message: WebSocketMessage): PublishStatus {
    return this.#state === OPEN ? this.#hub.topics.publish(topic, message, this) : "closed";
  }

  deliver(frame: PublishedFrame): void {
    if (this.#state !== OPEN) return;
    const isSmall = frame.bytes.length <= WRITE_BLOCK_BYTES_MIN && this.#transport.queuedBytes(this.#slot) === 0;
    if (
      (isSmall || this.#mayQueue(frame.bytes.length)) &&
      this.#isQueued(sendPublished(this.#transport, this.#slot, frame))
    ) {
      this.#transport.stats.webSocketMessagesSent += 1;
      return;
    }
    this.#transport.stats.webSocketTopicMessagesDropped += 1;
    this.missed();
  }

  missed(): void {
    if (this.#state !== OPEN) return;
    const { slowConsumer } = this.#hub;
    if (slowConsumer === "drop") return this.#wantDrained();
    this.#transport.stats.webSocketSlowConsumers += 1;
    if (slowConsumer === "close") this.close(CLOSE_TRY_AGAIN, "Messages were missed");
    else this.#cut();
  }

  #forgetTopics(): void {
    const topics = this.#topics;
    if (topics === undefined) return;
    this.#topics = undefined;
    for (const topic of topics) this.#hub.topics.unsubscribe(topic, this);
  }

  // --- sending

  #drop(): SendStatus {
    this.#transport.stats.webSocketMessagesDropped += 1;
    this.#wantDrained();
    return "dropped";
  }

  /** Has `drained` called when something has changed: the peer has taken what waits, or, where nothing does, there may be room in the write pool. */
  #wantDrained(): void {
    if ((this.#flags & WANTS_DRAINED) !== 0) return;
    this.#flags |= WANTS_DRAINED;
    if (this.#transport.queuedBytes(this.#slot) > 0) this.#transport.requestDrained(this.#slot);
    else this.#transport.requestRoom(this.#slot);
  }

  #mayQueue(length: number): boolean {
    return this.#transport.mayQueue(this.#slot, length, this.#hub.limits.sendBytesMax);
  }

  #sendClose(code: number, reason: string): void {
    this.#sendFrame(OPCODE_CLOSE, closePayload(code, reason));
  }

  #sendText(text: string): boolean {
    if (text.length > WRITE_BLOCK_BYTES_MIN && !this.#hasRoomFor(Buffer.byteLength(text))) return false;
    return this.#isQueued(sendText(this.#transport, this.#slot, text));
  }

  #sendFrame(opcode: number, payload: Uint8Array): boolean {
    if (payload.length > WRITE_BLOCK_BYTES_MIN && !this.#hasRoomFor(payload.length)) return false;
    return this.#isQueued(sendFrame(this.#transport, this.#slot, opcode, payload));
  }

  /** Whether the whole of a frame finds room: the peer could make nothing of a part. */
  #hasRoomFor(payloadBytes: number): boolean {
    return this.#mayQueue(headerBytes(payloadBytes) + payloadBytes);
  }

  /** False when there was no room for a frame. One of more than one write block that finds none on its way cuts the connection. */
  #isQueued(outcome: FrameOutcome): boolean {
    if (outcome === FRAME.torn) this.#cut();
    return outcome === FRAME.queued;
  }
}

/** More than any header has: the second byte is not there. */
const HEADER_UNKNOWN = 2;

/** What a socket is made of. */
export interface WebSocketOptions {
  readonly hub: WebSocketHub;
  readonly transport: SocketTransport;
  readonly slot: number;
  readonly data: unknown;
  readonly protocol: string;
}
