/** The state of a connection of the drivers on sockets, `uring` and `epoll`, as bits. */

/** A receive is armed; on `epoll`: the set delivers what arrives. */
export const RECEIVING = 1 << 0;
/** The user asked for a pause. */
export const PAUSED = 1 << 1;
/** The armed receive has been asked to end (`uring` only). */
export const CANCELLING_RECEIVE = 1 << 2;
/** The peer's end has arrived; `ended` may still wait behind held bytes. */
export const PEER_ENDED = 1 << 3;
/** Half-close when everything is sent. */
export const END_WANTED = 1 << 4;
/** Our end has left. */
export const END_SENT = 1 << 5;
/** `closeAfterFlush` was called: `closed` is the only event to come. */
export const CLOSE_AFTER_FLUSH = 1 << 6;
/** Half-closed, waiting for the peer's end, which closes. */
export const LINGERING = 1 << 7;
/** `close` was called, or the connection failed. */
export const CLOSING = 1 << 8;
/** `connect` has not ended. */
export const CONNECTING = 1 << 9;
/** Nothing names the slot any more; `closed` is due. */
export const FINISHING = 1 << 10;
/** Bytes or the end wait for `resume`. */
export const HOLDING = 1 << 11;
/** Held bytes are due in this turn. */
export const RESUMING = 1 << 12;
/** `reserve` gives room: connected, and no kind of end was asked for. */
export const SENDABLE = 1 << 13;
/** `release` was called: what arrives is held for whoever gets the descriptor. */
export const RELEASING = 1 << 15;
/** `adopt` gave the descriptor: others may have copies of it (`epoll` only). */
export const ADOPTED = 1 << 14;
