/** Unix datagram sockets: whole messages, in order and without loss, between processes of one machine; with descriptors if need be. */
import { chmodSync, fchmodSync } from "node:fs";
import { checkSocketPath } from "../driver/arguments.js";
import { removeSocketFile, type SocketFile, socketFile } from "../driver/unix-path.js";
import { checkNative, type NativeAddon, requireNative } from "../native.js";
import type { WaitOptions } from "../task/wait-errors.js";
import { AF_UNIX, EADDRINUSE, ECONNREFUSED, SOCK_DGRAM } from "../uapi.js";
import { DESCRIPTORS_MAX } from "./message-header.js";
import { closed, MessageSocket, type ReceivedInto } from "./message-socket.js";
import { OwnedDescriptor } from "./owned-descriptor.js";
import { checkBuffers } from "./target-buffers.js";

const BYTES_MAX_DEFAULT = 64 * 1024;
const BYTES_MAX = 64 * 1024 * 1024;
const DESCRIPTORS_DEFAULT = 16;
const MODE_MAX = 0o777;

/**
 * A message that came.
 * @experimental
 */
export interface UnixDatagram {
  readonly bytes: Buffer;
  /** Where the sender is bound; undefined when it is nowhere, and cannot be answered. */
  readonly from: string | undefined;
  /** The receiver's to take or to close. */
  readonly descriptors: readonly OwnedDescriptor[];
}

/**
 * A message that came into a buffer of the caller.
 * @experimental
 */
export interface UnixDatagramInto {
  /** How much of the buffer it has filled, in bytes. */
  readonly length: number;
  readonly from: string | undefined;
  /** The receiver's to take or to close; none of a message that was cut off. */
  readonly descriptors: readonly OwnedDescriptor[];
  /** It was longer than the buffer, or had more descriptors than may be: the rest is lost. */
  readonly isTruncated: boolean;
}

/**
 * How a Unix datagram socket is made.
 * @experimental
 */
export interface UnixDatagramOptions {
  /** Where it is to be reached: the path of a file, or behind a first character of code 0 an abstract name. Default: nowhere, it can only send. */
  readonly path?: string | undefined;
  /** Who may send to it: the mode of its file, from the first moment on. Default: what the process's umask leaves. */
  readonly mode?: number | undefined;
  /** The largest message that it receives, in bytes. Default: 65,536. */
  readonly bytesMax?: number | undefined;
  /** The most descriptors that one message may bring, 0 to 253. Default: 16. */
  readonly descriptorsMax?: number | undefined;
}

/**
 * What is sent with a message, and for how long.
 * @experimental
 */
export interface MessageSendOptions extends WaitOptions {
  /** Descriptors that the receiver gets copies of. They stay the sender's to close. */
  readonly descriptors?: readonly (number | OwnedDescriptor)[] | undefined;
}

/**
 * Makes a Unix datagram socket (Linux with the addon, on every driver). A file that a dead process has left at the path is replaced.
 *
 * @throws RingloomError the kernel's code (`EADDRINUSE`, `EACCES`), `ERR_RINGLOOM_DRIVER_UNAVAILABLE` without the addon; a TypeError or RangeError for options that are none.
 *
 * ```ts run
 * import { openSync } from "node:fs";
 * import { bindUnixDatagram } from "ringloom/net";
 *
 * const server = await bindUnixDatagram({ path: `\0example-${process.pid}` });
 * const client = await bindUnixDatagram();
 * const file = openSync("/dev/null", "r");
 * await client.send("take this", { to: `\0example-${process.pid}`, descriptors: [file] });
 * const { bytes, descriptors } = await server.recv();
 * console.log(bytes.toString(), descriptors.length); // take this 1
 * for (const descriptor of descriptors) descriptor.close();
 * client.close();
 * server.close();
 * ```
 * @experimental
 */
export async function bindUnixDatagram(options: UnixDatagramOptions = {}): Promise<UnixDatagramSocket> {
  const { path, mode } = options;
  const limits = messageLimits("bind", options);
  if (path !== undefined) checkSocketPath("bind", path);
  if (mode !== undefined && (!Number.isInteger(mode) || mode < 0 || mode > MODE_MAX))
    throw new RangeError(`Cannot bind: a mode of ${mode} is not between 0 and 0o777`);
  if (mode !== undefined && (path === undefined || path.startsWith("\0")))
    throw new TypeError("Cannot bind: only a socket that has a file has a mode");
  const native = requireNative();
  const socket = checkNative<number>(native.openSocket(AF_UNIX, SOCK_DGRAM), "bind");
  try {
    if (path !== undefined) bindTo(native, socket, path, mode);
    const file = path === undefined ? undefined : socketFile(path);
    return new UnixDatagramSocket(new MessageSocket(socket, { isStream: false, ...limits }), path, file);
  } catch (error) {
    native.closeDescriptor(socket);
    throw error;
  }
}

