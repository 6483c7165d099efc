/**
 * What tracing and metrics agents hook into: an async context for each request, and two diagnostics channels.
 *
 * Sources: Node's documentation of `AsyncResource`, `AsyncLocalStorage` and `diagnostics_channel` (`Channel.runStores`, `bindStore`).
 */
import { AsyncResource, executionAsyncId } from "node:async_hooks";
import { type Channel, channel } from "node:diagnostics_channel";
import { assert } from "../assert.js";
import { Context } from "./context.js";
import type { Exchange } from "./exchange.js";

/** The type of the async resource that each request is, as `async_hooks` shows it. */
export const REQUEST_RESOURCE = "RINGLOOM_REQUEST";

/**
 * What subscribers of the channels `ringloom:http.request.start` and `ringloom:http.request.finish` get: one object per request, the same at both,
 * so that they can leave things on a `WeakMap` of it.
 * @experimental
 */
export interface RequestMessage {
  /** The request. At `finish` it is over: only `method`, `statusCode` and `answered` may still be read. */
  readonly request: Context;
  /** At `finish`: whether the last byte of the answer was queued. It was not when the client went first, or the server answered in the handler's place. */
  isComplete: boolean;
}

/**
 * Published before the handler runs, in the request's own async context. A store bound to the channel (`bindStore`) holds for the handler and all that it starts.
 */
const startChannel: Channel = channel("ringloom:http.request.start");
/** Published when the request is over. */
const finishChannel: Channel = channel("ringloom:http.request.finish");

/** Requests that were announced and are not over. */
const messages = new WeakMap<Context, RequestMessage>();

/**
 * Runs `handle` for `c` in an async context of its own, so that nothing that one handler enters (`AsyncLocalStorage.enterWith`, which agents use too) is seen
 * by the next request of the same turn. A fresh resource is the one way that holds on Node 20 to 26; it costs 30 to 60 ns. `handle` has no argument because
 * `runInAsyncScope` passes arguments on through an array.
 */
export function runInRequestContext(c: Context, handle: () => void): void {
  // The number is what it defaults to; without one the constructor looks for two options, a third of its time.
  const resource = new AsyncResource(REQUEST_RESOURCE, executionAsyncId());
  if (startChannel.hasSubscribers) resource.runInAsyncScope(() => announce(c, handle));
  else resource.runInAsyncScope(handle);
}

function announce(c: Context, run: () => void): void {
  const message: RequestMessage = { request: c, isComplete: false };
  messages.set(c, message);
  startChannel.runStores(message, run);
}

/** Tells the subscribers that a request is over, in a context that is nobody else's: it may happen in the driver's, which all requests share. */
export function requestFinished(exchange: Exchange, isComplete: boolean): void {
  if (!finishChannel.hasSubscribers) return;
  assert(exchange instanceof Context, "an exchange is a context");
  const message = messages.get(exchange) ?? { request: exchange, isComplete };
  message.isComplete = isComplete;
  new AsyncResource("RINGLOOM_REQUEST_END").runInAsyncScope(() => finishChannel.publish(message));
}
