/**
 * A Unix socket whose messages may carry descriptors, whatever driver the thread has: node:net has no words for it, and on a ring it would need receives of another kind for the few that want it.
 * libuv says when there is something to read, and only while somebody waits for it: what nobody asks for stays with the kernel, which holds the senders back.
 */
import { errnoError, RingloomError } from "../errors.js";
import { type NativeAddon, requireNative } from "../native.js";
import type { WaitOptions } from "../task/wait-errors.js";
import { armWait, checkWait } from "../task/wait-limits.js";
import { EAGAIN, EMSGSIZE, ENOBUFS, EPIPE, SHUT_WR } from "../uapi.js";
import { DESCRIPTORS_MAX, Messages } from "./message-header.js";
import { backpressure, PENDING_WRITES_MAX } from "./outbound.js";
import { OwnedDescriptor } from "./owned-descriptor.js";

/** Of receives in a row that find something at once, the last waits for libuv, so that everything else has its turn. */
const RECEIVES_PER_TURN_MAX = 64;
/** A send that finds no room is tried again after so long, then after twice as long, up to the second: nobody says when a receiver whose queue was full has room. */
const RETRY_MS_FIRST = 1;
const RETRY_MS_MAX = 16;

let messages: Messages | undefined;

/** What has come. */
export interface Received {
  readonly bytes: Buffer;
  readonly from: string | undefined;
  readonly descriptors: readonly OwnedDescriptor[];
}

/** What has come into memory of the caller. */
export interface ReceivedInto {
  readonly count: number;
  readonly from: string | undefined;
  /** None of a message that was cut off. */
  readonly descriptors: readonly OwnedDescriptor[];
  readonly isTruncated: boolean;
}

/** What is to be sent. */
export interface Sending {
  readonly bytes: Uint8Array;
  /** A sockaddr; undefined for the peer. Those with the same key leave in their order. */
  readonly to: ArrayBuffer | undefined;
  readonly key: string;
  readonly descriptors: readonly number[];
}

/** What the socket is made with. */
export interface MessageSocketOptions {
  /** Whether bytes follow each other without ends of messages. */
  readonly isStream: boolean;
  readonly bytesMax: number;
  readonly descriptorsMax: number;
}

interface Receiver {
  /** Takes what is there; undefined when nothing is. */
  readonly take: () => unknown;
  readonly resolve: (message: never) => void;
  readonly reject: (error: unknown) => void;
  endLimits: (() => void) | undefined;
}

interface PendingSend {
  readonly sending: Sending;
  sentBytes: number;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
  endLimits: (() => void) | undefined;
}

/** The two directions of one socket, which is its own from now on. */
export class MessageSocket {
  readonly #native: NativeAddon;
  readonly #messages: Messages;
  readonly #options: MessageSocketOptions;
  readonly #target: Uint8Array;
  readonly #watch: object;
  #socket: number;
  #receivers: Receiver[] = [];
  #receivesNow = 0;
  #sends: PendingSend[] = [];
  #retry: NodeJS.Timeout | undefined;
  #retryMs = RETRY_MS_FIRST;
  #isEnding = false;

