/** A resolver's options with their defaults, checked. */
import type { QuerySettings } from "./queries.js";

/**
 * Where and how a `Resolver` asks, and what it keeps.
 * @experimental
 */
export interface ResolverOptions {
  /** Name servers as `address` or `address:port`; the system's unless given. */
  readonly servers?: readonly string[];
  /**
   * Whom to ask for what the hosts file does not have: `dns` name servers only, `system` getaddrinfo only, on a thread of libuv's pool, `auto` (the default)
   * name servers, but getaddrinfo for names under `.local` and when no name server can be reached.
   */
  readonly method?: "auto" | "dns" | "system";
  /** Path of the hosts file, or false for none; the system's unless given. */
  readonly hostsFile?: string | false;
  /** Domains that complete short names; those of /etc/resolv.conf unless given, none where `servers` are given. */
  readonly searchDomains?: readonly string[];
  /** A name with so many dots is tried as it is before it is completed; as in /etc/resolv.conf unless given, else 1. */
  readonly ndots?: number;
  /** Answers that are kept: 1,024. */
  readonly cacheEntriesMax?: number;
  /** Answers are kept no shorter and no longer, in milliseconds: 0 and an hour. */
  readonly ttlMsMin?: number;
  readonly ttlMsMax?: number;
  /** How long it is kept that there is no such name or record, in milliseconds: 5 s. The server's own value for that does not reach us through c-ares. */
  readonly negativeTtlMs?: number;
  /** How long answers are kept that come without a time to live (services, the system's), in milliseconds: 5 s. */
  readonly unknownTtlMs?: number;
  /** Questions that may wait for an answer at once: 256. One more is `ERR_RINGLOOM_OVERLOADED`. */
  readonly queriesMax?: number;
  /** The first time that a server gets to answer, in milliseconds: 2 s; c-ares gives it longer in each further round. */
  readonly attemptTimeoutMs?: number;
  /** How often all servers are asked: twice. */
  readonly attempts?: number;
  /** A clock in milliseconds, for tests. */
  readonly nowMs?: () => number;
  /** Random numbers from 0 up to 1, for tests. */
  readonly random?: () => number;
}

/** What a resolver works with. */
export interface ResolverSettings extends QuerySettings {
  readonly method: "auto" | "dns" | "system";
  /** Undefined: those of the system. */
  readonly searchDomains: readonly string[] | undefined;
  readonly ndots: number | undefined;
  readonly random: () => number;
}

const METHODS: readonly unknown[] = ["auto", "dns", "system"];
const HOUR_MS = 3_600_000;
const QUERIES_MAX = 65_536;
const CACHE_ENTRIES_MAX = 1_048_576;

/** @throws RangeError, TypeError. */
export function resolverSettings(options: ResolverOptions): ResolverSettings {
  const { method = "auto" } = options;
  if (!METHODS.includes(method)) throw new TypeError(`Cannot make a resolver: method is ${String(method)}`);
  const settings = {
    method,
    servers: options.servers,
    searchDomains: options.searchDomains?.map((domain) => domain.toLowerCase()),
    ndots: options.ndots,
    attemptTimeoutMs: whole("attemptTimeoutMs", options.attemptTimeoutMs ?? 2_000, [1, HOUR_MS]),
    attempts: whole("attempts", options.attempts ?? 2, [1, 10]),
    queriesMax: whole("queriesMax", options.queriesMax ?? 256, [1, QUERIES_MAX]),
    cacheEntriesMax: whole("cacheEntriesMax", options.cacheEntriesMax ?? 1_024, [0, CACHE_ENTRIES_MAX]),
    ttlMsMin: whole("ttlMsMin", options.ttlMsMin ?? 0, [0, Number.MAX_SAFE_INTEGER]),
    ttlMsMax: whole("ttlMsMax", options.ttlMsMax ?? HOUR_MS, [0, Number.MAX_SAFE_INTEGER]),
    negativeTtlMs: whole("negativeTtlMs", options.negativeTtlMs ?? 5_000, [0, Number.MAX_SAFE_INTEGER]),
    unknownTtlMs: whole("unknownTtlMs", options.unknownTtlMs ?? 5_000, [0, Number.MAX_SAFE_INTEGER]),
    nowMs: options.nowMs ?? (() => performance.now()),
    random: options.random ?? Math.random,
  };
  if (settings.ndots !== undefined) whole("ndots", settings.ndots, [0, 15]);
  if (settings.ttlMsMin > settings.ttlMsMax) throw new RangeError("Cannot make a resolver: ttlMsMin exceeds ttlMsMax");
  return settings;
}

function whole(name: string, value: number, [min, max]: readonly [number, number]): number {
  if (Number.isInteger(value) && value >= min && value <= max) return value;
  throw new RangeError(
    `Cannot make a resolver: ${name} is ${String(value)}, and has to be a whole number from ${min} to ${max}`,
  );
}
