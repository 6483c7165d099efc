/** The options of rooms, with their defaults. */
import { checkOptions, invalidOption, wholeNumber } from "../middleware/check-options.js";
import type { MissedTicks } from "../time/interval.js";

/**
 * How rooms are kept.
 * @experimental
 */
export interface RoomOptions {
  /** Milliseconds from one tick to the next; 0 is no ticks, the default. */
  readonly tickMs?: number;
  /**
   * What becomes of ticks whose time passed while the room or its shard was busy: `skip` leaves them out (the default), `burst` makes up for them, `catchUpMax` at most, `delay` moves all that follow.
   */
  readonly missedTicks?: MissedTicks;
  /** Ticks that `burst` makes up for at once. Default 5. */
  readonly catchUpMax?: number;
  /** Sessions of a room, connected or not; one more is refused with close code 4003. Default 1,000. */
  readonly membersMax?: number;
  /** For how long a session is kept without a connection, in milliseconds. Default 30,000. */
  readonly resumeMs?: number;
  /** Events that a room keeps for members that come back. Default 1,024. */
  readonly replayEvents?: number;
  /** Bytes of them, two for each character. Default 1 MiB. */
  readonly replayBytes?: number;
  /** Bytes of one event or state in UTF-8. Default 64 KiB. */
  readonly eventBytesMax?: number;
  /** Keys that `setState` may be called with. Default 64. */
  readonly statesMax?: number;
  /** What becomes of a member whose peer has `sendBytesMax` bytes waiting: `close` cuts its connection, so that it comes back and is sent what it has missed (the default); `leave` ends its session. */
  readonly slowMember?: "close" | "leave";
  /** After how long without members a room is put away, in milliseconds. Default 60,000. */
  readonly idleMs?: number;
  /** Rooms that one shard may have. Default 10,000. */
  readonly roomsMax?: number;
  /** How long a handler may take before those who wait are told to try again, in milliseconds. Default 30,000. */
  readonly timeoutMs?: number;
}

const DEFAULTS = {
  tickMs: 0,
  missedTicks: "skip",
  catchUpMax: 5,
  membersMax: 1_000,
  resumeMs: 30_000,
  replayEvents: 1_024,
  replayBytes: 1024 * 1024,
  eventBytesMax: 64 * 1024,
  statesMax: 64,
  slowMember: "close",
  idleMs: 60_000,
  roomsMax: 10_000,
  timeoutMs: 30_000,
} as const satisfies Required<RoomOptions>;

/** Rooms look for members so much more often than the least that this may be. */
const IDLE_MS_MIN = 100;
const POLICIES: readonly unknown[] = ["skip", "burst", "delay"] satisfies MissedTicks[];
/** The longest time that a timer takes, in milliseconds. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/** Fills in the defaults. Throws `ERR_RINGLOOM_INVALID_OPTION` for what is not allowed. */
export function resolveRoomOptions(name: string, options: RoomOptions): Required<RoomOptions> {
  const subject = `the rooms "${name}"`;
  checkOptions(subject, options, Object.keys(DEFAULTS));
  const { tickMs = 0, missedTicks = "skip", slowMember = "close" } = options;
  if (typeof tickMs !== "number" || !(tickMs === 0 || (tickMs >= 1 && tickMs <= TIMER_MS_MAX)))
    throw invalidOption(subject, "tickMs", `${String(tickMs)} is not 0 or 1 to ${TIMER_MS_MAX}`);
  if (!POLICIES.includes(missedTicks))
    throw invalidOption(subject, "missedTicks", `${String(missedTicks)} is not skip, burst or delay`);
  if (slowMember !== "close" && slowMember !== "leave")
    throw invalidOption(subject, "slowMember", `${String(slowMember)} is not close or leave`);
  const whole = (option: keyof RoomOptions & keyof typeof DEFAULTS, min: number): number => {
    const value = wholeNumber(subject, {
      option,
      value: numberOf(options[option]),
      fallback: Number(DEFAULTS[option]),
      min,
    });
    if (option.endsWith("Ms") && value > TIMER_MS_MAX)
      throw invalidOption(subject, option, `${value} is more than ${TIMER_MS_MAX}`);
    return value;
  };
  return {
    tickMs,
    missedTicks,
    slowMember,
    catchUpMax: whole("catchUpMax", 1),
    membersMax: whole("membersMax", 1),
    resumeMs: whole("resumeMs", 0),
    replayEvents: whole("replayEvents", 1),
    replayBytes: whole("replayBytes", 1),
    eventBytesMax: whole("eventBytesMax", 1),
    statesMax: whole("statesMax", 0),
    idleMs: whole("idleMs", IDLE_MS_MIN),
    roomsMax: whole("roomsMax", 1),
    timeoutMs: whole("timeoutMs", 1),
  };
}

/** What is no number is left to the check of numbers. */
function numberOf(value: unknown): number | undefined {
  return value === undefined ? undefined : typeof value === "number" ? value : Number.NaN;
}