/** Checks the bounds of what is received. Throws a RangeError. */
export function messageLimits(
  operation: string,
  { bytesMax = BYTES_MAX_DEFAULT, descriptorsMax = DESCRIPTORS_DEFAULT }: UnixDatagramOptions,
): { readonly bytesMax: number; readonly descriptorsMax: number } {
  if (!Number.isInteger(bytesMax) || bytesMax < 1 || bytesMax > BYTES_MAX)
    throw new RangeError(`Cannot ${operation}: a bytesMax of ${bytesMax} is not between 1 and ${BYTES_MAX}`);
  if (!Number.isInteger(descriptorsMax) || descriptorsMax < 0 || descriptorsMax > DESCRIPTORS_MAX)
    throw new RangeError(
      `Cannot ${operation}: a descriptorsMax of ${descriptorsMax} is not between 0 and ${DESCRIPTORS_MAX}`,
    );
  return { bytesMax, descriptorsMax };
}

/** The numbers of what is to be sent. Throws a TypeError for what is none, `ERR_RINGLOOM_CLOSED` for one that was taken. */
export function numbersOf(descriptors: readonly (number | OwnedDescriptor)[] = []): number[] {
  return descriptors.map((descriptor) => {
    if (descriptor instanceof OwnedDescriptor) return descriptor.number;
    if (Number.isInteger(descriptor) && descriptor >= 0) return descriptor;
    throw new TypeError(`Cannot send: ${String(descriptor)} is no descriptor`);
  });
}

function bindTo(native: NativeAddon, socket: number, path: string, mode: number | undefined): void {
  const address = checkNative<ArrayBuffer>(native.socketAddress(path, -1), "bind", { path });
  // The kernel makes the file with the mode that the socket has, less the umask: too few rights for a moment, never too many.
  if (mode !== undefined) fchmodSync(socket, mode);
  let result = native.nameSocket(socket, address, 0);
  if (result === -EADDRINUSE && removeIfDead(native, path, address)) result = native.nameSocket(socket, address, 0);
  checkNative(result, "bind", { path });
  if (mode !== undefined) chmodSync(path, mode);
}

/** Removes the file of a socket that nobody has open any more. */
function removeIfDead(native: NativeAddon, path: string, address: ArrayBuffer): boolean {
  const file = socketFile(path);
  const probe = native.openSocket(AF_UNIX, SOCK_DGRAM);
  if (probe < 0) return false;
  const isDead = file !== undefined && native.nameSocket(probe, address, 1) === -ECONNREFUSED;
  native.closeDescriptor(probe);
  if (isDead) removeSocketFile(file);
  return isDead;
}

/**
 * A Unix datagram socket of this thread. Made by {@link bindUnixDatagram}.
 *
 * What nobody receives stays with the kernel, which holds up to `net.unix.max_dgram_qlen` messages and lets senders wait: nothing is dropped.
 * @experimental
 */
export class UnixDatagramSocket implements AsyncIterable<UnixDatagram>, AsyncDisposable {
  /** Where it is bound. */
  readonly path: string | undefined;
  readonly #socket: MessageSocket;
  readonly #file: SocketFile | undefined;
  readonly #addresses = new Map<string, ArrayBuffer>();
  #isConnected = false;
  /** Why a message behind others of a batch was refused: the next receive says so. */
  #refusal: unknown;

  /** @internal */
  constructor(socket: MessageSocket, path: string | undefined, file: SocketFile | undefined) {
    this.#socket = socket;
    this.path = path;
    this.#file = file;
  }

