/**
 * Unix streams whose bytes come with descriptors: what other programs (supervisors, compositors, proxies) speak. The streams of `connect` and `listen` cannot do that, because a driver receives without asking
 * for descriptors, and the kernel then closes what was sent.
 */
import { setTimeout } from "node:timers/promises";
import { checkSocketPath } from "../driver/arguments.js";
import { errnoError } from "../errors.js";
import { checkNative, requireNative } from "../native.js";
import type { WaitOptions } from "../task/wait-errors.js";
import { armWait, checkWait } from "../task/wait-limits.js";
import { AF_UNIX, EAGAIN, SOCK_STREAM } from "../uapi.js";
import { MessageSocket } from "./message-socket.js";
import type { OwnedDescriptor } from "./owned-descriptor.js";
import { type MessageSendOptions, messageLimits, numbersOf } from "./unix-datagram.js";

/** How often a connect finds the listener's queue full before it looks again, in milliseconds. */
const RETRY_MS = 5;

/**
 * What a stream with descriptors is made with.
 * @experimental
 */
export interface DescriptorStreamOptions {
  /** Bytes that one `recv` gives at most. Default: 65,536. */
  readonly bytesMax?: number | undefined;
  /** The most descriptors that one `recv` may bring, 0 to 253. Default: 16. */
  readonly descriptorsMax?: number | undefined;
}

/**
 * Connects to a Unix socket, to exchange bytes and descriptors.
 *
 * @throws RingloomError the kernel's code (`ENOENT`, `ECONNREFUSED`), `ERR_RINGLOOM_DRIVER_UNAVAILABLE` without the addon, `ERR_RINGLOOM_TIMEOUT`, `ERR_RINGLOOM_ABORTED`.
 *
 * ```ts
 * import { adoptStream, connectDescriptorStream } from "ringloom/net";
 *
 * const broker = await connectDescriptorStream("/run/broker.sock", { timeoutMs: 1_000 });
 * await broker.send("a connection, please");
 * const answer = await broker.recv();
 * for (const descriptor of answer?.descriptors ?? []) adoptStream(descriptor).close();
 * broker.close();
 * ```
 * @experimental
 */
export async function connectDescriptorStream(
  path: string,
  options: DescriptorStreamOptions & WaitOptions = {},
): Promise<DescriptorStream> {
  checkSocketPath("connect", path);
  checkWait("connect", options);
  const limits = messageLimits("connect", options);
  const native = requireNative();
  const address = checkNative<ArrayBuffer>(native.socketAddress(path, -1), "connect", { path });
  const descriptor = checkNative<number>(native.openSocket(AF_UNIX, SOCK_STREAM), "connect");
  let socket: MessageSocket;
  try {
    socket = new MessageSocket(descriptor, { isStream: true, ...limits });
  } catch (error) {
    native.closeDescriptor(descriptor);
    throw error;
  }
  let failure: Error | undefined;
  const endLimits = armWait(options, "connect", (error) => {
    failure = error;
  });
  try {
    // The watch has made it non-blocking, so a full queue is EAGAIN.
    for (;;) {
      const result = native.nameSocket(descriptor, address, 1);
      if (result >= 0) return new DescriptorStream(socket);
      if (result !== -EAGAIN) throw errnoError("connect", -result, { path });
      await setTimeout(RETRY_MS);
      if (failure !== undefined) throw failure;
    }
  } catch (error) {
    socket.close();
    throw error;
  } finally {
    endLimits?.();
  }
}

/**
 * Makes a stream with descriptors of a connected Unix socket's descriptor: one that the parent process has left open, or that `listenDescriptors` and `NetStream.release` gave. It is the stream's from then on.
 *
 * @throws RingloomError the kernel's code for a descriptor that cannot be watched, `ERR_RINGLOOM_DRIVER_UNAVAILABLE` without the addon; a RangeError for options that are none. The descriptor is still the caller's then.
 *
 * ```ts
 * import { adoptDescriptorStream } from "ringloom/net";
 *
 * const parent = adoptDescriptorStream(3);
 * const message = await parent.recv();
 * ```
 * @experimental
 */
