/**
 * The sockets that this thread has in the rooms of one name, wherever those are: messages go up to the room, and what the room says comes down to all its sockets here.
 */
import { actorSeat } from "../keyed/actor-host.js";
import { ownerOf } from "../scheduler/placement.js";
import { type Delivery, type Entry, ownGateway, receiveDeliveries } from "./delivery.js";
import { BEAT_MS, beat, connectionName, type RoomSockets } from "./gateway-beats.js";
import { CLOSE } from "./protocol.js";
import type { RoomStats } from "./room.js";
import type { Inbound, RoomCalls } from "./room-host.js";

/** How often a room is told that a connection is gone: a minute and more. What it has not heard then it hears of nobody, and a session is forgotten with its room. */
const GONE_ATTEMPTS_MAX = 30;

/** A socket in a room, or on its way there. */
export interface GatewaySocket {
  /** Its number on this thread. */
  readonly number: number;
  /** Its name in all threads. */
  readonly connection: string;
  /** The room's life that has welcomed it; empty before. */
  epoch: string;
  /** Sends a text; false when the peer reads too slowly, and the socket is being closed for it. */
  send(text: string): boolean;
  /** Whether states should wait, because others do already. */
  readonly isSlow: boolean;
  /** States that have changed meanwhile. */
  readonly missedStates: Set<string>;
  /** What it said last ended its session. */
  isRefused: boolean;
  close(code: number, reason: string): void;
}

/** What a gateway needs of the rooms. */
export interface GatewayParts {
  readonly rooms: string;
  readonly stats: RoomStats;
  readonly room: (key: string) => RoomCalls;
}

/** One room, as seen from here. */
interface Link {
  readonly key: string;
  readonly sockets: Map<string, GatewaySocket>;
  readonly states: Map<string, string>;
  epoch: string;
  serial: number;
  items: Inbound[];
  /** Settles when the items are with the room: those that wait go together, behind those under way. */
  next: Promise<void> | undefined;
  isCalling: boolean;
}

/** See the top of the file. */
export class Gateway {
  readonly #parts: GatewayParts;
  readonly #links = new Map<string, Link>();
  #lastSocket = 0;
  #beatTimer: NodeJS.Timeout | undefined;

  constructor(parts: GatewayParts) {
    this.#parts = parts;
    receiveDeliveries(parts.rooms, (delivery) => this.#receive(delivery));
  }

  /** A number and a name for a socket. */
  newConnection(): { readonly number: number; readonly connection: string } {
    this.#lastSocket += 1;
    return { number: this.#lastSocket, connection: connectionName(ownGateway().id, this.#lastSocket) };
  }

  /** Takes a socket into a room, as the session that its client had, if it had one. Rejects when the room cannot be asked. */
  async join(
    key: string,
    socket: GatewaySocket,
    who: { readonly session: string | undefined; readonly seen: number; readonly data: unknown },
  ): Promise<"joined" | "full"> {
    const { connection } = socket;
    this.#linkOf(key).sockets.set(connection, socket);
    try {
      const outcome = await this.#parts.room(key).join({ gateway: ownGateway(), connection, ...who });
      if (outcome === "full") this.#forget(key, connection);
      return outcome;
    } catch (error) {
      // The room may have taken it in all the same: what was not answered in time is done later.
      void this.leave(key, connection, "lost");
      throw error;
    }
  }

  /** Gives the room what came from a socket. Resolves when it was handled; rejects when it may not have been. */
  submit(key: string, item: Inbound): Promise<void> {
    const link = this.#linkOf(key);
    link.items.push(item);
    link.next ??= link.isCalling ? this.#queue(link) : this.#callSoon(link);
    return link.next;
  }

  /** The socket is closed, or is not the room's any more. */
  leave(key: string, connection: string, how: "lost" | "left" | "slow" | "violation"): Promise<void> {
    if (!this.#forget(key, connection)) return Promise.resolve();
    return this.#sayGone(key, { kind: "gone", connection, how }, GONE_ATTEMPTS_MAX);
  }

  /** What was refused, or has waited for too long, has not run. Said twice it does no harm. */
  async #sayGone(key: string, item: Inbound, attemptsLeft: number): Promise<void> {
    try {
      await this.submit(key, item);
    } catch {
      if (attemptsLeft > 1) setTimeout(() => void this.#sayGone(key, item, attemptsLeft - 1), BEAT_MS).unref();
    }
  }

  /** There is room again for what a socket has missed. */
  drained(key: string, socket: GatewaySocket): void {
    const link = this.#links.get(key);
    for (const name of socket.missedStates) {
      const text = link?.states.get(name);
      if (text !== undefined && !socket.send(text)) break;
    }
    socket.missedStates.clear();
  }

  // --- up

  #queued = new WeakMap<Link, { readonly resolve: () => void; readonly reject: (error: unknown) => void }>();

  /** A promise for items that wait for a call under way. */
  #queue(link: Link): Promise<void> {
    return new Promise((resolve, reject) => this.#queued.set(link, { resolve, reject }));
  }

  /** What comes in one turn goes in one call. */
  async #callSoon(link: Link): Promise<void> {
    link.isCalling = true;
    await Promise.resolve();
    return this.#call(link);
  }

  async #call(link: Link): Promise<void> {
    const items = link.items;
    link.items = [];
    link.next = undefined;
    try {
      const { strangers, refused } = await this.#parts.room(link.key).take(items);
      for (const connection of refused) {
        const socket = link.sockets.get(connection);
        if (socket !== undefined) socket.isRefused = true;
      }
      for (const connection of strangers) this.#closeOne(link, connection, "The room has begun anew");
    } finally {
      this.#callNext(link);
    }
  }

  #callNext(link: Link): void {
    const queued = this.#queued.get(link);
    this.#queued.delete(link);
    if (queued !== undefined) {
      this.#call(link).then(queued.resolve, queued.reject);
      return;
    }
    link.isCalling = false;
    if (link.sockets.size === 0 && this.#links.get(link.key) === link) this.#links.delete(link.key);
  }

  // --- down

  #receive({ key, epoch, serial, entries }: Delivery): void {
    const link = this.#links.get(key);
    if (link === undefined) {
      this.#refuse(key, entries);
      return;
    }
    if (link.epoch !== epoch) {
      this.#closeAll(link, "The room has begun anew", true);
      link.states.clear();
      link.epoch = epoch;
    } else if (serial !== link.serial) this.#closeAll(link, "Messages were missed", false);
    link.serial = serial + 1;
    for (const entry of entries) this.#take(link, entry);
  }

