/**
 * UDP sockets. On every driver they are Node's own (`node:dgram`): datagrams need no stream of completions, and one implementation behaves the same everywhere. What is added is the
 * pull form, bounds, limits of calls and typed errors.
 */
import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import { isIP } from "node:net";
import { errnoError, RingloomError } from "../errors.js";
import type { WaitOptions } from "../task/wait-errors.js";
import { armWait, checkWait } from "../task/wait-limits.js";
import { checkBuffers } from "./target-buffers.js";

const WAITING_MAX_DEFAULT = 1_024;
/** Sends of one socket that may be under way. */
const SENDING_MAX = 1_024;

/**
 * An end of UDP traffic.
 * @experimental
 */
export interface UdpAddress {
  readonly host: string;
  readonly port: number;
}

/**
 * A datagram that came.
 * @experimental
 */
export interface Datagram {
  readonly bytes: Buffer;
  readonly from: UdpAddress;
}

/**
 * A datagram that came into a buffer of the caller.
 * @experimental
 */
export interface DatagramInto {
  /** How much of the buffer it has filled, in bytes. */
  readonly length: number;
  readonly from: UdpAddress;
  /** It was longer than the buffer: the rest is lost. */
  readonly isTruncated: boolean;
}

/**
 * How a UDP socket is made.
 * @experimental
 */
export interface UdpOptions {
  /** The IP address to bind. Default: `127.0.0.1`. */
  readonly host?: string | undefined;
  /** The port to bind; 0 lets the system choose. Default: 0. */
  readonly port?: number | undefined;
  /** Datagrams that may wait for `recv()`; what comes beyond them is dropped and counted. Default: 1,024. */
  readonly waitingMax?: number | undefined;
  /** Whether other sockets may bind the same address, as receivers of a multicast group do. Default: false. */
  readonly reuseAddress?: boolean | undefined;
  /** The size of the kernel's receive buffer, in bytes. Default: the system's. */
  readonly receiveBufferBytes?: number | undefined;
}

/**
 * Makes a UDP socket.
 *
 * @throws RingloomError the kernel's code (`EADDRINUSE`); a TypeError or RangeError for options that are none.
 *
 * ```ts run
 * import { bindUdp } from "ringloom/net";
 *
 * const server = await bindUdp();
 * const client = await bindUdp();
 * await client.send("ping", server.address);
 * const { bytes, from } = await server.recv();
 * console.log(bytes.toString(), from.port === client.address.port); // ping true
 * client.close();
 * server.close();
 * ```
 * @experimental
 */
export async function bindUdp(options: UdpOptions = {}): Promise<UdpSocket> {
  const { host = "127.0.0.1", port = 0, waitingMax = WAITING_MAX_DEFAULT, reuseAddress = false } = options;
  const family = isIP(host);
  if (family === 0) throw new TypeError(`Cannot bind: ${JSON.stringify(host)} is not an IP address`);
  if (!Number.isInteger(port) || port < 0 || port > 65_535)
    throw new RangeError(`Cannot bind: port ${port} is not between 0 and 65535`);
  if (!Number.isSafeInteger(waitingMax) || waitingMax < 1)
    throw new RangeError(`Cannot bind: a waitingMax of ${waitingMax} is not a number from 1 on`);
  const recvBufferSize = options.receiveBufferBytes;
  const socket = createSocket({
    type: family === 6 ? "udp6" : "udp4",
    reuseAddr: reuseAddress,
    ...(recvBufferSize === undefined ? {} : { recvBufferSize }),
  });
  try {
    await settled("bind", { host, port }, socket, (done) => socket.bind({ port, address: host }, () => done()));
  } catch (error) {
    socket.close();
    throw error;
  }
  return new UdpSocket(socket, waitingMax);
}

interface Receiver {
  readonly resolve: (datagram: Datagram) => void;
  readonly reject: (error: unknown) => void;
  endLimits: (() => void) | undefined;
}

/**
 * A UDP socket of this thread. Made by {@link bindUdp}.
 * @experimental
 */
export class UdpSocket implements AsyncIterable<Datagram>, AsyncDisposable {
  /** Datagrams that were dropped because as many waited as may. */
  dropped = 0;
  /** Where it is bound. */
  readonly address: UdpAddress;
  readonly #socket: Socket;
  readonly #waitingMax: number;
  #waiting: Datagram[] = [];
  #receivers: Receiver[] = [];
  #sendingNow = 0;
  #waitingToSend: (() => void)[] = [];
  /** Gives up the calls that Node has not answered. */
  readonly #unanswered = new Set<() => void>();
  #peer: UdpAddress | undefined;
  #error: Error | undefined;
  /** What the network has said while nobody received. */
  #networkError: Error | undefined;

