/** A WebSocket client that sends whatever it is told to, byte by byte, so that a server can be shown what no library would send. */
import { Peer } from "../support/peer.js";

/** RFC 6455, section 1.3: the key of its example. */
const KEY = "dGhlIHNhbXBsZSBub25jZQ==";
const MASK = Buffer.from([0x37, 0xfa, 0x21, 0x3d]);

/** What a frame is made of. */
export interface FrameParts {
  readonly opcode: number;
  readonly payload?: Uint8Array | string;
  readonly isFinal?: boolean;
  readonly reserved?: number;
  readonly isMasked?: boolean;
  /** Bytes of the length: 0, 2 or 8. Default: the fewest. */
  readonly lengthBytes?: number;
  /** A length that is not the payload's. */
  readonly length?: number;
}

/** One frame as a client sends it. */
export function frame(parts: FrameParts): Buffer {
  const { opcode, isFinal = true, reserved = 0, isMasked = true } = parts;
  const payload = Buffer.from(parts.payload ?? "");
  const length = parts.length ?? payload.length;
  const lengthBytes = parts.lengthBytes ?? (length < 126 ? 0 : length < 65_536 ? 2 : 8);
  const header = Buffer.alloc(2 + lengthBytes);
  header[0] = (isFinal ? 0x80 : 0) | reserved | opcode;
  header[1] = (isMasked ? 0x80 : 0) | (lengthBytes === 0 ? length : lengthBytes === 2 ? 126 : 127);
  if (lengthBytes === 2) header.writeUInt16BE(length, 2);
  if (lengthBytes === 8) header.writeBigUInt64BE(BigInt(length), 2);
  if (!isMasked) return Buffer.concat([header, payload]);
  return Buffer.concat([header, MASK, payload.map((byte, index) => byte ^ MASK[index & 3]!)]);
}

/** A close frame with a code and a reason. */
export function closeFrame(code: number, reason = ""): Buffer {
  const payload = Buffer.alloc(2 + Buffer.byteLength(reason));
  payload.writeUInt16BE(code, 0);
  payload.write(reason, 2);
  return frame({ opcode: 8, payload });
}

/** A frame that the server sent. */
export interface ServerFrame {
  readonly opcode: number;
  readonly isFinal: boolean;
  /** The bit of permessage-deflate. */
  readonly isDeflated: boolean;
  readonly payload: Buffer;
}

/** The fields of a good handshake. */
export function handshake(path: string, fields: Readonly<Record<string, string>> = {}): string {
  const all: Record<string, string> = {
    Host: "127.0.0.1",
    Upgrade: "websocket",
    Connection: "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": KEY,
    ...fields,
  };
  const lines = Object.entries(all)
    .filter(([, value]) => value !== "")
    .map(([name, value]) => `${name}: ${value}\r\n`);
  return `GET ${path} HTTP/1.1\r\n${lines.join("")}\r\n`;
}

/** A connection with an open WebSocket. */
export class RawClient {
  readonly peer: Peer;
  /** The head of the answer to the handshake. */
  readonly head: string;
  readonly #headBytes: number;

  private constructor(peer: Peer, head: string) {
    this.peer = peer;
    this.head = head;
    this.#headBytes = head.length;
  }

  /** Opens one. `behind` is sent in one piece with the handshake. */
  static async open(port: number, path: string, fields = {}, behind: Uint8Array = Buffer.alloc(0)): Promise<RawClient> {
    const peer = await Peer.open(port);
    peer.send(Buffer.concat([Buffer.from(handshake(path, fields)), behind]));
    await peer.signal.until("the handshake to be answered", () => peer.text.includes("\r\n\r\n") || peer.isClosed);
    return new RawClient(peer, peer.text.slice(0, peer.text.indexOf("\r\n\r\n") + 4));
  }

  send(...parts: (Buffer | FrameParts)[]): void {
    this.peer.send(Buffer.concat(parts.map((part) => (Buffer.isBuffer(part) ? part : frame(part)))));
  }

  /** All whole frames so far. Throws for one that a server may not send. */
  get frames(): ServerFrame[] {
    const bytes = this.peer.bytes.subarray(this.#headBytes);
    const frames: ServerFrame[] = [];
    for (let at = 0; at + 2 <= bytes.length; ) {
      const second = bytes[at + 1]!;
      if ((second & 0x80) !== 0) throw new Error("A server's frame is masked");
      const short = second & 0x7f;
      const start = at + (short < 126 ? 2 : short === 126 ? 4 : 10);
      if (start > bytes.length) break;
      const length =
        short < 126 ? short : short === 126 ? bytes.readUInt16BE(at + 2) : Number(bytes.readBigUInt64BE(at + 2));
      if (start + length > bytes.length) break;
      const first = bytes[at]!;
      const reserved = first & (/permessage-deflate/.test(this.head) ? 0x30 : 0x70);
      if (reserved !== 0) throw new Error("A server's frame has reserved bits");
      frames.push({
        opcode: first & 0x0f,
        isFinal: (first & 0x80) !== 0,
        isDeflated: (first & 0x40) !== 0,
        payload: bytes.subarray(start, start + length),
      });
      at = start + length;
    }
    return frames;
  }

  /** Waits for so many frames, or the end. */
  async received(count: number): Promise<ServerFrame[]> {
    const { peer } = this;
    await peer.signal.until(`${count} frames`, () => this.frames.length >= count || peer.hasEnded || peer.isClosed);
    return this.frames;
  }

  /** The texts or bytes, as latin-1, of the messages so far. */
  get texts(): string[] {
    return this.frames.filter(({ opcode }) => opcode < 8).map(({ payload }) => payload.toString());
  }

  /** Waits for the server's close frame and returns its code; 0 is one without. Undefined if the connection ended without a close frame. */
  async closeCode(): Promise<number | undefined> {
    const { peer } = this;
    const find = (): ServerFrame | undefined => this.frames.find(({ opcode }) => opcode === 8);
    await peer.signal.until("a close frame", () => find() !== undefined || peer.hasEnded || peer.isClosed);
    const found = find();
    if (found === undefined) return undefined;
    return found.payload.length === 0 ? 0 : found.payload.readUInt16BE(0);
  }

  end(): void {
    this.peer.socket.destroy();
  }
}
