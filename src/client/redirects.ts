/** Where a redirect leads, and with what: the rules of the Fetch standard (HTTP-redirect fetch), which are those of browsers. */
import { lookup } from "../http/light-headers.js";
import { failed } from "./client-errors.js";
import { fieldOf, type Message } from "./message.js";
import type { RawBody } from "./raw-body.js";
import type { ResponseParts } from "./response.js";
import type { Targets } from "./target.js";

const REDIRECTS = new Set([301, 302, 303, 307, 308]);
/** Fields that speak of the body, and go with it. */
const BODY_FIELDS = new Set([
  "content-encoding",
  "content-language",
  "content-length",
  "content-location",
  "content-type",
]);
/** Fields that are meant for one server. */
const OWN_FIELDS = new Set(["authorization", "cookie", "proxy-authorization", "host"]);
/** A redirect with a longer body costs its connection. */
const DRAINED_BYTES_MAX = 65_536;

/** Whether a response sends its client somewhere else. */
export function isRedirect({ status, fields }: ResponseParts): boolean {
  return REDIRECTS.has(status) && lookup(fields, 0, "location") !== undefined;
}

/**
 * The request that follows a redirect.
 * @throws RingloomError `ERR_RINGLOOM_BAD_RESPONSE` for a place that is none, `ERR_RINGLOOM_BODY_USED` when a body that was a stream would have to be sent again.
 */
export function redirected(message: Message, response: ResponseParts, targets: Targets): Message {
  const { request, status, fields } = response;
  const target = targets.of(placeOf(lookup(fields, 0, "location") ?? "", request));
  const becomesGet =
    (status === 303 && message.method !== "HEAD" && message.method !== "GET") ||
    ((status === 301 || status === 302) && message.method === "POST");
  const isOtherOrigin = target.origin !== message.target.origin;
  const kept: string[] = [];
  for (let index = 0; index < message.fields.length; index += 2) {
    const name = message.fields[index] ?? "";
    const isDropped = (becomesGet && BODY_FIELDS.has(name)) || (isOtherOrigin && OWN_FIELDS.has(name));
    if (!isDropped) kept.push(name, message.fields[index + 1] ?? "");
  }
  if (becomesGet) return { target, method: "GET", fields: kept, body: undefined };
  if (message.body !== undefined && !(message.body instanceof Uint8Array))
    throw failed(
      "ERR_RINGLOOM_BODY_USED",
      request,
      `Cannot follow the redirect of ${request.url}: the body was a stream, and is gone`,
    );
  return { target, method: message.method, fields: kept, body: message.body };
}

/** Reads a short body to its end, so that its connection can be used again. */
export async function drain(body: RawBody): Promise<void> {
  try {
    let length = 0;
    while (length <= DRAINED_BYTES_MAX) {
      const chunk = await body.read();
      if (chunk === undefined) return;
      length += chunk.length;
    }
    body.cancel();
  } catch {
    // The connection is gone: nobody needed the rest.
  }
}

function placeOf(location: string, request: ResponseParts["request"]): string {
  // The bytes are UTF-8 more often than anything else.
  const text = Buffer.from(location, "latin1").toString("utf8");
  const isPlace = URL.canParse(text, request.url);
  const url = isPlace ? new URL(text, request.url) : undefined;
  if (url === undefined || (url.protocol !== "http:" && url.protocol !== "https:"))
    throw failed(
      "ERR_RINGLOOM_BAD_RESPONSE",
      request,
      `Cannot follow the redirect of ${request.url}: ${JSON.stringify(text)} is no HTTP URL`,
    );
  // A server has no business in naming the user.
  url.username = "";
  url.password = "";
  return url.href;
}

/** The value of a request's field Range: a body in parts is not unpacked. */
export function hasRange(message: Message): boolean {
  return fieldOf(message.fields, "range") !== undefined;
}
