/**
 * Every limit and timeout of the HTTP server, as data: default, bounds and one sentence each. `docs/http.md` prints this table.
 * A limit exists so that one peer can neither fill the memory nor hold a slot for ever.
 */
import { assert } from "../assert.js";
import { RingloomError } from "../errors.js";

const KIB = 1024;
const MIB = 1024 * 1024;
const DAY_MS = 86_400_000;

/**
 * The limits of one HTTP server. Sizes are in bytes, times in milliseconds; 0 means "no limit" only where the table allows 0.
 * @experimental
 */
export interface HttpLimits {
  readonly headerBytesMax: number;
  readonly headersMax: number;
  readonly urlBytesMax: number;
  readonly bodyBytesMax: number;
  readonly bodyStreamBytesMax: number;
  readonly bodyDiscardBytesMax: number;
  readonly queuedBytesMax: number;
  readonly requestsPerConnectionMax: number;
  readonly headPoolBytesMax: number;
  readonly pendingPoolBytesMax: number;
  readonly parserStatesMax: number;
  readonly largeBodyBlockBytes: number;
  readonly largeBodyBlocksMax: number;
  readonly headerTimeoutMs: number;
  readonly idleTimeoutMs: number;
  readonly bodyTimeoutMs: number;
  readonly writeTimeoutMs: number;
  readonly handlerTimeoutMs: number;
  readonly halfClosedTimeoutMs: number;
}

/**
 * One row of {@link HTTP_LIMITS}.
 * @experimental
 */
export interface HttpLimitDefinition {
  readonly fallback: number;
  readonly min: number;
  readonly max: number;
  readonly description: string;
}

/**
 * Default, bounds and meaning of every limit.
 * @experimental
 */
export const HTTP_LIMITS: { readonly [Name in keyof HttpLimits]: HttpLimitDefinition } = {
  headerBytesMax: {
    fallback: 16 * KIB,
    min: 256,
    max: 64 * KIB,
    description: "Request target and header fields of one request together, in bytes. More is answered 431.",
  },
  headersMax: {
    fallback: 100,
    min: 4,
    max: 1000,
    description:
      "Header field lines of one request (its trailers count separately, by the same limit). More is answered 431.",
  },
  urlBytesMax: {
    fallback: 8 * KIB,
    min: 64,
    max: 32 * KIB,
    description: "Request target, in bytes. More is answered 414.",
  },
  bodyBytesMax: {
    fallback: MIB,
    min: 0,
    max: 2 ** 31,
    description: "Body that bytes(), text(), json() and arrayBuffer() accept, in bytes. More is answered 413.",
  },
  bodyStreamBytesMax: {
    fallback: 0,
    min: 0,
    max: Number.MAX_SAFE_INTEGER,
    description: "Body of any kind, streamed ones too, in bytes. More is answered 413. 0 is no limit.",
  },
  bodyDiscardBytesMax: {
    fallback: 64 * KIB,
    min: 0,
    max: Number.MAX_SAFE_INTEGER,
    description:
      "Body that is read and dropped after the answer to keep a connection, in bytes. With more to come the connection closes.",
  },
  queuedBytesMax: {
    fallback: 64 * KIB,
    min: 16 * KIB,
    max: 16 * MIB,
    description: "Unsent answer bytes of a connection above which its further requests and its response stream wait.",
  },
  requestsPerConnectionMax: {
    fallback: 0,
    min: 0,
    max: 0x7fff_ffff,
    description: "Requests that one connection may send; the last answer says Connection: close. 0 is no limit.",
  },
  headPoolBytesMax: {
    fallback: 64 * MIB,
    min: 64 * KIB,
    max: 4096 * MIB,
    description:
      "Memory for heads that outlive their receive buffer (incomplete ones, asynchronous handlers), in bytes. Without room: 503.",
  },
  pendingPoolBytesMax: {
    fallback: 64 * MIB,
    min: 64 * KIB,
    max: 4096 * MIB,
    description:
      "Memory for pipelined bytes that wait for an earlier answer, in bytes. Without room the connection closes.",
  },
  parserStatesMax: {
    fallback: 16_384,
    min: 1,
    max: 1 << 20,
    description:
      "Connections that may be inside a request (head or body) at once; 64 bytes each. Further ones are answered 503.",
  },
  largeBodyBlockBytes: {
    fallback: MIB,
    min: 32 * KIB,
    max: 2 ** 31,
    description: "Size of one block of the large-body pool, in bytes.",
  },
  largeBodyBlocksMax: {
    fallback: 64,
    min: 1,
    max: 65_536,
    description: "Blocks of the large-body pool. When all are taken, a further large body is answered 503.",
  },
  headerTimeoutMs: {
    fallback: 10_000,
    min: 0,
    max: DAY_MS,
    description:
      "From the connect, or from the first byte of a later request, to the end of its head. Then 408. 0 is no limit.",
  },
  idleTimeoutMs: {
    fallback: 30_000,
    min: 0,
    max: DAY_MS,
    description: "Between an answer and the next request. Then the connection closes. 0 is no limit.",
  },
  bodyTimeoutMs: {
    fallback: 30_000,
    min: 0,
    max: DAY_MS,
    description: "Without a byte of an awaited body. Then 408. 0 is no limit.",
  },
  writeTimeoutMs: {
    fallback: 5_000,
    min: 0,
    max: DAY_MS,
    description:
      "Without the peer taking at least 240 bytes a second of an answer that waits. Then the connection closes. 0 is no limit.",
  },
  handlerTimeoutMs: {
    fallback: 0,
    min: 0,
    max: DAY_MS,
    description:
      "From the dispatch to the handler's answer, not counting a body that is arriving and read. Then 503. 0 is no limit.",
  },
  halfClosedTimeoutMs: {
    fallback: 30_000,
    min: 0,
    max: DAY_MS,
    description:
      "How long a handler may still answer a peer that has half-closed. Then the connection closes. 0 is no limit.",
  },
};

/**
 * Fills in defaults and checks each value.
 * Throws `ERR_RINGLOOM_INVALID_OPTION` for an unknown name or a value outside its bounds.
 */
export function resolveHttpLimits(options: Partial<HttpLimits> = {}): HttpLimits {
  for (const name of Object.keys(options)) {
    if (!Object.hasOwn(HTTP_LIMITS, name))
      throw invalidLimit(name, (options as Record<string, unknown>)[name], "no such limit exists");
  }
  const resolved: Record<string, number> = {};
  for (const [name, definition] of Object.entries(HTTP_LIMITS)) {
    const value = options[name as keyof HttpLimits];
    if (value !== undefined && (!Number.isSafeInteger(value) || value < definition.min || value > definition.max)) {
      throw invalidLimit(name, value, `a whole number from ${definition.min} to ${definition.max} is allowed`);
    }
    resolved[name] = value ?? definition.fallback;
  }
  const limits = resolved as unknown as HttpLimits;
  if (limits.urlBytesMax > limits.headerBytesMax) {
    throw invalidLimit(
      "urlBytesMax",
      limits.urlBytesMax,
      `at most headerBytesMax (${limits.headerBytesMax}) is allowed`,
    );
  }
  return limits;
}

function invalidLimit(name: string, value: unknown, allowed: string): RingloomError {
  return new RingloomError("ERR_RINGLOOM_INVALID_OPTION", `Cannot use ${name} ${String(value)}: ${allowed}`, {
    operation: "configure",
    details: { name, value },
  });
}

assert(HTTP_LIMITS.urlBytesMax.fallback <= HTTP_LIMITS.headerBytesMax.fallback, "a request target is part of its head");