  constructor(socket: number, options: MessageSocketOptions) {
    this.#native = requireNative();
    messages ??= new Messages(this.#native);
    this.#messages = messages;
    this.#options = options;
    this.#target = new Uint8Array(options.bytesMax);
    const watch = this.#native.watchDescriptor(socket, () => this.#readable());
    if (typeof watch === "number") throw errnoError("watch a socket", -watch);
    this.#watch = watch;
    this.#socket = socket;
  }

  get isClosed(): boolean {
    return this.#socket < 0;
  }

  /** The descriptor; -1 when it is closed. */
  get socket(): number {
    return this.#socket;
  }

  /** The next message; of a stream the next bytes, none of them at its end. */
  receive(options: WaitOptions | undefined): Promise<Received> {
    return this.#receive(() => this.tryReceive(), options);
  }

  /** As {@link receive}, into `target`: what is longer is cut off, and the message says so. */
  receiveInto(target: Uint8Array, options: WaitOptions | undefined): Promise<ReceivedInto> {
    return this.#receive(() => this.tryReceiveInto(target), options);
  }

  #receive<Message>(take: () => Message | undefined, options: WaitOptions | undefined): Promise<Message> {
    if (options !== undefined) checkWait("receive", options);
    this.#assertOpen("receive");
    if (this.#receivers.length === 0 && this.#receivesNow < RECEIVES_PER_TURN_MAX) {
      const message = take();
      this.#receivesNow += 1;
      if (message !== undefined) return Promise.resolve(message);
    }
    return new Promise((resolve, reject) => {
      const receiver: Receiver = { take, resolve, reject, endLimits: undefined };
      if (options !== undefined)
        receiver.endLimits = armWait(options, "receive", (error) => {
          this.#receivers = this.#receivers.filter((one) => one !== receiver);
          if (this.#receivers.length === 0) this.#native.armWatch(this.#watch, 0);
          reject(error);
        });
      this.#receivers.push(receiver);
      this.#native.armWatch(this.#watch, 1);
    });
  }

  /** What is there, or undefined. */
  tryReceive(): Received | undefined {
    const found = this.tryReceiveInto(this.#target);
    if (found === undefined) return undefined;
    const { count, from, descriptors, isTruncated } = found;
    if (isTruncated) throw truncated(this.#options, count);
    return { bytes: Buffer.from(this.#target.subarray(0, count)), from, descriptors };
  }

  /** What is there, in `target`, or undefined. Descriptors that came with a message that was cut off are closed. */
  tryReceiveInto(target: Uint8Array): ReceivedInto | undefined {
    this.#assertOpen("receive");
    const { count, from, descriptors, isTruncated } = this.#messages.receive(
      this.#socket,
      target,
      this.#options.descriptorsMax,
    );
    if (count === -EAGAIN) return undefined;
    if (count < 0) throw errnoError("receive", -count);
    const owned = descriptors.map((descriptor) => new OwnedDescriptor(descriptor));
    if (!isTruncated) return { count, from, descriptors: owned, isTruncated };
    for (const descriptor of owned) descriptor.close();
    return { count, from, descriptors: [], isTruncated };
  }

  /** Resolves when the kernel has the message. Its memory and its descriptors must stay until then. */
  send(sending: Sending, options: WaitOptions | undefined): Promise<void> {
    if (options !== undefined) checkWait("send", options);
    this.#assertOpen("send");
    checkSending(sending);
    if (this.#isEnding) throw errnoError("send", EPIPE);
    if (this.#sends.length >= PENDING_WRITES_MAX) throw backpressure(this.#sends.length);
    return new Promise((resolve, reject) => {
      const send: PendingSend = { sending, sentBytes: 0, resolve, reject, endLimits: undefined };
      const isBehind = this.#sends.some((one) => one.sending.key === sending.key);
      if (!isBehind && this.#try(send)) return;
      if (options !== undefined)
        send.endLimits = armWait(options, "send", (error) => {
          this.#sends = this.#sends.filter((one) => one !== send);
          reject(withCount(error, send));
          this.#endBehindSends();
        });
      this.#sends.push(send);
      this.#retryLater();
    });
  }

  /** Sends the end of the stream, behind what waits to be sent. */
  end(): void {
    this.#isEnding = true;
    this.#endBehindSends();
  }

  #endBehindSends(): void {
    const isDue = this.#isEnding && this.#sends.length === 0 && this.#socket >= 0;
    if (isDue) this.#native.shutdownSocket(this.#socket, SHUT_WR);
  }

  /** Closes the socket. Who waits gets `ERR_RINGLOOM_CLOSED`. */
  close(): void {
    if (this.#socket < 0) return;
    this.#native.endWatch(this.#watch);
    this.#native.closeDescriptor(this.#socket);
    this.#socket = -1;
    clearTimeout(this.#retry);
    const waiting = [...this.#receivers, ...this.#sends];
    this.#receivers = [];
    this.#sends = [];
    for (const { endLimits, reject } of waiting) {
      endLimits?.();
      reject(closed("wait"));
    }
  }

  #readable(): void {
    this.#receivesNow = 0;
    for (let receiver = this.#receivers[0]; receiver !== undefined; receiver = this.#receivers[0]) {
      if (this.#receivesNow >= RECEIVES_PER_TURN_MAX) break;
      this.#receivesNow += 1;
      let message: unknown;
      let error: unknown;
      try {
        message = receiver.take();
        if (message === undefined) break;
      } catch (cause) {
        error = cause;
      }
      this.#receivers.shift();
      receiver.endLimits?.();
      if (message === undefined) receiver.reject(error);
      else receiver.resolve(message as never);
    }
    this.#receivesNow = 0;
    if (this.#receivers.length > 0) this.#native.armWatch(this.#watch, 1);
  }

  /** Whether the send has ended, well or not. */
  #try(send: PendingSend): boolean {
    const { bytes, to, descriptors } = send.sending;
    const rest = send.sentBytes === 0 ? bytes : bytes.subarray(send.sentBytes);
    // Descriptors go with the first byte.
    const result = this.#messages.send(this.#socket, rest, to, send.sentBytes === 0 ? descriptors : []);
    if (result === -EAGAIN || result === -ENOBUFS) return false;
    if (result >= 0) send.sentBytes += result;
    if (result >= 0 && this.#options.isStream && send.sentBytes < bytes.length) return this.#try(send);
    send.endLimits?.();
    if (result >= 0) send.resolve();
    else send.reject(withCount(errnoError("send", -result), send));
    return true;
  }

  #retryLater(): void {
    this.#retry ??= setTimeout(() => {
      this.#retry = undefined;
      const full = new Set<string>();
      const before = this.#sends.length;
      this.#sends = this.#sends.filter((send) => {
        if (!full.has(send.sending.key) && this.#try(send)) return false;
        full.add(send.sending.key);
        return true;
      });
      this.#retryMs = this.#sends.length < before ? RETRY_MS_FIRST : Math.min(RETRY_MS_MAX, this.#retryMs * 2);
      if (this.#sends.length > 0) this.#retryLater();
      else this.#endBehindSends();
    }, this.#retryMs);
  }

  #assertOpen(operation: string): void {
    if (this.#socket < 0) throw closed(operation);
  }
}

function checkSending({ bytes, descriptors }: Sending): void {
  if (!(bytes instanceof Uint8Array)) throw new TypeError("Cannot send: the bytes are not a Uint8Array");
  if (descriptors.length > DESCRIPTORS_MAX)
    throw new RangeError(`Cannot send: ${descriptors.length} descriptors are more than ${DESCRIPTORS_MAX}`);
}

function truncated({ bytesMax, descriptorsMax }: MessageSocketOptions, bytes: number): RingloomError {
  return errnoError("receive", EMSGSIZE, { bytes, bytesMax, descriptorsMax });
}

function withCount(error: RingloomError, { sentBytes, sending }: PendingSend): RingloomError {
  if (sentBytes === 0) return error;
  const { code, message, cause } = error;
  const details = { ...error.details, writtenBytes: sentBytes, bytes: sending.bytes.length };
  return new RingloomError(code, message, { operation: "send", cause, details });
}

/** The error of a call on a socket that is closed. */
export function closed(operation: string): RingloomError {
  return new RingloomError("ERR_RINGLOOM_CLOSED", `Cannot ${operation}: the socket is closed`, { operation });
}