  #take(link: Link, entry: Entry): void {
    switch (entry.kind) {
      case "welcome": {
        const socket = link.sockets.get(entry.connection);
        if (socket === undefined) return this.#refuse(link.key, [entry]);
        socket.epoch = link.epoch;
        socket.send(entry.text);
        return;
      }
      case "one":
        this.#welcomed(link, entry.connection)?.send(entry.text);
        return;
      case "all":
        for (const socket of link.sockets.values()) {
          if (socket.epoch === link.epoch && socket.connection !== entry.except) socket.send(entry.text);
        }
        return;
      case "state":
        this.#state(link, entry.key, entry.text);
        return;
      case "close":
        this.#welcomed(link, entry.connection)?.close(entry.code, entry.reason);
        this.#forget(link.key, entry.connection);
    }
  }

  #welcomed(link: Link, connection: string): GatewaySocket | undefined {
    const socket = link.sockets.get(connection);
    return socket?.epoch === link.epoch ? socket : undefined;
  }

  #state(link: Link, key: string, text: string): void {
    link.states.set(key, text);
    for (const socket of link.sockets.values()) {
      if (socket.epoch !== link.epoch) continue;
      if (socket.isSlow) socket.missedStates.add(key);
      else socket.send(text);
    }
  }

  /** Sockets that were closed before their room welcomed them: the room has to hear of it. */
  #refuse(key: string, entries: readonly Entry[]): void {
    for (const entry of entries) {
      if (entry.kind === "welcome")
        this.submit(key, { kind: "gone", connection: entry.connection, how: "lost" }).catch(() => undefined);
    }
  }

  /** Closes those that the room's life so far has welcomed; their clients come back. A room that is gone needs not hear of it: it would be made anew for that. */
  #closeAll(link: Link, reason: string, isGone: boolean): void {
    for (const socket of [...link.sockets.values()]) {
      if (socket.epoch === "") continue;
      if (isGone) this.#closeOne(link, socket.connection, reason);
      else socket.close(CLOSE.roomGone, reason);
    }
  }

  #closeOne(link: Link, connection: string, reason: string): void {
    link.sockets.get(connection)?.close(CLOSE.roomGone, reason);
    this.#forget(link.key, connection);
  }

  // --- links

  #linkOf(key: string): Link {
    let link = this.#links.get(key);
    if (link === undefined) {
      const sockets = new Map<string, GatewaySocket>();
      link = { key, sockets, states: new Map(), epoch: "", serial: 0, items: [], next: undefined, isCalling: false };
      this.#links.set(key, link);
      this.#beatTimer ??= setInterval(() => this.#beat(), BEAT_MS).unref();
    }
    return link;
  }

  #forget(key: string, connection: string): boolean {
    const link = this.#links.get(key);
    if (link?.sockets.delete(connection) !== true) return false;
    if (link.sockets.size === 0 && !link.isCalling && link.items.length === 0) this.#links.delete(key);
    return true;
  }

  /** Asks the shards whether the rooms are there still, and have the sockets: a delivery that was lost with nothing behind it shows in no other way. */
  #beat(): void {
    const seat = actorSeat();
    if (this.#links.size === 0) {
      clearInterval(this.#beatTimer);
      this.#beatTimer = undefined;
    }
    // Without shards a room ends with its thread.
    if (seat === undefined) return;
    const byShard = new Map<number, RoomSockets[]>();
    for (const link of this.#links.values()) {
      const { key, epoch } = link;
      if (epoch === "") continue;
      const welcomed = [...link.sockets.values()].filter((socket) => socket.epoch === epoch);
      const shard = ownerOf(key, seat.shardCount);
      const rooms = byShard.get(shard) ?? [];
      rooms.push({ rooms: this.#parts.rooms, key, epoch, sockets: welcomed.map(({ number }) => number) });
      byShard.set(shard, rooms);
    }
    for (const [shard, rooms] of byShard) {
      // A shard that is not there will be: its successor knows none of the rooms.
      beat(shard, ownGateway().id, rooms).then(
        (strangers) => this.#gone(strangers),
        () => undefined,
      );
    }
  }

  #gone(rooms: readonly RoomSockets[]): void {
    for (const { key, sockets } of rooms) {
      const link = this.#links.get(key);
      if (link === undefined) continue;
      for (const socket of sockets)
        this.#closeOne(link, connectionName(ownGateway().id, socket), "The room does not have this connection");
    }
  }
}