  /** @internal */
  constructor(socket: Socket, waitingMax: number) {
    this.#socket = socket;
    this.#waitingMax = waitingMax;
    const { address, port } = socket.address();
    this.address = { host: address, port };
    socket.on("message", (bytes, from) => this.#received(bytes, from));
    // What a connected socket hears from the network, such as ECONNREFUSED, belongs to whoever receives next.
    socket.on("error", (error) => this.#failed(error));
  }

  /**
   * Resolves when the kernel has the datagram; whether it arrives nobody knows. Without `to` it goes to the peer of {@link connect}.
   *
   * @throws RingloomError `ERR_RINGLOOM_BACKPRESSURE` when 1,024 sends are under way (`sendMany` waits for them), `EMSGSIZE`, `ERR_RINGLOOM_CLOSED`. A TypeError for a host that is no IP address.
   */
  async send(bytes: Uint8Array | string, to?: UdpAddress): Promise<void> {
    this.#assertOpen("send");
    if (to === undefined && this.#peer === undefined) throw new TypeError("Cannot send: nobody to send to was named");
    if (to !== undefined) checkAddress("send", to);
    if (this.#sendingNow >= SENDING_MAX)
      throw new RingloomError("ERR_RINGLOOM_BACKPRESSURE", `Cannot send: ${SENDING_MAX} sends are under way`, {
        operation: "send",
      });
    this.#sendingNow += 1;
    try {
      const sending = new Promise<void>((resolve, reject) => {
        const done = (error: Error | null): void =>
          error === null || error === undefined ? resolve() : reject(typed("send", error, to ?? this.#peer));
        if (to === undefined) this.#socket.send(bytes, done);
        else this.#socket.send(bytes, to.port, to.host, done);
      });
      await this.#unlessClosed("send", sending);
    } finally {
      this.#sendingNow -= 1;
      const waiting = this.#waitingToSend;
      this.#waitingToSend = [];
      for (const goOn of waiting) goOn();
    }
  }

  #sendEnded(): Promise<void> {
    return new Promise((resolve) => this.#waitingToSend.push(resolve));
  }

  /** Sends several datagrams, as many at once as may be under way; resolves when the kernel has all of them. @throws as {@link send}. */
  async sendMany(pieces: readonly (Uint8Array | string)[], to?: UdpAddress): Promise<void> {
    for (let at = 0; at < pieces.length; ) {
      while (this.#sendingNow >= SENDING_MAX) await this.#sendEnded();
      const end = at + SENDING_MAX - this.#sendingNow;
      await Promise.all(pieces.slice(at, end).map((bytes) => this.send(bytes, to)));
      at = end;
    }
  }

  /**
   * The next datagram. Several callers are served in their order.
   *
   * @throws RingloomError `ERR_RINGLOOM_CLOSED`, `ERR_RINGLOOM_TIMEOUT`, `ERR_RINGLOOM_ABORTED`; on a connected socket the network's (`ECONNREFUSED`).
   */
  async recv(options?: WaitOptions): Promise<Datagram> {
    if (options !== undefined) checkWait("receive", options);
    const datagram = this.tryRecv();
    if (datagram !== undefined) return datagram;
    this.#assertOpen("receive");
    const networkError = this.#networkError;
    this.#networkError = undefined;
    if (networkError !== undefined) throw networkError;
    return await new Promise((resolve, reject) => {
      const receiver: Receiver = { resolve, reject, endLimits: undefined };
      if (options !== undefined)
        receiver.endLimits = armWait(options, "receive", (error) => {
          this.#receivers = this.#receivers.filter((one) => one !== receiver);
          reject(error);
        });
      this.#receivers.push(receiver);
    });
  }

  /** A datagram that waits, or undefined. */
  tryRecv(): Datagram | undefined {
    return this.#waiting.shift();
  }

  /** Up to `countMax` datagrams: waits for the first, and takes what else has come. */
  async recvMany(countMax: number, options?: WaitOptions): Promise<Datagram[]> {
    if (!(countMax >= 1)) throw new RangeError(`Cannot receive: ${countMax} is not a number of datagrams`);
    return [await this.recv(options), ...this.#waiting.splice(0, countMax - 1)];
  }

  /**
   * As many datagrams as there are buffers, each in one: waits for the first, and takes what else has come. What is longer than its buffer is cut off and says so. (Underneath, `node:dgram` makes memory for each datagram all the same.)
   *
   * @throws as {@link recv}; a TypeError or RangeError for buffers that are none.
   */
  async recvManyInto(buffers: readonly Uint8Array[], options?: WaitOptions): Promise<DatagramInto[]> {
    checkBuffers(buffers);
    const datagrams = await this.recvMany(buffers.length, options);
    return datagrams.map(({ bytes, from }, index) => {
      const length = bytes.copy(buffers[index]!);
      return { length, from, isTruncated: length < bytes.length };
    });
  }

  /** The datagrams that come, until the socket is closed. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Datagram, void, undefined> {
    for (;;) {
      let datagram: Datagram;
      try {
        datagram = await this.recv();
      } catch (error) {
        if (this.#error !== undefined) return;
        throw error;
      }
      yield datagram;
    }
  }

  /** From now on `send` without an address goes there, and only what comes from there is received. */
  async connect(to: UdpAddress): Promise<void> {
    this.#assertOpen("connect");
    checkAddress("connect", to);
    if (this.#peer !== undefined) this.#socket.disconnect();
    this.#peer = undefined;
    const connecting = settled("connect", { ...to }, this.#socket, (done) =>
      this.#socket.connect(to.port, to.host, done),
    );
    await this.#unlessClosed("connect", connecting);
    this.#peer = to;
  }

  /** Receives what is sent to a multicast group, on the interface with this address. Default: the system's choice. */
  joinGroup(group: string, interfaceAddress?: string): void {
    this.#assertOpen("join a group");
    attempt("join a group", { group }, () => this.#socket.addMembership(group, interfaceAddress));
  }

  /** Ends {@link joinGroup}. */
  leaveGroup(group: string, interfaceAddress?: string): void {
    this.#assertOpen("leave a group");
    attempt("leave a group", { group }, () => this.#socket.dropMembership(group, interfaceAddress));
  }

  /** Whether broadcasts may be sent; how many hops multicasts go, and whether this machine gets its own; from which interface they leave. */
  configure(options: {
    readonly broadcast?: boolean;
    readonly multicastHops?: number;
    readonly multicastLoopback?: boolean;
    readonly multicastInterface?: string;
  }): this {
    this.#assertOpen("configure");
    const { broadcast, multicastHops, multicastLoopback, multicastInterface } = options;
    attempt("configure", options, () => {
      if (broadcast !== undefined) this.#socket.setBroadcast(broadcast);
      if (multicastHops !== undefined) this.#socket.setMulticastTTL(multicastHops);
      if (multicastLoopback !== undefined) this.#socket.setMulticastLoopback(multicastLoopback);
      if (multicastInterface !== undefined) this.#socket.setMulticastInterface(multicastInterface);
    });
    return this;
  }

  /** Closes the socket. Who waits is told so; what waits can still be taken with `tryRecv`. Again it does nothing. */
  close(): void {
    if (this.#error !== undefined) return;
    this.#error = closed("receive");
    this.#socket.close();
    for (const giveUp of this.#unanswered) giveUp();
    const receivers = this.#receivers;
    this.#receivers = [];
    for (const { endLimits, reject } of receivers) {
      endLimits?.();
      reject(this.#error);
    }
  }

  /** {@link close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }

  #received(bytes: Buffer, { address, port }: RemoteInfo): void {
    const datagram = { bytes, from: { host: address, port } };
    const receiver = this.#receivers.shift();
    if (receiver !== undefined) {
      receiver.endLimits?.();
      receiver.resolve(datagram);
    } else if (this.#waiting.length < this.#waitingMax) {
      this.#waiting.push(datagram);
    } else {
      this.dropped += 1;
    }
  }

  #failed(error: Error): void {
    const known = typed("receive", error, this.#peer);
    const receiver = this.#receivers.shift();
    // As the kernel does, it keeps one.
    if (receiver === undefined) this.#networkError = known;
    receiver?.endLimits?.();
    receiver?.reject(known);
  }

  /** Node forgets whom to call back when the socket is closed. */
  #unlessClosed(operation: string, answer: Promise<void>): Promise<void> {
    return new Promise((resolve, reject) => {
      const giveUp = (): void => reject(closed(operation));
      this.#unanswered.add(giveUp);
      answer.then(resolve, reject).finally(() => this.#unanswered.delete(giveUp));
    });
  }

  #assertOpen(operation: string): void {
    if (this.#error !== undefined) throw closed(operation);
  }
}

function checkAddress(operation: string, { host, port }: UdpAddress): void {
  if (isIP(host) === 0) throw new TypeError(`Cannot ${operation}: ${JSON.stringify(host)} is not an IP address`);
  if (!Number.isInteger(port) || port < 1 || port > 65_535)
    throw new RangeError(`Cannot ${operation}: port ${port} is not between 1 and 65535`);
}

/** Resolves when Node calls back without an error; rejects with that, or with what its `error` event says first. */
function settled(
  operation: string,
  details: Readonly<Record<string, unknown>>,
  socket: Socket,
  begin: (done: (error?: Error | null) => void) => void,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const failed = (error: Error): void => reject(typed(operation, error, details));
    socket.once("error", failed);
    begin((error) => {
      socket.removeListener("error", failed);
      if (error === undefined || error === null) resolve();
      else failed(error);
    });
  });
}

function attempt(operation: string, details: Readonly<Record<string, unknown>>, work: () => void): void {
  try {
    work();
  } catch (error) {
    throw typed(operation, error, details);
  }
}

/** Node's error as ours, with the same code. */
function typed(operation: string, cause: unknown, details: object | undefined): Error {
  const { errno, code } = cause as NodeJS.ErrnoException;
  if (typeof errno === "number") return errnoError(operation, Math.abs(errno), { ...details });
  if (typeof code === "string" && !code.startsWith("ERR_INVALID"))
    return new RingloomError(code, `Cannot ${operation}: ${(cause as Error).message}`, { operation, cause });
  return cause as Error;
}

function closed(operation: string): RingloomError {
  return new RingloomError("ERR_RINGLOOM_CLOSED", `Cannot ${operation}: the socket is closed`, { operation });
}
