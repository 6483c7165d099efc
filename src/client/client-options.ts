/** What a client is made with, checked. */
import type { ConnectionOptions as TlsConnectionOptions } from "node:tls";
import type { Resolver } from "../net/resolver.js";
import { TIMEOUT_MS_MAX } from "../scheduler/task-checks.js";
import { checkedForm } from "../task/wait-limits.js";
import type { ProxySettings } from "./proxy.js";

const OPERATION = "make an HTTP client";

/**
 * How long each phase of a request may take, in milliseconds; 0 is for ever. Found out up to a quarter of a second late.
 * @experimental
 */
export interface ClientTimeouts {
  /** Until there is a connection: waiting for a free one, the name, TCP, the proxy and TLS included. Default: 10,000. */
  readonly connectMs?: number | undefined;
  /** From the last byte that was sent to the end of the response's head. Default: 60,000. */
  readonly headersMs?: number | undefined;
  /** Between two pieces of the body; also how long a body that is too large to wait in memory may stay unread. Default: 60,000. */
  readonly bodyMs?: number | undefined;
  /** For everything, redirects and the whole body included. Default: 0. */
  readonly totalMs?: number | undefined;
}

/**
 * TLS of a client: what `tls.connect` of Node takes under these names.
 * @experimental
 */
export type ClientTlsOptions = Pick<
  TlsConnectionOptions,
  | "ca"
  | "cert"
  | "key"
  | "passphrase"
  | "pfx"
  | "servername"
  | "rejectUnauthorized"
  | "checkServerIdentity"
  | "minVersion"
  | "maxVersion"
  | "ciphers"
>;

/**
 * How an {@link HttpClient} works.
 * @experimental
 */
export interface HttpClientOptions {
  /** Connections to one origin (scheme, host and port) at a time. Default: 64. */
  readonly connectionsMax?: number | undefined;
  /** Requests to one origin that may wait for a connection; one more is refused with `ERR_RINGLOOM_OVERLOADED`. Default: 1,024. */
  readonly pendingMax?: number | undefined;
  /**
   * How long a connection may be idle before it is closed, in milliseconds. A server that names a time of its own (`Keep-Alive: timeout=5`) gets its connection closed a second before that. Default: 4,000, because
   * many servers, Node's among them, close after 5 seconds.
   */
  readonly idleMs?: number | undefined;
  /** How old a connection may get, in milliseconds: an older one takes no further request, so that changes of the name are followed. 0 is for ever. Default: 300,000. */
  readonly lifetimeMs?: number | undefined;
  /** How often connecting is tried, with all addresses each time, before a request fails. Default: 2. */
  readonly connectAttemptsMax?: number | undefined;
  readonly timeouts?: ClientTimeouts | undefined;
  /** Fields that the head of a response, or its trailer section, may have. Default: 256. */
  readonly headersMax?: number | undefined;
  /** Bytes that they may have. Default: 65,536. */
  readonly headerBytesMax?: number | undefined;
  /** Bytes that `text()`, `json()` and `bytes()` read unless told otherwise, after decompression. Default: 67,108,864. */
  readonly bodyBytesMax?: number | undefined;
  /** Redirects that are followed; 0 gives the redirect as the response. Default: 10. */
  readonly redirectsMax?: number | undefined;
  /** Whether bodies are asked for and unpacked in gzip, br and deflate. Default: true. */
  readonly decompress?: boolean | undefined;
  /** Fields of every request that has none of that name. Default: `user-agent: ringloom`. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** `"environment"` reads `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY`, `false` uses none, a URL is for everything. Default: `"environment"`. */
  readonly proxy?: "environment" | false | string | ProxySettings | undefined;
  /** Finds the addresses of a name. Default: that of `ringloom/dns`, which remembers them. */
  readonly resolver?: Resolver | undefined;
  /** Connects to a Unix socket, whatever host a URL names. */
  readonly socketPath?: string | undefined;
  readonly tls?: ClientTlsOptions | undefined;
}

/** {@link ClientTimeouts} with all values. */
export type Timeouts = { readonly [Name in keyof ClientTimeouts]-?: number };

