/** Status codes and their reason phrases, as data (the IANA registry; RFC 9110, section 15). */

const REASONS: Readonly<Record<number, string>> = {
  200: "OK",
  201: "Created",
  202: "Accepted",
  203: "Non-Authoritative Information",
  204: "No Content",
  205: "Reset Content",
  206: "Partial Content",
  207: "Multi-Status",
  208: "Already Reported",
  226: "IM Used",
  300: "Multiple Choices",
  301: "Moved Permanently",
  302: "Found",
  303: "See Other",
  304: "Not Modified",
  305: "Use Proxy",
  307: "Temporary Redirect",
  308: "Permanent Redirect",
  400: "Bad Request",
  401: "Unauthorized",
  402: "Payment Required",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  406: "Not Acceptable",
  407: "Proxy Authentication Required",
  408: "Request Timeout",
  409: "Conflict",
  410: "Gone",
  411: "Length Required",
  412: "Precondition Failed",
  413: "Content Too Large",
  414: "URI Too Long",
  415: "Unsupported Media Type",
  416: "Range Not Satisfiable",
  417: "Expectation Failed",
  418: "I'm a Teapot",
  421: "Misdirected Request",
  422: "Unprocessable Content",
  423: "Locked",
  424: "Failed Dependency",
  425: "Too Early",
  426: "Upgrade Required",
  428: "Precondition Required",
  429: "Too Many Requests",
  431: "Request Header Fields Too Large",
  451: "Unavailable For Legal Reasons",
  500: "Internal Server Error",
  501: "Not Implemented",
  502: "Bad Gateway",
  503: "Service Unavailable",
  504: "Gateway Timeout",
  505: "HTTP Version Not Supported",
  506: "Variant Also Negotiates",
  507: "Insufficient Storage",
  508: "Loop Detected",
  510: "Not Extended",
  511: "Network Authentication Required",
};

/** Statuses that a handler can answer: 200 to 599. 1xx answers are interim and the server's own business. */
export const STATUS_MIN = 200;
export const STATUS_MAX = 599;

/** The reason phrase of a status, or the empty string for one that is not registered (RFC 9112, section 4, allows that). */
export function reasonPhrase(status: number): string {
  return REASONS[status] ?? "";
}

/** Whether an answer of this status has no content, whatever the method (RFC 9110, section 6.4.1). */
export function statusHasNoBody(status: number): boolean {
  return status === 204 || status === 304;
}

/** Throws RangeError unless `status` is one that a handler can answer. */
export function checkStatus(status: number): number {
  if (!Number.isInteger(status) || status < STATUS_MIN || status > STATUS_MAX) {
    throw new RangeError(`Cannot answer with status ${String(status)}: a whole number from 200 to 599 is allowed`);
  }
  return status;
}
