/** Node's servers on a driver under test, and what a test needs around them. */
import { createServer, type RequestListener, type Server } from "node:http";
import type { Server as NetServer } from "node:net";
import { NodeServer, type NodeServerOptions } from "../../src/node/node-server.js";
import type { DriverUnderTest } from "../support/drivers.js";
import { Signal } from "../support/signal.js";

/** Small enough to start many servers in one process. */
const SIZES = { connectionsMax: 1024, writePoolBytes: 8 * 1024 * 1024, receiveSlabBytes: 1024 * 1024 };

/** How a server is tried. */
export interface NodeRigSetup extends Pick<NodeServerOptions, "writeTimeoutMs" | "accessLog"> {
  readonly sizes?: Partial<typeof SIZES>;
}

/** One of Node's servers on a loopback port. */
export class NodeRig<S extends NetServer = Server> {
  readonly node: NodeServer;
  readonly server: S;
  readonly port: number;

  private constructor(node: NodeServer, server: S, port: number) {
    this.node = node;
    this.server = server;
    this.port = port;
  }

  static async start(under: DriverUnderTest, listener: RequestListener): Promise<NodeRig> {
    return NodeRig.startServer(under, createServer(listener));
  }

  static async startServer<S extends NetServer>(
    under: DriverUnderTest,
    server: S,
    { sizes, ...options }: NodeRigSetup = {},
  ): Promise<NodeRig<S>> {
    const node = new NodeServer(server, {
      ...options,
      createDriver: (driverOptions, events) => under.create(driverOptions, events),
      sizes: { ...SIZES, ...sizes },
    });
    const { port } = await node.listen({ host: "127.0.0.1", port: 0, backlog: 511, reusePort: false });
    return new NodeRig(node, server, port);
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  close(): Promise<void> {
    return this.node.close();
  }
}

/** What happened so far, in order, and a way to wait for it. */
export class Diary {
  readonly entries: string[] = [];
  readonly #signal = new Signal();

  note(entry: string): void {
    this.entries.push(entry);
    this.#signal.notify();
  }

  /** Resolves once `entry` has been noted `times` times. */
  until(entry: string, times = 1): Promise<void> {
    return this.#signal.until(`the entry ${entry}`, () => this.entries.filter((one) => one === entry).length >= times);
  }
}

/** Looks once a turn until `holds` does. */
export async function eventually(what: string, holds: () => boolean): Promise<void> {
  const guard = Date.now() + 20_000;
  while (!holds()) {
    if (Date.now() > guard) throw new Error(`Waited in vain for: ${what}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}
