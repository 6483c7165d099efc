import { HttpError } from "./http-error.js";

/** Hosts whose origin is remembered. A server sees a handful; whoever sends others pays for parsing them. */
const ORIGINS_MAX = 256;
/** How a server's requests come: plain, or by TLS. */
export type Scheme = "http" | "https";

interface KnownOrigins {
  readonly byHost: Map<string, string>;
  /** The latest one again: most servers see one host, and comparing two strings is cheaper than hashing a new one. */
  latestHost: string;
  latestOrigin: string;
}

const known: Readonly<Record<Scheme, KnownOrigins>> = { http: noOrigins(), https: noOrigins() };

/** What the URL parser leaves as it is, in a path and in a query. */
const UNCHANGED_TARGET = /^\/[!$%&()*+,\-./0-9:;=?@A-Z[\]_a-z~]*$/;
/** Where the URL parser may find a dot segment to remove: a dot, or a percent-encoded one, after a slash. */
const DOT_SEGMENT = /\/(?:\.|%2e)/i;
/** What ends the authority, or is user information in it (RFC 3986, section 3.2): none of it belongs into a Host field. */
const NOT_IN_HOST = /[\s/?#@\\]/;
const NOT_ASCII = /[^\0-\x7f]/;

/**
 * The origin (`http://example.org:9090`) of a Host field's value, in the form of the URL standard.
 * Throws `ERR_RINGLOOM_BAD_REQUEST` with status 400 when no URL can have that host.
 */
export function originOf(host: string, scheme: Scheme = "http"): string {
  const origins = known[scheme];
  if (host === origins.latestHost && host !== "") return origins.latestOrigin;
  const origin = origins.byHost.get(host) ?? parseOrigin(host, scheme);
  origins.latestOrigin = origin;
  origins.latestHost = host;
  return origin;
}

/**
 * The URL of a request, as `new URL(…).href` would give it. `target` is the request target in origin-form (`/hello?a=b`), absolute-form or `*`, one
 * character a byte. Throws `ERR_RINGLOOM_BAD_REQUEST` with status 400 for a target that is no URL.
 */
export function requestUrl(origin: string, target: string): string {
  if (UNCHANGED_TARGET.test(target) && !DOT_SEGMENT.test(target)) return origin + target;
  // Bytes above 0x7f are UTF-8 to every client that sends them; read as latin-1 they would be encoded twice.
  const text = NOT_ASCII.test(target) ? Buffer.from(target, "latin1").toString("utf8") : target;
  try {
    if (text.startsWith("/")) return new URL(origin + text).href;
    return text === "*" ? `${origin}/*` : new URL(text).href;
  } catch (cause) {
    throw badRequest("the request target is no valid URL", target, cause);
  }
}

function noOrigins(): KnownOrigins {
  return { byHost: new Map(), latestHost: "", latestOrigin: "" };
}

function parseOrigin(host: string, scheme: Scheme): string {
  const { byHost } = known[scheme];
  let origin: string;
  try {
    if (NOT_IN_HOST.test(host)) throw new TypeError("Invalid character in host");
    origin = new URL(`${scheme}://${host}/`).origin;
  } catch (cause) {
    throw badRequest("the Host field is no valid authority", host, cause);
  }
  if (byHost.size === ORIGINS_MAX) byHost.clear();
  byHost.set(host, origin);
  return origin;
}

function badRequest(why: string, value: string, cause: unknown): HttpError {
  return new HttpError("ERR_RINGLOOM_BAD_REQUEST", 400, `Cannot make a URL of the request: ${why}`, {
    cause,
    operation: "parse URL",
    details: { value },
  });
}
