/** Servers with rooms, and clients that remember what they have heard. */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { WebSocket } from "undici";
import { type ModuleServer, type ServeModuleOptions, serveModule } from "../../src/http/serve-module.js";
import { RoomClient, type RoomWelcome, type SocketLike } from "../../src/realtime/client.js";
import { portSharing } from "../../src/runtime/listeners.js";
import { Signal } from "../support/signal.js";

const DEADLINE_MS = 40_000;
const ATTEMPTS_MAX = 200;

/** Several shards where they can share a port. */
export const SHARDS = portSharing().isPossible ? 2 : 1;

/** A client of a room. */
export class Guest {
  readonly name: string;
  readonly signal = new Signal();
  readonly events: Record<string, unknown>[] = [];
  readonly welcomes: RoomWelcome[] = [];
  readonly states = new Map<string, unknown>();
  ended: { readonly code: number; readonly reason: string } | undefined;
  readonly client: RoomClient;

  constructor(port: number, path: string, name: string) {
    this.name = name;
    this.client = new RoomClient({
      url: `ws://127.0.0.1:${port}${path}?name=${name}`,
      WebSocket: WebSocket as unknown as new (url: string) => SocketLike,
      retryMsMin: 20,
      retryMsMax: 200,
      event: (data) => this.#note(() => this.events.push(data as Record<string, unknown>)),
      state: (key, value) => this.#note(() => this.states.set(key, value)),
      welcome: (welcome) => this.#note(() => this.welcomes.push(welcome)),
      end: (code, reason) => this.#note(() => (this.ended = { code, reason })),
      status: () => this.#note(() => undefined),
    });
  }

  /** What others have said. */
  get texts(): string[] {
    return this.events.filter((event) => "text" in event).map((event) => String(event.text));
  }

  /** The shard that has its connection, which its room told it when it came. */
  get shard(): number {
    return Number(this.events.find((event) => event.joined === this.name)?.shard);
  }

  order(what: string, more: Record<string, unknown> = {}): void {
    assert.equal(this.client.send({ do: what, ...more }), true);
  }

  until(what: string, holds: () => boolean): Promise<void> {
    return this.signal.until(`${this.name}: ${what}`, holds, DEADLINE_MS);
  }

  /** Waits until it is in, and has heard of it. */
  async joined(): Promise<this> {
    await this.until(
      "a welcome",
      () => this.welcomes.length > 0 && this.events.some((event) => event.joined === this.name),
    );
    return this;
  }

  #note(change: () => unknown): void {
    change();
    this.signal.notify();
  }
}

/** A server, and the clients that a test opened. */
export class RoomsRig {
  readonly server: ModuleServer;
  readonly #guests: Guest[] = [];

  constructor(server: ModuleServer) {
    this.server = server;
  }

  guest(path: string, name: string): Guest {
    const guest = new Guest(this.server.port, path, name);
    this.#guests.push(guest);
    return guest;
  }

  /** A guest on that shard: the kernel chooses, so guests come and go until there is one. */
  async guestOn(shard: number, path: string, name: string): Promise<Guest> {
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      const guest = await this.guest(path, `${name}${attempt}`).joined();
      if (guest.shard === shard) return guest;
      guest.client.close();
    }
    assert.fail(`No connection came to shard ${shard}`);
  }

  call<Result = unknown>(shard: number, name: string, ...args: readonly unknown[]): Promise<Result> {
    return this.server.invokeOnShard(name, { shard, timeoutMs: DEADLINE_MS }, ...args) as Promise<Result>;
  }

  /** Which shard has the room. */
  async ownerOf(room: string): Promise<number> {
    return (await this.call<{ shard: number }>(0, "ask", "hall", room)).shard;
  }

  closeGuests(): void {
    for (const { client } of this.#guests) client.close();
  }
}

/** Serves the fixture while `use` runs. */
export async function withRooms(
  fixture: string,
  options: ServeModuleOptions,
  use: (rig: RoomsRig) => Promise<void>,
): Promise<void> {
  const sizes = { connections: 1_024, receiveSlabMib: 2, writePoolMib: 16, restartsMax: 100, drainMs: 2_000 };
  const module = fileURLToPath(new URL(`./fixtures/${fixture}.js`, import.meta.url));
  const server = await serveModule(module, { port: 0, shards: SHARDS, ...sizes, ...options });
  const rig = new RoomsRig(server);
  try {
    await use(rig);
  } finally {
    rig.closeGuests();
    await server.stop();
  }
}
