/**
 * What a room and its clients say to each other: JSON arrays in text messages, the kind first.
 *
 *     client  ["hello", session | null, seen]   who it was before, and the last event that it has seen
 *             ["say", n, data]                  its n-th message, from 1
 *             ["seen", n]                       all events up to the n-th
 *             ["bye"]                           it leaves for good
 *     server  ["welcome", {…}]                  see `Welcome`
 *             ["event", n, data]                the room's n-th event; numbers of events for others are left out
 *             ["state", key, data]              what is so now; only the last one of a key counts
 *             ["handled", n]                    all of the client's messages up to the n-th
 */

/** Close codes of a room. A client does not come back after one from 4000 to 4999. */
export const CLOSE = {
  removed: 4000,
  replaced: 4001,
  violation: 4002,
  full: 4003,
  goingAway: 1001,
  left: 1000,
  failed: 1011,
  roomGone: 1012,
  tryAgain: 1013,
} as const;

/** What a client hears first: its session, and where both sides go on. */
export interface Welcome {
  /** The session's secret: whoever has it can take the session over. */
  readonly session: string;
  readonly member: string;
  /** False when the room knows nothing of the session that the client had: it begins anew. */
  readonly isResumed: boolean;
  /** The last of the client's messages that was handled. */
  readonly handled: number;
  /** The last event before those that follow. */
  readonly seen: number;
  /** For how long the session is kept when the connection is lost, in milliseconds. */
  readonly resumeMs: number;
}

/** What a client says. */
export type ClientFrame =
  | { readonly kind: "hello"; readonly session: string | undefined; readonly seen: number }
  | { readonly kind: "say"; readonly n: number; readonly data: unknown }
  | { readonly kind: "seen"; readonly n: number }
  | { readonly kind: "bye" };

const SESSION_LENGTH_MAX = 64;

/** What a client's message says; undefined for one that says nothing. */
export function parseClientFrame(message: string | Uint8Array): ClientFrame | undefined {
  if (typeof message !== "string") return undefined;
  let parts: unknown;
  try {
    parts = JSON.parse(message);
  } catch {
    return undefined;
  }
  if (!Array.isArray(parts)) return undefined;
  const [kind, first, second] = parts as readonly unknown[];
  switch (kind) {
    case "hello":
      return isSession(first) && isNumber(second) ? { kind, session: first ?? undefined, seen: second } : undefined;
    case "say":
      return isNumber(first) && second !== undefined ? { kind, n: first, data: second } : undefined;
    case "seen":
      return isNumber(first) ? { kind, n: first } : undefined;
    case "bye":
      return { kind };
    default:
      return undefined;
  }
}

/** The text of a welcome. */
export function welcomeText(welcome: Welcome): string {
  return JSON.stringify(["welcome", welcome]);
}

/** The text of an event, whose data is JSON already. */
export function eventText(n: number, json: string): string {
  return `["event",${n},${json}]`;
}

/** The text of a state, whose data is JSON already. */
export function stateText(key: string, json: string): string {
  return `["state",${JSON.stringify(key)},${json}]`;
}

/** The text that acknowledges messages. */
export function handledText(n: number): string {
  return `["handled",${n}]`;
}

function isSession(value: unknown): value is string | null {
  return value === null || (typeof value === "string" && value.length <= SESSION_LENGTH_MAX);
}

function isNumber(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
