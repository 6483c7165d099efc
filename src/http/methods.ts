/** Request methods by llhttp's number, which is what the parser and the router work with. */

/** `METHOD_NAMES[1]` is `"GET"`. */
export const METHOD_NAMES: readonly string[] = [
  "DELETE",
  "GET",
  "HEAD",
  "POST",
  "PUT",
  "CONNECT",
  "OPTIONS",
  "TRACE",
  "COPY",
  "LOCK",
  "MKCOL",
  "MOVE",
  "PROPFIND",
  "PROPPATCH",
  "SEARCH",
  "UNLOCK",
  "BIND",
  "REBIND",
  "UNBIND",
  "ACL",
  "REPORT",
  "MKACTIVITY",
  "CHECKOUT",
  "MERGE",
  "M-SEARCH",
  "NOTIFY",
  "SUBSCRIBE",
  "UNSUBSCRIBE",
  "PATCH",
  "PURGE",
  "MKCALENDAR",
  "LINK",
  "UNLINK",
  "SOURCE",
  "PRI",
  "DESCRIBE",
  "ANNOUNCE",
  "SETUP",
  "PLAY",
  "PAUSE",
  "TEARDOWN",
  "GET_PARAMETER",
  "SET_PARAMETER",
  "REDIRECT",
  "RECORD",
  "FLUSH",
  "QUERY",
];

/** How many numbers there are. */
export const METHOD_COUNT = METHOD_NAMES.length;

/** Number of GET. */
export const METHOD_GET = 1;
/** Number of HEAD. */
export const METHOD_HEAD = 2;
/** Number of CONNECT. */
export const METHOD_CONNECT = 5;
/** Number of OPTIONS. */
export const METHOD_OPTIONS = 6;
/** Number of TRACE. */
export const METHOD_TRACE = 7;

/**
 * The number of a method, given in upper case.
 * Throws TypeError for one that the parser does not know, and for CONNECT and TRACE, which the server answers itself.
 */
export function methodNumber(name: string): number {
  const number = METHOD_NAMES.indexOf(name);
  if (number < 0) throw new TypeError(`Cannot route method ${JSON.stringify(name)}: the parser does not know it`);
  if (number === METHOD_CONNECT || number === METHOD_TRACE) {
    throw new TypeError(`Cannot route method ${name}: the server refuses it before routing`);
  }
  return number;
}
