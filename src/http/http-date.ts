/** The coarse clock of a shard and the text of the Date field. */

const DAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"] as const;
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"] as const;

/** Length of an IMF-fixdate, in bytes. */
export const HTTP_DATE_BYTES = 29;

/** The IMF-fixdate of a time in milliseconds since 1970: `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, section 5.6.7). */
export function formatHttpDate(epochMs: number): string {
  const date = new Date(epochMs);
  const day = twoDigits(date.getUTCDate());
  const time = `${twoDigits(date.getUTCHours())}:${twoDigits(date.getUTCMinutes())}:${twoDigits(date.getUTCSeconds())}`;
  const year = String(date.getUTCFullYear()).padStart(4, "0");
  return `${DAYS[date.getUTCDay()]}, ${day} ${MONTHS[date.getUTCMonth()]} ${year} ${time} GMT`;
}

function twoDigits(value: number): string {
  return value < 10 ? `0${value}` : String(value);
}

/**
 * The time as the last tick saw it. Reading a field costs nothing, asking the system for the time costs tens of nanoseconds;
 * every timeout of HTTP is coarse, so the former is enough.
 */
export class CoarseClock {
  /** Monotonic, in milliseconds. */
  nowMs = 0;
  /** Wall-clock seconds since 1970. */
  epochSeconds = 0;
  /** The Date field's value for `epochSeconds`. */
  dateText = "";

  constructor() {
    this.tick();
  }

  /** Looks at the system's clocks. */
  tick(): void {
    this.nowMs = performance.now();
    const epochSeconds = Math.floor(Date.now() / 1000);
    if (epochSeconds === this.epochSeconds) return;
    this.epochSeconds = epochSeconds;
    this.dateText = formatHttpDate(epochSeconds * 1000);
  }
}
