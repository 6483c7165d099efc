/** No client gets more than its share. */
import { isIPv6 } from "node:net";
import type { Middleware } from "../http/app.js";
import type { Context, HandlerResult } from "../http/context.js";
import { type SharedRateLimiter, sharedRateLimiter } from "../sync/shared-rate-limiter.js";
import { checkOptions } from "./check-options.js";

/**
 * Options of {@link rateLimit}.
 * @experimental
 */
export interface RateLimitOptions {
  /** Requests that a client may send in each window, counted over all shards. */
  readonly limit: number;
  /** In milliseconds. */
  readonly windowMs: number;
  /** Requests that a client which was idle may send at once. Default: `limit`. */
  readonly burst?: number;
  /** Clients that are counted at once, 8 bytes each; beyond them, requests are allowed uncounted. Default 65,536. */
  readonly keysMax?: number;
  /** Tells limits apart: two of one name count together. Default `http`. */
  readonly name?: string;
  /** Who a request is of; undefined is not limited. Default: the address of the connection, of IPv6 its first 64 bits. Behind a proxy that is the proxy's: read the header that the proxy sets. */
  readonly key?: (c: Context) => string | undefined;
  /** Answers what is too much. Default: 429 with a short text; `Retry-After` is set either way. */
  readonly onLimited?: (c: Context) => HandlerResult;
}

const NAMES = ["limit", "windowMs", "burst", "keysMax", "name", "key", "onLimited"];

/**
 * Answers 429 to a client that asks too often (RFC 6585, section 4), with `Retry-After`. Answers carry `RateLimit-Limit`, `RateLimit-Remaining` and `RateLimit-Reset` (seconds), those to failures too.
 *
 * ```ts run
 * import { App } from "ringloom/http";
 * import { rateLimit } from "ringloom/middleware";
 *
 * const app = new App();
 * app.use(rateLimit({ name: "example", limit: 2, windowMs: 60_000, key: (c) => c.header("x-user") }));
 * app.get("/", (c) => c.text("hello"));
 *
 * const headers = { "x-user": "ada" };
 * const statuses = [];
 * for (let time = 0; time < 3; time++) statuses.push((await app.request("/", { headers })).status);
 * if (statuses.join() !== "200,200,429") throw new Error(statuses.join());
 * ```
 * @throws RingloomError as `sharedRateLimiter`.
 * @experimental
 */
export function rateLimit(options: RateLimitOptions): Middleware {
  checkOptions("rateLimit", options, NAMES);
  const { name = "http", key = clientOf, onLimited = tooMany, ...limits } = options;
  const limiter = sharedRateLimiter(`rateLimit ${name}`, limits);
  return (c, next) => {
    const client = key(c);
    return client === undefined || isWithin(c, limiter, client) ? next() : onLimited(c);
  };
}

function isWithin(c: Context, limiter: SharedRateLimiter, client: string): boolean {
  const verdict = limiter.take(client);
  c.addLastingHeader("ratelimit-limit", limiter.burst);
  c.addLastingHeader("ratelimit-remaining", verdict.remaining);
  c.addLastingHeader("ratelimit-reset", Math.ceil(verdict.resetMs / 1000));
  if (!verdict.isAllowed) c.setHeader("retry-after", Math.max(1, Math.ceil(verdict.retryAfterMs / 1000)));
  return verdict.isAllowed;
}

function tooMany(c: Context): HandlerResult {
  return c.text("Too Many Requests\n", 429);
}

/** Whoever has one address of IPv6 mostly has the 2^64 around it. */
function clientOf(c: Context): string | undefined {
  const address = c.remoteAddress;
  if (address === undefined || !isIPv6(address)) return address;
  const mapped = /^::ffff:([\d.]+)$/i.exec(address);
  if (mapped !== null) return mapped[1];
  const [head = "", tail] = address.split("::");
  const groups = head === "" ? [] : head.split(":");
  const after = tail === undefined || tail === "" ? [] : tail.split(":");
  if (tail !== undefined) while (groups.length + after.length < 8) groups.push("0");
  return [...groups, ...after].slice(0, 4).join(":");
}
