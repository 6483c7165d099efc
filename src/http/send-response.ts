/** The last step from a Response, whatever made it, to the connection. */
import type { FetchExchange } from "./fetch-exchange.js";
import { type BodySource, type ChunkReader, pumpChunks, readerOf } from "./response-body.js";
import { applyFraming, type HeaderList, headerListOf } from "./response-headers.js";

const TURN_IS_OVER = Symbol("turn is over");

/** A response without its body. */
export interface ResponseHead {
  readonly status: number;
  readonly list: HeaderList;
}

/** Sends a response whose body is all there. */
export function sendWhole(exchange: FetchExchange, head: ResponseHead, body: string | Uint8Array | null): void {
  const { status, list } = head;
  const { fields, contentLength } = applyFraming(list, exchange);
  // To HEAD, a handler may say how long the body would be without having one (RFC 9110, section 8.6).
  if (body === null && contentLength > 0 && exchange.method === "HEAD") {
    exchange.answerStream(status, list.contentType, fields, contentLength);
    return;
  }
  exchange.answer(status, list.contentType, fields, body);
}

/** Sends a response whose body comes from a source. `length` is -1 when only a Content-Length among the headers may tell it. */
export function sendStream(exchange: FetchExchange, head: ResponseHead, source: BodySource, length: number): void {
  let reader: ChunkReader;
  try {
    reader = readerOf(source);
  } catch (error) {
    exchange.answerError(error);
    return;
  }
  sendChunks(exchange, head, reader, length);
}

function sendChunks(exchange: FetchExchange, head: ResponseHead, reader: ChunkReader, length: number): void {
  const { fields, contentLength } = applyFraming(head.list, exchange);
  const lengthToSend = length >= 0 ? length : contentLength;
  reader.begin?.();
  const sink = exchange.answerStream(head.status, head.list.contentType, fields, lengthToSend);
  if (sink === undefined) reader.cancel(undefined);
  else void pumpChunks(reader, sink, { contentLength: lengthToSend });
}

/**
 * Sends a Response that another implementation made: Node's own, or a package's.
 *
 * Such a body can be read only through its stream, which does not tell whether it is a text of ten bytes or endless. So it has one turn of
 * the event loop: a body that ends by then is sent whole, with its length, any other is streamed from what has come so far.
 */
export async function sendForeignResponse(response: Response, exchange: FetchExchange): Promise<void> {
  try {
    const head = { status: foreignStatus(response), list: foreignHeaders(response) };
    const { body } = response;
    if (body === null) {
      sendWhole(exchange, head, null);
      return;
    }
    if (response.bodyUsed) throw new TypeError("Cannot answer with a Response whose body has been read");
    const reader = readerOf(body as BodySource);
    if (exchange.method === "HEAD" || head.list.fields.includes("content-length")) {
      sendChunks(exchange, head, reader, -1);
      return;
    }
    const turn = nextTurn();
    const reads = [reader.read()];
    const first = await Promise.race([reads[0], turn]);
    if (first instanceof Uint8Array) {
      reads.push(reader.read());
      const isWhole = (await Promise.race([reads[1], turn])) === undefined;
      if (isWhole) {
        sendWhole(exchange, head, first);
        return;
      }
    }
    if (first === undefined) sendWhole(exchange, head, new Uint8Array(0));
    else sendChunks(exchange, head, replay(reader, reads), -1);
  } catch (error) {
    // Nothing has been sent yet: a body that fails this early is answered like a handler that throws.
    exchange.answerError(error);
  }
}

function foreignStatus(response: Response): number {
  const { status } = response;
  if (status >= 200 && status <= 599) return status;
  throw new TypeError(`Cannot answer with a Response of status ${status}, such as Response.error() makes`);
}

/** Headers of a Response. Of one that `fetch` got, the body has been decoded, and what described the coded one is not true any more. */
function foreignHeaders(response: Response): HeaderList {
  const list = headerListOf(response.headers);
  if (response.url === "" || response.body === null || !list.fields.includes("content-encoding")) return list;
  const decoded: HeaderList = { contentType: list.contentType, fields: [], hasFraming: list.hasFraming };
  for (let index = 0; index < list.fields.length; index += 2) {
    const name = list.fields[index] ?? "";
    if (name !== "content-encoding" && name !== "content-length")
      decoded.fields.push(name, list.fields[index + 1] ?? "");
  }
  return decoded;
}

/** A reader whose first reads have been made already. */
function replay(reader: ChunkReader, reads: Promise<unknown>[]): ChunkReader {
  return {
    read: () => reads.shift() ?? reader.read(),
    cancel: (reason) => reader.cancel(reason),
  };
}

/** Resolves with a value that no body yields. */
function nextTurn(): Promise<typeof TURN_IS_OVER> {
  return new Promise((resolve) => setImmediate(resolve, TURN_IS_OVER));
}
