/**
 * Signs of life between gateways and rooms on other threads: a room lets go of the connections of a gateway that is silent, and a gateway learns which of its rooms are not there any more.
 */
import { monotonicMs } from "../observe/monotonic.js";
import { invokeOnShard, shardFunction } from "../runtime/shard-functions.js";

/** How often a gateway gives a sign, in milliseconds. */
export const BEAT_MS = 2_000;
/** After how long without one it is taken for dead. A thread that hangs for so long finds its sockets let go, and closes them. */
const SILENCE_MS_MAX = 15_000;

/** A room in one of its lives. */
export interface RoomLife {
  readonly rooms: string;
  readonly key: string;
  readonly epoch: string;
}

/** A room as a gateway knows it, with the sockets there that it has welcomed. */
export interface RoomSockets extends RoomLife {
  readonly sockets: readonly number[];
}

interface LiveRoom {
  readonly epoch: string;
  readonly has: (connection: string) => boolean;
}

const lives = new Map<string, LiveRoom>();
const lastBeatMs = new Map<string, number>();

/** A socket's name in all threads. */
export function connectionName(gateway: string, socket: number): string {
  return `${gateway}/${socket}`;
}

/** A room lives on this thread, and `has` those connections, until the returned function is called. */
export function roomLives({ rooms, key, epoch }: RoomLife, has: (connection: string) => boolean): () => void {
  const name = nameOf(rooms, key);
  lives.set(name, { epoch, has });
  return () => {
    if (lives.get(name)?.epoch === epoch) lives.delete(name);
  };
}

/** Something came from that gateway. */
export function gatewaySeen(id: string): void {
  const nowMs = monotonicMs();
  if (!lastBeatMs.has(id)) {
    for (const [other, atMs] of lastBeatMs) if (nowMs - atMs > 2 * SILENCE_MS_MAX) lastBeatMs.delete(other);
  }
  lastBeatMs.set(id, nowMs);
}

/** Whether nothing came from that gateway for too long. */
export function isGatewaySilent(id: string): boolean {
  return monotonicMs() - (lastBeatMs.get(id) ?? 0) > SILENCE_MS_MAX;
}

/** Gives a sign to a shard. Resolves with the sockets that its rooms do not have: all those of rooms that are not there, or not in that life. */
export function beat(shard: number, gateway: string, rooms: readonly RoomSockets[]): Promise<readonly RoomSockets[]> {
  return invokeOnShard(beatFunction, { shard, timeoutMs: SILENCE_MS_MAX }, gateway, rooms);
}

const beatFunction = shardFunction(
  "ringloom:realtime-beat",
  (gateway: string, rooms: readonly RoomSockets[]): readonly RoomSockets[] => {
    gatewaySeen(gateway);
    return rooms.map((room) => strangersOf(gateway, room)).filter(({ sockets }) => sockets.length > 0);
  },
);

function strangersOf(gateway: string, room: RoomSockets): RoomSockets {
  const live = lives.get(nameOf(room.rooms, room.key));
  if (live?.epoch !== room.epoch) return room;
  return { ...room, sockets: room.sockets.filter((socket) => !live.has(connectionName(gateway, socket))) };
}

function nameOf(rooms: string, key: string): string {
  return JSON.stringify([rooms, key]);
}
