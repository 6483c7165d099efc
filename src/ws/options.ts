/** The limits of WebSockets, with their defaults. */
import { RingloomError } from "../errors.js";
import type { SlowConsumerPolicy } from "./web-socket.js";

/**
 * Limits of the WebSockets of one route. Sizes are bytes of payload, as they travel; times are milliseconds. `messageBytesMax` holds for a compressed message as it travels and for what it becomes.
 * @experimental
 */
export interface WebSocketLimits {
  /** A longer message closes the socket with 1009. Default 1 MiB. */
  readonly messageBytesMax: number;
  /** A message in more frames closes the socket with 1009: tiny fragments cost more than their bytes. Default 1,024. */
  readonly fragmentsMax: number;
  /** Message handlers of one socket that run at once. With 1 the next message waits until the promise of the one before is settled. Default 1. */
  readonly concurrency: number;
  /** Messages that wait for a handler, in bytes: above it nothing more is read from that peer until half of them are done. Default 64 KiB. */
  readonly inboundBytesMax: number;
  /** Messages on their way in, incomplete or waiting, of all sockets of the server's shard, whatever their route; above it the socket that asks for more is closed with 1013. Default 64 MiB. */
  readonly inboundBytesTotalMax: number;
  /** What may wait for a peer that reads slowly; `send` above it answers `"dropped"` and sends nothing. Default 1 MiB. */
  readonly sendBytesMax: number;
  /** A socket from which nothing came for so long is sent a ping, and cut when nothing has come after as long again. 0 is never. Default 60,000. */
  readonly idleTimeoutMs: number;
  /** How long the peer has to answer a close frame. Default 5,000. */
  readonly closeTimeoutMs: number;
  /** Topics that a socket is subscribed to; `subscribe` throws above it. Default 128. */
  readonly topicsMax: number;
  /** Subscriptions of all sockets of a shard; `subscribe` throws above it. Default 1,048,576. */
  readonly subscriptionsTotalMax: number;
}

/** The defaults. */
export const WEB_SOCKET_LIMITS: WebSocketLimits = {
  messageBytesMax: 1024 * 1024,
  fragmentsMax: 1_024,
  concurrency: 1,
  inboundBytesMax: 64 * 1024,
  inboundBytesTotalMax: 64 * 1024 * 1024,
  sendBytesMax: 1024 * 1024,
  idleTimeoutMs: 60_000,
  closeTimeoutMs: 5_000,
  topicsMax: 128,
  subscriptionsTotalMax: 1_048_576,
};

/** Fills in the defaults. Throws `ERR_RINGLOOM_INVALID_OPTION` for a limit that is none. */
export function resolveWebSocketLimits(limits: Partial<WebSocketLimits> = {}): WebSocketLimits {
  const resolved: Record<string, number> = { ...WEB_SOCKET_LIMITS };
  for (const [name, value] of Object.entries(limits)) {
    if (value === undefined) continue;
    const least = name === "idleTimeoutMs" ? 0 : 1;
    if (!(name in WEB_SOCKET_LIMITS) || !Number.isSafeInteger(value) || value < least) {
      throw new RingloomError(
        "ERR_RINGLOOM_INVALID_OPTION",
        name in WEB_SOCKET_LIMITS
          ? `Cannot serve WebSockets with ${name} ${String(value)}: a whole number from ${least} is allowed`
          : `Cannot serve WebSockets with ${name}: there is no such limit. There are ${Object.keys(WEB_SOCKET_LIMITS).join(", ")}`,
        { operation: "serve WebSockets", details: { option: name, value } },
      );
    }
    resolved[name] = value;
  }
  return resolved as unknown as WebSocketLimits;
}

const SLOW_CONSUMER_POLICIES: readonly SlowConsumerPolicy[] = ["drop", "close", "disconnect"];

/** Checks the policy. Throws `ERR_RINGLOOM_INVALID_OPTION` for one that there is not. */
export function resolveSlowConsumer(policy: SlowConsumerPolicy = "drop"): SlowConsumerPolicy {
  if (SLOW_CONSUMER_POLICIES.includes(policy)) return policy;
  throw new RingloomError(
    "ERR_RINGLOOM_INVALID_OPTION",
    `Cannot serve WebSockets with slowConsumer ${String(policy)}: there are ${SLOW_CONSUMER_POLICIES.join(", ")}`,
    { operation: "serve WebSockets", details: { option: "slowConsumer", value: policy } },
  );
}
