/** Which of Node's servers speak HTTP/1: that of node:https is no subclass of node:http's, and has the same methods. */
import type { Server as HttpServerOfNode } from "node:http";
import type { Server as NetServer } from "node:net";

/**
 * Whether `server` is one of node:http or node:https. It looks at what the server can do, because the class of node:https cannot be named without loading TLS
 * into every shard.
 */
export function isHttpServer(server: NetServer): server is HttpServerOfNode {
  return typeof Reflect.get(server, "closeIdleConnections") === "function";
}

/** Whether the connections of `server` are encrypted: it then emits `secureConnection`. */
export function isTlsServer(server: NetServer): boolean {
  return typeof Reflect.get(server, "setSecureContext") === "function";
}
