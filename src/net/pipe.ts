/** A client's connection that is made anew when it is lost: the pull form of a push socket, with a bounded buffer. */
import { RingloomError } from "../errors.js";
import { Wait } from "../io/wait.js";
import { abortedWait, type WaitOptions } from "../task/wait-errors.js";
import { armWait, checkWait } from "../task/wait-limits.js";
import { type ConnectOptions, type ConnectTarget, codeOf, connect } from "./connect.js";
import { closedError } from "./connection.js";
import { connectionOf, type NetStream } from "./stream.js";

const DELAY_MS_DEFAULT = 100;
const DELAY_MS_MAX_DEFAULT = 5_000;

/**
 * How a pipe is made, and made anew. The limits (`signal`, `timeoutMs`) are those of each attempt, `onConnect` included. When the
 * signal is aborted, no more attempts are made: the connection that stands lives on, and behind it calls reject with `ERR_RINGLOOM_ABORTED`.
 * @experimental
 */
export interface PipeOptions extends ConnectOptions {
  /** Runs on each new connection before anybody else may use it: greets, logs in, subscribes anew. When it fails, the attempt has. */
  readonly onConnect?: ((stream: NetStream) => unknown) | undefined;
  /** Attempts in a row before the pipe is given up. Default: no end. */
  readonly attemptsMax?: number | undefined;
  /** How long the first new attempt waits, in milliseconds; each further one twice as long, with a random part. Default: 100. */
  readonly delayMs?: number | undefined;
  /** The longest that an attempt waits, in milliseconds. Default: 5,000. */
  readonly delayMsMax?: number | undefined;
}

/**
 * Connects a {@link Pipe}. Rejects when the first connection cannot be had; only a connection that stood is made anew.
 *
 * @throws what `connect` and `onConnect` throw.
 *
 * ```ts
 * import { openPipe } from "ringloom/net";
 *
 * const pipe = await openPipe(
 *   { host: "127.0.0.1", port: 6379 },
 *   { onConnect: (stream) => stream.writeAll("AUTH secret\r\n") },
 * );
 * await pipe.writeAll("PING\r\n");
 * console.log((await pipe.read())?.toString());
 * pipe.close();
 * ```
 * @experimental
 */
export async function openPipe(target: ConnectTarget, options: PipeOptions = {}): Promise<Pipe> {
  const {
    attemptsMax = Number.POSITIVE_INFINITY,
    delayMs = DELAY_MS_DEFAULT,
    delayMsMax = DELAY_MS_MAX_DEFAULT,
  } = options;
  if (!(attemptsMax >= 1))
    throw new RangeError(`Cannot open a pipe: an attemptsMax of ${attemptsMax} is not a number from 1 on`);
  if (!(delayMs >= 0) || !(delayMsMax >= delayMs))
    throw new RangeError(`Cannot open a pipe: the delays ${delayMs} and ${delayMsMax} ms are not in order`);
  const settings: Settings = { target, options, attemptsMax, delayMs, delayMsMax };
  return new Pipe(settings, await open(settings, options.signal));
}

interface Settings {
  readonly target: ConnectTarget;
  readonly options: PipeOptions;
  readonly attemptsMax: number;
  readonly delayMs: number;
  readonly delayMsMax: number;
}

async function open({ target, options }: Settings, signal: AbortSignal | undefined): Promise<NetStream> {
  const limits = { signal, timeoutMs: options.timeoutMs };
  checkWait("connect", limits);
  return await new Promise((resolve, reject) => {
    let given: NetStream | undefined;
    let error: unknown;
    const fail = (why: unknown): void => {
      error ??= why;
      given?.destroy();
      reject(error);
    };
    const endLimits = armWait(limits, "connect", fail);
    const attempt = async (): Promise<NetStream> => {
      given = await connect(target, { ...options, signal });
      if (error !== undefined) throw error;
      await options.onConnect?.(given);
      return given;
    };
    attempt()
      .then(resolve, fail)
      .finally(() => endLimits?.());
  });
}

