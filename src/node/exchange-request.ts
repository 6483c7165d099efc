/** A request that Ringloom's own HTTP server parsed, as the `IncomingMessage` that a program for `node:http` expects. */
import { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import type { Context } from "../http/context.js";
import type { RequestBody } from "../http/request-body.js";
import type { ExchangeSocket } from "./exchange-socket.js";

/** The request of `c`. Its head is taken at once, so that the program may look at it whenever it likes. */
export function incomingMessageOf(c: Context, socket: ExchangeSocket, body: RequestBody | undefined): IncomingMessage {
  const request = new IncomingMessage(socket as unknown as Socket);
  const head = c.liveHead();
  request.method = c.method;
  request.url = head.target();
  request.httpVersionMajor = 1;
  request.httpVersionMinor = head.minorVersion;
  request.httpVersion = `1.${head.minorVersion}`;
  const fields: string[] = [];
  for (let index = 0; index < head.headerCount; index++) fields.push(head.name(index), head.value(index));
  // As node:http's own parser hands them over: `headers` and its siblings are made of them when somebody asks.
  Reflect.apply(Reflect.get(request, "_addHeaderLines") as (fields: string[], count: number) => void, request, [
    fields,
    fields.length,
  ]);
  if (body !== undefined) return request;
  request.complete = true;
  request.push(null);
  return request;
}

/**
 * Moves a body into its request, at the pace of the program that reads it. Subclassing IncomingMessage would be simpler, but express gives each request
 * another prototype.
 */
export class BodyPump {
  readonly #request: IncomingMessage;
  readonly #body: RequestBody;
  #isReading = false;

  constructor(request: IncomingMessage, body: RequestBody) {
    this.#request = request;
    this.#body = body;
  }

  /** The program wants bytes; called whenever IncomingMessage asks its socket to resume. */
  resume(): void {
    if (this.#isReading || this.#request.complete) return;
    this.#isReading = true;
    this.#body.read().then(
      (chunk) => this.#took(chunk),
      (error: unknown) => this.#request.destroy(error instanceof Error ? error : new Error(String(error))),
    );
  }

  #took(chunk: Uint8Array | undefined): void {
    const request = this.#request;
    this.#isReading = false;
    if (request.destroyed) return;
    if (chunk !== undefined) {
      if (request.push(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length))) this.resume();
      return;
    }
    request.complete = true;
    const fields = [...(this.#body.trailers ?? [])];
    request.rawTrailers = fields;
    for (let index = 0; index + 1 < fields.length; index += 2)
      request.trailers[fields[index]!.toLowerCase()] = fields[index + 1]!;
    request.push(null);
  }
}
