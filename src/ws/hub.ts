/** What the WebSockets of one route share: handlers, limits and topics; and how handlers are run. */
import { AsyncResource, executionAsyncId } from "node:async_hooks";
import { RingloomError } from "../errors.js";
import type { WebSocketLimits } from "./options.js";
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

  constructor(options: WebSocketHubOptions) {
    this.handlers = options.handlers;
    this.limits = options.limits;
    this.slowConsumer = options.slowConsumer;
    this.topics = options.topics;
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
