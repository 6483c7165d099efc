/**
 * The listening sockets, which the supervisor opens and owns: a shard that dies resets nobody, because its socket and the
 * connections in its queue are still there. Each shard has a socket of its own on the one port (SO_REUSEPORT, socket(7)), so
 * the kernel spreads connections over the shards and no two threads contend for one queue.
 */
import { lookup } from "node:dns/promises";
import { createServer, isIP } from "node:net";
import type { DriverName, ListenAddress } from "../driver/contract.js";
import { RingloomError } from "../errors.js";
import { checkNative, loadNative, type NativeAddon } from "../native.js";

/** What the listeners are for. */
export interface ListenerRequest {
  readonly host: string;
  readonly port: number;
  readonly backlog: number;
  readonly count: number;
  readonly driver: DriverName;
}

/** Whether several shards can share a port here, and why not. */
export interface PortSharing {
  readonly isPossible: boolean;
  /** A phrase; empty when it is possible. */
  readonly reason: string;
}

/** The sockets of one server, one for each shard. */
export class Listeners {
  readonly #native: NativeAddon | undefined;
  readonly #driver: DriverName;
  /** Open descriptors by shard; undefined once closed, or where the shard opens its own. */
  readonly #descriptors: (number | undefined)[];
  readonly #address: ListenAddress;

  private constructor(driver: DriverName, address: ListenAddress, descriptors: (number | undefined)[]) {
    this.#native = loadNative();
    this.#driver = driver;
    this.#address = address;
    this.#descriptors = descriptors;
  }

  /** Opens all sockets or none. Throws the kernel's code (`EADDRINUSE`, `EACCES`, `EADDRNOTAVAIL`) or `ENOTFOUND` for the name. */
  static async open(request: ListenerRequest): Promise<Listeners> {
    const host = await resolveHost(request.host);
    const native = loadNative();
    if (native !== undefined) {
      const { descriptors, port } = openDescriptors(native, host, request);
      const address = { host, port, backlog: request.backlog, reusePort: request.count > 1 };
      return new Listeners(request.driver, address, descriptors);
    }
    // Without the addon the shards listen by themselves: node:net can neither open a socket for another thread nor duplicate a descriptor.
    const port = request.count > 1 ? await proveFreeByNode(host, request.port) : request.port;
    const address = { host, port, backlog: request.backlog, reusePort: request.count > 1 };
    return new Listeners(request.driver, address, new Array<undefined>(request.count).fill(undefined));
  }

  /** What `shard` listens on. */
  targetFor(shard: number): number | ListenAddress {
    const descriptor = this.#descriptors[shard];
    return descriptor ?? this.#address;
  }

  /**
   * A drain begins. On the portable driver the shard's duplicate is then the only reference left, so that its own close ends the
   * socket at once; on uring and epoll the shard closes the descriptor itself (see {@link forget}).
   */
  beginDrain(shard: number): void {
    if (this.#driver === "portable") this.close(shard);
  }

  /** The shard is closing its descriptor, in the very turn in which it found nobody waiting. Whoever came later would be reset. */
  forget(shard: number): void {
    this.#descriptors[shard] = undefined;
  }

  /** Closes the socket of a shard. The kernel then gives new connections to the others. */
  close(shard: number): void {
    const descriptor = this.#descriptors[shard];
    if (descriptor === undefined) return;
    this.#descriptors[shard] = undefined;
    this.#native?.closeDescriptor(descriptor);
  }

  closeAll(): void {
    for (let shard = 0; shard < this.#descriptors.length; shard++) this.close(shard);
  }
}

/** Whether several shards can listen on one port here. */
export function portSharing(): PortSharing {
  if (loadNative() !== undefined) return { isPossible: true, reason: "" };
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  const hasReusePort = major > 23 || (major === 23 && minor >= 1) || (major === 22 && minor >= 12);
  if (process.platform === "linux" && hasReusePort) return { isPossible: true, reason: "" };
  return {
    isPossible: false,
    reason: "several shards need the addon, or Node 22.12 or newer on Linux, to share a port",
  };
}

function openDescriptors(
  native: NativeAddon,
  host: string,
  request: ListenerRequest,
): { descriptors: number[]; port: number } {
  const { backlog, count } = request;
  const isShared = count > 1;
  // SO_REUSEPORT would let a second server of the same user join silently. A bind without it fails if anybody listens. For port 0 the kernel never
  // picks a port in use (inet_csk_find_open_port), so there is nothing to prove.
  if (isShared && request.port !== 0) native.closeDescriptor(openOne(native, host, request.port, 1, false).fd);
  const descriptors: number[] = [];
  let port = request.port;
  try {
    for (let shard = 0; shard < count; shard++) {
      const opened = openOne(native, host, port, backlog, isShared);
      descriptors.push(opened.fd);
      port = opened.port;
    }
  } catch (error) {
    for (const descriptor of descriptors) native.closeDescriptor(descriptor);
    throw error;
  }
  return { descriptors, port };
}

function openOne(native: NativeAddon, host: string, port: number, backlog: number, isShared: boolean) {
  return checkNative(native.listenSocket(host, port, backlog, isShared ? 1 : 0), "listen", { host, port });
}

/** The same proof by node:net; returns the port, chosen by the system when `port` is 0. */
function proveFreeByNode(host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", (error: NodeJS.ErrnoException) => {
      const code = error.code ?? "EUNKNOWN";
      reject(
        new RingloomError(code, `Cannot listen: ${code} (host ${host}, port ${port})`, {
          operation: "listen",
          details: { host, port },
          cause: error,
        }),
      );
    });
    server.listen({ host, port, exclusive: true }, () => {
      const address = server.address();
      const chosen = typeof address === "object" && address !== null ? address.port : port;
      server.close(() => resolve(chosen));
    });
  });
}

async function resolveHost(host: string): Promise<string> {
  if (isIP(host) !== 0) return host;
  try {
    return (await lookup(host)).address;
  } catch (error) {
    throw new RingloomError("ENOTFOUND", `Cannot listen: the host name ${JSON.stringify(host)} has no address.`, {
      operation: "listen",
      details: { host },
      cause: error,
    });
  }
}
