/**
 * One io_uring seen from TypeScript: its words and entries are typed arrays over the memory that the kernel shares.
 *
 *     submission entry, 16 words:    0 opcode | flags << 8 | ioprio << 16      6 length
 *                                    1 descriptor                              7 the operation's own flags
 *                                    2, 3 offset                               8, 9 user_data
 *                                    4, 5 address                              10 buffer group   11-15 zero
 *     completion entry, 4 words:     0, 1 user_data   2 result   3 flags
 *
 * WHO WRITES WHAT. This thread writes the submission entries and tail, and the completion head; the kernel writes the submission head, the completion
 * entries and tail. The kernel reads our words inside `io_uring_enter`, called by this thread, so plain stores suffice for them. The
 * completion tail pairs with the kernel's release store and is read with `Atomics.load`, once a turn.
 *
 * Modelled on liburing's `queue.c`; local copies of our own head and tail, published as they change.
 */
import { assert } from "../assert.js";
import { checkNative, type NativeAddon, type NativeRing } from "../native.js";
import {
  IORING_SETUP_CLAMP,
  IORING_SETUP_DEFER_TASKRUN,
  IORING_SETUP_SINGLE_ISSUER,
  IORING_SETUP_SUBMIT_ALL,
  IORING_SETUP_TASKRUN_FLAG,
  IORING_SQ_CQ_OVERFLOW,
} from "../uapi.js";

const ENTRY_WORDS = 16;

/** Setup flags of a ring that sleeps in `io_uring_enter` and does the kernel's deferred work there. */
export const SETUP_FLAGS_INVERTED =
  IORING_SETUP_CLAMP |
  IORING_SETUP_SUBMIT_ALL |
  IORING_SETUP_SINGLE_ISSUER |
  IORING_SETUP_DEFER_TASKRUN |
  IORING_SETUP_TASKRUN_FLAG;

/** Setup flags of a ring whose descriptor libuv polls: deferred work would never wake that poll. */
export const SETUP_FLAGS_POLLED = IORING_SETUP_CLAMP | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_SINGLE_ISSUER;

/** What a {@link Ring} is made with. */
export interface RingOptions {
  /** Submission entries, a power of two; there are four completions for each. */
  readonly entries: number;
  readonly inverted: boolean;
}

/** One io_uring of the calling thread. */
export class Ring {
  readonly native: NativeAddon;
  readonly handle: object;
  readonly descriptor: number;
  /** The words shared with the loop hook. */
  readonly control: Int32Array;
  readonly controlTimes: Float64Array;
  /** The words of both queues. Completions are read from here: see `completionAt`. */
  readonly words: Int32Array;
  /** Times that the submission queue was full. */
  submissionQueueFull = 0;
  /** Times that the kernel had to keep completions beside the completion queue. Nothing is lost by it. */
  completionOverflows = 0;

  readonly #entries: Int32Array;
  readonly #entryCount: number;
  readonly #completionMask: number;
  readonly #submissionHead: number;
  readonly #submissionTail: number;
  readonly #submissionFlags: number;
  readonly #completionHead: number;
  readonly #completionTail: number;
  readonly #completionEvents: number;
  /** Our own head and tail run freely in 32 bits. */
  #tail = 0;
  #head = 0;
  /** Submissions that found no entry while the kernel took none, in order. */
  #waiting: Int32Array[] = [];
  readonly #spill = new Int32Array(ENTRY_WORDS);
  #isSpilling = false;
  #isClosed = false;

