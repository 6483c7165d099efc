/** Limits of Ringloom's own server that one of Node's has under another name. */
import type { Server as HttpServerOfNode } from "node:http";
import type { Server as NetServer } from "node:net";
import { RingloomError } from "../errors.js";
import { type HttpLimits, resolveHttpLimits } from "../http/limits.js";
import { isHttpServer } from "./http-servers.js";

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
 * have (to ignore it would promise what nobody keeps), and for a value outside of the limit's bounds. Returns those that `NodeServer` keeps itself.
 */
export function applyLimits(server: NetServer, limits: Partial<HttpLimits>): { readonly writeTimeoutMs: number } {
  const { writeTimeoutMs } = resolveHttpLimits(limits);
  for (const [name, value] of Object.entries(limits)) {
    if (name === "writeTimeoutMs" || value === undefined) continue;
    const counterpart = COUNTERPARTS[name as keyof typeof COUNTERPARTS];
    if (counterpart === undefined || !isHttpServer(server)) {
      throw new RingloomError(
        "ERR_RINGLOOM_INVALID_OPTION",
        `Cannot use the limit ${name}: the module exports an app of another framework, whose node:http server has no such limit ` +
          `(it has ${Object.keys(COUNTERPARTS).join(", ")}; writeTimeoutMs holds for every server)`,
        { operation: "configure", details: { option: name, value } },
      );
    }
    server[counterpart] = value;
  }
  return { writeTimeoutMs };
}
