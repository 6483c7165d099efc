/** Rooms as programs see them. */
import type { EvictionReason } from "../keyed/actor-options.js";

/**
 * Somebody in a room: a session, which outlives the loss of its connection for `resumeMs`. The same object from `join` to `leave`.
 * @experimental
 */
export interface Member<Data = unknown> {
  /** Its name in the room: short text that no other member of the room's life has had. No secret. */
  readonly id: string;
  /** What `connect` of the route gave it, as a copy. A connection that resumes a session does not change it. */
  readonly data: Data;
  /** Whether there is a connection now. */
  readonly isConnected: boolean;
  /** An event for this member alone, numbered among the room's. Does nothing when the member has left. Throws as `broadcast` does. */
  send(event: unknown): void;
  /**
   * Removes it from the room; its client does not come back by itself.
   * @param code of the close frame, 4000 to 4999; 4000 unless told
   * @param reason up to 123 bytes of UTF-8
   */
  remove(code?: number, reason?: string): void;
}

/**
 * One room, on the shard that owns its key.
 * @experimental
 */
export interface Room<Data = unknown> {
  readonly key: string;
  /** Who is in it, by id, in the order in which they came. */
  readonly members: ReadonlyMap<string, Member<Data>>;
  /**
   * An event: every member gets it once, and in order, also one whose connection is lost meanwhile and comes back in time.
   * @param event anything that has JSON
   * @throws TypeError for what has no JSON; RingloomError `ERR_RINGLOOM_TOO_LARGE` above `eventBytesMax`.
   */
  broadcast(event: unknown, options?: BroadcastOptions<Data>): void;
  /**
   * What is so now, such as positions: members get the last value of each key, when they come and whenever it changes. One that reads too slowly misses values in between and gets the last one.
   * @param key up to 64 characters
   * @throws as `broadcast` does; RingloomError `ERR_RINGLOOM_OVERLOADED` above `statesMax` keys.
   */
  setState(key: string, value: unknown): void;
}

/**
 * Who gets an event.
 * @experimental
 */
export interface BroadcastOptions<Data = unknown> {
  /** All but this one. */
  readonly except?: Member<Data>;
}

/**
 * Why somebody is not in the room any more: its client said so; its connection did not come back in time; the room removed it; it read too slowly and `slowMember` is `"leave"`; it came back, and the events that it had missed
 * were not there any more; its client broke the protocol; or a handler failed at what it sent.
 * @experimental
 */
export type LeaveReason = "left" | "expired" | "removed" | "slow" | "lagged" | "violation" | "failed";

/**
 * A tick of a room.
 * @experimental
 */
export interface Tick {
  /** Counts the ticks that ran, from 1. */
  readonly number: number;
  /** The time that passes with it, in milliseconds: always `tickMs`, with `missedTicks: "delay"` at least that. */
  readonly deltaMs: number;
  /** How long after its time it runs, in milliseconds. */
  readonly lateMs: number;
  /** Ticks that were left out just before it. */
  readonly missed: number;
}

/**
 * What happens in a room. One handler of a room runs at a time, async ones to their end; what comes meanwhile waits.
 *
 * A `join` or `message` that throws removes that member (`"failed"`), others are logged.
 * @experimental
 */
export interface RoomHandlers<Data = unknown> {
  /** Somebody new. To refuse, `member.remove(4000, "why")`. */
  join?(member: Member<Data>): unknown;
  /** Somebody's connection is back. */
  resume?(member: Member<Data>): unknown;
  /** Somebody's connection is lost; it may come back. */
  disconnect?(member: Member<Data>): unknown;
  /** Something that a member's client sent. It came once and in order; what it is nobody has checked. */
  message?(member: Member<Data>, message: unknown): unknown;
  leave?(member: Member<Data>, reason: LeaveReason): unknown;
  /** Every `tickMs`, while there are members. */
  tick?(tick: Tick): unknown;
  /** The answer to `rooms.ask()`. */
  ask?(question: unknown): unknown;
  /** The room is put away: nobody was in it for `idleMs`, another thread takes over the shard, or the server stops. The time to save what must last. Not called when the thread dies. */
  close?(reason: EvictionReason): unknown;
}

/**
 * What the rooms of one kind did on this thread. The numbers only grow, except where a name says `Now`.
 * @experimental
 */
export interface RoomStats {
  roomsNow: number;
  membersNow: number;
  connectedNow: number;
  joins: number;
  resumes: number;
  /** Sessions that could not be resumed, because events were gone that they had missed. */
  lagged: number;
  events: number;
  messages: number;
  /** Messages that came again after a lost connection and had been handled. */
  duplicates: number;
  ticks: number;
  ticksMissed: number;
  /** The latest that a tick ever ran, in milliseconds. */
  tickLateMsMax: number;
  /** Sockets of this shard that were closed because their peers read too slowly. */
  slowMembers: number;
}

/** All zeros. */
export function newRoomStats(): RoomStats {
  return {
    roomsNow: 0,
    membersNow: 0,
    connectedNow: 0,
    joins: 0,
    resumes: 0,
    lagged: 0,
    events: 0,
    messages: 0,
    duplicates: 0,
    ticks: 0,
    ticksMissed: 0,
    tickLateMsMax: 0,
    slowMembers: 0,
  };
}
