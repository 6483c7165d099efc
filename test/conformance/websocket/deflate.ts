/** permessage-deflate (RFC 7692) of a client, on Node's zlib: one stream a direction, so that the context lives from message to message. */
import { constants, createDeflateRaw, createInflateRaw, type DeflateRaw, type InflateRaw } from "node:zlib";

/** What client and server have agreed on. */
export interface DeflateTerms {
  readonly clientWindowBits: number;
  readonly serverWindowBits: number;
  readonly clientForgets: boolean;
  readonly serverForgets: boolean;
}

/** RFC 7692, section 7.2.1: what a sender leaves out and a receiver puts back. */
const TAIL = Buffer.from([0x00, 0x00, 0xff, 0xff]);
const WINDOW_BITS = 15;

/** The terms in the head of a handshake's answer; undefined where the server agreed to nothing. Throws for an answer that no offer allows. */
export function termsOf(head: string): DeflateTerms | undefined {
  const [, value] = /^sec-websocket-extensions:[ \t]*(.*)$/im.exec(head.replaceAll("\r", "")) ?? [];
  if (value === undefined || value.trim() === "") return undefined;
  const [name, ...items] = value.split(";").map((item) => item.trim());
  if (name !== "permessage-deflate") throw new Error(`the server agreed to ${value}`);
  const parameters = new Map(items.map(split));
  const bits = (parameter: string): number => Number(parameters.get(parameter) || WINDOW_BITS);
  return {
    clientWindowBits: bits("client_max_window_bits"),
    serverWindowBits: bits("server_max_window_bits"),
    clientForgets: parameters.has("client_no_context_takeover"),
    serverForgets: parameters.has("server_no_context_takeover"),
  };
}

function split(item: string): [string, string] {
  const [name = "", value = ""] = item.split("=", 2);
  return [name.trim(), value.trim().replace(/^"|"$/g, "")];
}

export class Deflate {
  readonly #terms: DeflateTerms;
  #deflate: DeflateRaw | undefined;
  #inflate: InflateRaw | undefined;

  constructor(terms: DeflateTerms) {
    this.#terms = terms;
  }

  async compress(payload: Buffer): Promise<Buffer> {
    this.#deflate ??= createDeflateRaw({ windowBits: this.#terms.clientWindowBits });
    const bytes = await through(this.#deflate, payload);
    if (this.#terms.clientForgets) this.#deflate = ended(this.#deflate);
    return bytes.subarray(0, bytes.length - TAIL.length);
  }

  async decompress(payload: Buffer): Promise<Buffer> {
    this.#inflate ??= createInflateRaw({ windowBits: this.#terms.serverWindowBits });
    const bytes = await through(this.#inflate, Buffer.concat([payload, TAIL]));
    if (this.#terms.serverForgets) this.#inflate = ended(this.#inflate);
    return bytes;
  }

  close(): void {
    this.#deflate = ended(this.#deflate);
    this.#inflate = ended(this.#inflate);
  }
}

function ended(stream: DeflateRaw | InflateRaw | undefined): undefined {
  stream?.close();
  return undefined;
}

/** All that a stream makes of `bytes`. */
async function through(stream: DeflateRaw | InflateRaw, bytes: Buffer): Promise<Buffer> {
  const chunks: Buffer[] = [];
  const collect = (chunk: Buffer): void => void chunks.push(chunk);
  await new Promise<void>((resolve, reject) => {
    stream.on("data", collect);
    stream.once("error", reject);
    stream.write(bytes);
    stream.flush(constants.Z_SYNC_FLUSH, () => {
      stream.off("error", reject);
      resolve();
    });
  });
  stream.off("data", collect);
  return Buffer.concat(chunks);
}
