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
  CLOSE_NORMAL,
  CLOSE_REASON_BYTES_MAX,
  CLOSE_TRY_AGAIN,
  isSendableCloseCode,
} from "./close-code.js";
import { closePayload, readClosePayload } from "./close-frame.js";
import type { Inflated } from "./deflate.js";
import type { DeflateAgreement } from "./deflate-agreement.js";
import { CONTROL_BYTES_MAX, headerBytes, OPCODE_BINARY, OPCODE_CLOSE, OPCODE_PING, OPCODE_PONG } from "./frame.js";
import { FrameReader } from "./frame-reader.js";
import { type HandlerOutcome, runHandler, type WebSocketHub } from "./hub.js";
import { kept, type Payload, viewOf } from "./payload.js";
import type { PublishedFrame } from "./published-frame.js";
import { FRAME, type FrameOutcome, sendFrame, sendPublished, sendText } from "./sending.js";
import { DeflatedMessage, type SendingSocket, type SocketDeflate } from "./socket-deflate.js";
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
/** What a client's frame has besides. */
const MASK_BYTES = 4;
/** What a message that waits costs beside its payload, roughly: empty ones must not be free. */
const WAITING_BYTES = 128;

/** What a socket with a busy handler has besides. */
interface Inbox {
  running: number;
  bytes: number;
  /** A message is being inflated, to which the next one may refer. It counts as running. */
  isInflating: boolean;
  readonly waiting: Fifo<WebSocketMessage | DeflatedMessage>;
}

/** A {@link WebSocket} on a connection of the server's, or a {@link ClientWebSocket} on one of its own. */
export class FrameSocket extends FrameReader implements WebSocket, UpgradedConnection, Subscriber, SendingSocket {
  data: unknown;
  readonly protocol: string;
  readonly #slot: number;
  #state = OPEN;
  #flags = 0;
  #inbox: Inbox | undefined = undefined;
  /** How it ended, while messages are still being handled. */
  #end: { readonly code: number; readonly reason: string } | undefined = undefined;
  #topics: Set<string> | undefined = undefined;
  /** The answer to the last ping, for which there was no room. */
  #owedPong: Uint8Array | undefined = undefined;
  readonly #deflate: SocketDeflate | undefined;

  constructor(options: WebSocketOptions) {
    super(options.hub, options.transport);
    this.#slot = options.slot;
    this.data = options.data;
    this.protocol = options.protocol;
    this.#deflate = options.deflate === undefined ? undefined : options.hub.openDeflate(options.deflate, this);
  }

  override get isOpen(): boolean {
    return this.#state === OPEN;
  }

