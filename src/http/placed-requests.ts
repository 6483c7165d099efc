/**
 * Requests that another shard has received and this one answers, because it owns their key (`place.ts`).
 *
 * They go through a server in memory, the one of `inject`: the same parser, limits, middleware and encoder as a request from the network. So a handler cannot tell the two apart, and there is one way to answer.
 */
import type { MessagePort } from "node:worker_threads";
import { RingloomError } from "../errors.js";
import { shardFunction } from "../runtime/shard-functions.js";
import { transfer } from "../scheduler/transfer.js";
import type { App } from "./app.js";
import { MemoryServer } from "./inject.js";
import type { HttpLimits } from "./limits.js";
import type { Scheme } from "./request-url.js";

/** Bodies up to this size, in bytes, travel whole; longer ones, and those of unknown length, as streams. */
export const WHOLE_BYTES_MAX = 65_536;

/** A request as it travels. */
export interface PlacedRequest {
  readonly method: string;
  /** Scheme, authority, path and query. */
  readonly url: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: Uint8Array | ReadableStream<Uint8Array> | null;
  readonly remoteAddress: string | undefined;
  /** Closes when nobody wants the answer, or the rest of it, any more. */
  readonly life: MessagePort;
}

/** Its answer. */
export interface PlacedAnswer {
  readonly status: number;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: Uint8Array | ReadableStream<Uint8Array> | null;
}

let app: App | undefined;
let limits: HttpLimits | undefined;
/** One for each scheme, because a request does not say how it came. */
const servers: Partial<Record<Scheme, MemoryServer>> = {};

/** Makes `served` what answers such requests on this shard. */
export function servePlaced(served: App, withLimits: HttpLimits): void {
  app = served;
  limits = withLimits;
}

/** Called by the shard that has received the request. */
export const answerPlaced = shardFunction("ringloom:place", async (request: PlacedRequest): Promise<PlacedAnswer> => {
  const { life, url, method, body, remoteAddress } = request;
  const isGone = new AbortController();
  life.on("close", () => isGone.abort());
  life.unref();
  const response = await openServer(url.startsWith("https:") ? "https" : "http").requestFrom(remoteAddress, url, {
    method,
    headers: request.headers.map(([name, value]): [string, string] => [name, value]),
    body: body as RequestInit["body"] & {},
    signal: isGone.signal,
    ...(body instanceof ReadableStream ? { duplex: "half" } : {}),
  });
  const { status } = response;
  const headers = [...response.headers];
  if (response.body === null || method === "HEAD") return { status, headers, body: null };
  const length = Number(response.headers.get("content-length") ?? Number.NaN);
  if (length <= WHOLE_BYTES_MAX) return { status, headers, body: new Uint8Array(await response.arrayBuffer()) };
  const answer = { status, headers, body: response.body };
  return transfer(answer, [response.body]);
});

function openServer(scheme: Scheme): MemoryServer {
  if (app === undefined || limits === undefined) {
    throw new RingloomError("ERR_RINGLOOM_NOT_AN_APP", "Cannot answer a placed request: this shard serves no App.", {
      operation: "place",
    });
  }
  servers[scheme] ??= new MemoryServer(app, { limits, scheme });
  return servers[scheme];
}
