/**
 * The listening sockets, which the supervisor opens and owns: a shard that dies resets nobody, because its socket and the
 * connections in its queue are still there. Each shard has a socket of its own on the one port (SO_REUSEPORT, socket(7)), so
 * the kernel spreads connections over the shards and no two threads contend for one queue. A Unix socket cannot be shared so: there the shards accept from the queue of one socket.
 */
import { lookup } from "node:dns/promises";
import { createServer, isIP } from "node:net";
import type { ListenAddress } from "../driver/contract.js";
import { checkUnixPlace, listenAtPath, type UnixPlace } from "../driver/unix-listen.js";
import { removeSocketFile, type SocketFile } from "../driver/unix-path.js";
import { RingloomError } from "../errors.js";
import { checkNative, loadNative, type NativeAddon, nativeProblem } from "../native.js";
import { SO_ATTACH_FILTER, SO_ATTACH_REUSEPORT_CBPF, SO_DETACH_REUSEPORT_BPF } from "../uapi.js";
import { laterNeighbours } from "./port-neighbours.js";
import { chooseAmong, dropOpening, NO_PROGRAM, TARGETS_MAX } from "./socket-filters.js";

/** What the listeners are for. */
export interface ListenerRequest {
  readonly host: string;
  readonly port: number;
  readonly backlog: number;
  readonly count: number;
  /** Whether sockets of other processes may be on the same port. */
  readonly reusePort: boolean;
  /** A Unix socket in place of host and port. */
  readonly unix?: UnixPlace | undefined;
}

/** Whether several shards can share a port here, and why not. */
export interface PortSharing {
  readonly isPossible: boolean;
  /** A phrase; empty when it is possible. */
  readonly reason: string;
}

/** The most connections that one look into a queue takes, so that clients that connect without end cannot hold up the supervisor. */
const TAKEN_MAX = 4_096;

/** How a socket shares its port: the argument `sharing` of the addon's `listenSocket`. */
const SHARING = { never: 0, withOthers: 1, withLater: 2 } as const;

/** The sockets of one server, one for each shard. Their indexes in the kernel's group are the shards' numbers, because they stay open until the end. */
export class Listeners {
  readonly #native: NativeAddon | undefined;
  /** Open descriptors by shard; undefined once closed, or where the shard opens its own. */
  readonly #descriptors: (number | undefined)[];
  readonly #address: ListenAddress;
  /** Of a Unix socket. All shards accept from one queue then: there is nobody to steer, and no group of sockets. */
  readonly #file: SocketFile | undefined;
  readonly #isUnix: boolean;
  #isSteering = false;

  private constructor(address: ListenAddress, descriptors: (number | undefined)[], unix?: UnixOpened) {
    this.#native = loadNative();
    this.#address = address;
    this.#descriptors = descriptors;
    this.#isUnix = unix !== undefined;
    this.#file = unix?.file;
  }

  /** Opens all sockets or none. Throws the kernel's code (`EADDRINUSE`, `EACCES`, `EADDRNOTAVAIL`) or `ENOTFOUND` for the name. */
  static async open(request: ListenerRequest): Promise<Listeners> {
    if (request.unix !== undefined) {
      const opened = await openUnix(request.unix, request);
      const { backlog } = request;
      return new Listeners({ host: "", port: 0, backlog, reusePort: false }, opened.descriptors, opened);
    }
    const host = await resolveHost(request.host);
    const native = loadNative();
    const isShared = request.count > 1 || request.reusePort;
    if (native !== undefined) {
      const { descriptors, port } = openDescriptors(native, host, request);
      return new Listeners({ host, port, backlog: request.backlog, reusePort: isShared }, descriptors);
    }
    // Without the addon the shards listen by themselves: node:net can neither open a socket for another thread nor duplicate a descriptor.
    const mustProve = request.count > 1 && !request.reusePort;
    const port = mustProve || request.port === 0 ? await proveFreeByNode(host, request.port) : request.port;
    // A successor listens before its predecessor stops, so the port is shared wherever Node can.
    const address = { host, port, backlog: request.backlog, reusePort: isShared || portSharing().isPossible };
    return new Listeners(address, new Array<undefined>(request.count).fill(undefined));
  }

  /** Whether a successor of a shard can begin to listen before the shard has stopped. */
  get canHandOver(): boolean {
    return this.#native !== undefined || this.#address.reusePort;
  }

  /** What `shard` listens on. */
  targetFor(shard: number): number | ListenAddress {
    const descriptor = this.#descriptors[shard];
    return descriptor ?? this.#address;
  }

