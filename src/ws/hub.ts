/** What the WebSockets of one route share: handlers, limits and topics; and how handlers are run. */
import { AsyncResource, executionAsyncId } from "node:async_hooks";
import { assert } from "../assert.js";
import { RingloomError } from "../errors.js";
import type { CompressionSettings } from "./compression-options.js";
import { type AcceptedDeflate, acceptDeflate, contextBytes, type DeflateAgreement } from "./deflate-agreement.js";
import type { WebSocketLimits } from "./options.js";
import { type SendingSocket, SocketDeflate } from "./socket-deflate.js";
import type { Topics } from "./topics.js";
import type { SlowConsumerPolicy, WebSocketHandlers } from "./web-socket.js";

/** What became of a handler that was run. */
export interface HandlerOutcome {
  readonly isFailed: boolean;
  readonly promise: PromiseLike<unknown> | undefined;
}

/** One route's sockets. */
export class WebSocketHub {
  readonly handlers: WebSocketHandlers;
  readonly limits: WebSocketLimits;
  readonly slowConsumer: SlowConsumerPolicy;
  /** Those of the app. */
  readonly topics: Topics;
  /** Undefined is no compression. */
  readonly compression: CompressionSettings | undefined;
  /** What the windows of its sockets may take, in bytes. */
  #contextBytesNow = 0;

  constructor(options: WebSocketHubOptions) {
    this.handlers = options.handlers;
    this.limits = options.limits;
    this.slowConsumer = options.slowConsumer;
    this.topics = options.topics;
    this.compression = options.compression;
  }

  /** What a server agrees on with a client that offers these extensions; undefined is no compression. */
  acceptDeflate(extensions: string | undefined): AcceptedDeflate | undefined {
    const settings = this.compression;
    if (settings === undefined) return undefined;
    const hasRoom = (bytes: number): boolean => this.#contextBytesNow + bytes <= settings.contextBytesMax;
    return acceptDeflate(extensions, { settings, hasRoom });
  }

  /** Compression for a socket that has agreed on it. The room for its windows is taken until {@link WebSocketHub.closeDeflate}. */
  openDeflate(agreement: DeflateAgreement, socket: SendingSocket): SocketDeflate {
    assert(this.compression !== undefined, "what was agreed on is what the hub has offered or accepted");
    this.#contextBytesNow += contextBytes(agreement);
    return new SocketDeflate(agreement, this.compression, socket);
  }

  /** The socket is over. */
  closeDeflate(deflate: SocketDeflate): void {
    deflate.clear();
    this.#contextBytesNow -= contextBytes(deflate.agreement);
  }

  /** Throws `ERR_RINGLOOM_OVERLOADED` when a socket with so many topics may not have one more. */
  checkRoom(topics: number): void {
    const { topicsMax, subscriptionsTotalMax } = this.limits;
    if (topics >= topicsMax) throw tooManyTopics(`a socket has ${topicsMax} topics at most`, { topicsMax });
    if (this.topics.counts.subscriptionsNow >= subscriptionsTotalMax)
      throw tooManyTopics(`there are ${subscriptionsTotalMax} subscriptions on this shard`, { subscriptionsTotalMax });
  }
}

/** What a hub is made of. */
export interface WebSocketHubOptions {
  readonly handlers: WebSocketHandlers;
  readonly limits: WebSocketLimits;
  readonly slowConsumer: SlowConsumerPolicy;
  readonly topics: Topics;
  readonly compression?: CompressionSettings | undefined;
}

function tooManyTopics(why: string, details: Readonly<Record<string, number>>): RingloomError {
  return new RingloomError("ERR_RINGLOOM_OVERLOADED", `Cannot subscribe: ${why}`, { operation: "subscribe", details });
}

/** Runs a handler in an async context of its own. What it throws is handed to `failed`. */
export function runHandler(handler: () => unknown, failed: (error: unknown) => void): HandlerOutcome {
  try {
    const result = new AsyncResource(RESOURCE, executionAsyncId()).runInAsyncScope(handler);
    return isThenable(result) ? { isFailed: false, promise: result } : DONE;
  } catch (error) {
    failed(error);
    return FAILED;
  }
}

const RESOURCE = "RINGLOOM_WEBSOCKET";
const DONE: HandlerOutcome = { isFailed: false, promise: undefined };
const FAILED: HandlerOutcome = { isFailed: true, promise: undefined };

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === "object" && value !== null && typeof (value as { then?: unknown }).then === "function";
}
