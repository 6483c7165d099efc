/** `rooms()`: rooms by key, each on the shard that owns it, with members on every shard. */
import type { WebSocketRoute } from "../http/web-socket-route.js";
import { type Actor, actor } from "../keyed/actor.js";
import type { EvictionReason } from "../keyed/actor-options.js";
import { invalidOption } from "../middleware/check-options.js";
import { Gateway } from "./gateway.js";
import { newRoomStats, type Room, type RoomHandlers, type RoomStats } from "./room.js";
import { type RoomCalls, RoomHost } from "./room-host.js";
import { type RoomOptions, resolveRoomOptions } from "./room-options.js";
import { type RoomRouteOptions, roomRoute } from "./room-route.js";

/** Calls that may wait at one room. */
const MAILBOX = 10_000;

/**
 * Makes a room when somebody comes first, or asks: returns what happens in it. May be async, to load what the room knew before.
 * @experimental
 */
export type RoomMaker<Data> = (room: Room<Data>) => RoomHandlers<Data> | Promise<RoomHandlers<Data>>;

/**
 * Rooms of one kind; see {@link rooms}.
 * @experimental
 */
export interface Rooms<Data = unknown> {
  /** A route for `app.ws` through which clients come in: those of `ringloom/realtime/client`, or others that speak its protocol. */
  route<Params extends string = string>(options: RoomRouteOptions<Data, Params>): WebSocketRoute<unknown, Params>;
  /**
   * Calls the room's `ask`, from any shard, behind whatever waits there already; makes the room if it is not there. Question and answer are structured clones.
   * Rejects as calls of an actor do: `ERR_RINGLOOM_CALL_FAILED` with what `ask` threw as its cause, `ERR_RINGLOOM_OVERLOADED`, `ERR_RINGLOOM_TIMEOUT`, `ERR_RINGLOOM_THREAD_LOST`.
   */
  ask(key: string, question?: unknown, options?: AskOptions): Promise<unknown>;
  /** What rooms and sockets of this thread did. */
  readonly stats: Readonly<RoomStats>;
}

/**
 * How long to wait for an answer.
 * @experimental
 */
export interface AskOptions {
  /** Gives up waiting; what was asked runs on. */
  readonly signal?: AbortSignal;
  /** When it rejects, in milliseconds; 0 is never. Default: `timeoutMs` of the rooms. */
  readonly timeoutMs?: number;
}

/**
 * Registers rooms under a name that is the same on all shards. Call it at the module's top level.
 *
 * A room is made by `make` on the shard that owns its key. Its clients are connected to any shard. One handler of a room runs at a time. A client that loses its connection comes back within `resumeMs` as who it was: it gets each
 * event once and in order, and each of its messages is handled once.
 * @throws RingloomError `ERR_RINGLOOM_INVALID_OPTION`, also when the name is taken.
 * @example
 * ```ts
 * import { App } from "ringloom/http";
 * import { rooms } from "ringloom/realtime";
 *
 * const tables = rooms<{ name: string }>("tables", (room) => ({
 *   join: (member) => room.broadcast({ joined: member.data.name }),
 *   message: (member, text) => room.broadcast({ from: member.data.name, text: String(text).slice(0, 500) }),
 *   leave: (member, reason) => room.broadcast({ left: member.data.name, reason }),
 * }));
 *
 * const app = new App();
 * app.ws("/tables/:table", tables.route({ key: (c) => c.param("table"), connect: (c) => ({ name: c.query("name") ?? "?" }) }));
 * export default app;
 * ```
 * @experimental
 */
export function rooms<Data = unknown>(name: string, make: RoomMaker<Data>, options: RoomOptions = {}): Rooms<Data> {
  if (typeof name !== "string" || name === "") throw invalidOption("rooms", "name", "it is no text");
  if (typeof make !== "function") throw invalidOption(`the rooms "${name}"`, "make", `it is ${typeof make}`);
  const resolved = resolveRoomOptions(name, options);
  const stats = newRoomStats();
  class Cell extends RoomHost {
    constructor(key: string) {
      super({ name, key, options: resolved, stats, self: () => cells(key) as RoomCalls });
    }
  }
  const cells: Actor<RoomHost> = actor<RoomHost>(`ringloom:room:${name}`, Cell, {
    async load(key) {
      const made = new Cell(key);
      try {
        // The cast is safe because what members carry came from the route's `connect`.
        const handlers = await make(made.room as Room<Data>);
        if (typeof handlers !== "object" || handlers === null)
          throw new TypeError(`Cannot make a room of "${name}": what happens in it is ${String(handlers)}`);
        made.start(handlers as RoomHandlers);
      } catch (error) {
        await made.close("idle");
        throw error;
      }
      return made;
    },
    evicted: (room, { reason }: { readonly reason: EvictionReason }) => room.close(reason),
    idleMs: resolved.idleMs,
    keysMax: resolved.roomsMax,
    mailbox: MAILBOX,
    timeoutMs: resolved.timeoutMs,
  });
  const gateway = new Gateway({ rooms: name, stats, room: (key) => cells(key) as RoomCalls });
  return {
    route: (route) => roomRoute({ gateway, stats, slowMember: resolved.slowMember }, route),
    ask: (key, question, how = {}) => cells(key, how).ask(question),
    stats,
  };
}
