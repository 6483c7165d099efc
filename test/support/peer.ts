/** The other end of a connection in tests: a plain node:net socket that remembers what happened to it. */
import { connect, type Socket } from "node:net";
import { Signal } from "./signal.js";

export class Peer {
  readonly socket: Socket;
  readonly signal = new Signal();
  readonly chunks: Buffer[] = [];
  receivedBytes = 0;
  isConnected = false;
  /** The other side has sent its FIN. */
  hasEnded = false;
  isClosed = false;
  /** The code of the error that broke the connection. */
  errorCode: string | undefined;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on("connect", () => this.#note(() => (this.isConnected = true)));
    socket.on("data", (chunk) =>
      this.#note(() => {
        this.chunks.push(chunk);
        this.receivedBytes += chunk.length;
      }),
    );
    socket.on("end", () => this.#note(() => (this.hasEnded = true)));
    socket.on("error", (error: NodeJS.ErrnoException) => this.#note(() => (this.errorCode = error.code)));
    socket.on("close", () => this.#note(() => (this.isClosed = true)));
  }

  /** Connects to `port` on the loopback address. The promise resolves when the connection stands. */
  static async open(port: number): Promise<Peer> {
    const peer = Peer.start(port);
    await peer.signal.until("the peer to connect", () => peer.isConnected || peer.isClosed);
    return peer;
  }

  /** As {@link Peer.open}, without waiting. */
  static start(port: number): Peer {
    return new Peer(connect({ host: "127.0.0.1", port, allowHalfOpen: true, noDelay: true }));
  }

  get bytes(): Buffer {
    return Buffer.concat(this.chunks);
  }

  get text(): string {
    return this.bytes.toString("latin1");
  }

  send(bytes: Uint8Array | string): void {
    this.socket.write(bytes);
  }

  async received(count: number): Promise<void> {
    await this.signal.until(`the peer to receive ${count} bytes`, () => this.receivedBytes >= count || this.isClosed);
    if (this.receivedBytes < count)
      throw new Error(
        `The peer was closed after ${this.receivedBytes} of ${count} bytes (${this.errorCode ?? "no error"})`,
      );
  }

  ended(): Promise<void> {
    return this.signal.until("the peer to see the end", () => this.hasEnded || this.isClosed);
  }

  closed(): Promise<void> {
    return this.signal.until("the peer to be closed", () => this.isClosed);
  }

  #note(change: () => void): void {
    change();
    this.signal.notify();
  }
}
