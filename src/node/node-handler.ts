/**
 * Programs for `node:http` as handlers of an `App`: a service keeps its express or fastify app for all routes that have not been converted.
 * The request is parsed once, by Ringloom, and the response is framed once, by node:http. Both kinds of routes share ports and connections.
 */
import { IncomingMessage, ServerResponse } from "node:http";
import { Socket } from "node:net";
import type { Handler } from "../http/app.js";
import type { Context } from "../http/context.js";
import { FLAG_HANDED_OVER, FLAG_HAS_BODY, STATE_ANSWERED, STATE_OPEN } from "../http/exchange.js";
import type { BodySink } from "../http/response-body.js";
import { BodyPump, incomingMessageOf } from "./exchange-request.js";
import { ExchangeSocket } from "./exchange-socket.js";
import { isHttpServer } from "./http-servers.js";
import { type NodeApp, type NodeListener, requireNodeTarget } from "./node-target.js";

/**
 * A handler that has an app of another framework answer: for `App.fallback`, or for a route such as `app.all("/old/*", …)`. Upgrades to other protocols
 * do not reach it, and neither do events of a `http.Server` other than `request`.
 *
 * ```ts
 * import { App } from "ringloom/http";
 * import { nodeHandler } from "ringloom/node";
 *
 * const app = new App();
 * app.get("/hot", (c) => c.text("answered by Ringloom"));
 * app.fallback(nodeHandler((request, response) => response.end(`${request.url} is answered by node:http`)));
 * export default app;
 * ```
 *
 * Frameworks that have to be made ready (fastify, NestJS) begin at once; requests wait for them. What is no app at all is answered with 500 and
 * logged as `ERR_RINGLOOM_NOT_AN_APP`.
 * @experimental
 */
export function nodeHandler(app: NodeApp): Handler {
  let listener: NodeListener | undefined = isListener(app) ? app : undefined;
  const ready = listener === undefined ? listenerOf(app).then((found) => (listener = found)) : undefined;
  // Each request that waits for it reports the failure.
  ready?.catch(() => undefined);
  return (c) => {
    if (listener !== undefined) return handOver(c, listener);
    return ready?.then((found) => handOver(c, found));
  };
}

function isListener(app: NodeApp): app is NodeListener {
  return typeof app === "function" && app.length >= 2;
}

async function listenerOf(app: NodeApp): Promise<NodeListener> {
  const { server } = await requireNodeTarget(app);
  if (!isHttpServer(server)) throw new TypeError("Cannot hand requests over: the server is no http.Server");
  return (request, response) => server.emit("request", request, response);
}

function handOver(c: Context, listener: NodeListener): Context {
  const handed = new HandedOver(c);
  c.flags |= FLAG_HANDED_OVER;
  try {
    listener(handed.request, handed.response);
  } catch (error) {
    const isOpen = c.state === STATE_OPEN;
    handed.failed(error);
    // Nothing has left yet: it is answered like a handler that throws.
    if (isOpen) throw error;
    return c;
  }
  if (c.state < STATE_ANSWERED) handed.watch();
  return c;
}

/** Where node:http remembers that a write found no room. */
const NEEDS_DRAIN = Object.getOwnPropertySymbols(new ServerResponse(new IncomingMessage(new Socket()))).find(
  ({ description }) => description === "kNeedDrain",
);

/** One request in the hands of a program for node:http. */
class HandedOver {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly #c: Context;
  readonly #socket: ExchangeSocket;
  readonly #pump: BodyPump | undefined;

  constructor(c: Context) {
    this.#c = c;
    this.#socket = new ExchangeSocket(this);
    const body = (c.flags & FLAG_HAS_BODY) === 0 ? undefined : c.request;
    this.request = incomingMessageOf(c, this.#socket, body);
    c.more().target = this.request.url;
    this.#pump = body === undefined ? undefined : new BodyPump(this.request, body);
    this.response = new ServerResponse(this.request);
    this.#hook(this.response);
    this.response.assignSocket(this.#socket as unknown as Socket);
  }

  get remoteAddress(): string | undefined {
    return this.#c.remoteAddress;
  }

  /** The answer takes longer than the call of the listener: if the client goes meanwhile, the program wants to hear of it. */
  watch(): void {
    const { signal } = this.#c;
    if (signal.aborted) this.#aborted();
    else signal.addEventListener("abort", () => this.#aborted(), { once: true });
  }

  /** The listener threw: what it may still write counts no more. */
  failed(error: unknown): void {
    const { state, owner } = this.#c;
    if (state !== STATE_OPEN) owner.failRaw(this.#c, error);
    if (state >= STATE_ANSWERED) return;
    this.#socket.closed();
    if (state !== STATE_OPEN && !this.request.complete) this.request.destroy();
    process.nextTick(closeResponse, this.response);
  }

  begin(): BodySink | undefined {
    return this.#c.owner.sendRaw(this.#c);
  }

  drained(): void {
    const { response } = this;
    if (!response.writableNeedDrain) return;
    // As node:http does, or the next pipe into this response would wait for a "drain" that has been.
    if (NEEDS_DRAIN !== undefined) Reflect.set(response, NEEDS_DRAIN, false);
    response.emit("drain");
  }

  resume(): void {
    this.#pump?.resume();
  }

  cut(): void {
    this.#c.owner.cutRaw(this.#c);
  }

  /** On the object itself, because express gives it another prototype. */
  #hook(response: ServerResponse): void {
    const c = this.#c;
    const { writeHead, end } = response;
    // Every head passes here, those that nobody wrote explicitly too: the last moment to say that the connection ends.
    response.writeHead = (status: number, ...rest: unknown[]) => {
      c.answerStatus = status;
      response.shouldKeepAlive = !c.owner.mustClose(c);
      return Reflect.apply(writeHead, response, [status, ...rest]);
    };
    // The event "finish" comes a tick later, and the requests behind this one need not wait for it.
    response.end = (...rest: unknown[]) => {
      const isFirst = !response.writableEnded;
      Reflect.apply(end, response, rest);
      if (isFirst && response.writableEnded) this.#ended();
      return response;
    };
    response.once("finish", () => {
      response.detachSocket(this.#socket as unknown as Socket);
      process.nextTick(closeResponse, response);
    });
  }

  #ended(): void {
    const isLast = Reflect.get(this.response, "_last") === true || !this.response.shouldKeepAlive;
    this.#c.more().closeAfter = isLast;
    this.#socket.finish();
  }

  /** The client is gone, or has half-closed: node:http ends the connection then, and its programs count on hearing of it. */
  #aborted(): void {
    if (this.response.writableFinished) return;
    this.#c.owner.cutRaw(this.#c);
    this.#socket.closed();
    if (!this.request.complete) this.request.destroy();
    closeResponse(this.response);
  }
}

/** As node:http does when a response is over. */
function closeResponse(response: ServerResponse): void {
  if (Reflect.get(response, "_closed") === true) return;
  response.destroyed = true;
  Reflect.set(response, "_closed", true);
  response.emit("close");
}
