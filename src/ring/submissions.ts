/** One encoder for each operation that the drivers submit. `low` and `generation` are the two words of `user_data`. */
import {
  IORING_ACCEPT_MULTISHOT,
  IORING_ASYNC_CANCEL_ALL,
  IORING_ASYNC_CANCEL_FD,
  IORING_OP_ACCEPT,
  IORING_OP_ASYNC_CANCEL,
  IORING_OP_CLOSE,
  IORING_OP_CONNECT,
  IORING_OP_MSG_RING,
  IORING_OP_POLL_ADD,
  IORING_OP_RECV,
  IORING_OP_SEND,
  IORING_POLL_ADD_MULTI,
  IORING_RECV_MULTISHOT,
  IOSQE_BUFFER_SELECT,
  IOSQE_CQE_SKIP_SUCCESS,
  MSG_NOSIGNAL,
  MSG_WAITALL,
  POLLIN,
  SOCK_CLOEXEC,
} from "../uapi.js";
import type { Ring } from "./ring.js";
import { KIND_IGNORED, KIND_TOLD, packUserData } from "./user-data.js";

const TWO_32 = 0x1_0000_0000;
const IGNORED = packUserData(KIND_IGNORED, 0);
const SKIP_SUCCESS = IOSQE_CQE_SKIP_SUCCESS << 8;
const HEAD_ACCEPT = IORING_OP_ACCEPT | (IORING_ACCEPT_MULTISHOT << 16);
const HEAD_RECEIVE = IORING_OP_RECV | (IOSQE_BUFFER_SELECT << 8) | (IORING_RECV_MULTISHOT << 16);
const HEAD_CANCEL = IORING_OP_ASYNC_CANCEL | SKIP_SUCCESS;
const HEAD_CLOSE = IORING_OP_CLOSE | SKIP_SUCCESS;
const HEAD_MESSAGE = IORING_OP_MSG_RING | SKIP_SUCCESS;
/** The user_data of the completion at the other ring. */
const TOLD = packUserData(KIND_TOLD, 0);

/** The lower half of an address or a file position, as a signed word. */
export function lowWord(value: number): number {
  return (value % TWO_32) | 0;
}

/** The upper half of an address or a file position. */
export function highWord(value: number): number {
  return Math.floor(value / TWO_32);
}

/** Accepts until cancelled: a completion for each connection. */
export function submitAccept(ring: Ring, fd: number, low: number, generation: number): void {
  ring.submit(HEAD_ACCEPT, fd, 0, 0, 0, SOCK_CLOEXEC, low, generation);
}

/** Receives until cancelled, into provided buffers of group 0: a completion for each buffer. */
export function submitReceive(ring: Ring, fd: number, low: number, generation: number): void {
  ring.submit(HEAD_RECEIVE, fd, 0, 0, 0, 0, low, generation);
}

/** Sends all of `length` bytes, or fails. */
export function submitSend(
  ring: Ring,
  fd: number,
  addressLow: number,
  addressHigh: number,
  length: number,
  low: number,
  generation: number,
): void {
  ring.submit(IORING_OP_SEND, fd, addressLow, addressHigh, length, MSG_WAITALL | MSG_NOSIGNAL, low, generation);
}

/** Connects to the sockaddr of `length` bytes at `address`, which must stay there until the completion. */
export function submitConnect(
  ring: Ring,
  fd: number,
  address: number,
  length: number,
  low: number,
  generation: number,
): void {
  const entry = new Int32Array(16);
  entry[0] = IORING_OP_CONNECT;
  entry[1] = fd;
  entry[2] = length;
  entry[4] = lowWord(address);
  entry[5] = highWord(address);
  entry[8] = low;
  entry[9] = generation;
  ring.submitAt(entry);
}

/** Closes a descriptor; a completion comes only when that fails. */
export function submitClose(ring: Ring, fd: number): void {
  ring.submit(HEAD_CLOSE, fd, 0, 0, 0, 0, IGNORED, 0);
}

/** Puts a completion of the kind `KIND_TOLD` into another ring (IORING_MSG_DATA). One comes here only when that fails. */
export function submitRingMessage(ring: Ring, fd: number, low: number): void {
  const entry = new Int32Array(16);
  entry[0] = HEAD_MESSAGE;
  entry[1] = fd;
  entry[2] = TOLD;
  entry[8] = low;
  ring.submitAt(entry);
}

/** Completes once, when `fd` is readable. */
export function submitPoll(ring: Ring, fd: number, low: number): void {
  ring.submit(IORING_OP_POLL_ADD, fd, 0, 0, 0, POLLIN, low, 0);
}

/** Completes each time that `fd` becomes readable anew, until the ring closes. */
export function submitPollMultishot(ring: Ring, fd: number, low: number, generation: number): void {
  ring.submit(IORING_OP_POLL_ADD, fd, 0, 0, IORING_POLL_ADD_MULTI, POLLIN, low, generation);
}

/** Cancels the submission with this `user_data`, which then completes with ECANCELED. */
export function submitCancel(ring: Ring, low: number, generation: number): void {
  ring.submit(HEAD_CANCEL, -1, low, generation, 0, 0, IGNORED, 0);
}

/** Cancels every submission on a descriptor. */
export function submitCancelAll(ring: Ring, fd: number): void {
  ring.submit(HEAD_CANCEL, fd, 0, 0, 0, IORING_ASYNC_CANCEL_FD | IORING_ASYNC_CANCEL_ALL, IGNORED, 0);
}
