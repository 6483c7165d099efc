/**
 * The words of a doorbell: other threads say through them that one thread, the owner, should look for work, and learn whether it may be asleep.
 *
 *     line 0, written by all:        0 RUNG     1 when somebody has rung and the owner has not looked since
 *                                    1 USERS    how many threads are using the descriptor, and CLOSED, RELEASED
 *     line 1, written by the owner:  16 ASLEEP  not 0 while the owner may be blocked
 *
 * RING: publish the work, load RUNG; if it is 0, RUNG 0 → 1, load ASLEEP.    SLEEP: ASLEEP := 1, load RUNG, block.    LOOK: RUNG := 0, find the work.
 *
 * A ringer that finds RUNG set is done: the owner has yet to set it to 0, and looks after that. So many rings before one look cost a load each, and the line stays in everybody's cache.
 *
 * It is the flag half of an eventcount (Dekker's pattern): both sides store their own word before they load the other's, so at least one sees the
 * other's store. Whoever turns RUNG from 0 to 1 while ASLEEP is set must wake the owner; nobody else need. Ringers never wait: `ring` is two atomics.
 *
 * A ringer can die between its two steps. RUNG is then 1 and the owner asleep, and nobody wakes it; so the reaper of a dead thread wakes every owner
 * whatever the words say. An owner can die anywhere: its successor takes the words over, and looks first.
 *
 * CLOSING: the descriptor that wakes an owner must not be closed while a ringer is about to write to it, because its number could name a client's socket
 * by then. So users are counted, and the last one out of a closed bell releases it. If one of them dies meanwhile, the descriptor stays open: a leak, no harm.
 *
 * `native/loop.c` has the owner's side once more, in C.
 */
import type { Words } from "./words.js";

/** How many words a bell takes: two cache lines. */
export const BELL_WORDS = 32;

const RUNG = 0;
const USERS = 1;
const ASLEEP = 16;

const CLOSED = 1 << 29;
const RELEASED = 1 << 30;

/** One doorbell's words, from the word `base` on. */
export class Bell {
  readonly #words: Words;
  readonly #base: number;

  constructor(words: Words, base: number) {
    this.#words = words;
    this.#base = base;
  }

  // --- any thread

  /** Says that there is something to look for, which was published before. True when the caller must wake the owner. */
  ring(): boolean {
    if (this.isRung) return false;
    // Pairs with `fallAsleep`: one of the two sees the other's store.
    return this.#words.exchange(this.#base + RUNG, 1) === 0 && this.#words.load(this.#base + ASLEEP) !== 0;
  }

  /** Whether somebody has rung and the owner has not looked since: then it will, and finds what was published before this call. */
  get isRung(): boolean {
    return this.#words.load(this.#base + RUNG) !== 0;
  }

  /** Wakes an owner that waits for RUNG by `Atomics.wait` or `waitAsync`. */
  notify(): void {
    this.#words.notify(this.#base + RUNG);
  }

  get isClosed(): boolean {
    return (this.#words.load(this.#base + USERS) & CLOSED) !== 0;
  }

  /** Begins to use the descriptor. False when it may be closed already. `leave` follows in both cases. */
  enter(): boolean {
    return (this.#words.add(this.#base + USERS, 1) & CLOSED) === 0;
  }

  /** Ends the use of the descriptor. True when the caller must close it. */
  leave(): boolean {
    return this.#words.add(this.#base + USERS, -1) === (CLOSED | 1) && this.#release();
  }

  /** Ends the bell: no use begins any more. True when the caller must close the descriptor. */
  close(): boolean {
    return this.#words.or(this.#base + USERS, CLOSED) === 0 && this.#release();
  }

  // --- the owner

  /** Whether somebody has rung since the last time. What was published before that ring is visible from now on. */
  take(): boolean {
    if (this.#words.load(this.#base + RUNG) === 0) return false;
    this.#words.store(this.#base + RUNG, 0);
    return true;
  }

  /** From now on a ringer must wake the owner. False when somebody has rung already: then the owner must not block. */
  fallAsleep(): boolean {
    this.#words.store(this.#base + ASLEEP, 1);
    return this.#words.load(this.#base + RUNG) === 0;
  }

  wokeUp(): void {
    this.#words.store(this.#base + ASLEEP, 0);
  }

  /** One of those who find the bell closed and unused, and only one of them, closes the descriptor. */
  #release(): boolean {
    return this.#words.compareExchange(this.#base + USERS, CLOSED, CLOSED | RELEASED) === CLOSED;
  }
}