/**
 * A connection that is made anew when it is lost. Calls that wait at that moment reject with what broke it, because a protocol has to know; later ones wait for the new connection.
 * Made by {@link openPipe}.
 * @experimental
 */
export class Pipe implements AsyncDisposable {
  /** Connections so far. A protocol that counts on state of the other side compares it. */
  connections = 1;
  readonly #settings: Settings;
  readonly #ending = new AbortController();
  /** Ends the attempts: the pipe's end, or the signal of its options. */
  readonly #signal: AbortSignal;
  /** The connection that stands. Without one, another is being made, or the pipe was given up with an error. */
  #stream: NetStream | undefined;
  #failure: unknown;
  /** The connection of which `read` has given bytes, and not the end. */
  #readFrom: NetStream | undefined;
  /** It has ended, and nobody has used the next one. */
  #isEndDue = false;
  readonly #waiting = new Set<Waiting>();

  /** @internal */
  constructor(settings: Settings, stream: NetStream) {
    this.#settings = settings;
    this.#stream = stream;
    const { signal } = settings.options;
    this.#signal = signal === undefined ? this.#ending.signal : AbortSignal.any([this.#ending.signal, signal]);
    this.#watch(stream);
  }

  /** Whether a connection stands. */
  get isConnected(): boolean {
    return this.#stream !== undefined && !this.#stream.isClosed;
  }

