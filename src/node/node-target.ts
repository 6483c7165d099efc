/** What may be served through Node's own server: finds the `http.Server` in what other frameworks call an app. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { Server as NetServer } from "node:net";
import { RingloomError } from "../errors.js";

/**
 * A plain listener of `node:http`.
 * @experimental
 */
export type NodeListener = (request: IncomingMessage, response: ServerResponse) => unknown;

/**
 * What `serveNode` and `ringloom serve` take besides an `App` and `fetch` handlers: a `(request, response)` function (express and connect
 * apps are ones), a Koa, fastify or NestJS app, a `http.Server`, a promise of any of these or a function without parameters that returns one.
 * @experimental
 */
export type NodeApp = NodeListener | NetServer | object;

/** A server that is ready to be given connections. */
export interface NodeTarget {
  readonly server: NetServer;
  /** What it is, for reports: `fastify`, `express`. */
  readonly kind: string;
  /** Has the framework end its own things, after the last connection is gone. */
  close(): Promise<void>;
}

/** Factories may return factories, but not for ever. */
const FACTORY_DEPTH_MAX = 3;

/**
 * Makes a server of what a program exports; undefined when it is nothing of the kind. Frameworks are made ready, so what their plugins and modules
 * throw comes out here.
 */
export async function nodeTargetOf(exported: unknown, depth = 0): Promise<NodeTarget | undefined> {
  const app = await exported;
  if (app instanceof NetServer) return target(app, "http.Server");
  if (isObject(app)) {
    if (hasMethods(app, "getHttpServer", "getHttpAdapter", "init")) return nest(app);
    if (hasMethods(app, "ready", "inject") && Reflect.get(app, "server") instanceof NetServer) return fastify(app);
    if (hasMethods(app, "callback", "use")) return koa(app);
  }
  if (typeof app !== "function") return undefined;
  if (app.length >= 2)
    return target(createServer(app as NodeListener), hasMethods(app, "use", "handle") ? "express" : "listener");
  if (app.length === 0 && depth < FACTORY_DEPTH_MAX && !isClass(app)) return nodeTargetOf(app(), depth + 1);
  return undefined;
}

/** As {@link nodeTargetOf}. Throws `ERR_RINGLOOM_NOT_AN_APP` for everything else. */
export async function requireNodeTarget(exported: unknown): Promise<NodeTarget> {
  const found = await nodeTargetOf(exported);
  if (found !== undefined) return found;
  throw new RingloomError(
    "ERR_RINGLOOM_NOT_AN_APP",
    `Cannot serve ${typeof exported === "function" ? `the function ${exported.name || "without a name"}` : String(exported)}: it is no ` +
      "(request, response) listener, no express, Koa, fastify or NestJS app and no http.Server",
    { operation: "serve" },
  );
}

function target(server: NetServer, kind: string, close: () => Promise<void> = nothing): NodeTarget {
  return { server, kind, close };
}

async function fastify(app: object): Promise<NodeTarget> {
  await call(app, "ready");
  return target(Reflect.get(app, "server"), "fastify", async () => {
    await call(app, "close");
  });
}

async function nest(app: object): Promise<NodeTarget> {
  await call(app, "init");
  const instance: unknown = await call(call(app, "getHttpAdapter") as object, "getInstance");
  // On fastify Nest's init leaves the plugins to the first request.
  if (isObject(instance) && hasMethods(instance, "ready", "inject")) await call(instance, "ready");
  return target(call(app, "getHttpServer") as NetServer, "NestJS", async () => {
    await call(app, "close");
  });
}

function koa(app: object): NodeTarget {
  return target(createServer(call(app, "callback") as NodeListener), "Koa");
}

function call(object: object, name: string): unknown {
  return Reflect.apply(Reflect.get(object, name), object, []);
}

function isObject(value: unknown): value is object {
  return (typeof value === "object" && value !== null) || typeof value === "function";
}

function hasMethods(value: object, ...names: readonly string[]): boolean {
  return names.every((name) => typeof Reflect.get(value, name) === "function");
}

/** A class has no parameters to speak of either, and calling it throws. */
function isClass(value: unknown): boolean {
  return /^class\b/.test(Function.prototype.toString.call(value));
}

async function nothing(): Promise<void> {}
