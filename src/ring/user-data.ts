/**
 * `user_data` of a submission, as two 32-bit words (64-bit integers cost 16 ns an access in V8, words 1).
 *
 *     low word:   kind (12 bits) | slot (20 bits)         high word:   generation (31 bits)
 *
 * A completion whose generation is not its slot's belongs to an earlier user of the slot: it is counted and dropped.
 */
import { SLOT_BITS } from "../constants.js";

const SLOT_MASK = (1 << SLOT_BITS) - 1;

/** What a completion is about. */
export const KIND_LOOP = 1;
export const KIND_ACCEPT = 2;
export const KIND_RECV = 3;
export const KIND_SEND = 4;
export const KIND_CONNECT = 5;
export const KIND_OPERATION = 6;
/** Nobody waits for these: they complete only to report a failure that their target reports as well. */
export const KIND_IGNORED = 7;

/** A doorbell's descriptor: another thread wakes this one. */
export const KIND_BELL = 8;

/** Another thread's ring has rung this one. */
export const KIND_TOLD = 9;
/** A ring that was to be told was not; the slot is the number that its teller gave. */
export const KIND_UNTOLD = 10;

/** The low word. */
export function packUserData(kind: number, slot: number): number {
  return (kind << SLOT_BITS) | slot;
}

/** What a completion is about: one of the `KIND_…`. */
export function userDataKind(low: number): number {
  return low >>> SLOT_BITS;
}

/** The slot of a low word; for listeners and operations their number. */
export function userDataSlot(low: number): number {
  return low & SLOT_MASK;
}
