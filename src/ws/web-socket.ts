/** WebSockets as programs see them: `socket.ts` is the server's. */

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
 * One WebSocket of a server. The same object from `open` to `close`.
 * @experimental
 */
export interface WebSocket<Data = unknown> {
  /** What `upgrade` gave it, for the program. */
  data: Data;
  /** The subprotocol that was agreed on; the empty string is none. */
  readonly protocol: string;
  /** Whether messages can be sent. */
  readonly isOpen: boolean;
  /** Bytes that wait for the peer to read. */
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
 * What happens on a WebSocket. `Data` is what `upgrade` gave it.
 * @experimental
 */
export interface WebSocketHandlers<Data = unknown> {
  /** The handshake is done. */
  open?(ws: WebSocket<Data>): unknown;
  /**
   * A message. When it returns a promise, the next message of that socket waits until the promise is settled, unless {@link WebSocketLimits.concurrency} allows more. A
   * failure closes the socket with 1011.
   */
  message?(ws: WebSocket<Data>, message: WebSocketMessage): unknown;
  /** What had made `send` answer `"backpressure"` or `"dropped"` has left, or it is worth to try again. */
  drain?(ws: WebSocket<Data>): unknown;
  ping?(ws: WebSocket<Data>, payload: Uint8Array): unknown;
  pong?(ws: WebSocket<Data>, payload: Uint8Array): unknown;
  /** The socket is closed: with the peer's code and reason, 1005 for a close frame without a code, 1006 for an end without a close frame. Called once. */
  close?(ws: WebSocket<Data>, code: number, reason: string): unknown;
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
  /** Handlers that threw or rejected. */
  handlerErrors: number;
}