export function adoptDescriptorStream(
  descriptor: number | OwnedDescriptor,
  options: DescriptorStreamOptions = {},
): DescriptorStream {
  const limits = messageLimits("adopt", options);
  const isOwned = typeof descriptor !== "number";
  const socket = new MessageSocket(isOwned ? descriptor.number : descriptor, { isStream: true, ...limits });
  if (isOwned) descriptor.take();
  return new DescriptorStream(socket);
}

/**
 * Bytes that came, and what came with them.
 * @experimental
 */
export interface DescriptorMessage {
  readonly bytes: Buffer;
  /** The receiver's to take or to close. They came with the first of these bytes. */
  readonly descriptors: readonly OwnedDescriptor[];
}

/**
 * A connected Unix stream whose bytes may come with descriptors. Made by {@link connectDescriptorStream} and {@link adoptDescriptorStream}.
 * @experimental
 */
export class DescriptorStream implements AsyncIterable<DescriptorMessage>, AsyncDisposable {
  readonly #socket: MessageSocket;
  #hasEnded = false;

  /** @internal */
  constructor(socket: MessageSocket) {
    this.#socket = socket;
  }

  /**
   * Resolves when the kernel has all bytes; the descriptors go with the first one. Neither may change until then. A call that is given up says in `details.writtenBytes` how far it came.
   *
   * @throws RingloomError `EPIPE`, `EBADF` for a descriptor that is none, `ERR_RINGLOOM_BACKPRESSURE`, `ERR_RINGLOOM_CLOSED`, `ERR_RINGLOOM_TIMEOUT`, `ERR_RINGLOOM_ABORTED`; a TypeError for descriptors without a byte.
   */
  async send(bytes: Uint8Array | string, options: MessageSendOptions = {}): Promise<void> {
    const encoded = typeof bytes === "string" ? Buffer.from(bytes) : bytes;
    const descriptors = numbersOf(options.descriptors);
    if (encoded.length === 0 && descriptors.length > 0)
      throw new TypeError("Cannot send: descriptors need a byte to go with");
    await this.#socket.send({ bytes: encoded, to: undefined, key: "", descriptors }, options);
  }

  /**
   * The next bytes and their descriptors; undefined at the end. The kernel does not put bytes of two sends together where the second has descriptors.
   *
   * @throws RingloomError `EMSGSIZE` when more than `descriptorsMax` descriptors came: the bytes are lost, and the descriptors closed. `ECONNRESET`, `ERR_RINGLOOM_CLOSED`, `ERR_RINGLOOM_TIMEOUT`, `ERR_RINGLOOM_ABORTED`.
   */
  async recv(options?: WaitOptions): Promise<DescriptorMessage | undefined> {
    if (this.#hasEnded) return undefined;
    const { bytes, descriptors } = await this.#socket.receive(options);
    if (bytes.length === 0) this.#hasEnded = true;
    return this.#hasEnded ? undefined : { bytes, descriptors };
  }

  /** What comes, until the end. */
  async *[Symbol.asyncIterator](): AsyncGenerator<DescriptorMessage, void, undefined> {
    for (let message = await this.recv(); message !== undefined; message = await this.recv()) yield message;
  }

  /** Sends the end of this direction, behind what waits to be sent. Later calls of `send` reject with `EPIPE`. */
  end(): void {
    this.#socket.end();
  }

  /** Whether it was closed. */
  get isClosed(): boolean {
    return this.#socket.isClosed;
  }

  /** Closes the socket. Calls that wait reject with `ERR_RINGLOOM_CLOSED`. Again it does nothing. */
  close(): void {
    this.#socket.close();
  }

  /** {@link close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }
}
