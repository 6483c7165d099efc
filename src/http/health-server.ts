/**
 * The health port: `/livez` and `/readyz`, on the main thread, by Node's own HTTP server. It answers as long as the process is there, from before the
 * first shard is started until the last one is gone, so that a probe never meets a closed port of a process that lives.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { errnoError } from "../errors.js";
import type { ServerHealth } from "../runtime/health.js";

/** How long a probe may take to send its request, and how long its connection stays open afterwards, in milliseconds. */
const PROBE_MS_MAX = 5_000;

/** What is said before anything is known. */
const UNKNOWN: ServerHealth = {
  isLive: true,
  isReady: false,
  reasons: ["the server is starting"],
  phase: "starting",
  shards: [],
};

/** A health port. */
export class HealthServer {
  readonly url: string;
  readonly #server: Server;
  #read: () => ServerHealth = () => UNKNOWN;

  private constructor(server: Server) {
    this.#server = server;
    // The cast is safe because the server listens on TCP.
    const { address, port, family } = server.address() as AddressInfo;
    this.url = `http://${family === "IPv6" ? `[${address}]` : address}:${port}`;
    server.on("request", (request: IncomingMessage, response: ServerResponse) =>
      answer(request, response, this.#read()),
    );
  }

  /** Listens. Rejects with the kernel's code, such as `EADDRINUSE`. */
  static open(host: string, port: number): Promise<HealthServer> {
    const server = createServer({
      requestTimeout: PROBE_MS_MAX,
      headersTimeout: PROBE_MS_MAX,
      keepAliveTimeout: PROBE_MS_MAX,
    });
    return new Promise((resolve, reject) => {
      server.once("error", (error: NodeJS.ErrnoException) => {
        reject(errnoError("listen for probes", -(error.errno ?? 0), { host, port }));
      });
      server.listen({ host, port, exclusive: true }, () => resolve(new HealthServer(server)));
    });
  }

  /** Answers from `read` from now on. */
  watch(read: () => ServerHealth): void {
    this.#read = read;
  }

  /** Closes the port and every connection. */
  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }
}

function answer(request: IncomingMessage, response: ServerResponse, health: ServerHealth): void {
  const [path, query = ""] = (request.url ?? "/").split("?");
  const isOk = path === "/livez" ? health.isLive : path === "/readyz" ? health.isReady : undefined;
  response.setHeader("cache-control", "no-store");
  if (isOk === undefined) return end(response, 404, "There are /livez and /readyz here.\n");
  if (request.method !== "GET" && request.method !== "HEAD") {
    response.setHeader("allow", "GET, HEAD");
    return end(response, 405, "Probes use GET or HEAD.\n");
  }
  const status = isOk ? 200 : 503;
  if (new URLSearchParams(query).has("verbose")) {
    response.setHeader("content-type", "application/json");
    response.statusCode = status;
    response.end(`${JSON.stringify(health)}\n`);
    return;
  }
  end(response, status, isOk ? "ok\n" : `${health.reasons.join("; ")}\n`);
}

function end(response: ServerResponse, status: number, text: string): void {
  response.statusCode = status;
  response.setHeader("content-type", "text/plain; charset=utf-8");
  response.end(text);
}