  get queuedBytes(): number {
    if (this.#state === CLOSED) return 0;
    return this.transport.queuedBytes(this.#slot) + (this.#deflate?.waitingBytes ?? 0);
  }

  get remoteAddress(): string | undefined {
    return this.#state === CLOSED ? undefined : this.transport.remoteAddress(this.#slot);
  }

  send(message: WebSocketMessage): SendStatus {
    if (this.#state !== OPEN) return "closed";
    if (typeof message !== "string" && !(message instanceof Uint8Array))
      throw new TypeError("Cannot send: a message is a string or a Uint8Array");
    const isSent = this.#deflate === undefined ? this.#sendPlain(message) : this.#deflate.send(message) !== "refused";
    if (!isSent) return this.#state === OPEN ? this.#drop() : "closed";
    this.transport.stats.webSocketMessagesSent += 1;
    // When nothing waits to be compressed any more, drain is told.
    if (this.#deflate?.isWaiting === true) return "backpressure";
    if (this.transport.queuedBytes(this.#slot) <= WRITE_BLOCK_BYTES_MAX) return "sent";
    this.#wantDrained();
    return "backpressure";
  }

  #sendPlain(message: WebSocketMessage): boolean {
    if (!this.#mayQueueBehind(message.length)) return false;
    return typeof message === "string" ? this.#sendText(message) : this.#sendFrame(OPCODE_BINARY, message);
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
    this.forgetMessage();
    this.#forgetTopics();
    const payload = closePayload(code, reason);
    const { closeTimeoutMs, idleTimeoutMs } = this.hub.limits;
    const isBehind = this.#deflate?.closeBehind(payload) === true;
    if (!isBehind) this.#sendFrame(OPCODE_CLOSE, payload);
    // The peer cannot answer what still waits to be compressed.
    this.transport.setTimeout(this.#slot, isBehind ? Math.max(closeTimeoutMs, idleTimeoutMs) : closeTimeoutMs);
    // What a paused peer has sent is read again: its close frame is among it.
    this.#resume();
  }

  terminate(): void {
    if (this.#state !== CLOSED) this.#cut();
  }

  /** The handshake has been answered. */
  opened(): void {
    const hub = this.hub;
    this.transport.stats.webSocketsOpened += 1;
    this.transport.stats.webSocketsNow += 1;
    this.transport.setTimeout(this.#slot, hub.limits.idleTimeoutMs);
    const { open } = hub.handlers;
    if (open === undefined) return;
    this.#follow(this.#run(() => open.call(hub.handlers, this)));
  }

  // --- receiving

  received(bytes: Buffer, view: DataView, start: number, end: number): void {
    if (this.#state === OPEN) {
      this.#flags &= ~PINGED;
      this.transport.setTimeout(this.#slot, this.hub.limits.idleTimeoutMs);
    }
    this.readFrames(bytes, view, start, end);
  }

  protected override get hasDeflate(): boolean {
    return this.#deflate !== undefined;
  }

  protected override get isReading(): boolean {
    return this.#state !== CLOSED && (this.#flags & DEAF) === 0;
  }

  protected override payloadArrived(isText: boolean, payload: Payload): void {
    const { bytes, view, start, length } = payload;
    const message = isText ? textOf(bytes, view ?? viewOf(bytes), start, length) : kept(payload);
    if (message === undefined) this.fail(CLOSE_INVALID_PAYLOAD, "Text is not UTF-8");
    else this.arrived(message);
  }

  /** A message that is the program's. */
  protected override arrived(message: WebSocketMessage): void {
    this.transport.stats.webSocketMessagesReceived += 1;
    const inbox = this.#inbox;
    if (inbox === undefined || (this.#mayBegin(inbox) && inbox.waiting.length === 0)) this.#handle(message);
    else this.#enqueue(inbox, message);
  }

  /** Whether one more message may be handled. */
  #mayBegin(inbox: Inbox): boolean {
    return inbox.running < this.hub.limits.concurrency && !inbox.isInflating;
  }

  protected override deflatedArrived(isText: boolean, payload: Buffer): void {
    const message = new DeflatedMessage(isText, payload);
    const inbox = this.#inbox;
    if (inbox === undefined || (this.#mayBegin(inbox) && inbox.waiting.length === 0)) this.#inflate(message);
    else this.#enqueue(inbox, message);
  }

  #inflate(message: DeflatedMessage): void {
    const bytesMax = this.hub.limits.messageBytesMax;
    const inflated = this.#deflate?.inflateNow(message.payload, bytesMax);
    if (inflated !== undefined) return this.#inflated(message.isText, inflated);
    const inbox = this.#openInbox();
    inbox.running += 1;
    inbox.isInflating = true;
    void this.#deflate?.inflateLater(message.payload, bytesMax).then((later) => {
      inbox.isInflating = false;
      if (this.#inbox === inbox && (this.#flags & DROPPING) === 0) this.#inflated(message.isText, later);
      this.#settled(inbox);
    });
  }

  #inflated(isText: boolean, inflated: Inflated): void {
    const message =
      isText && typeof inflated !== "string" ? textOf(inflated, viewOf(inflated), 0, inflated.length) : inflated;
    if (message !== undefined && typeof inflated !== "string") {
      this.transport.stats.webSocketMessagesReceived += 1;
      this.#handle(message);
      return;
    }
    // What comes behind it may refer to it, and what it says nobody knows.
    this.#flags |= DROPPING;
    if (inflated === "tooLarge") this.failTooLarge();
    else
      this.fail(CLOSE_INVALID_PAYLOAD, inflated === "invalid" ? "A message cannot be inflated" : "Text is not UTF-8");
  }

  #enqueue(inbox: Inbox, message: WebSocketMessage | DeflatedMessage): void {
    const { stats } = this.transport;
    const { limits } = this.hub;
    const bytes = message.length + WAITING_BYTES;
    inbox.waiting.push(message);
    inbox.bytes += bytes;
    stats.webSocketInboundBytesNow += bytes;
    if (stats.webSocketInboundBytesNow > limits.inboundBytesTotalMax) {
      this.fail(CLOSE_TRY_AGAIN, "The server is busy");
    } else if (inbox.bytes > limits.inboundBytesMax && (this.#flags & PAUSED) === 0) {
      this.#flags |= PAUSED;
      this.transport.pause(this.#slot);
    }
  }

  #handle(message: WebSocketMessage): void {
    const { handlers } = this.hub;
    if (handlers.message === undefined) return;
    this.#follow(this.#run(() => handlers.message?.(this, message)));
  }

  /** What becomes of a handler that was run: a failure closes the socket, a promise holds the next messages back. */
  #follow({ isFailed, promise }: HandlerOutcome): void {
    if (isFailed) this.fail(CLOSE_INTERNAL_ERROR, "");
    if (promise === undefined) return;
    const inbox = this.#openInbox();
    inbox.running += 1;
    promise.then(
      () => this.#settled(inbox),
      (error: unknown) => {
        this.#report(error);
        this.fail(CLOSE_INTERNAL_ERROR, "");
        this.#settled(inbox);
      },
    );
  }

  #openInbox(): Inbox {
    return (this.#inbox ??= { running: 0, bytes: 0, isInflating: false, waiting: new Fifo() });
  }

  #run(handler: () => unknown): HandlerOutcome {
    return runHandler(handler, (error) => this.#report(error));
  }

  #report(error: unknown): void {
    this.transport.stats.handlerErrors += 1;
    this.transport.report(error);
  }

  #settled(inbox: Inbox): void {
    inbox.running -= 1;
    // A handler that was running when the rest was given up.
    if (this.#inbox !== inbox) return;
    const { stats } = this.transport;
    const { limits } = this.hub;
    while ((this.#flags & DROPPING) === 0 && this.#mayBegin(inbox)) {
      const message = inbox.waiting.shift();
      if (message === undefined) break;
      const bytes = message.length + WAITING_BYTES;
      inbox.bytes -= bytes;
      stats.webSocketInboundBytesNow -= bytes;
      if (message instanceof DeflatedMessage) this.#inflate(message);
      else this.#handle(message);
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
    this.transport.resume(this.#slot);
  }

  // --- control frames and the end

  protected override controlArrived(opcode: number, bytes: Buffer, start: number, length: number): void {
    if (opcode === OPCODE_CLOSE) {
      this.#closeReceived(bytes, start, length);
      return;
    }
    const { handlers } = this.hub;
    const payload = length === 0 ? NO_BYTES : Buffer.from(bytes.subarray(start, start + length));
    if (opcode === OPCODE_PING && this.#state === OPEN) this.#answerPing(payload);
    const handler = opcode === OPCODE_PING ? handlers.ping : handlers.pong;
    if (handler !== undefined) this.#contain(this.#run(() => handler.call(handlers, this, payload)));
  }

  /** A peer that pings and does not read gets the answer to its last ping when there is room (RFC 6455, section 5.5.3). */
  #answerPing(payload: Uint8Array): void {
    const hasRoom = this.transport.queuedBytes(this.#slot) <= this.hub.limits.sendBytesMax;
    this.#owedPong = hasRoom && this.#sendFrame(OPCODE_PONG, payload) ? undefined : payload;
    if (this.#owedPong !== undefined) this.#wantDrained();
  }

  /** A handler that nothing waits for: its failure closes the socket all the same. */
  #contain({ isFailed, promise }: HandlerOutcome): void {
    if (isFailed) this.fail(CLOSE_INTERNAL_ERROR, "");
    promise?.then(undefined, (error: unknown) => {
      this.#report(error);
      this.fail(CLOSE_INTERNAL_ERROR, "");
    });
  }

  #closeReceived(bytes: Buffer, start: number, length: number): void {
    this.#flags |= DEAF;
    const { code, reason, isValid } = readClosePayload(bytes, start, length);
    if (!isValid) {
      this.fail(code, reason);
      return;
    }
    // Who began it has sent a close frame already; else this is the answer (RFC 6455, section 5.5.1).
    if (this.#owesClose) this.#sendClose(code, "");
    this.transport.close(this.#slot);
    this.#finish(code, reason);
  }

  /** Whether the peer has been sent no close frame. */
  get #owesClose(): boolean {
    return this.#state === OPEN || this.#deflate?.closePayload !== undefined;
  }

  /** Closes because of the peer, a handler or a limit: what went wrong is in the close frame. */
  protected override fail(code: number, reason: string): void {
    if (code === CLOSE_INTERNAL_ERROR) this.#flags |= DROPPING;
    if (this.#state === CLOSED) return;
    if (code !== CLOSE_INTERNAL_ERROR) this.transport.stats.webSocketViolations += 1;
    if (this.#owesClose) this.#sendClose(code, reason);
    this.transport.close(this.#slot);
    this.#finish(code, reason);
  }

  /** Cuts the connection under the socket. Who is told of the end is told when it is gone. */
  #cut(): void {
    this.#state = CLOSING;
    this.#flags |= DEAF | DROPPING;
    this.#deflate?.clear();
    this.#forgetTopics();
    this.transport.kill(this.#slot);
  }

  /** The socket is over. The handler is told when what was received has been handled. */
  #finish(code: number, reason: string): void {
    if (this.#state === CLOSED) return;
    this.#state = CLOSED;
    const { stats } = this.transport;
    stats.webSocketsNow -= 1;
    this.forgetFrames();
    this.#owedPong = undefined;
    this.#forgetTopics();
    if (this.#deflate !== undefined) this.hub.closeDeflate(this.#deflate);
    this.#end = { code, reason };
    if ((this.#flags & DROPPING) !== 0) this.#forgetInbox();
    if (this.#inbox === undefined) this.#tellEnd();
  }

  #forgetInbox(): void {
    this.transport.stats.webSocketInboundBytesNow -= this.#inbox?.bytes ?? 0;
    this.#inbox = undefined;
  }

  /** Tells the handler, once. */
  #tellEnd(): void {
    const end = this.#end;
    const { handlers } = this.hub;
    const { close } = handlers;
    this.#end = undefined;
    if (end === undefined || close === undefined) return;
    const { promise } = this.#run(() => close.call(handlers, this, end.code, end.reason));
    promise?.then(undefined, (error: unknown) => this.#report(error));
  }

  ended(): void {
    if (this.#state === CLOSED) return;
    this.transport.close(this.#slot);
    this.#finish(CLOSE_ABNORMAL, "");
  }

  drained(): void {
    this.#flags &= ~WANTS_DRAINED;
    if (this.#state === OPEN && this.#owedPong !== undefined) this.#answerPing(this.#owedPong);
    if (this.#deflate?.isWaiting === true) return this.#deflate.proceed();
    if (this.#state !== OPEN) return;
    const { handlers } = this.hub;
    if (handlers.drain !== undefined) this.#contain(this.#run(() => handlers.drain?.(this)));
  }

  timedOut(): void {
    const { idleTimeoutMs } = this.hub.limits;
    if (this.#state === OPEN && (this.#flags & PAUSED) !== 0) {
      // Its answers cannot be heard while we do not read.
      this.transport.setTimeout(this.#slot, idleTimeoutMs);
      return;
    }
    if (this.#state === OPEN && (this.#flags & PINGED) === 0) {
      this.#flags |= PINGED;
      this.#sendFrame(OPCODE_PING, NO_BYTES);
      this.transport.setTimeout(this.#slot, idleTimeoutMs);
      return;
    }
    if (this.#state === OPEN) this.transport.stats.webSocketIdleTimeouts += 1;
    this.transport.kill(this.#slot);
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
    this.hub.checkRoom(topics.size);
    topics.add(topic);
    this.hub.topics.subscribe(topic, this);
    return true;
  }

  unsubscribe(topic: string): boolean {
    checkTopic("unsubscribe", topic);
    if (this.#topics?.delete(topic) !== true) return false;
    this.hub.topics.unsubscribe(topic, this);
    if (this.#topics.size === 0) this.#topics = undefined;
    return true;
  }

  isSubscribed(topic: string): boolean {
    checkTopic("ask for a subscription", topic);
    return this.#topics?.has(topic) === true;
  }

  publish(topic: string, message: WebSocketMessage): PublishStatus {
    return this.#state === OPEN ? this.hub.topics.publish(topic, message, this) : "closed";
  }

  deliver(frame: PublishedFrame): void {
    if (this.#state !== OPEN) return;
    if (this.#deflate === undefined ? this.queuePublished(frame) : this.#deflate.deliver(frame)) {
      this.transport.stats.webSocketMessagesSent += 1;
      return;
    }
    this.transport.stats.webSocketTopicMessagesDropped += 1;
    this.missed();
  }

  queuePublished(frame: PublishedFrame): boolean {
    const isSmall = frame.bytes.length <= WRITE_BLOCK_BYTES_MIN && this.transport.queuedBytes(this.#slot) === 0;
    if (!isSmall && !this.#mayQueue(frame.bytes.length)) return false;
    return this.#isQueued(sendPublished(this.transport, this.#slot, frame));
  }

  missed(): void {
    if (this.#state !== OPEN) return;
    const { slowConsumer } = this.hub;
    if (slowConsumer === "drop") return this.#wantDrained();
    this.transport.stats.webSocketSlowConsumers += 1;
    if (slowConsumer === "close") this.close(CLOSE_TRY_AGAIN, "Messages were missed");
    else this.#cut();
  }

  #forgetTopics(): void {
    const topics = this.#topics;
    if (topics === undefined) return;
    this.#topics = undefined;
    for (const topic of topics) this.hub.topics.unsubscribe(topic, this);
  }

  // --- sending

  queueFrame(first: number, payload: Uint8Array): boolean {
    return this.#mayQueueBehind(payload.length) && this.#sendFrame(first, payload);
  }

  hasRoom(bytes: number): boolean {
    const waiting = this.#deflate?.waitingBytes ?? 0;
    return (
      (waiting === 0 || this.queuedBytes + bytes <= this.hub.limits.sendBytesMax) && this.#mayQueue(waiting + bytes)
    );
  }

  awaitRoom(): void {
    this.#wantDrained();
  }

  outboxEmptied(closePayload: Uint8Array | undefined): void {
    if (closePayload === undefined) return this.#wantDrained();
    this.#sendFrame(OPCODE_CLOSE, closePayload);
    this.transport.setTimeout(this.#slot, this.hub.limits.closeTimeoutMs);
  }

  #drop(): SendStatus {
    this.transport.stats.webSocketMessagesDropped += 1;
    this.#wantDrained();
    return "dropped";
  }

  /** Has `drained` called when something has changed: the peer has taken what waits, or, where nothing does, there may be room in the write pool. */
  #wantDrained(): void {
    if ((this.#flags & WANTS_DRAINED) !== 0) return;
    this.#flags |= WANTS_DRAINED;
    if (this.transport.queuedBytes(this.#slot) > 0) this.transport.requestDrained(this.#slot);
    else this.transport.requestRoom(this.#slot);
  }

  #mayQueue(length: number): boolean {
    return this.transport.mayQueue(this.#slot, length, this.hub.limits.sendBytesMax);
  }

  /** Whether so many bytes may join what waits; the first ones find out for themselves. */
  #mayQueueBehind(length: number): boolean {
    return this.transport.queuedBytes(this.#slot) === 0 || this.#mayQueue(length);
  }

  #sendClose(code: number, reason: string): void {
    this.#sendFrame(OPCODE_CLOSE, closePayload(code, reason));
  }

  #sendText(text: string): boolean {
    if (text.length > WRITE_BLOCK_BYTES_MIN && !this.#hasRoomFor(Buffer.byteLength(text))) return false;
    return this.#isQueued(sendText(this.transport, this.#slot, text));
  }

  #sendFrame(opcode: number, payload: Uint8Array): boolean {
    if (payload.length > WRITE_BLOCK_BYTES_MIN && !this.#hasRoomFor(payload.length)) return false;
    return this.#isQueued(sendFrame(this.transport, this.#slot, opcode, payload));
  }

  /** Whether the whole of a frame finds room: the peer could make nothing of a part. */
  #hasRoomFor(payloadBytes: number): boolean {
    const maskBytes = this.transport.isClient ? MASK_BYTES : 0;
    return this.#mayQueue(headerBytes(payloadBytes) + maskBytes + payloadBytes);
  }

  /** False when there was no room for a frame. One of more than one write block that finds none on its way cuts the connection. */
  #isQueued(outcome: FrameOutcome): boolean {
    if (outcome === FRAME.torn) this.#cut();
    return outcome === FRAME.queued;
  }
}

/** What a socket is made of. */
export interface WebSocketOptions {
  readonly hub: WebSocketHub;
  readonly transport: SocketTransport;
  readonly slot: number;
  readonly data: unknown;
  readonly protocol: string;
  /** What was agreed on for compression; undefined is none. */
  readonly deflate?: DeflateAgreement | undefined;
}
