/** A route of WebSockets: the handshake as a handler, and what it hands the connection to. */

import { resolveCompression, type WebSocketCompression } from "../ws/compression-options.js";
import { parseExtensions } from "../ws/extensions.js";
import { acceptKey, handshakeProblem, offeredProtocols, WEB_SOCKET_VERSION } from "../ws/handshake.js";
import { WebSocketHub } from "../ws/hub.js";
import { resolveSlowConsumer, resolveWebSocketLimits, type WebSocketLimits } from "../ws/options.js";
import { FrameSocket } from "../ws/socket.js";
import type { Topics } from "../ws/topics.js";
import type { SlowConsumerPolicy, WebSocketHandlers } from "../ws/web-socket.js";
import type { Answer, Context } from "./context.js";
import { FLAG_HAS_BODY, FLAG_HTTP_10 } from "./exchange.js";
import { isThenable } from "./values.js";

/**
 * A route of WebSockets: what happens on its sockets, and who may open one.
 * @experimental
 */
export interface WebSocketRoute<Data = unknown, Params extends string = string> extends WebSocketHandlers<Data> {
  /**
   * Called before the handshake is answered. What it returns, or its promise resolves with, is the `data` of the socket. To refuse, answer with `c` (`return c.text("no", 403)`); fields that
   * it sets, such as cookies, go into the handshake's answer.
   */
  upgrade?(c: Context<Params>): Data | Answer | PromiseLike<Data | Answer>;
  /** Subprotocols that the route speaks: the first one that a client offers and that is among them is agreed on. Default: none. */
  readonly protocols?: readonly string[];
  /** The values of Origin that may connect, which a browser always sends; others are refused with 403. Default: all. */
  readonly origins?: readonly string[];
  readonly limits?: Partial<WebSocketLimits>;
  /** What becomes of a subscriber that reads too slowly for what is published. Default `drop`. */
  readonly slowConsumer?: SlowConsumerPolicy;
  /** Compression of messages, for clients that offer it (permessage-deflate, RFC 7692). `true` is its defaults. Default: none. */
  readonly compression?: WebSocketCompression | boolean;
}

/** The handler of such a route, whose sockets subscribe to `topics`. */
export function webSocketHandler<Data>(
  route: WebSocketRoute<Data>,
  topics: Topics,
): (c: Context) => Answer | PromiseLike<Answer> {
  const hub = new WebSocketHub({
    handlers: route as WebSocketHandlers,
    limits: resolveWebSocketLimits(route.limits),
    slowConsumer: resolveSlowConsumer(route.slowConsumer),
    topics,
    compression: resolveCompression(route.compression),
  });
  return (c) => {
    const refused = refuse(c, route);
    if (refused !== undefined) return refused;
    const offered = offeredProtocols(c.header("sec-websocket-protocol"));
    if (offered === undefined) return c.text("The Sec-WebSocket-Protocol is no list of names\n", 400);
    const extensions = c.header("sec-websocket-extensions");
    if (hub.compression !== undefined && parseExtensions(extensions) === undefined)
      return c.text("The Sec-WebSocket-Extensions is no list of extensions\n", 400);
    const protocol = offered.find((name) => route.protocols?.includes(name)) ?? "";
    const headers = ["Upgrade", "websocket", "Connection", "Upgrade"];
    headers.push("Sec-WebSocket-Accept", acceptKey(c.header("sec-websocket-key") ?? ""));
    if (protocol !== "") headers.push("Sec-WebSocket-Protocol", protocol);
    const data = route.upgrade?.(c);
    const open = (value: unknown): Answer =>
      c.answered ? c : c.upgrade(upgradeTo({ hub, headers, protocol, extensions }, value));
    return isThenable(data) ? data.then(open) : open(data);
  };
}

interface Agreement {
  readonly hub: WebSocketHub;
  readonly headers: readonly string[];
  readonly protocol: string;
  /** What the client offers. */
  readonly extensions: string | undefined;
}

function upgradeTo(agreement: Agreement, data: unknown): Parameters<Context["upgrade"]>[0] {
  const { hub, headers, protocol, extensions } = agreement;
  // Not before `upgrade` has taken its time: the room for windows is taken when the socket starts.
  const accepted = hub.acceptDeflate(extensions);
  const deflate = accepted?.agreement;
  return {
    headers: accepted === undefined ? headers : [...headers, "Sec-WebSocket-Extensions", accepted.field],
    start: (slot, transport) => new FrameSocket({ hub, transport, slot, data, protocol, deflate }),
  };
}

/** The answer to a request that opens no WebSocket. */
function refuse(c: Context, { origins }: Pick<WebSocketRoute, "origins">): Answer | undefined {
  const problem = handshakeProblem({
    method: c.method,
    isHttp10: (c.flags & FLAG_HTTP_10) !== 0,
    header: (name) => c.header(name),
  });
  if (problem !== undefined) {
    // RFC 9110, section 15.5.22, and RFC 6455, section 4.4.
    if (problem.status === 426)
      (c.answerHeaders ??= []).push("upgrade", "websocket", "sec-websocket-version", WEB_SOCKET_VERSION);
    return c.text(`${problem.why}\n`, problem.status);
  }
  // Its bytes would be taken for frames.
  if ((c.flags & FLAG_HAS_BODY) !== 0) return c.text("A handshake has no body\n", 400);
  const origin = c.header("origin");
  if (origins === undefined || origin === undefined || origins.includes(origin)) return undefined;
  return c.text("This origin may not connect\n", 403);
}
