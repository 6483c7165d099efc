/** The service of the operations tests as a process, and the questions that the tests ask it. */
import { Ringloom, type Settings } from "../cli/ringloom.js";
import { Peer } from "../support/peer.js";
import { SERVICE } from "./trials.js";

/** Who answers. */
export interface Who {
  readonly shard: number;
  readonly generation: number;
  readonly threadId: number;
}

/** Small, so that threads start fast. */
const SIZES = ["--connections", "1024", "--receive-slab-mib", "2", "--write-pool-mib", "2"];

export class ServiceProcess {
  readonly server: Ringloom;
  port = 0;
  healthUrl = "";

  private constructor(server: Ringloom) {
    this.server = server;
  }

  /** Starts the service, waits until it listens, and leaves nothing behind, whatever `use` does. */
  static async with(
    args: readonly string[],
    use: (service: ServiceProcess) => Promise<void>,
    settings: Settings = {},
  ): Promise<void> {
    const server = new Ringloom(["serve", SERVICE, "--json", "--port", "0", ...SIZES, ...args], settings);
    try {
      const service = new ServiceProcess(server);
      const listening = await service.event("listening");
      service.port = Number(listening.port);
      service.healthUrl = String(listening.healthUrl);
      await use(service);
    } finally {
      if (server.child.exitCode === null && server.child.signalCode === null) server.child.kill("SIGKILL");
      await server.ended();
    }
  }

  /** See `Ringloom.event`. */
  event(name: string, count = 1): Promise<Readonly<Record<string, unknown>>> {
    return this.server.event(name, count);
  }

  /** A request on a connection of its own. */
  async get(path: string): Promise<{ readonly status: number; readonly text: string }> {
    const response = await fetch(`http://127.0.0.1:${this.port}${path}`, { headers: { connection: "close" } });
    return { status: response.status, text: await response.text() };
  }

  async who(): Promise<Who> {
    return JSON.parse((await this.get("/who")).text) as Who;
  }

  /** An open connection to each shard, by number. */
  async peers(shards: number): Promise<Map<number, { readonly peer: Peer; readonly who: Who }>> {
    const found = new Map<number, { readonly peer: Peer; readonly who: Who }>();
    while (found.size < shards) {
      const peer = await Peer.open(this.port);
      const who = JSON.parse(await ask(peer, "/who")) as Who;
      if (found.has(who.shard)) peer.socket.destroy();
      else found.set(who.shard, { peer, who });
    }
    return found;
  }

  async probe(path: string, method = "GET"): Promise<{ readonly status: number; readonly text: string }> {
    const response = await fetch(`${this.healthUrl}${path}`, { method });
    return { status: response.status, text: await response.text() };
  }

  /** Asks `/readyz` until it answers with that status; returns the text. */
  async untilReady(status: number): Promise<string> {
    for (;;) {
      const answer = await this.probe("/readyz");
      if (answer.status === status) return answer.text;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

/** A request on an open connection; resolves with the body of a 200. */
export async function ask(peer: Peer, path: string): Promise<string> {
  const before = peer.text.length;
  peer.send(`GET ${path} HTTP/1.1\r\nhost: test\r\n\r\n`);
  await peer.signal.until(`an answer to ${path}`, () => isWhole(peer.text.slice(before)) || peer.isClosed);
  const answer = peer.text.slice(before);
  if (!answer.startsWith("HTTP/1.1 200 ")) throw new Error(`${path} was answered: ${answer || "nothing, closed"}`);
  return answer.slice(answer.indexOf("\r\n\r\n") + 4);
}

function isWhole(answer: string): boolean {
  const head = answer.indexOf("\r\n\r\n");
  const length = /\r\ncontent-length: (\d+)\r\n/i.exec(answer)?.[1];
  return head >= 0 && length !== undefined && answer.length >= head + 4 + Number(length);
}
