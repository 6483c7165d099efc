/** `ringloom/ws`: WebSockets of clients. Those of servers are routes of an `App` (`ringloom/http`). Everything here is experimental. */
export type { WebSocketCompression } from "./compression-options.js";
export { type ConnectWebSocketOptions, connectWebSocket } from "./connect-web-socket.js";
export type { WebSocketLimits } from "./options.js";
export type { ClientWebSocket, SendStatus, WebSocketHandlers, WebSocketMessage } from "./web-socket.js";
