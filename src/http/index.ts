/**
 * `ringloom/http`: the HTTP server. Everything here is experimental until 1.0: it may change in a minor version.
 * @experimental
 */

export type { ServerHealth, ServerPhase, ShardHealth } from "../runtime/health.js";
export type {
  HookFailure,
  HookName,
  ProcessHookContext,
  ProcessLifecycle,
  ShardHookContext,
  ShardLifecycle,
} from "../runtime/lifecycle.js";
export type { RestartReport } from "../runtime/rolling-restart.js";
export type { ShardError } from "../runtime/shard-error.js";
export type { GroupEvents, Replacement } from "../runtime/shard-group.js";
export type { ShardTrouble } from "../runtime/shard-protocol.js";
export type { ShardEnd } from "../runtime/shard-thread.js";
export type { StopCause, StopPhases, StopReport } from "../runtime/stop-report.js";
export type { Pem } from "../tls/client-options.js";
export type { TlsCertificate, TlsReload, TlsServerOptions } from "../tls/server-options.js";
export type { TlsInfo } from "../tls/tls-info.js";
export type { WebSocketCompression } from "../ws/compression-options.js";
export type { WebSocketLimits } from "../ws/options.js";
export type {
  PublishStatus,
  SendStatus,
  SlowConsumerPolicy,
  WebSocket,
  WebSocketHandlers,
  WebSocketMessage,
} from "../ws/web-socket.js";
export {
  App,
  type AppOptions,
  type ErrorHandler,
  type Handler,
  type Middleware,
  type Next,
  RouteGroup,
  type RouteHandlers,
  type RouteInfo,
} from "./app.js";
export { type Answer, Context, type HandlerResult, type StreamOptions } from "./context.js";
export type { CookieOptions } from "./cookies.js";
export type { RequestMessage } from "./diagnostics.js";
export type { ServerSentEvent } from "./events.js";
export type { FetchHandler, FetchInfo } from "./fetch-handler.js";
export { HttpError } from "./http-error.js";
export { HTTP_LIMITS, type HttpLimitDefinition, type HttpLimits } from "./limits.js";
export type { Log, LogEntry } from "./log.js";
export { place } from "./place.js";
export type { RequestBody } from "./request-body.js";
export type { BodySource } from "./response-body.js";
export type { PathParams } from "./route-pattern.js";
export { type ServeOptions, type Server, serve } from "./serve.js";
export { type ModuleServer, type ServeModuleOptions, serveModule } from "./serve-module.js";
export {
  type HttpDrainOptions,
  type HttpDrainReport,
  HttpServer,
  type HttpServerOptions,
  type HttpServerSizes,
} from "./server.js";
export { HttpStats } from "./stats.js";
export type { WebSocketRoute } from "./web-socket-route.js";