  /**
   * Gives new connections to these shards only; to all when the list names all or none. Connections that wait already stay where they are:
   * see {@link takeWaiting}. Does nothing where the kernel refuses, or there is no addon.
   */
  steerTo(shards: readonly number[]): void {
    const descriptor = this.#descriptors.find((candidate) => candidate !== undefined);
    if (descriptor === undefined || this.#native === undefined || this.#descriptors.length === 1) return;
    if (this.#isUnix) return;
    const takesAll = shards.length === 0 || shards.length === this.#descriptors.length;
    if (takesAll && !this.#isSteering) return;
    this.#isSteering = !takesAll;
    if (takesAll) this.#native.setSocketFilter(descriptor, SO_DETACH_REUSEPORT_BPF, NO_PROGRAM);
    else this.#native.setSocketFilter(descriptor, SO_ATTACH_REUSEPORT_CBPF, chooseAmong(shards));
  }

  /**
   * The end is near: new connections go to the sockets of a later process that shares the port, or else wait for their second attempt,
   * while handshakes that have begun come to their end. Returns false where nothing of this is possible; whoever connects just before a socket closes is then reset.
   */
  turnAway(): boolean {
    const native = this.#native;
    const open = this.#descriptors.filter((descriptor) => descriptor !== undefined);
    const [first] = open;
    if (native === undefined || first === undefined || this.#isUnix) return false;
    const later = this.#address.reusePort ? laterNeighbours(open, this.#address.host.includes(":")) : 0;
    if (later > 0) {
      const indexes = Array.from({ length: Math.min(later, TARGETS_MAX) }, (_, index) => open.length + index);
      this.#isSteering = native.setSocketFilter(first, SO_ATTACH_REUSEPORT_CBPF, chooseAmong(indexes)) === 0;
      if (this.#isSteering) return true;
    }
    const results = open.map((descriptor) => native.setSocketFilter(descriptor, SO_ATTACH_FILTER, dropOpening()));
    return results.every((result) => result === 0);
  }

  /** Accepts the connections that wait in a shard's queue. The caller owns their descriptors. */
  takeWaiting(shard: number): number[] {
    const descriptor = this.#descriptors[shard];
    const taken: number[] = [];
    if (descriptor === undefined || this.#native === undefined) return taken;
    while (taken.length < TAKEN_MAX) {
      const accepted = this.#native.acceptWaiting(descriptor);
      if (accepted < 0) break;
      taken.push(accepted);
    }
    return taken;
  }

  /**
   * Closes all sockets; `waiting` gets what stood in each one's queue at the last moment. While new connections go to a later process, its
   * sockets move to the front of the group as ours close (the last takes the place of the one that leaves), so after the first close index 0 is one of theirs.
   * The program belongs to the group and would outlive us, so it goes with our last socket, which turns away what comes in this moment.
   */
  closeAll(waiting: (shard: number, descriptors: readonly number[]) => void = () => undefined): void {
    const native = this.#native;
    if (native === undefined) return;
    // First, so that nobody finds it whom nobody would accept. Not where a later server has put its own.
    if (this.#file !== undefined) removeSocketFile(this.#file);
    const open = this.#descriptors.flatMap((descriptor, shard) =>
      descriptor === undefined ? [] : [{ shard, descriptor }],
    );
    open.forEach(({ shard, descriptor }, position) => {
      const isLast = position === open.length - 1;
      if (this.#isSteering && isLast) {
        native.setSocketFilter(descriptor, SO_ATTACH_FILTER, dropOpening());
        native.setSocketFilter(descriptor, SO_DETACH_REUSEPORT_BPF, NO_PROGRAM);
      } else if (this.#isSteering && position === 1) {
        native.setSocketFilter(descriptor, SO_ATTACH_REUSEPORT_CBPF, chooseAmong([0]));
      }
      const taken = this.takeWaiting(shard);
      this.#descriptors[shard] = undefined;
      native.closeDescriptor(descriptor);
      if (taken.length > 0) waiting(shard, taken);
    });
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

/** The one listening socket of a path under a number for each shard, and its file. */
interface UnixOpened {
  readonly descriptors: number[];
  readonly file: SocketFile | undefined;
}

async function openUnix(place: UnixPlace, { backlog, count }: ListenerRequest): Promise<UnixOpened> {
  checkUnixPlace(place);
  const native = loadNative();
  if (native === undefined)
    throw new RingloomError(
      "ERR_RINGLOOM_UNSUPPORTED",
      `Cannot listen at ${place.path}: shards share a Unix socket through the addon, but ${nativeProblem()}`,
      { operation: "listen", details: { path: place.path } },
    );
  const { result: first, file } = await listenAtPath(place, {
    listen: (path) => {
      const opened = native.listenSocket(path, -1, backlog, SHARING.never);
      return checkNative<{ readonly fd: number }>(opened, "listen", { path: place.path }).fd;
    },
    undo: (descriptor) => native.closeDescriptor(descriptor),
  });
  const descriptors = [first];
  try {
    while (descriptors.length < count) descriptors.push(checkNative<number>(native.duplicate(first), "listen"));
  } catch (error) {
    for (const descriptor of descriptors) native.closeDescriptor(descriptor);
    if (file !== undefined) removeSocketFile(file);
    throw error;
  }
  return { descriptors, file };
}

function openDescriptors(
  native: NativeAddon,
  host: string,
  request: ListenerRequest,
): { descriptors: number[]; port: number } {
  const { backlog, count, reusePort } = request;
  // SO_REUSEPORT alone would let a second server of the same user join silently. So the first socket is opened without it, which fails if anybody listens.
  const firstSharing = reusePort ? SHARING.withOthers : count > 1 ? SHARING.withLater : SHARING.never;
  const descriptors: number[] = [];
  let port = request.port;
  try {
    for (let shard = 0; shard < count; shard++) {
      const sharing = shard === 0 ? firstSharing : SHARING.withOthers;
      const opened = checkNative(native.listenSocket(host, port, backlog, sharing), "listen", { host, port });
      descriptors.push(opened.fd);
      port = opened.port;
    }
  } catch (error) {
    for (const descriptor of descriptors) native.closeDescriptor(descriptor);
    throw error;
  }
  return { descriptors, port };
}

/** Proves by node:net that nobody listens; returns the port, chosen by the system when `port` is 0. */
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
