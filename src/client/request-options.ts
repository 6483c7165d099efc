import type { ClientTimeouts } from "./client-options.js";
import type { RequestContent, RequestHeaders } from "./message.js";
import type { ClientResponse } from "./response.js";

/**
 * What a request may say.
 * @experimental
 */
export interface ClientRequestOptions {
  /** Default: GET. */
  readonly method?: string | undefined;
  readonly headers?: RequestHeaders | undefined;
  /** Default: none. A stream is sent in chunks, unless the headers have a `content-length`, which it then must have. */
  readonly body?: RequestContent | null | undefined;
  /** In place of `body`: a value that is sent as JSON. */
  readonly json?: unknown;
  /** Gives the request up, its body included: it rejects with `ERR_RINGLOOM_ABORTED`, and its connection is closed. */
  readonly signal?: AbortSignal | undefined;
  /** Default: those of the client. */
  readonly timeouts?: ClientTimeouts | undefined;
  /** Default: that of the client. */
  readonly redirectsMax?: number | undefined;
  /** Default: that of the client. */
  readonly decompress?: boolean | undefined;
}

/** Whoever sends requests. */
export interface Requester {
  request(url: string | URL, options?: ClientRequestOptions): Promise<ClientResponse>;
}
