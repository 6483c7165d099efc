/**
 * `ringloom/node`: apps written for `node:http` (express, Koa, fastify, NestJS, plain listeners) on Ringloom's drivers. Everything here is
 * experimental: it may change in a minor version.
 * @experimental
 */
export { nodeHandler } from "./node-handler.js";
export { NodeServer, type NodeServerOptions, type NodeServerStats } from "./node-server.js";
export type { NodeApp, NodeListener } from "./node-target.js";
export { type RunningNodeApp, type ServeNodeOptions, serveNode } from "./serve-node.js";
