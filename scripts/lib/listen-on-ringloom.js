/**
 * A preload for other projects' test suites (scripts/framework-suites.js): every `http.Server` of the process listens on the driver that
 * RINGLOOM_DRIVER names. What a driver cannot have (Unix sockets, foreign descriptors) listens as always. Counts go to RINGLOOM_SUITE_COUNTS.
 */

import { lookup } from "node:dns";
import { appendFileSync } from "node:fs";
import http from "node:http";
import net from "node:net";
import { chooseDriver, createDriver } from "../../dist/src/driver/choose.js";
import { NodeServer } from "../../dist/src/node/node-server.js";

const SIZES = {
  connectionsMax: 1024,
  writePoolBytes: 8 * 1024 * 1024,
  receiveSlabBytes: 1024 * 1024,
  ringEntries: 256,
};
const BACKLOG = 511;

const original = net.Server.prototype.listen;

net.Server.prototype.listen = function listen(/** @type {any[]} */ ...args) {
  const normalised = /** @type {any} */ (net)._normalizeArgs(args);
  /** @type {[any, (() => void) | null]} */
  const [options, listening] = normalised;
  const isOurs =
    this instanceof http.Server &&
    !this.listening &&
    options.path === undefined &&
    options.fd === undefined &&
    options.handle === undefined &&
    options._handle === undefined &&
    (options.port === undefined || isPort(options.port));
  if (!isOurs) {
    count("node");
    return Reflect.apply(original, this, args);
  }
  count("ringloom");
  if (listening !== null) this.once("listening", listening);
  start(this, options);
  return this;
};

/** One line for each server that was told to listen. @param {"ringloom" | "node"} by */
function count(by) {
  const path = process.env.RINGLOOM_SUITE_COUNTS;
  if (path !== undefined) appendFileSync(path, `${by}\n`);
}

/**
 * @param {http.Server} server
 * @param {any} options
 */
function start(server, options) {
  const driver = chooseDriver().name;
  const node = new NodeServer(server, {
    createDriver: (driverOptions, events) => createDriver(driver, driverOptions, events),
    sizes: driver === "portable" ? { ...SIZES, receiveSlabBytes: 0 } : SIZES,
  });
  options.signal?.addEventListener("abort", () => server.close(), { once: true });
  lookup(options.host ?? "::", (error, host) => {
    if (error !== null) return fail(server, node, error);
    const { port = 0, backlog = BACKLOG } = options;
    node
      .listen({ host, port: Number(port), backlog: Number(backlog) || BACKLOG, reusePort: false })
      .catch((problem) => fail(server, node, problem));
  });
}

/**
 * @param {http.Server} server
 * @param {NodeServer} node
 * @param {Error} error
 */
function fail(server, node, error) {
  void node.close().then(() => server.emit("error", error));
}

/** @param {unknown} port */
function isPort(port) {
  return Number.isInteger(Number(port)) && Number(port) >= 0 && Number(port) <= 65_535;
}