  constructor(native: NativeAddon, options: RingOptions) {
    const flags = options.inverted ? SETUP_FLAGS_INVERTED : SETUP_FLAGS_POLLED;
    const ring = checkNative<NativeRing>(
      native.setupRing(options.entries, options.entries * 4, flags),
      "set up a ring",
      {
        entries: options.entries,
      },
    );
    this.native = native;
    this.handle = ring.handle;
    this.descriptor = ring.fd;
    this.control = new Int32Array(ring.control);
    this.controlTimes = new Float64Array(ring.control);
    this.#entries = new Int32Array(ring.entries);
    this.words = new Int32Array(ring.rings);
    this.#entryCount = ring.submissionEntries;
    this.#completionMask = ring.completionEntries - 1;
    this.#submissionHead = ring.submissionHead >>> 2;
    this.#submissionTail = ring.submissionTail >>> 2;
    this.#submissionFlags = ring.submissionFlags >>> 2;
    this.#completionHead = ring.completionHead >>> 2;
    this.#completionTail = ring.completionTail >>> 2;
    this.#completionEvents = ring.completionEvents >>> 2;
    assert((this.#completionMask & ring.completionEntries) === 0, "the completion queue is a power of two");
  }

  /**
   * Writes one submission. It is published at once and leaves with the next `io_uring_enter`, which the loop hook does at the end of
   * the turn. `head` is word 0 of the entry.
   */
  submit(
    head: number,
    descriptor: number,
    addressLow: number,
    addressHigh: number,
    length: number,
    operationFlags: number,
    userDataLow: number,
    userDataHigh: number,
  ): void {
    const words = this.#entries;
    const at = this.#claim();
    const target = this.#isSpilling ? this.#spill : words;
    target[at] = head;
    target[at + 1] = descriptor;
    target[at + 2] = 0;
    target[at + 3] = 0;
    target[at + 4] = addressLow;
    target[at + 5] = addressHigh;
    target[at + 6] = length;
    target[at + 7] = operationFlags;
    target[at + 8] = userDataLow;
    target[at + 9] = userDataHigh;
    target[at + 10] = 0;
    target[at + 11] = 0;
    target[at + 12] = 0;
    target[at + 13] = 0;
    target[at + 14] = 0;
    target[at + 15] = 0;
    this.#publish();
  }

  /** Like `submit`, with an offset (a file position, or what the operation uses that field for). */
  submitAt(entry: Int32Array): void {
    assert(entry.length === ENTRY_WORDS, "a submission has 16 words");
    const at = this.#claim();
    (this.#isSpilling ? this.#spill : this.#entries).set(entry, at);
    this.#publish();
  }

  /** How many completions have arrived, at most `limit`. They stay where they are until `release`. */
  reap(limit: number): number {
    const words = this.words;
    if (words[this.#submissionFlags]! & IORING_SQ_CQ_OVERFLOW) this.completionOverflows += 1;
    const available = (Atomics.load(words, this.#completionTail) - this.#head) | 0;
    return available < limit ? available : limit;
  }

  /** Where the completion `index` of this turn lies in `words`. */
  completionAt(index: number): number {
    return this.#completionEvents + (((this.#head + index) & this.#completionMask) << 2);
  }

  /**
   * Gives the first `count` completions back to the kernel, after they have run: should the thread be killed while they run, the addon
   * still finds there what nobody has taken, an accepted socket for instance.
   */
  release(count: number): void {
    if (count === 0) return;
    this.#head = (this.#head + count) | 0;
    Atomics.store(this.words, this.#completionHead, this.#head);
  }

  /** Gives submissions that had to wait another try. Called once a turn. */
  retryWaiting(): void {
    while (this.#waiting.length > 0 && this.#hasRoom()) {
      const entry = this.#waiting.shift();
      assert(entry !== undefined, "the list was not empty");
      this.#entries.set(entry, this.#advance());
      this.words[this.#submissionTail] = this.#tail;
    }
  }

  /** Submissions that wait for room in the queue. */
  get waitingNow(): number {
    return this.#waiting.length;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Submits now, and waits for `wait` completions. The loop hook does this in the steady state. */
  enter(wait: number): number {
    const unsubmitted = (this.#tail - this.words[this.#submissionHead]!) | 0;
    return this.native.enterRing(this.handle, unsubmitted, wait);
  }

  /** Cancels what is in flight, waits for it, and closes the descriptor. For a ring without a loop hook; else the hook's end does it. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.native.closeSource(this.handle);
  }

  /** The loop hook is closing the ring. */
  closed(): void {
    this.#isClosed = true;
  }

  #hasRoom(): boolean {
    return ((this.#tail - this.words[this.#submissionHead]!) | 0) < this.#entryCount;
  }

  /** Word index of the entry to fill; when the kernel takes none, the entry is a spare one that `#publish` puts in line. */
  #claim(): number {
    if (this.#waiting.length === 0 && this.#hasRoom()) return this.#advance();
    return this.#claimWhenFull();
  }

  #claimWhenFull(): number {
    this.submissionQueueFull += 1;
    this.enter(0);
    this.retryWaiting();
    if (this.#waiting.length === 0 && this.#hasRoom()) return this.#advance();
    this.#isSpilling = true;
    this.#spill.fill(0);
    return 0;
  }

  #advance(): number {
    const at = (this.#tail & (this.#entryCount - 1)) * ENTRY_WORDS;
    this.#tail = (this.#tail + 1) | 0;
    return at;
  }

  #publish(): void {
    if (this.#isSpilling) {
      this.#isSpilling = false;
      this.#waiting.push(this.#spill.slice());
    } else {
      this.words[this.#submissionTail] = this.#tail;
    }
  }
}
