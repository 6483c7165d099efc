/** The router's user side: routes, middleware, groups, and what happens when nothing matches or something fails. */

import { type TopicCounts, type TopicExchange, Topics } from "../ws/topics.js";
import type { PublishStatus, WebSocketMessage } from "../ws/web-socket.js";
import type { Answer, Context, HandlerResult } from "./context.js";
import { HttpError } from "./http-error.js";
import { METHOD_GET, METHOD_NAMES, METHOD_OPTIONS, methodNumber } from "./methods.js";
import { joinPaths, type PathParams, type PatternPart, parsePattern } from "./route-pattern.js";
import { normalisePath, Router } from "./router.js";
import { reasonPhrase } from "./status.js";
import { type WebSocketRoute, webSocketHandler } from "./web-socket-route.js";

/**
 * Answers a request. A synchronous handler costs no promise.
 * @experimental
 */
export type Handler<Params extends string = string> = (
  c: Context<Params>,
) => HandlerResult | PromiseLike<HandlerResult>;

/**
 * Runs what comes after this middleware, once, and returns what that returned: a promise only where something was asynchronous.
 * @experimental
 */
export type Next = () => HandlerResult | PromiseLike<HandlerResult>;

/**
 * Wraps handlers: `(c, next) => …`. It may answer itself, or call `next` and look at or change the answer afterwards.
 * @experimental
 */
export type Middleware<Params extends string = string> = (
  c: Context<Params>,
  next: Next,
) => HandlerResult | PromiseLike<HandlerResult>;

/**
 * Answers to what a handler threw or rejected with.
 * @experimental
 */
export type ErrorHandler = (error: unknown, c: Context) => HandlerResult | PromiseLike<HandlerResult>;

/**
 * What can follow a path: middleware for this route only, then its handler.
 * @experimental
 */
export type RouteHandlers<Params extends string> = readonly [...Middleware<Params>[], Handler<Params>];

type RawHandler = (c: Context) => unknown;
type RawMiddleware = (c: Context, next: Next) => unknown;

interface ScopedMiddleware {
  /** Path that it applies to and below; the empty string is everywhere. */
  readonly prefix: string;
  readonly run: RawMiddleware;
}

interface Registration {
  readonly method: number;
  readonly path: string;
  readonly stack: readonly ScopedMiddleware[];
  readonly handler: RawHandler;
}

/**
 * A route as {@link App.routes} tells it.
 * @experimental
 */
export interface RouteInfo {
  /** In upper case; `*` for every method. */
  readonly method: string;
  /** The whole pattern, with the prefixes of its groups. */
  readonly path: string;
  /** The function that was added, without its middleware. */
  readonly handler: Handler;
}

/** Where a group's routes go, and the topics that their WebSockets share. */
interface RouteSite {
  register(registration: Registration): void;
  readonly topics: Topics;
}

const ANY_METHOD = -1;

/**
 * Routes under a common prefix. `App` is the one without a prefix.
 * @experimental
 */
export class RouteGroup<Params extends string = never> {
  readonly #prefix: string;
  readonly #site: RouteSite;
  readonly #stack: ScopedMiddleware[];

  /** Use `App`, or `group` of one. */
  protected constructor(prefix: string, stack: readonly ScopedMiddleware[], site: RouteSite) {
    this.#prefix = prefix;
    this.#stack = [...stack];
    this.#site = site;
  }

  /**
   * Adds a route for one method or several. Paths: static text, `:name` for a segment, `*` or `*name` at the end for the rest.
   * Throws TypeError for a bad pattern or method, and when a route of the same shape exists.
   */
  on<Path extends string>(
    method: string | readonly string[],
    path: Path,
    ...handlers: RouteHandlers<Params | PathParams<Path>>
  ): this {
    const methods = typeof method === "string" ? [method] : method;
    const numbers = methods.map((name) => methodNumber(name.toUpperCase()));
    for (const number of numbers) this.#add(number, path, handlers as readonly unknown[]);
    return this;
  }

  /** Adds a route for GET; it answers HEAD too, without a body, unless HEAD has a route of its own. */
  get<Path extends string>(path: Path, ...handlers: RouteHandlers<Params | PathParams<Path>>): this {
    return this.on("GET", path, ...handlers);
  }

  /** Adds a route for POST. */
  post<Path extends string>(path: Path, ...handlers: RouteHandlers<Params | PathParams<Path>>): this {
    return this.on("POST", path, ...handlers);
  }

  /** Adds a route for PUT. */
  put<Path extends string>(path: Path, ...handlers: RouteHandlers<Params | PathParams<Path>>): this {
    return this.on("PUT", path, ...handlers);
  }

  /** Adds a route for PATCH. */
  patch<Path extends string>(path: Path, ...handlers: RouteHandlers<Params | PathParams<Path>>): this {
    return this.on("PATCH", path, ...handlers);
  }

