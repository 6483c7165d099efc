/**
 * Permits that threads take, hold and hand on: a shared semaphore, and with one permit a shared mutex. One word for each permit:
 *
 *     0                         free
 *     thread + 1                held by that thread
 *     thread + 1 | OFFERED      on its way: that thread may take it, or pass it on
 *     … | ABANDONED             the last one that held it has died with it; stays until a holder has been told
 *     … | REAPED                held by nobody; that thread, or its reaper, alone may pass it on
 *
 * Who writes a permit's word:
 * - from free: whoever wants it, by compare-and-swap. The step that takes it writes the taker's id.
 * - from held: its holder alone, who stores it free or offers it to the thread that has waited longest (`waiting-threads.ts`).
 * - from offered: the thread that it is offered to; and by compare-and-swap the one that offered it, when it finds that thread dead.
 * - of a dead thread: the reaper, who makes it REAPED, which no other one touches, and passes it on. Each reaper looks for all dead threads: one that dies behind its offer to one that was buried before cannot take it back.
 *
 * And a thread's *intent*, which is whom it is about to offer a permit to, id + 1, or 0: written by that thread alone, and when it is dead by its reaper alone, who passes on in its place. It is set before that one's bit is cleared, and
 * cleared behind the offer.
 *
 * **Fair**: a permit goes from holder to holder and is free only when nobody waits, so nobody overtakes a thread that waits, but for the moment between its setting its bit and the other's looking at it, and but for `tryTake`.
 * **Stores and looks**: who waits sets its bit, then looks for a free permit; who gives back stores the permit free, then looks at the bits. One of them sees the other, so no permit is free for long while somebody waits.
 * **An offer that comes late**: a bit is cleared before the offer is stored, so a thread that gives up waiting and finds its bit cleared may get an offer that it has not seen yet. Then somebody's intent names it, or the offer is there
 * already: it reads the intents first and then looks for offers. While one names it, it must look whenever it is rung, and pass the offer on. It is rung behind each intent that is cleared, also when that one came to nothing.
 *
 * A thread may die at any point. What it held is ABANDONED and goes on; what it was offered or was passing on is not, because it was not inside. A releaser that dies before its permit's word has changed still held it.
 */
import { assert } from "../assert.js";
import { announceDeath, Gathering, type GatheringShape, gatheringLength, leaveGathering } from "./gathering.js";
import { type WaitingShape, WaitingThreads, waitingLength } from "./waiting-threads.js";
import type { Words } from "./words.js";

const LINE_WORDS = 16;
const HOLDER = 0xff;
const OFFERED = 1 << 8;
const ABANDONED = 1 << 9;
const REAPED = 1 << 10;

/** No permit. */
export const NO_PERMIT = -1;

/** How large the structure is, and where. */
export interface PermitsShape {
  /** Index of its first word, a multiple of 16. */
  readonly base: number;
  readonly threads: number;
  readonly permits: number;
}

/** Words that it takes. */
export function permitsLength({ threads, permits }: Omit<PermitsShape, "base">): number {
  return gatheringLength(threads) + waitingLength(threads) + intentsLength(threads) + LINE_WORDS + permits;
}

/** Where the threads of it meet. */
export function permitsGathering({ base, threads }: PermitsShape): GatheringShape {
  return { base, threads };
}

/** One thread's use. See the top of the file. */
export class Permits {
  readonly gathering: Gathering;
  readonly waiting: WaitingThreads;
  /** Of the permit that was taken last: whether the one that held it before died with it. */
  wasAbandoned = false;
  readonly #words: Words;
  readonly #count: number;
  readonly #self: number;
  readonly #intents: number;
  readonly #abandoned: number;
  readonly #first: number;
  /** Where the next search begins: not where the others begin. */
  #next: number;

  constructor(words: Words, shape: PermitsShape, self: number) {
    assert(shape.permits > 0, "there is a permit");
    assert(shape.base + permitsLength(shape) <= words.length, "the permits fit their memory");
    this.#words = words;
    this.#count = shape.permits;
    this.#self = self;
    this.gathering = new Gathering(words, permitsGathering(shape), self);
    this.waiting = new WaitingThreads(words, waitingShape(shape));
    this.#intents = waitingShape(shape).base + waitingLength(shape.threads);
    this.#abandoned = this.#intents + intentsLength(shape.threads);
    this.#first = this.#abandoned + LINE_WORDS;
    this.#next = self % shape.permits;
  }

  /** Permits that a thread had when it died, all in all. It wraps at 2^32. */
  get abandonedCount(): number {
    return this.#words.load(this.#abandoned) >>> 0;
  }

