/** A connection as a Node stream with the face of `net.Socket`, for code that was written for those. */
import { DriverSocket, type SocketAddress } from "../io/driver-socket.js";
import { type Connection, type ConnectionSink, takenError } from "./connection.js";

/** Turns the connection into a Node stream, which gets what nobody has read first. */
export function openDuplex(connection: Connection, allowHalfOpen: boolean): DriverSocket {
  const { host } = connection;
  return attachSocket(connection, (slot, local) => new DriverSocket(host, { slot, local, allowHalfOpen }));
}

/** The same with a socket that `give` makes, or that has waited for this connection. */
export function attachSocket(
  connection: Connection,
  give: (slot: number, local: SocketAddress) => DriverSocket,
): DriverSocket {
  const { slot, driver } = connection;
  const sink = new DuplexSink(connection);
  const rest = connection.handOver("turn the stream into a Duplex", sink);
  connection.outbound.refuse(takenError("write"));
  const local: SocketAddress = driver.localAddress(slot) ?? { host: "", port: 0 };
  const socket = give(slot, local);
  sink.socket = socket;
  if (rest.length > 0) socket.deliver(rest);
  if (connection.hasPeerEnded) socket.deliverEnd();
  // Else its writes would wait for room for ever.
  if (connection.isEnding) socket.end();
  return socket;
}

class DuplexSink implements ConnectionSink {
  socket: DriverSocket | undefined;
  readonly #connection: Connection;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  get committedBytes(): number {
    return this.socket?.committedBytes ?? 0;
  }

  received(bytes: Uint8Array, offset: number, length: number): void {
    this.socket?.deliver(this.#connection.host.copies.copy(bytes, offset, length));
  }

  ended(): void {
    this.socket?.deliverEnd();
  }

  drained(): void {
    this.socket?.continueWriting();
  }

  closed(errno: number, error: Error | undefined): void {
    // An error without a number is one of our own, and the socket has been cut with it.
    if (errno === 0 && error !== undefined && (error as NodeJS.ErrnoException).code !== "ERR_RINGLOOM_CLOSED")
      this.socket?.cut(error);
    this.socket?.deliverClosed(errno);
  }
}
