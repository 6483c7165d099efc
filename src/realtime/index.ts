/**
 * `ringloom/realtime`: rooms by key, whose members come and go without missing anything. Everything here is experimental: it may change in a minor version.
 * @experimental
 */
export type {
  BroadcastOptions,
  LeaveReason,
  Member,
  Room,
  RoomHandlers,
  RoomStats,
  Tick,
} from "./room.js";
export type { RoomOptions } from "./room-options.js";
export type { RoomRouteOptions } from "./room-route.js";
export { type AskOptions, type RoomMaker, type Rooms, rooms } from "./rooms.js";