/** The options with their defaults. */
export interface ClientSettings {
  readonly connectionsMax: number;
  readonly pendingMax: number;
  readonly idleMs: number;
  readonly lifetimeMs: number;
  readonly connectAttemptsMax: number;
  readonly timeouts: Timeouts;
  readonly headersMax: number;
  readonly headerBytesMax: number;
  readonly bodyBytesMax: number;
  readonly redirectsMax: number;
  readonly decompress: boolean;
  readonly headers: Readonly<Record<string, string>>;
  readonly proxy: "environment" | false | string | ProxySettings;
  readonly resolver: Resolver | undefined;
  readonly socketPath: string | undefined;
  readonly tls: ClientTlsOptions;
}

const TIMEOUTS: Timeouts = { connectMs: 10_000, headersMs: 60_000, bodyMs: 60_000, totalMs: 0 };

const OPTION_NAMES: readonly (keyof HttpClientOptions)[] = [
  "connectionsMax",
  "pendingMax",
  "idleMs",
  "lifetimeMs",
  "connectAttemptsMax",
  "timeouts",
  "headersMax",
  "headerBytesMax",
  "bodyBytesMax",
  "redirectsMax",
  "decompress",
  "headers",
  "proxy",
  "resolver",
  "socketPath",
  "tls",
];

/** @throws RangeError, TypeError, RingloomError `ERR_RINGLOOM_INVALID_OPTION` for a name that there is not. */
export function clientSettings(options: HttpClientOptions): ClientSettings {
  checkedForm(OPERATION, options, OPTION_NAMES);
  const number = (name: keyof HttpClientOptions, standard: number, [min, max]: readonly [number, number]): number =>
    checkedInteger(OPERATION, name, { value: options[name] ?? standard, min, max });
  return {
    connectionsMax: number("connectionsMax", 64, [1, 16_384]),
    pendingMax: number("pendingMax", 1_024, [0, 1_000_000]),
    idleMs: number("idleMs", 4_000, [0, TIMEOUT_MS_MAX]),
    lifetimeMs: number("lifetimeMs", 300_000, [0, TIMEOUT_MS_MAX]),
    connectAttemptsMax: number("connectAttemptsMax", 2, [1, 100]),
    timeouts: timeoutsOf(OPERATION, options.timeouts, TIMEOUTS),
    headersMax: number("headersMax", 256, [1, 65_536]),
    headerBytesMax: number("headerBytesMax", 65_536, [256, 16 * 1024 * 1024]),
    bodyBytesMax: number("bodyBytesMax", 64 * 1024 * 1024, [0, Number.MAX_SAFE_INTEGER]),
    redirectsMax: number("redirectsMax", 10, [0, 1_000]),
    decompress: options.decompress ?? true,
    headers: options.headers ?? { "user-agent": "ringloom" },
    proxy: options.proxy ?? "environment",
    resolver: options.resolver,
    socketPath: options.socketPath,
    tls: options.tls ?? {},
  };
}

/** Times with those of the client where the request says nothing. Throws a RangeError. */
export function timeoutsOf(operation: string, given: ClientTimeouts | undefined, standard: Timeouts): Timeouts {
  if (given === undefined) return standard;
  checkedForm(operation, given, ["connectMs", "headersMs", "bodyMs", "totalMs"]);
  const time = (name: keyof ClientTimeouts): number =>
    checkedInteger(operation, name, { value: given[name] ?? standard[name], min: 0, max: TIMEOUT_MS_MAX });
  return {
    connectMs: time("connectMs"),
    headersMs: time("headersMs"),
    bodyMs: time("bodyMs"),
    totalMs: time("totalMs"),
  };
}

/** Throws a RangeError for what is no whole number between `min` and `max`. */
export function checkedInteger(
  operation: string,
  name: string,
  { value, min, max }: { readonly value: unknown; readonly min: number; readonly max: number },
): number {
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= min && value <= max) return value;
  throw new RangeError(`Cannot ${operation}: ${name} ${String(value)} is not a whole number between ${min} and ${max}`);
}
