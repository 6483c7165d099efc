/** A WebSocket client that sends what a case tells it to, and reads whatever a server may send: in one pass, so that messages of 16 MiB are no burden. */
import { connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { Signal } from "../../support/signal.js";
import { closeFrame, handshake } from "../../ws/raw-client.js";
import { Deflate, type DeflateTerms, termsOf } from "./deflate.js";
import type { Echo } from "./web-socket-case.js";

/** A server that echoes messages. */
export interface EchoServer {
  readonly port: number;
  readonly path: string;
}

/** The close frame that the server sent; without a code the field is missing. */
export interface ServerClose {
  readonly code?: number;
}

const CONTINUATION = 0;
const CLOSE = 8;
const PING = 9;
const FINAL = 0x80;
const COMPRESSED = 0x40;
const RESERVED = 0x30;
/** How long a server may take for what a case waits for. */
const PATIENCE_MS = 60_000;

export class WebSocketSession {
  /** Messages and pongs, in the order in which they came. */
  readonly echoes: Echo[] = [];
  /** What the server agreed to; undefined without compression. */
  readonly terms: DeflateTerms | undefined;
  close: ServerClose | undefined;
  /** Whether the server's close frame is to be answered: not where the case has sent one itself. */
  answersClose = true;
  readonly #socket: Socket;
  readonly #signal = new Signal();
  readonly #deflate: Deflate | undefined;
  #chunks: Buffer[] = [];
  #bytes = 0;
  #pieces: Buffer[] = [];
  #opcode = -1;
  #isCompressed = false;
  #reading: Promise<void> = Promise.resolve();
  #isOver = false;
  #problem: Error | undefined;

  private constructor(socket: Socket, rest: Buffer, terms: DeflateTerms | undefined) {
    this.#socket = socket;
    this.terms = terms;
    this.#deflate = terms === undefined ? undefined : new Deflate(terms);
    socket.on("data", (chunk: Buffer) => this.#take(chunk));
    socket.on("end", () => this.#end());
    socket.on("close", () => this.#end());
    if (rest.length > 0) this.#take(rest);
  }

  /** Connects and shakes hands. Rejects when the server refuses. */
  static async open(server: EchoServer, extensions?: string): Promise<WebSocketSession> {
    const socket = connect({ host: "127.0.0.1", port: server.port, noDelay: true, allowHalfOpen: true });
    socket.on("error", () => undefined);
    const fields = extensions === undefined ? {} : { "Sec-WebSocket-Extensions": extensions };
    socket.write(handshake(server.path, fields));
    const received = await readHead(socket);
    const end = received.indexOf("\r\n\r\n") + 4;
    const head = received.toString("latin1", 0, end);
    try {
      if (!head.startsWith("HTTP/1.1 101 ")) throw new Error(`the handshake was answered ${head.split("\r\n", 1)[0]}`);
      return new WebSocketSession(socket, received.subarray(end), termsOf(head));
    } catch (error) {
      socket.destroy();
      throw error;
    }
  }

  /** Sends bytes, and resolves when there is room for more. A connection that has ended takes none. */
  async send(bytes: Uint8Array): Promise<void> {
    if (this.#isOver || this.#socket.writableEnded || this.#socket.destroyed) return;
    if (this.#socket.write(bytes)) return;
    await new Promise<void>((resolve) => {
      this.#socket.once("drain", resolve);
      this.#socket.once("close", resolve);
    });
  }

  /** Sends bytes in pieces, with a turn of the loop between them. */
  async sendInPieces(bytes: Buffer, pieceBytes: number): Promise<void> {
    for (let at = 0; at < bytes.length; at += pieceBytes) {
      await this.send(bytes.subarray(at, at + pieceBytes));
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  /** A payload through the compression that was agreed on. */
  compress(payload: Buffer): Promise<Buffer> {
    if (this.#deflate === undefined) throw new Error("no compression was agreed on");
    return this.#deflate.compress(payload);
  }

  /** Resolves when `holds` does or the connection is over; rejects for what a server may not send, and after a long time. */
  async until(what: string, holds: () => boolean): Promise<void> {
    const isDone = (): boolean => this.#isOver || this.#problem !== undefined || holds();
    await this.#signal.until(what, isDone, PATIENCE_MS);
    if (this.#problem !== undefined) throw this.#problem;
    if (!holds()) throw new Error(`the connection ended before ${what}`);
  }

  /** Resolves when the server has ended the connection, as it has to after the closing handshake. */
  async ended(): Promise<void> {
    await this.#signal.until(
      "the end of the connection",
      () => this.#isOver || this.#problem !== undefined,
      PATIENCE_MS,
    );
    if (this.#problem !== undefined) throw this.#problem;
  }

  /** Resolves after a while in which the server may answer; true if it has ended the connection. */
  async pause(ms: number): Promise<boolean> {
    await sleep(ms);
    return this.#isOver || this.close !== undefined;
  }

  /** Lets go of the connection, whatever its state. */
  destroy(): void {
    this.#socket.destroy();
    this.#deflate?.close();
  }

  #take(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    try {
      while (this.#takeFrame());
    } catch (error) {
      this.#problem ??= error as Error;
    }
    this.#signal.notify();
  }

  /** One whole frame off the front of what has arrived; false if there is none. */
  #takeFrame(): boolean {
    if (this.#bytes < 2) return false;
    const head = this.#front(10);
    if ((head[1]! & 0x80) !== 0) throw new Error("a frame of the server is masked");
    const short = head[1]! & 0x7f;
    const start = short < 126 ? 2 : short === 126 ? 4 : 10;
    if (head.length < start) return false;
    const length = short < 126 ? short : short === 126 ? head.readUInt16BE(2) : Number(head.readBigUInt64BE(2));
    if (this.#bytes < start + length) return false;
    const bytes = this.#chunks.length === 1 ? this.#chunks[0]! : Buffer.concat(this.#chunks);
    const rest = bytes.subarray(start + length);
    this.#chunks = rest.length === 0 ? [] : [rest];
    this.#bytes = rest.length;
    this.#frame(head[0]!, bytes.subarray(start, start + length));
    return true;
  }

  /** The first bytes, without joining all that has arrived. */
  #front(count: number): Buffer {
    const first = this.#chunks[0]!;
    return first.length >= count ? first.subarray(0, count) : Buffer.concat(this.#chunks).subarray(0, count);
  }

  #frame(first: number, payload: Buffer): void {
    const opcode = first & 0x0f;
    const isFinal = (first & FINAL) !== 0;
    const isCompressed = (first & COMPRESSED) !== 0;
    if (this.close !== undefined) throw new Error("a frame came behind the server's close frame");
    if ((first & RESERVED) !== 0) throw new Error("a frame of the server has reserved bits");
    if (isCompressed && (this.terms === undefined || opcode >= CLOSE || opcode === CONTINUATION))
      throw new Error("a frame of the server is marked as compressed and may not be");
    if (opcode >= CLOSE) this.#control(opcode, isFinal, payload);
    else this.#data(opcode, isFinal, { payload, isCompressed });
  }

  #control(opcode: number, isFinal: boolean, payload: Buffer): void {
    if (!isFinal || payload.length > 125) throw new Error("a control frame of the server is fragmented or too long");
    if (opcode === CLOSE) {
      this.close = payload.length >= 2 ? { code: payload.readUInt16BE(0) } : {};
      if (this.answersClose) void this.send(closeFrame(1000));
    } else if (opcode !== PING) this.#arrived({ opcode, payload: Buffer.from(payload) });
  }

  #data(opcode: number, isFinal: boolean, { payload, isCompressed }: { payload: Buffer; isCompressed: boolean }): void {
    if ((opcode === CONTINUATION) !== this.#opcode >= 0) throw new Error("a fragment of the server is out of order");
    if (opcode !== CONTINUATION) {
      this.#opcode = opcode;
      this.#isCompressed = isCompressed;
    }
    this.#pieces.push(payload);
    if (!isFinal) return;
    const message = { opcode: this.#opcode, payload: Buffer.concat(this.#pieces) };
    const deflate = this.#isCompressed ? this.#deflate : undefined;
    this.#pieces = [];
    this.#opcode = -1;
    this.#arrived(message, deflate);
  }

  /** Compressed messages are ready later; what comes behind one waits, so that the order stays. */
  #arrived(message: Echo, deflate?: Deflate): void {
    if (this.terms === undefined) {
      this.echoes.push(message);
      return;
    }
    this.#reading = this.#reading.then(async () => {
      const payload = deflate === undefined ? message.payload : await deflate.decompress(message.payload);
      this.echoes.push({ opcode: message.opcode, payload });
      this.#signal.notify();
    });
    this.#reading.catch((error: Error) => {
      this.#problem ??= error;
      this.#signal.notify();
    });
  }

  /** The server's end is answered with ours. */
  #end(): void {
    if (!this.#socket.writableEnded) this.#socket.end();
    void this.#reading.finally(() => {
      this.#isOver = true;
      this.#signal.notify();
    });
  }
}

/** Everything up to the end of the head of the answer, and what came with it. */
async function readHead(socket: Socket): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    let received = Buffer.alloc(0);
    const onClose = (): void => reject(new Error("the connection closed during the handshake"));
    const onData = (chunk: Buffer): void => {
      received = Buffer.concat([received, chunk]);
      if (!received.includes("\r\n\r\n")) return;
      socket.off("data", onData);
      socket.off("close", onClose);
      socket.pause();
      resolve(received);
      // The listeners of the session are there by then.
      setImmediate(() => socket.resume());
    };
    socket.on("data", onData);
    socket.on("close", onClose);
    socket.setTimeout(PATIENCE_MS, onClose);
  });
}
