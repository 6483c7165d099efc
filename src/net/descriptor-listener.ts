/** Listening for Unix streams with descriptors. */

import { checkSocketPath } from "../driver/arguments.js";
import { listenAtPath } from "../driver/unix-listen.js";
import { removeSocketFile, type SocketFile } from "../driver/unix-path.js";
import { errnoError } from "../errors.js";
import { checkNative, type NativeAddon, type NativeAddress, requireNative } from "../native.js";
import type { WaitOptions } from "../task/wait-errors.js";
import { armWait, checkWait } from "../task/wait-limits.js";
import { EAGAIN } from "../uapi.js";
import { adoptDescriptorStream, type DescriptorStream, type DescriptorStreamOptions } from "./descriptor-stream.js";
import { checkMode } from "./listener.js";
import { closed } from "./message-socket.js";
import { messageLimits } from "./unix-datagram.js";

const BACKLOG_DEFAULT = 511;
/** Out of descriptors, accepting rests so long, in milliseconds. */
const REST_MS = 50;

/**
 * How to listen. The bounds are those of each stream.
 * @experimental
 */
export interface DescriptorListenOptions extends DescriptorStreamOptions {
  /** Connections that the kernel lets wait. Default: 511. */
  readonly backlog?: number | undefined;
  /** Who may connect: the mode of the socket's file, from the first moment on. Default: what the process's umask leaves. */
  readonly mode?: number | undefined;
}

/**
 * Listens at the path of a Unix socket for streams with descriptors. What nobody accepts waits with the kernel.
 *
 * @throws RingloomError the kernel's code (`EADDRINUSE`, `EACCES`), `ERR_RINGLOOM_DRIVER_UNAVAILABLE` without the addon; a TypeError or RangeError for options that are none.
 *
 * ```ts run
 * import { adoptStream, connect, connectDescriptorStream, listen, listenDescriptors } from "ringloom/net";
 *
 * const path = `\0broker-${process.pid}`;
 * const broker = await listenDescriptors(path);
 * const front = await listen({ port: 0 });
 * const [client, taker] = await Promise.all([connect({ port: front.port }), connectDescriptorStream(path)]);
 *
 * // The one that accepts passes the connection on; the one that takes it answers. They could be two processes.
 * const accepted = await front.accept();
 * const given = await accepted.release();
 * const line = await broker.accept();
 * await line.send("one", { descriptors: [given] });
 * given.close();
 *
 * const message = await taker.recv();
 * const stream = adoptStream(message!.descriptors[0]!);
 * await stream.writeAll("hello");
 * console.log((await client.readExact(5)).toString()); // hello
 * for (const end of [client, stream, line, taker]) end.close();
 * broker.close();
 * await front.close();
 * ```
 * @experimental
 */
export async function listenDescriptors(
  path: string,
  options: DescriptorListenOptions = {},
): Promise<DescriptorListener> {
  checkSocketPath("listen", path);
  checkMode({ path }, options.mode);
  messageLimits("listen", options);
  const native = requireNative();
  const { mode, backlog = BACKLOG_DEFAULT } = options;
  const { result: socket, file } = await listenAtPath(
    { path, mode },
    {
      listen: (place) => openAt(native, place, path, backlog),
      undo: (descriptor) => native.closeDescriptor(descriptor),
    },
  );
  const watch = native.watchDescriptor(socket, () => listener.acceptWaiting());
  if (typeof watch === "number") {
    native.closeDescriptor(socket);
    throw errnoError("listen", -watch, { path });
  }
  const listener = new DescriptorListener(socket, { watch, options, file });
  return listener;
}

function openAt(native: NativeAddon, place: string, path: string, backlog: number): number {
  const opened = native.listenSocket(place, -1, backlog, 0);
  return checkNative<NativeAddress & { readonly fd: number }>(opened, "listen", { path }).fd;
}

interface Accepter {
  readonly resolve: (stream: DescriptorStream) => void;
  readonly reject: (error: unknown) => void;
  endLimits: (() => void) | undefined;
}

/**
 * A listening Unix socket whose streams may bring descriptors. Made by {@link listenDescriptors}.
 * @experimental
 */
export class DescriptorListener implements AsyncIterable<DescriptorStream>, AsyncDisposable {
  readonly #native = requireNative();
  readonly #watch: object;
  readonly #options: DescriptorStreamOptions;
  readonly #file: SocketFile | undefined;
  #socket: number;
  #accepters: Accepter[] = [];
  #rest: NodeJS.Timeout | undefined;

  /** @internal */
  constructor(
    socket: number,
    parts: {
      readonly watch: object;
      readonly options: DescriptorStreamOptions;
      readonly file: SocketFile | undefined;
    },
  ) {
    this.#socket = socket;
    this.#watch = parts.watch;
    this.#options = parts.options;
    this.#file = parts.file;
  }

  /**
   * The next connection. Several callers are served in their order.
   * @throws RingloomError `ERR_RINGLOOM_CLOSED`, `ERR_RINGLOOM_TIMEOUT`, `ERR_RINGLOOM_ABORTED`.
   */
  async accept(options?: WaitOptions): Promise<DescriptorStream> {
    if (options !== undefined) checkWait("accept", options);
    if (this.#socket < 0) throw closed("accept");
    return await new Promise((resolve, reject) => {
      const accepter: Accepter = { resolve, reject, endLimits: undefined };
      if (options !== undefined)
        accepter.endLimits = armWait(options, "accept", (error) => {
          this.#accepters = this.#accepters.filter((one) => one !== accepter);
          if (this.#accepters.length === 0) this.#native.armWatch(this.#watch, 0);
          reject(error);
        });
      this.#accepters.push(accepter);
      this.#native.armWatch(this.#watch, 1);
    });
  }

  /** The connections that come, until the listener is closed. */
  async *[Symbol.asyncIterator](): AsyncGenerator<DescriptorStream, void, undefined> {
    for (;;) {
      let stream: DescriptorStream;
      try {
        stream = await this.accept();
      } catch (error) {
        if (this.#socket < 0) return;
        throw error;
      }
      yield stream;
    }
  }

  /** Listens no more, and removes its file. Calls that wait reject with `ERR_RINGLOOM_CLOSED`. Again it does nothing. */
  close(): void {
    if (this.#socket < 0) return;
    if (this.#file !== undefined) removeSocketFile(this.#file);
    clearTimeout(this.#rest);
    this.#native.endWatch(this.#watch);
    this.#native.closeDescriptor(this.#socket);
    this.#socket = -1;
    const accepters = this.#accepters;
    this.#accepters = [];
    for (const { endLimits, reject } of accepters) {
      endLimits?.();
      reject(closed("accept"));
    }
  }

  /** {@link close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }

  /** @internal Somebody waits in the kernel's queue. */
  acceptWaiting(): void {
    while (this.#accepters.length > 0) {
      const descriptor = this.#native.acceptWaiting(this.#socket);
      if (descriptor === -EAGAIN) break;
      // Descriptors or memory may be had again later; trying at once would spin.
      if (descriptor < 0) {
        this.#rest = setTimeout(() => this.#native.armWatch(this.#watch, 1), REST_MS);
        return;
      }
      const accepter = this.#accepters.shift();
      accepter?.endLimits?.();
      try {
        accepter?.resolve(adoptDescriptorStream(descriptor, this.#options));
      } catch (error) {
        this.#native.closeDescriptor(descriptor);
        accepter?.reject(error);
      }
    }
    if (this.#accepters.length > 0) this.#native.armWatch(this.#watch, 1);
  }
}
