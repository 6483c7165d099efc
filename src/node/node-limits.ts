/** Limits of Ringloom's own server that one of Node's has under another name. */
import { Server as HttpServerOfNode } from "node:http";
import type { Server as NetServer } from "node:net";
import { RingloomError } from "../errors.js";
import type { HttpLimits } from "../http/limits.js";

/** What each limit is called there; the rest has no counterpart. */
const COUNTERPARTS = {
  headerTimeoutMs: "headersTimeout",
  bodyTimeoutMs: "requestTimeout",
  idleTimeoutMs: "keepAliveTimeout",
  headersMax: "maxHeadersCount",
  requestsPerConnectionMax: "maxRequestsPerSocket",
} as const satisfies Partial<Record<keyof HttpLimits, keyof HttpServerOfNode>>;

/**
 * Sets on `server` what was asked of Ringloom's own server. Throws `ERR_RINGLOOM_INVALID_OPTION` for a limit that Node's server does not
 * have: to ignore it would promise what nobody keeps.
 */
export function applyLimits(server: NetServer, limits: Partial<HttpLimits>): void {
  for (const [name, value] of Object.entries(limits)) {
    const counterpart = COUNTERPARTS[name as keyof typeof COUNTERPARTS];
    if (counterpart === undefined || !(server instanceof HttpServerOfNode)) {
      throw new RingloomError(
        "ERR_RINGLOOM_INVALID_OPTION",
        `Cannot use the limit ${name}: the module exports an app of another framework, whose node:http server has no such limit ` +
          `(it has ${Object.keys(COUNTERPARTS).join(", ")})`,
        { operation: "configure", details: { option: name, value } },
      );
    }
    server[counterpart] = value;
  }
}
