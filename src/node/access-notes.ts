/** Follows each request of one of Node's servers to its end, for the access log. The lines are those of Ringloom's own server. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { AccessTurn } from "../http/access-turn.js";
import type { AccessLog } from "../observe/access-log.js";
import { monotonicMs } from "../observe/monotonic.js";

/** Notes requests when their responses close. */
export class AccessNotes {
  readonly #turn: AccessTurn;

  constructor(log: AccessLog) {
    this.#turn = new AccessTurn(log);
  }

  /** A request has reached the server; nobody else has seen it yet, so its URL is still the client's. */
  begun(request: IncomingMessage, response: ServerResponse): void {
    const { method = "", socket } = request;
    const path = pathOf(request.url ?? "");
    const startMs = monotonicMs();
    let bytesBefore = response.socket === null ? Number.POSITIVE_INFINITY : socket.bytesWritten;
    let bytes = -1;
    // The response of a pipelined request gets the connection when those before it have been written.
    if (response.socket === null) response.prependOnceListener("socket", () => (bytesBefore = socket.bytesWritten));
    // First of all listeners: node:http's own gives the connection to the next response, whose bytes then count for that one.
    response.prependOnceListener("finish", () => {
      // Node 20 calls a response finished, too, whose connection broke before everything had left.
      if (!socket.destroyed) bytes = socket.bytesWritten;
    });
    response.once("close", () => {
      const isAborted = bytes === -1;
      this.#turn.note({
        method,
        path,
        // Nothing was answered when the client went first.
        status: isAborted && !response.headersSent ? 0 : response.statusCode,
        bytes: Math.max(0, (bytes === -1 ? socket.bytesWritten : bytes) - bytesBefore),
        durationMs: monotonicMs() - startMs,
        isAborted,
      });
    });
  }
}

/** The path of a request target, which may be a whole URL (RFC 9112, section 3.2.2), without its query. */
function pathOf(target: string): string {
  const query = target.indexOf("?");
  const path = query === -1 ? target : target.slice(0, query);
  if (path.startsWith("/") || !path.includes("://")) return path;
  const start = path.indexOf("/", path.indexOf("://") + 3);
  return start === -1 ? "/" : path.slice(start);
}