  /** Permits that nobody has at the moment. */
  get freeCount(): number {
    let count = 0;
    for (let permit = 0; permit < this.#count; permit++) {
      if ((this.#words.load(this.#first + permit) & HOLDER) === 0) count += 1;
    }
    return count;
  }

  /** Whether somebody is about to offer this thread a permit, or may be. What was offered before this look can be taken after it. */
  get isOfferIntended(): boolean {
    for (let thread = 0; thread < this.gathering.threads; thread++) {
      if (this.#words.load(this.#intents + thread) === this.#self + 1) return true;
    }
    return false;
  }

  /** Takes a free permit, or none. */
  tryTake(): number {
    for (let turn = 0; turn < this.#count; turn++) {
      const permit = (this.#next + turn) % this.#count;
      const found = this.#words.load(this.#first + permit);
      if ((found & HOLDER) !== 0) continue;
      if (this.#words.compareExchange(this.#first + permit, found, this.#self + 1) !== found) continue;
      this.wasAbandoned = (found & ABANDONED) !== 0;
      this.#next = permit;
      return permit;
    }
    return NO_PERMIT;
  }

  /** Takes a permit that was offered to this thread, or none. */
  takeOffered(): number {
    for (let turn = 0; turn < this.#count; turn++) {
      const permit = (this.#next + turn) % this.#count;
      const found = this.#words.load(this.#first + permit);
      if ((found & (HOLDER | OFFERED | REAPED)) !== ((this.#self + 1) | OFFERED)) continue;
      if (this.#words.compareExchange(this.#first + permit, found, this.#self + 1) !== found) continue;
      this.wasAbandoned = (found & ABANDONED) !== 0;
      return permit;
    }
    return NO_PERMIT;
  }

  /** Gives a permit that this thread holds to the thread that has waited longest; that may be this one. With none it is free. */
  release(permit: number): void {
    const found = this.#words.load(this.#first + permit);
    assert((found & HOLDER) === this.#self + 1 && (found & (OFFERED | REAPED)) === 0, "the holder gives a permit back");
    this.#pass(permit, 0);
  }

  /** As {@link release}, for one that was taken and is not wanted: the next holder is told what this one was. */
  giveOn(permit: number, wasAbandoned: boolean): void {
    this.#pass(permit, wasAbandoned ? ABANDONED : 0);
  }

  /** The reaper's, with the id of a dead thread: takes what that one held or was offered, and what it offered to others that have died, and passes it on. */
  reap(): void {
    this.waiting.leave(this.#self);
    // Of what it was about to do: the permit that it had in hand is found below, and a thread that counts on the offer is rung by who announces the death.
    this.#words.store(this.#intents + this.#self, 0);
    for (let permit = 0; permit < this.#count; permit++) {
      const word = this.#first + permit;
      for (let found = this.#words.load(word); this.#isOfDead(found); found = this.#words.load(word)) {
        const isHeld = (found & OFFERED) === 0;
        const carried = isHeld ? ABANDONED : found & ABANDONED;
        // From here on nobody else touches it. One that offered it late may take it back before.
        if (this.#words.compareExchange(word, found, this.#mine(carried)) !== found) continue;
        if (isHeld) this.#words.add(this.#abandoned, 1);
        this.#pass(permit, carried);
        break;
      }
    }
  }

  #isOfDead(found: number): boolean {
    const holder = (found & HOLDER) - 1;
    return holder !== -1 && this.gathering.lifeOf(holder) === 0;
  }

  /** Hands on a permit whose word nobody else may change. */
  #pass(permit: number, carried: number): void {
    const word = this.#first + permit;
    for (;;) {
      const next = this.waiting.first();
      if (next !== -1) {
        if (this.#offer(word, next, carried)) return;
        continue;
      }
      this.#words.store(word, carried);
      if (this.waiting.isEmpty()) return;
      // Somebody has come since the look, and may have found the permit taken.
      if (this.#words.compareExchange(word, carried, this.#mine(carried)) !== carried) return;
    }
  }

  /** Offers the permit to a thread that waits. False when that came to nothing and the permit is still this thread's. */
  #offer(word: number, thread: number, carried: number): boolean {
    const { gathering } = this;
    const life = gathering.lifeOf(thread);
    const intent = this.#intents + this.#self;
    // Before the bit is cleared: from there on that thread counts on the offer, or on hearing that its giver has died.
    this.#words.store(intent, thread + 1);
    const isClaimed = this.waiting.leave(thread);
    const offer = (thread + 1) | OFFERED | carried;
    if (isClaimed) this.#words.store(word, offer);
    this.#words.store(intent, 0);
    // Whom the intent has kept from resting looks again, also when another one has cleared its bit; and a successor whose bit was cleared in place of the dead one's has to set it again.
    gathering.wake(thread);
    if (!isClaimed) return false;
    if (life !== 0 && gathering.lifeOf(thread) === life) return true;
    // It has died; its reaper may have been there first.
    return this.#words.compareExchange(word, offer, this.#mine(carried)) !== offer;
  }

  /** Of a permit that nobody holds and this thread alone may pass on. */
  #mine(carried: number): number {
    return (this.#self + 1) | OFFERED | REAPED | carried;
  }
}

/** What the supervisor does when a thread is gone. No step of this may come before the thread's last one. */
export function buryPermitsThread(words: Words, shape: PermitsShape, thread: number): void {
  const gathering = permitsGathering(shape);
  leaveGathering(words, gathering, thread);
  new Permits(words, shape, thread).reap();
  announceDeath(words, gathering);
}

function waitingShape({ base, threads }: PermitsShape): WaitingShape {
  return { base: base + gatheringLength(threads), threads };
}

function intentsLength(threads: number): number {
  return Math.ceil(threads / LINE_WORDS) * LINE_WORDS;
}