  /** Adds a route for DELETE. */
  delete<Path extends string>(path: Path, ...handlers: RouteHandlers<Params | PathParams<Path>>): this {
    return this.on("DELETE", path, ...handlers);
  }

  /** Adds a route for HEAD alone. */
  head<Path extends string>(path: Path, ...handlers: RouteHandlers<Params | PathParams<Path>>): this {
    return this.on("HEAD", path, ...handlers);
  }

  /** Adds a route for OPTIONS. */
  options<Path extends string>(path: Path, ...handlers: RouteHandlers<Params | PathParams<Path>>): this {
    return this.on("OPTIONS", path, ...handlers);
  }

  /** Adds a route for every method that has no route of its own at this path. */
  all<Path extends string>(path: Path, ...handlers: RouteHandlers<Params | PathParams<Path>>): this {
    this.#add(ANY_METHOD, path, handlers as readonly unknown[]);
    return this;
  }

  /**
   * Adds a route of WebSockets (RFC 6455). Middleware runs before the handshake. Requests that are no handshake are answered 426.
   *
   * ```ts
   * import { App } from "ringloom/http";
   *
   * const app = new App();
   * app.ws("/echo", { message: (ws, message) => ws.send(message) });
   * export default app;
   * ```
   *
   * Throws RingloomError `ERR_RINGLOOM_INVALID_OPTION` for a limit that is none, and as {@link RouteGroup.on} does.
   */
  ws<Path extends string, Data = undefined>(path: Path, route: WebSocketRoute<Data, Params | PathParams<Path>>): this {
    this.#add(METHOD_GET, path, [webSocketHandler(route as WebSocketRoute, this.#site.topics)]);
    return this;
  }

