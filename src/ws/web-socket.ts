/** WebSockets as programs see them: `socket.ts` is both the server's and the client's. */

/**
 * A message as handlers get it: text as a string, binary as bytes that are theirs to keep.
 * @experimental
 */
export type WebSocketMessage = string | Uint8Array;

/**
 * What became of a message that was sent: the kernel takes it with this turn; it waits behind others and `drain` will tell when they have left; it was not sent, because
 * {@link WebSocketLimits.sendBytesMax} bytes wait already or the shard's write pool is nearly full; or the socket is not open.
 * @experimental
 */
export type SendStatus = "sent" | "backpressure" | "dropped" | "closed";

/**
 * What became of a message that was published: it is on its way to all subscribers; nobody gets it, because a shard that has subscribers takes what is published more slowly than it comes and has left no room; or the
 * socket that publishes is not open.
 * @experimental
 */
export type PublishStatus = "sent" | "dropped" | "closed";

/**
 * What to do with a subscriber that has {@link WebSocketLimits.sendBytesMax} bytes waiting when a published message comes, and so misses it: go on, and tell `drain` when there is room; close it with 1013, so that it
 * comes back and asks for what it has missed; or cut it at once.
 * @experimental
 */
export type SlowConsumerPolicy = "drop" | "close" | "disconnect";

/**
 * One WebSocket, of a client or of a server. The same object from `open` to `close`.
 * @experimental
 */
export interface ClientWebSocket<Data = unknown> {
  /** What `upgrade` gave it, or the client's option `data`: for the program. */
  data: Data;
  /** The subprotocol that was agreed on; the empty string is none. */
  readonly protocol: string;
  /** Whether messages can be sent. */
  readonly isOpen: boolean;
  /** Bytes that wait for the peer to read, those that wait to be compressed included. */
  readonly queuedBytes: number;
  /** The peer's IP address, or undefined when it is not known any more. */
  readonly remoteAddress: string | undefined;
  /** Sends a message: a string as text, bytes as binary. All that one turn sends leaves together. Throws TypeError for anything else. */
  send(message: WebSocketMessage): SendStatus;
  /** Sends a ping, with up to 125 bytes. Throws RangeError for more. */
  ping(payload?: Uint8Array): SendStatus;
  /**
   * Starts the closing handshake, with 1000 unless told: no message can be sent any more, and `close` is called when the peer has answered, or `closeTimeoutMs` is over.
   * Throws RangeError for a code that may not be sent (1000 to 1003, 1007 to 1014 and 3000 to 4999 may) and for a reason of over 123 bytes.
   */
  close(code?: number, reason?: string): void;
  /** Cuts the connection. */
  terminate(): void;
}

/**
 * One WebSocket of a server: what a client's has, and topics. The same object from `open` to `close`.
 * @experimental
 */
export interface WebSocket<Data = unknown> extends ClientWebSocket<Data> {
  /** The topics that it is subscribed to. */
  readonly topics: readonly string[];
  /**
   * From now on the socket gets what is published to the topic, until {@link WebSocket.unsubscribe} or its end. False when it is not open. Throws TypeError for a name that is empty or over 256 bytes of UTF-8, and
   * `ERR_RINGLOOM_OVERLOADED` above {@link WebSocketLimits.topicsMax} or {@link WebSocketLimits.subscriptionsTotalMax}.
   */
  subscribe(topic: string): boolean;
  /** Ends that. False when it was not subscribed. */
  unsubscribe(topic: string): boolean;
  isSubscribed(topic: string): boolean;
  /** Publishes as `App.publish` does, to all subscribers but this socket. */
  publish(topic: string, message: WebSocketMessage): PublishStatus;
}

/**
 * What happens on a WebSocket, a server's unless `Socket` is another. `Data` is what `upgrade` gave it.
 * @experimental
 */
export interface WebSocketHandlers<Data = unknown, Socket = WebSocket<Data>> {
  /** The handshake is done. */
  open?(ws: Socket): unknown;
  /**
   * A message. When it returns a promise, the next message of that socket waits until the promise is settled, unless {@link WebSocketLimits.concurrency} allows more. A
   * failure closes the socket with 1011.
   */
  message?(ws: Socket, message: WebSocketMessage): unknown;
  /** What had made `send` answer `"backpressure"` or `"dropped"` has left, or it is worth to try again. */
  drain?(ws: Socket): unknown;
  ping?(ws: Socket, payload: Uint8Array): unknown;
  pong?(ws: Socket, payload: Uint8Array): unknown;
  /** The socket is closed: with the peer's code and reason, 1005 for a close frame without a code, 1006 for an end without a close frame. Called once. */
  close?(ws: Socket, code: number, reason: string): unknown;
}

/**
 * Counters of the WebSockets of one server, among its others. They only grow, except where a name says `Now`.
 * @experimental
 */
export interface WebSocketStats {
  webSocketsNow: number;
  webSocketsOpened: number;
  webSocketMessagesReceived: number;
  webSocketMessagesSent: number;
  /** `send` that sent nothing because the peer reads too slowly. */
  webSocketMessagesDropped: number;
  /** Sockets closed because the peer broke the protocol or a limit. */
  webSocketViolations: number;
  /** Sockets cut because the peer did not answer a ping. */
  webSocketIdleTimeouts: number;
  /** Bytes of messages that are incomplete or wait for a handler. */
  webSocketInboundBytesNow: number;
  /** Published messages that a subscriber missed because its peer reads too slowly. */
  webSocketTopicMessagesDropped: number;
  /** Subscribers closed or cut because they missed a message. */
  webSocketSlowConsumers: number;
  /** Handlers that threw or rejected. */
  handlerErrors: number;
}
