/** The shape of the platform's `fetch` over a client of ours. */
import { RingloomError } from "../errors.js";
import type { RequestContent } from "./message.js";
import type { ClientRequestOptions, Requester } from "./request-options.js";
import type { ClientResponse } from "./response.js";

/** What the Fetch standard follows. */
const REDIRECTS_MAX = 20;
/** Responses with these statuses have no body, and the constructor refuses them one. */
const NULL_BODY = new Set([101, 103, 204, 205, 304]);
/** What the Fetch standard calls forbidden methods. */
const FORBIDDEN = new Set(["CONNECT", "TRACE", "TRACK"]);

/** As the standard's `fetch`: rejects with the signal's reason, or with a TypeError. */
export async function webFetch(
  client: Requester,
  input: string | URL | Request,
  init: RequestInit | undefined,
): Promise<Response> {
  const request = new Request(input, init);
  const signal = init?.signal ?? (input instanceof Request ? input.signal : undefined);
  signal?.throwIfAborted();
  if (FORBIDDEN.has(request.method)) throw new TypeError(`Cannot fetch: ${request.method} is a forbidden method`);
  try {
    const response = await client.request(request.url, await optionsOf(request, { input, init, signal }));
    if (
      request.redirect === "error" &&
      [301, 302, 303, 307, 308].includes(response.status) &&
      response.headers.has("location")
    ) {
      response.discard();
      throw new TypeError(`Cannot fetch: ${response.url} redirects`);
    }
    return webResponse(response, request.method);
  } catch (error) {
    if (!(error instanceof RingloomError)) throw error;
    if (signal?.aborted === true && error.code === "ERR_RINGLOOM_ABORTED") throw signal.reason;
    throw new TypeError("fetch failed", { cause: error });
  }
}

async function optionsOf(
  request: Request,
  given: {
    readonly input: string | URL | Request;
    readonly init: RequestInit | undefined;
    readonly signal: AbortSignal | null | undefined;
  },
): Promise<ClientRequestOptions> {
  const headers: [string, string][] = [...request.headers];
  if (!request.headers.has("accept")) headers.push(["accept", "*/*"]);
  return {
    method: request.method,
    headers,
    body: await bodyOf(request, given.input, given.init),
    signal: given.signal ?? undefined,
    redirectsMax: request.redirect === "follow" ? REDIRECTS_MAX : 0,
  };
}

/** A body that is there as a whole is sent with its length, and can follow a redirect. */
async function bodyOf(
  request: Request,
  input: string | URL | Request,
  init: RequestInit | undefined,
): Promise<RequestContent | undefined> {
  if (request.body === null) return undefined;
  const body: unknown = init?.body ?? (input instanceof Request ? input.body : undefined);
  const isStream = typeof body === "object" && body !== null && Symbol.asyncIterator in body;
  if (isStream) return request.body as unknown as RequestContent;
  return new Uint8Array(await request.arrayBuffer());
}

function webResponse(response: ClientResponse, method: string): Response {
  const { status, statusText, url } = response;
  if (status < 200 || status > 599) {
    response.discard();
    throw new TypeError(`Cannot fetch: a Response has no status ${status}`);
  }
  const hasBody = method !== "HEAD" && !NULL_BODY.has(status);
  const body = hasBody ? (response.body.toWeb() as unknown as ReadableStream<Uint8Array>) : null;
  if (!hasBody) response.discard();
  const web = new Response(body, { status, statusText, headers: [...response.headers] });
  // Its constructor has no way to say where it came from.
  Object.defineProperty(web, "url", { value: url, configurable: true });
  Object.defineProperty(web, "redirected", { value: response.redirects > 0, configurable: true });
  return web;
}
