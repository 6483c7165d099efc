/** Conditional requests (RFC 9110, section 13): whether the client has what it asks for already, or would change what it has not seen. */

/** What is known of the representation that would be sent. */
export interface Validators {
  /** With its quotes: `"abc"` or `W/"abc"`. */
  readonly etag: string | undefined;
  /** Milliseconds since 1970. */
  readonly modifiedMs: number | undefined;
}

/** Reads a request header. */
export type HeaderReader = (name: string) => string | undefined;

/**
 * What to answer instead: 304, 412, or undefined for the representation itself. In the order of RFC 9110, section 13.2.2.
 * @param isRead Whether the method is GET or HEAD.
 */
export function judgePreconditions(
  header: HeaderReader,
  { etag, modifiedMs }: Validators,
  isRead: boolean,
): 304 | 412 | undefined {
  const ifMatch = header("if-match");
  const ifUnmodified = header("if-unmodified-since");
  if (ifMatch !== undefined) {
    if (!isListed(ifMatch, etag, isSameStrongly)) return 412;
  } else if (ifUnmodified !== undefined && modifiedMs !== undefined && isAfter(modifiedMs, ifUnmodified)) {
    return 412;
  }
  const ifNoneMatch = header("if-none-match");
  if (ifNoneMatch !== undefined) return isListed(ifNoneMatch, etag, isSameWeakly) ? (isRead ? 304 : 412) : undefined;
  const ifModified = header("if-modified-since");
  if (!isRead || ifModified === undefined || modifiedMs === undefined) return undefined;
  return Number.isNaN(Date.parse(ifModified)) || isAfter(modifiedMs, ifModified) ? undefined : 304;
}

/** Whether a Range field counts: without If-Range it does, with it only while the representation is the same (RFC 9110, section 13.1.5). */
export function rangeApplies(header: HeaderReader, { etag, modifiedMs }: Validators): boolean {
  const ifRange = header("if-range");
  if (ifRange === undefined) return true;
  if (ifRange.includes('"')) return etag !== undefined && isSameStrongly(ifRange.trim(), etag);
  const date = Date.parse(ifRange);
  return modifiedMs !== undefined && Math.floor(modifiedMs / 1000) * 1000 === date;
}

/** An invalid date is as good as none (RFC 9110, section 13.1.4). */
function isAfter(modifiedMs: number, date: string): boolean {
  const ms = Date.parse(date);
  return !Number.isNaN(ms) && Math.floor(modifiedMs / 1000) * 1000 > ms;
}

function isListed(list: string, etag: string | undefined, isSame: (one: string, other: string) => boolean): boolean {
  if (list.trim() === "*") return true;
  if (etag === undefined) return false;
  // A tag may hold commas.
  return (list.match(/(?:W\/)?"[^"]*"/g) ?? []).some((one) => isSame(one, etag));
}

function isSameStrongly(one: string, other: string): boolean {
  return one === other && !one.startsWith("W/");
}

function isSameWeakly(one: string, other: string): boolean {
  return one.replace(/^W\//, "") === other.replace(/^W\//, "");
}