  /**
   * Adds middleware for every route added after it, or for those at a static path and below it. The first one added is the outermost.
   * Throws TypeError for a path with parameters.
   */
  use(...middleware: readonly Middleware[]): this;
  use(path: string, ...middleware: readonly Middleware[]): this;
  use(first: string | Middleware, ...rest: readonly Middleware[]): this {
    const middleware = typeof first === "string" ? rest : [first, ...rest];
    // A stack belongs to the routes of its own group, so without a path there is nothing to compare.
    const prefix = typeof first === "string" ? scopeOf(joinPaths(this.#prefix, first)) : "";
    for (const run of middleware) {
      if (typeof run !== "function")
        throw new TypeError(`Cannot use ${describe(run)} as middleware: it is not a function`);
      this.#stack.push({ prefix, run: run as RawMiddleware });
    }
    return this;
  }

  /** Adds routes under a prefix, which may have parameters. Middleware added inside stays inside. */
  group<Prefix extends string>(prefix: Prefix, define: (group: RouteGroup<Params | PathParams<Prefix>>) => void): this {
    parsePattern(prefix);
    define(new RouteGroup<Params | PathParams<Prefix>>(joinPaths(this.#prefix, prefix), this.#stack, this.#site));
    return this;
  }

  /**
   * Adds the routes that `app` has now, under a prefix. Its middleware runs inside this one's; its `onError` and `notFound` are not used. The topics of its
   * WebSockets and of this app's are the same from then on.
   */
  route(prefix: string, app: App): this {
    parsePattern(prefix);
    const base = joinPaths(this.#prefix, prefix);
    this.#site.topics.unite(topicsOf(app));
    for (const registration of registrationsOf(app)) {
      const inner = registration.stack.map(({ prefix: scope, run }) => ({
        prefix: scope === "" ? "" : scopeOf(joinPaths(base, scope)),
        run,
      }));
      this.#site.register({
        ...registration,
        path: joinPaths(base, registration.path),
        stack: [...this.#stack, ...inner],
      });
    }
    return this;
  }

  /** What runs for a request without a route. @internal */
  protected globalStack(): readonly ScopedMiddleware[] {
    return this.#stack;
  }

  #add(method: number, path: string, handlers: readonly unknown[]): void {
    for (const handler of handlers) {
      if (typeof handler !== "function")
        throw new TypeError(`Cannot route ${path}: ${describe(handler)} is not a function`);
    }
    if (handlers.length === 0) throw new TypeError(`Cannot route ${path}: it has no handler`);
    parsePattern(path);
    const own = handlers.slice(0, -1).map((run) => ({ prefix: "", run: run as RawMiddleware }));
    this.#site.register({
      method,
      path: joinPaths(this.#prefix, path),
      stack: [...this.#stack, ...own],
      handler: handlers[handlers.length - 1] as RawHandler,
    });
  }
}

/**
 * Options of an {@link App}.
 * @experimental
 */
export interface AppOptions {
  /** Answer OPTIONS with 204 and Allow where a path has routes but none for OPTIONS. Default false: 405. */
  readonly automaticOptions?: boolean;
}

/** Set by App's static block: the routes of an app are not part of its public face. */
let registrationsOf: (app: App) => readonly Registration[];
let topicsOf: (app: App) => Topics;

/**
 * A router with middleware.
 *
 * ```ts
 * import { App } from "ringloom/http";
 *
 * const app = new App();
 * app.get("/hello/:name", (c) => c.text(`hello ${c.param("name")}`));
 * export default app;
 * ```
 * @experimental
 */
export class App extends RouteGroup {
  readonly #router: Router<RawHandler>;
  readonly #registrations: Registration[];
  readonly #automaticOptions: boolean;
  readonly #topics: Topics;
  #notFound: RawHandler = answerNotFound;
  #onError: ErrorHandler | undefined;
  #missing: RawHandler | undefined;
  /** The server of {@link request}, made by the first one. */
  #injected: { request(input: string | URL | Request, init?: RequestInit): Promise<Response> } | undefined;
  #fallback: RawHandler | undefined;

  static {
    registrationsOf = (app) => app.#registrations;
    topicsOf = (app) => app.#topics;
  }

  constructor(options: AppOptions = {}) {
    const router = new Router<RawHandler>();
    const registrations: Registration[] = [];
    const topics = new Topics();
    super("", [], {
      topics,
      register(registration) {
        const pattern = parsePattern(registration.path);
        router.add(registration.method, pattern, compose(registration.stack, registration.handler, pattern.parts));
        registrations.push(registration);
      },
    });
    this.#topics = topics;
    this.#router = router;
    this.#registrations = registrations;
    this.#automaticOptions = options.automaticOptions ?? false;
  }

  /** Answers requests without a route. Default: 404 with a short text. Middleware runs before it. */
  notFound(handler: Handler): this {
    this.#notFound = handler as RawHandler;
    return this;
  }

  /**
   * Hands over every request that no route matches by path and method, before middleware, `notFound` and the 405 of this app: for another framework's
   * app that has its own (`nodeHandler` of `ringloom/node`).
   */
  fallback(handler: Handler): this {
    this.#fallback = handler as RawHandler;
    return this;
  }

  /**
   * Answers what a handler or middleware throws or rejects with. Default: the status of an `HttpError`, else 500 without its message, and
   * a log line. When the hook itself fails, the default answers.
   */
  onError(handler: ErrorHandler): this {
    this.#onError = handler;
    return this;
  }

  /**
   * Sends a request to this app without a socket, through the parser, the limits and the encoder of a server of its own in memory, so that a test
   * sees what a client would. `inject` of `ringloom/testing` does the same with limits and a log of your choice.
   *
   * ```ts run
   * import { App } from "ringloom/http";
   *
   * const app = new App();
   * app.get("/hello/:name", (c) => c.text(`hello ${c.param("name")}`));
   * const response = await app.request("/hello/world");
   * if ((await response.text()) !== "hello world") throw new Error("unexpected");
   * ```
   *
   * @param input A path, a URL or a `Request`; see `Injected.request`.
   */
  async request(input: string | URL | Request, init?: RequestInit): Promise<Response> {
    if (this.#injected === undefined) {
      const { inject } = await import("./inject.js");
      this.#injected ??= inject(this);
    }
    return this.#injected.request(input, init);
  }

  /**
   * Sends a message to every WebSocket that is subscribed to the topic, on all shards. What one shard publishes arrives in that order.
   *
   * ```ts
   * import { App } from "ringloom/http";
   *
   * const app = new App();
   * app.ws("/news", { open: (ws) => ws.subscribe("news") });
   * app.post("/news", async (c) => {
   *   app.publish("news", await c.bytes());
   *   return c.empty();
   * });
   * export default app;
   * ```
   *
   * @param topic up to 256 bytes of UTF-8
   * @param message a string as text, bytes as binary, up to about 1 MiB, and less where memory is scarce
   * @throws TypeError for what is no topic or no message; RingloomError `ERR_RINGLOOM_TOO_LARGE`.
   * @experimental
   */
  publish(topic: string, message: WebSocketMessage): Exclude<PublishStatus, "closed"> {
    return this.#topics.publish(topic, message) === "sent" ? "sent" : "dropped";
  }

  /**
   * WebSockets of this shard that are subscribed to the topic. Throws TypeError for what is no topic.
   * @experimental
   */
  subscriberCount(topic: string): number {
    return this.#topics.subscriberCount(topic);
  }

  /** What its topics count. @internal */
  get topicCounts(): Readonly<TopicCounts> {
    return this.#topics.counts;
  }

  /** Its topics reach other shards from now on. @internal */
  connectTopics(exchange: TopicExchange): void {
    this.#topics.connect(exchange);
  }

  override use(...middleware: readonly Middleware[]): this;
  override use(path: string, ...middleware: readonly Middleware[]): this;
  override use(first: string | Middleware, ...rest: readonly Middleware[]): this {
    this.#missing = undefined;
    return typeof first === "string" ? super.use(first, ...rest) : super.use(first, ...rest);
  }

  /** The routes that were added so far, in their order: for documents, and for tests that look over all of them. */
  routes(): RouteInfo[] {
    return registrationsOf(this).map(({ method, path, handler }) => ({
      method: method === ANY_METHOD ? "*" : METHOD_NAMES[method]!,
      path,
      handler: handler as Handler,
    }));
  }

  /** The hook for failures. @internal */
  get errorHandler(): ErrorHandler | undefined {
    return this.#onError;
  }

  /** Runs the handler for a request and returns what it returned. @internal */
  handle(c: Context): unknown {
    const head = c.liveHead();
    if (head.isEscaped) return this.#handleEscaped(c);
    const route = this.#router.match(head);
    return route === undefined ? this.#handleMissing(c) : route.handler(c);
  }

  #handleEscaped(c: Context): unknown {
    const head = c.liveHead();
    const path = normalisePath(head.bytes, head.pathStart, head.pathLength);
    if (path === undefined && this.#fallback !== undefined) return this.#fallback(c);
    if (path === undefined)
      throw new HttpError(
        "ERR_RINGLOOM_BAD_PATH",
        400,
        "Cannot route the path: a percent sign is not followed by two hexadecimal digits",
      );
    const route = this.#router.matchNormalised(head, path);
    return route === undefined ? this.#handleMissing(c) : route.handler(c);
  }

  #handleMissing(c: Context): unknown {
    if (this.#fallback !== undefined) return this.#fallback(c);
    const allowed = this.#router.allowed();
    if (allowed.length > 0) c.more().allow = allowed.join(", ");
    this.#missing ??= compose(this.globalStack(), (context) => this.#answerMissing(context), undefined);
    return this.#missing(c);
  }

  #answerMissing(c: Context): unknown {
    const allow = c.extras?.allow;
    // "OPTIONS *" asks about the server as a whole (RFC 9110, section 9.3.7).
    if (c.methodNumber === METHOD_OPTIONS && c.path === "*") return c.empty();
    if (allow === undefined) return this.#notFound(c);
    if (c.methodNumber === METHOD_OPTIONS && this.#automaticOptions)
      return c.setHeader("allow", `${allow}, OPTIONS`).empty();
    return c.setHeader("allow", allow).text(`${reasonPhrase(405)}\n`, 405);
  }
}

function answerNotFound(c: Context): Answer {
  return c.notFound();
}

/** One function that runs middleware around a handler. Middleware that cannot apply to the pattern is left out here, once. */
function compose(
  stack: readonly ScopedMiddleware[],
  handler: RawHandler,
  parts: readonly PatternPart[] | undefined,
): RawHandler {
  const steps: RawMiddleware[] = [];
  for (const { prefix, run } of stack) {
    const covers = prefix === "" ? "always" : parts === undefined ? "maybe" : coverage(prefix, parts);
    if (covers === "always") steps.push(run);
    else if (covers === "maybe") steps.push((c, next) => (isUnder(c.path, prefix) ? run(c, next) : next()));
  }
  if (steps.length === 0) return handler;
  function runFrom(index: number, c: Context): unknown {
    const step = steps[index];
    if (step === undefined) return handler(c);
    let isCalled = false;
    return step(c, () => {
      if (isCalled) throw new TypeError("Cannot run the next handler: next() was called before");
      isCalled = true;
      return runFrom(index + 1, c) as HandlerResult;
    });
  }
  return (c) => runFrom(0, c);
}

/** Whether all, none or some of the paths of a pattern are at or below a static prefix. */
function coverage(prefix: string, parts: readonly PatternPart[]): "always" | "never" | "maybe" {
  const first = parts[0];
  const text = first?.kind === "static" ? first.text : "";
  if (isUnder(text, prefix)) return "always";
  if (parts.length > 1 && prefix.startsWith(text)) return "maybe";
  return "never";
}

function isUnder(path: string, prefix: string): boolean {
  return path.startsWith(prefix) && (path.length === prefix.length || path.charCodeAt(prefix.length) === 0x2f);
}

/** `/admin/*`, `/admin/` and `/admin` all mean /admin and what is below it; `/` means everything. */
function scopeOf(path: string): string {
  const trimmed = path.replace(/\/\*?$/, "");
  if (trimmed === "" || trimmed === "*") return "";
  const { parts } = parsePattern(trimmed);
  const [only] = parts;
  if (parts.length !== 1 || only?.kind !== "static")
    throw new TypeError(`Cannot use middleware at ${JSON.stringify(path)}: its path has parameters`);
  return only.text;
}

function describe(value: unknown): string {
  return value === null ? "null" : typeof value;
}