  /**
   * Resolves when the receiver's queue has the message; waits while that is full, a thousand sends at most. `bytes` must not change until then. Without `to` it goes to the peer of {@link connect}.
   *
   * @throws RingloomError `ENOENT` and `ECONNREFUSED` when nobody is there, `EMSGSIZE`, `EBADF` for a descriptor that is none, `ERR_RINGLOOM_BACKPRESSURE`, `ERR_RINGLOOM_CLOSED`, `ERR_RINGLOOM_TIMEOUT`, `ERR_RINGLOOM_ABORTED`.
   */
  async send(
    bytes: Uint8Array | string,
    options: MessageSendOptions & { readonly to?: string | undefined } = {},
  ): Promise<void> {
    const { to } = options;
    if (to === undefined && !this.#isConnected) throw new TypeError("Cannot send: nobody to send to was named");
    const sending = {
      bytes: typeof bytes === "string" ? Buffer.from(bytes) : bytes,
      to: to === undefined ? undefined : this.#addressOf(to),
      key: to ?? "",
      descriptors: numbersOf(options.descriptors),
    };
    await this.#socket.send(sending, options);
  }

  /**
   * The next message. Several callers are served in their order.
   *
   * @throws RingloomError `EMSGSIZE` in place of a message that was longer than `bytesMax` or had more than `descriptorsMax` descriptors: it is lost, and what came of it is closed.
   * `ERR_RINGLOOM_CLOSED`, `ERR_RINGLOOM_TIMEOUT`, `ERR_RINGLOOM_ABORTED`.
   */
  async recv(options?: WaitOptions): Promise<UnixDatagram> {
    this.#throwRefusal();
    return await this.#socket.receive(options);
  }

  /** A message that waits, or undefined. Throws as {@link recv}. */
  tryRecv(): UnixDatagram | undefined {
    this.#throwRefusal();
    return this.#socket.tryReceive();
  }

  /** Up to `countMax` messages: waits for the first, and takes what else has come. One that is refused ends the batch: as the first it rejects the call, as {@link recv} does, and behind others the next call. */
  async recvMany(countMax: number, options?: WaitOptions): Promise<UnixDatagram[]> {
    if (!(countMax >= 1)) throw new RangeError(`Cannot receive: ${countMax} is not a number of messages`);
    const messages = [await this.recv(options)];
    try {
      while (messages.length < countMax && !this.#socket.isClosed) {
        const message = this.#socket.tryReceive();
        if (message === undefined) break;
        messages.push(message);
      }
    } catch (error) {
      this.#refusal = error;
    }
    return messages;
  }

  /**
   * As many messages as there are buffers, each in one, without memory of its own: waits for the first, and takes what else has come. What is longer than its buffer is cut off and says so. The buffers are the call's until it settles.
   *
   * @throws RingloomError `ERR_RINGLOOM_CLOSED`, `ERR_RINGLOOM_TIMEOUT`, `ERR_RINGLOOM_ABORTED`; a TypeError or RangeError for buffers that are none.
   */
  async recvManyInto(buffers: readonly Uint8Array[], options?: WaitOptions): Promise<UnixDatagramInto[]> {
    const first = checkBuffers(buffers);
    this.#throwRefusal();
    const messages = [intoOf(await this.#socket.receiveInto(first, options))];
    for (const buffer of buffers.slice(1)) {
      const message = this.#socket.isClosed ? undefined : this.#socket.tryReceiveInto(buffer);
      if (message === undefined) break;
      messages.push(intoOf(message));
    }
    return messages;
  }

  /** The messages that come, until the socket is closed. */
  async *[Symbol.asyncIterator](): AsyncGenerator<UnixDatagram, void, undefined> {
    for (;;) {
      let message: UnixDatagram;
      try {
        message = await this.recv();
      } catch (error) {
        if (this.#socket.isClosed) return;
        throw error;
      }
      yield message;
    }
  }

  /** From now on `send` without `to` goes there, and only what comes from there is received. Throws the kernel's code, `EPERM` for one that is connected to somebody else. */
  connect(path: string): void {
    if (this.#socket.isClosed) throw closed("connect");
    const native = requireNative();
    checkNative(native.nameSocket(this.#socket.socket, this.#addressOf(path), 1), "connect", { path });
    this.#isConnected = true;
  }

  /** Closes the socket and removes its file. Calls that wait reject with `ERR_RINGLOOM_CLOSED`; what nobody has received is lost. Again it does nothing. */
  close(): void {
    if (this.#socket.isClosed) return;
    if (this.#file !== undefined) removeSocketFile(this.#file);
    this.#socket.close();
  }

  /** {@link close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }

  #throwRefusal(): void {
    const refusal = this.#refusal;
    this.#refusal = undefined;
    if (refusal !== undefined) throw refusal;
  }

  /** Most sockets send to one path or to few. */
  #addressOf(path: string): ArrayBuffer {
    const known = this.#addresses.get(path);
    if (known !== undefined) return known;
    checkSocketPath("send", path);
    const address = checkNative<ArrayBuffer>(requireNative().socketAddress(path, -1), "send", { path });
    if (this.#addresses.size >= ADDRESSES_MAX) this.#addresses.clear();
    this.#addresses.set(path, address);
    return address;
  }
}

/** Addresses that one socket remembers. */
const ADDRESSES_MAX = 64;

function intoOf({ count, from, descriptors, isTruncated }: ReceivedInto): UnixDatagramInto {
  return { length: count, from, descriptors, isTruncated };
}