  /** Resolves with the stream of the connection that stands, when one does. For what a pipe has no method for; it is the pipe's to close. */
  async stream(options: WaitOptions = {}): Promise<NetStream> {
    const stream = this.#stream;
    // A peer that has ended answers nothing any more.
    if (stream?.isEnded === true) stream.close();
    else if (stream !== undefined && !stream.isClosed) return this.#used(stream);
    if (stream !== undefined) this.#lost(stream);
    this.#isEndDue = false;
    checkWait("wait for the connection", options);
    if (this.#ending.signal.aborted) throw closedError("wait for the connection");
    if (this.#failure !== undefined) throw this.#failure;
    return await new Promise((resolve, reject) => {
      const waiting: Waiting = { resolve, reject, endLimits: undefined };
      waiting.endLimits = armWait(options, "wait for the connection", (error) => {
        this.#waiting.delete(waiting);
        reject(error);
      });
      this.#waiting.add(waiting);
    });
  }

  /**
   * As `NetStream.read`. When the peer ends while it waits, or behind bytes that it has given, it resolves with undefined, once, and the pipe connects anew; unless another call has used the
   * new connection before: it is that call's answers that come then.
   */
  async read(options?: WaitOptions): Promise<Buffer | undefined> {
    const wait = new Wait("read", options);
    if (this.#stream?.isEnded === true) this.#leave(this.#stream);
    if (this.#isEndDue) {
      this.#isEndDue = false;
      return undefined;
    }
    const stream = await this.stream(wait.remaining());
    const bytes = await stream.read(wait.remaining());
    this.#readFrom = bytes === undefined ? undefined : stream;
    if (bytes === undefined) this.#isEndDue = false;
    return bytes;
  }

  /** As `NetStream.readExact`. When the peer has ended before so many bytes, what there is of them is lost with the connection. */
  async readExact(length: number, options?: WaitOptions): Promise<Buffer> {
    const wait = new Wait("read", options);
    const stream = await this.stream(wait.remaining());
    try {
      return await stream.readExact(length, wait.remaining());
    } catch (error) {
      if (codeOf(error) === "ERR_RINGLOOM_UNEXPECTED_END") {
        this.#readFrom = undefined;
        this.#leave(stream);
      }
      throw error;
    }
  }

  /** As `NetStream.writeAll`. */
  async writeAll(bytes: Uint8Array | string, options?: WaitOptions): Promise<void> {
    const wait = new Wait("write", options);
    const stream = await this.stream(wait.remaining());
    await stream.writeAll(bytes, wait.remaining());
  }

  /** Drops the connection with everything that is buffered, in both directions, and makes a new one at once. */
  async reset(options?: WaitOptions): Promise<void> {
    if (this.#ending.signal.aborted) throw closedError("reset");
    const stream = this.#stream;
    if (stream !== undefined) {
      this.#stream = undefined;
      stream.destroy(new RingloomError("ECONNRESET", "Cannot go on: the pipe was reset", { operation: "reset" }));
      this.#reconnect(0);
    }
    await this.stream(options);
  }

  /** Closes the connection behind what was written, and makes no other. Again it does nothing. */
  close(): void {
    if (this.#ending.signal.aborted) return;
    this.#ending.abort();
    this.#stream?.close();
  }

  /** {@link close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }

  /** When it is lost, another one is made. The peer's end is a loss, too: nothing will ever come again. */
  #watch(stream: NetStream): void {
    void stream.closed.then(() => this.#lost(stream));
    // What has come can still be read; the call behind it finds the end.
    connectionOf(stream).onPeerEnded(() => {
      if (stream.isEnded) stream.close();
    });
  }

  /** The peer has ended, and nobody will read what is left. */
  #leave(stream: NetStream): void {
    stream.close();
    this.#lost(stream);
  }

  /** Somebody has got the connection. */
  #used(stream: NetStream): NetStream {
    this.#isEndDue = false;
    return stream;
  }

  #lost(stream: NetStream): void {
    if (this.#stream !== stream) return;
    this.#stream = undefined;
    this.#isEndDue = connectionOf(stream).hasPeerEnded && this.#readFrom === stream;
    if (!this.#ending.signal.aborted) this.#reconnect(this.#settings.delayMs);
  }

  #reconnect(delayMs: number): void {
    this.#attempts(delayMs).then(
      (stream) => this.#settle(({ resolve }) => resolve(stream)),
      (error: unknown) => {
        this.#failure = error;
        this.#settle(({ reject }) => reject(error));
      },
    );
  }

  #settle(settle: (waiting: Waiting) => void): void {
    const all = [...this.#waiting];
    this.#waiting.clear();
    for (const waiting of all) {
      waiting.endLimits?.();
      settle(waiting);
    }
  }

  #givenUp(): RingloomError {
    if (this.#ending.signal.aborted) return closedError("connect");
    return abortedWait("connect", this.#signal.reason);
  }

  async #attempts(firstDelayMs: number): Promise<NetStream> {
    const { attemptsMax, delayMs, delayMsMax } = this.#settings;
    const signal = this.#signal;
    let wait = firstDelayMs;
    for (let attempt = 1; ; attempt++) {
      await pause(wait, signal);
      if (signal.aborted) throw this.#givenUp();
      try {
        const stream = await open(this.#settings, signal);
        if (signal.aborted) {
          stream.destroy();
          throw this.#givenUp();
        }
        this.#stream = stream;
        this.connections += 1;
        this.#watch(stream);
        return stream;
      } catch (error) {
        if (signal.aborted) throw this.#givenUp();
        if (attempt >= attemptsMax) throw givenUp(attempt, error);
        wait = Math.min(delayMsMax, delayMs * 2 ** Math.min(attempt, 30)) * (0.5 + Math.random() / 2);
      }
    }
  }
}

/** A call that waits for a connection. */
interface Waiting {
  readonly resolve: (stream: NetStream) => void;
  readonly reject: (error: unknown) => void;
  endLimits: (() => void) | undefined;
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted || ms === 0) return Promise.resolve();
  return new Promise((resolve) => {
    const timer = setTimeout(over, ms);
    function over(): void {
      clearTimeout(timer);
      signal.removeEventListener("abort", over);
      resolve();
    }
    signal.addEventListener("abort", over);
  });
}

function givenUp(attempts: number, cause: unknown): RingloomError {
  const code = codeOf(cause);
  return new RingloomError(code, `Cannot connect the pipe anew: ${attempts} attempts failed, the last with ${code}`, {
    operation: "connect",
    details: { attempts },
    cause,
  });
}
