/** Why a WebSocket ends, as a number: RFC 6455, section 7.4, and IANA's registry of close codes. */

/** The purpose is fulfilled. */
export const CLOSE_NORMAL = 1000;
/** The server stops, or a page is left. */
export const CLOSE_GOING_AWAY = 1001;
/** A frame that the RFC forbids. */
export const CLOSE_PROTOCOL_ERROR = 1002;
/** What `close` is told when the peer's close frame had no code. Never sent. */
export const CLOSE_NO_STATUS = 1005;
/** What `close` is told when the connection ended without a close frame. Never sent. */
export const CLOSE_ABNORMAL = 1006;
/** Text that is no UTF-8. */
export const CLOSE_INVALID_PAYLOAD = 1007;
/** A message that is longer than this end takes. */
export const CLOSE_TOO_LARGE = 1009;
/** A handler failed. */
export const CLOSE_INTERNAL_ERROR = 1011;
/** A bound of the server is reached. */
export const CLOSE_TRY_AGAIN = 1013;

/** Bytes of a close frame's reason, at most: a control frame carries 125. */
export const CLOSE_REASON_BYTES_MAX = 123;

/** Whether an endpoint may send the code: the registered ones but 1004 to 1006 and 1015, and those for libraries and programs. */
export function isSendableCloseCode(code: number): boolean {
  if (!Number.isInteger(code)) return false;
  if (code >= 3000) return code <= 4999;
  return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014);
}
