/** Sockets of `node:net` that go on as streams: what a library has opened, or an HTTP server has upgraded. */
import type { Socket } from "node:net";
import { RingloomError } from "../errors.js";
import { checkNative, loadNative, nativeProblem } from "../native.js";
import { adoptStream } from "./connect.js";
import { OwnedDescriptor } from "./owned-descriptor.js";
import type { NetStream } from "./stream.js";
import { checkStreamOptions, type StreamOptions } from "./stream-options.js";

const NOTHING = Buffer.alloc(0);

/** What Node keeps of a socket's descriptor. Not a documented interface: where it is missing, the call says so. */
interface Handle {
  readonly fd: number;
  readStart(): void;
  readStop(): void;
}

/**
 * Makes a stream of a connected socket of `node:net`, TCP or Unix, whose connection goes on in the stream: what the socket had read ahead is read first. The socket is destroyed, without a word to the peer.
 *
 * @throws RingloomError `ERR_RINGLOOM_BUSY` while bytes that were written to it have not left, `ERR_RINGLOOM_CLOSED` when it is not connected, or one side has ended, `ERR_RINGLOOM_UNSUPPORTED` for a TLS socket and without the addon,
 * `ERR_RINGLOOM_OVERLOADED`; a TypeError or RangeError for options that are none. The socket is whole then.
 *
 * ```ts run
 * import { once } from "node:events";
 * import { createConnection } from "node:net";
 * import { adoptSocket, listen } from "ringloom/net";
 *
 * const listener = await listen({ port: 0 });
 * const socket = createConnection(listener.port, "127.0.0.1");
 * const [server] = await Promise.all([listener.accept(), once(socket, "connect")]);
 * const client = adoptSocket(socket);
 * await client.writeAll("hello");
 * console.log((await server.readExact(5)).toString()); // hello
 * client.close();
 * server.close();
 * await listener.close();
 * ```
 * @experimental
 */
export function adoptSocket(socket: Socket, options: StreamOptions = {}): NetStream {
  checkStreamOptions("adopt", options);
  const native = loadNative();
  if (native === undefined) throw unsupported(`${nativeProblem()}`);
  const handle = handleOf(socket);
  if (socket.writableLength > 0)
    throw new RingloomError("ERR_RINGLOOM_BUSY", "Cannot adopt: what was written to the socket has not left", {
      operation: "adopt",
      details: { writableLength: socket.writableLength },
    });
  // node:net closes what it has, so the connection goes on under another number.
  const descriptor = checkNative<number>(native.duplicate(handle.fd), "adopt");
  handle.readStop();
  const unread = unreadOf(socket);
  const owned = new OwnedDescriptor(descriptor, unread);
  let stream: NetStream;
  try {
    stream = adoptStream(owned, options);
  } catch (error) {
    owned.close();
    if (unread.length > 0) socket.unshift(unread);
    handle.readStart();
    throw error;
  }
  socket.destroy();
  return stream;
}

function handleOf(socket: Socket): Handle {
  const { _handle: handle } = socket as unknown as { readonly _handle: Handle | null | undefined };
  if ("encrypted" in socket) throw unsupported("the descriptor of a TLS socket carries what only that socket can read");
  const isOpen = !socket.destroyed && !socket.connecting && socket.readable && socket.writable;
  if (!isOpen || handle === null || handle === undefined)
    throw new RingloomError("ERR_RINGLOOM_CLOSED", "Cannot adopt: the socket is not connected, or one side has ended", {
      operation: "adopt",
    });
  if (typeof handle.fd !== "number" || handle.fd < 0) throw unsupported("the socket has no descriptor");
  return handle;
}

function unreadOf(socket: Socket): Buffer {
  const rest = socket.read() as Buffer | string | null;
  if (rest === null) return NOTHING;
  return typeof rest === "string" ? Buffer.from(rest, socket.readableEncoding ?? "utf8") : rest;
}

function unsupported(why: string): RingloomError {
  return new RingloomError("ERR_RINGLOOM_UNSUPPORTED", `Cannot adopt: ${why}`, { operation: "adopt" });
}
