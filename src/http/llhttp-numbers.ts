/** llhttp's numbers that this layer tells apart: results of a run, errors, and bits of a parser's flags. */

/** Result of a parser run: everything was consumed. */
export const PARSER_OK = 0;
/** A callback asked to stop after a message (HPE_PAUSED). */
export const PARSER_PAUSED = 21;
/** Error numbers of llhttp that lead to another status than 400. */
export const HPE_INVALID_VERSION = 9;
export const HPE_PAUSED_H2_UPGRADE = 23;

/** Bits of {@link HttpParser.flags}, llhttp's own. */
export const FLAG_CONNECTION_KEEP_ALIVE = 1;
export const FLAG_CONNECTION_CLOSE = 1 << 1;
export const FLAG_CHUNKED = 1 << 3;
export const FLAG_CONTENT_LENGTH = 1 << 5;
export const FLAG_TRANSFER_ENCODING = 1 << 9;
