/** What the WebSockets of one route share: handlers and limits; and how handlers are run. */
import { AsyncResource, executionAsyncId } from "node:async_hooks";
import type { WebSocketLimits } from "./options.js";
import type { WebSocketHandlers } from "./web-socket.js";

/** What became of a handler that was run. */
export interface HandlerOutcome {
  readonly isFailed: boolean;
  readonly promise: PromiseLike<unknown> | undefined;
}

/** One route's sockets. */
export class WebSocketHub {
  readonly handlers: WebSocketHandlers;
  readonly limits: WebSocketLimits;

  constructor(handlers: WebSocketHandlers, limits: WebSocketLimits) {
    this.handlers = handlers;
    this.limits = limits;
  }
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
