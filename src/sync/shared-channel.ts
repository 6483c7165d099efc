/** A channel between all threads of a server, in shared memory. How threads use it at once: `src/shared/value-ring.ts`. */
import { RingloomError } from "../errors.js";
import { structureBytes } from "../keyed/structure-desk.js";
import { GATHERING_THREADS_MAX } from "../shared/gathering.js";
import { RING_BUSY, RING_ENDED, type RingShape, ringCells, ValueRing } from "../shared/value-ring.js";
import { type Selectable, type SelectWaiter, selectable } from "../task/selectable.js";
import { completedWith } from "../task/turn-budget.js";
import { invalidArgument, type WaitOptions } from "../task/wait-errors.js";
import { iterationOf } from "./iteration.js";
import { cellsBytes, SharedCells } from "./shared-cells.js";
import { checkInteger, openShared, type SharedOptions, type SharedPlace, waitingMaxOf } from "./shared-open.js";
import { SharedWaiters } from "./shared-waiters.js";

const OPERATION = "sharedChannel";
const CAPACITY_DEFAULT = 255;
const CAPACITY_MAX = 65_535;
const VALUE_BYTES_DEFAULT = 64 * 2 ** 10;
const VALUE_BYTES_MAX = 64 * 2 ** 20;
const WAITING_BYTES_DEFAULT = 16 * 2 ** 20;
const CHANNEL_BYTES_MAX = 2 ** 30;

/**
 * The bounds of a shared channel.
 * @experimental
 */
export interface SharedChannelOptions extends SharedOptions {
  /** Values that it holds before senders wait, 1 to 65,535. Default 255. */
  readonly capacity?: number;
  /** The largest value in its encoded form, in bytes: 1 to 64 MiB. Default 64 KiB. Address space of so much is reserved for each value that it can hold, 1 GiB in all at most; memory is taken as it is used. */
  readonly valueBytesMax?: number;
  /** What senders of one thread that wait may bring together, in bytes of the encoded form; one more is refused with `ERR_RINGLOOM_OVERLOADED`. A single value may be larger. Default 16 MiB. */
  readonly waitingBytesMax?: number;
}

/**
 * Opens the channel of that name, the same for all shards of the server and the threads that run its tasks. The first call of a thread waits for the main thread to answer: make it at the module's top level.
 *
 * Each value is received once, by one thread, as a copy. Values are what the codec of tasks carries: strings, numbers, typed arrays, plain objects, Map, Set, Date; not undefined.
 * @throws RingloomError `ERR_RINGLOOM_INVALID_OPTION`, also when it exists with other bounds; otherwise as `sharedMutex`.
 * @example
 * ```ts run
 * import { sharedChannel } from "ringloom/sync";
 * const jobs = sharedChannel<{ id: number }>("jobs", { capacity: 100 });
 * await jobs.send({ id: 1 }); // on any shard
 * console.log(await jobs.recv({ timeoutMs: 1_000 })); // { id: 1 }, on any other one
 * ```
 * @experimental
 */
export function sharedChannel<Value = unknown>(name: string, options: SharedChannelOptions = {}): SharedChannel<Value> {
  const waitingMax = waitingMaxOf(options, ["capacity", "valueBytesMax", "waitingBytesMax"]);
  const { capacity = CAPACITY_DEFAULT, valueBytesMax = VALUE_BYTES_DEFAULT } = options;
  const { waitingBytesMax = WAITING_BYTES_DEFAULT } = options;
  checkInteger(OPERATION, "waitingBytesMax", waitingBytesMax, [1, Number.MAX_SAFE_INTEGER]);
  checkInteger(OPERATION, "capacity", capacity, [1, CAPACITY_MAX]);
  checkInteger(OPERATION, "valueBytesMax", valueBytesMax, [1, VALUE_BYTES_MAX]);
  const cells = ringCells(capacity);
  const extraBytes = cellsBytes({ cells, valueBytesMax });
  if (extraBytes > CHANNEL_BYTES_MAX) {
    throw invalidArgument(
      OPERATION,
      `${capacity} values of ${valueBytesMax} bytes take more than ${CHANNEL_BYTES_MAX} bytes`,
    );
  }
  const shape: RingShape = { base: 0, threads: GATHERING_THREADS_MAX, capacity, cells };
  const structure = { kind: "ring", shape, extraBytes } as const;
  return openShared({ operation: OPERATION, name, structure, waitingMax, waitingBytesMax }, (place) => {
    const cellsShape = { byteOffset: structureBytes(structure), cells, valueBytesMax };
    const values = new SharedCells(place.memory, cellsShape, name);
    return new SharedChannel<Value>(name, { place, shape, cells: values, waitingMax, waitingBytesMax });
  });
}

interface ChannelParts {
  readonly place: SharedPlace;
  readonly shape: RingShape;
  readonly cells: SharedCells;
  readonly waitingMax: number;
  readonly waitingBytesMax: number;
}

/** One that waits gets a value, or is told the end. */
type Received<Value> = IteratorResult<Value, undefined>;

/**
 * A channel between threads; see {@link sharedChannel}. What one thread sends is received in the order in which it was sent. As a branch of `select` it gives the next value.
 * @experimental
 */
export class SharedChannel<Value> implements Selectable<Value>, AsyncIterable<Value, undefined> {
  readonly name: string;
  /** Values that it holds before it is full. */
  readonly capacity: number;
  readonly #place: SharedPlace;
  readonly #ring: ValueRing;
  readonly #cells: SharedCells;
  readonly #self: number;
  readonly #senders: SharedWaiters<void, Uint8Array>;
  readonly #receivers: SharedWaiters<Received<Value>>;
  /** Taken for a branch of somebody else's making who did not want it any more; the next one here gets it. */
  readonly #kept: Value[] = [];
  #hasSenderEntered = false;
  #hasReceiverEntered = false;

  /** @internal */
  constructor(name: string, { place, shape, cells, waitingMax, waitingBytesMax }: ChannelParts) {
    const what = `the shared channel ${JSON.stringify(name)}`;
    this.name = name;
    this.capacity = shape.capacity;
    this.#place = place;
    this.#self = place.self;
    this.#ring = new ValueRing(place.words, shape, place.self);
    this.#cells = cells;
    const sending = { operation: "send", what: `to ${what}`, waitingMax, waitingBytesMax };
    this.#senders = new SharedWaiters(
      sending,
      () => this.#look(),
      (bytes) => bytes.length,
    );
    this.#receivers = new SharedWaiters({ operation: "receive", what: `from ${what}`, waitingMax }, () => this.#look());
    place.listen(() => this.#look());
  }

  /** Values that it holds, at about this moment. */
  get length(): number {
    return this.#ring.count + this.#kept.length;
  }

  /** Whether it was closed. There may be values left to receive. */
  get isClosed(): boolean {
    return this.#ring.isClosing;
  }

  /** Values that were lost with threads that died while they took them. */
  get lostCount(): number {
    return this.#ring.lostCount;
  }

  /**
   * Sends a copy of the value, made now: resolves when it is in the channel.
   * @throws RingloomError (rejects) `ERR_RINGLOOM_CLOSED`, `ERR_RINGLOOM_NOT_CLONEABLE` for a value that cannot be copied, `ERR_RINGLOOM_UNSUPPORTED` for one that is too large, `ERR_RINGLOOM_ABORTED`, `ERR_RINGLOOM_TIMEOUT`, `ERR_RINGLOOM_OVERLOADED` when too many, or too much, wait
   * on this thread; TypeError for undefined. The value was not sent then.
   */
  async send(value: Value, options?: WaitOptions): Promise<void> {
    const refused = this.#senders.refusal(options);
    if (refused !== undefined) throw refused;
    const bytes = this.#cells.encode(value);
    if (this.#trySend(bytes)) return completedWith(undefined);
    const sent = this.#senders.wait(bytes.slice(), options);
    this.#look();
    await sent;
  }

  /** Sends a copy of the value if there is room and nobody of this thread waits. Throws RingloomError `ERR_RINGLOOM_CLOSED`, and as {@link send} for its value. */
  trySend(value: Value): boolean {
    return this.#trySend(this.#cells.encode(value));
  }

  /** For `select`: sends the value, a copy made now, if this branch wins. Throws as {@link send} does for its value. */
  sending(value: Value): Selectable<void> {
    const bytes = this.#cells.encode(value).slice();
    return {
      [selectable]: (branch) => {
        const leave = this.#senders.join(bytes, branch);
        this.#look();
        return leave;
      },
    };
  }

  /**
   * Receives a value: the oldest one, which nobody else gets.
   * @throws RingloomError (rejects) `ERR_RINGLOOM_CLOSED` when the channel is closed and empty, `ERR_RINGLOOM_ABORTED`, `ERR_RINGLOOM_TIMEOUT`, `ERR_RINGLOOM_OVERLOADED` when too many wait on this thread.
   */
  async recv(options?: WaitOptions): Promise<Value> {
    const received = await this.next(options);
    if (received.done === true) throw this.#closed("receive");
    return received.value;
  }

  /** Receives a value that is there already, else undefined, which nobody can send. */
  tryRecv(): Value | undefined {
    return this.#tryReceive()?.value;
  }

  /** Receives as a step of an iteration: after the last value of a closed channel the result is `done`. Rejects as {@link recv}. */
  next(options?: WaitOptions): Promise<IteratorResult<Value, undefined>> {
    const refused = this.#receivers.refusal(options);
    if (refused !== undefined) return Promise.reject(refused);
    const received = this.#tryReceive();
    if (received !== undefined) return completedWith(received);
    const wait = this.#receivers.wait(undefined, options);
    this.#look();
    return wait;
  }

  /** For `select`: the same as a branch. */
  receiving(): Selectable<IteratorResult<Value, undefined>> {
    return { [selectable]: (branch) => this.#receiveAsBranch(branch) };
  }

  /** Iterates over what is received until the channel is closed and empty. Leaving the loop does not close it. The options are those of each wait. */
  values(options?: WaitOptions): AsyncIterableIterator<Value, undefined> {
    return iterationOf(this, options);
  }

  /**
   * Closes the channel for all threads: sends fail from now on, also those that wait; receivers get what is in it, then they are told the end. It stays closed for as long as the server lives.
   * @returns Whether it was open.
   */
  close(): boolean {
    const wasOpen = this.#ring.close();
    this.#look();
    return wasOpen;
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<Value, undefined> {
    return this.values();
  }

  [selectable](branch: SelectWaiter<Value>): (() => void) | undefined {
    return this.#receiveAsBranch({
      get isOver() {
        return branch.isOver === true;
      },
      claim: () => branch.claim(),
      resolve: (received) => {
        if (received.done === true) branch.reject(this.#closed("receive"));
        else branch.resolve(received.value);
      },
      reject: (error) => branch.reject(error),
    });
  }

  #receiveAsBranch(branch: SelectWaiter<Received<Value>>): (() => void) | undefined {
    const leave = this.#receivers.join(undefined, branch);
    this.#look();
    return leave;
  }

  #trySend(bytes: Uint8Array): boolean {
    if (this.#senders.size > 0) return false;
    const cell = this.#ring.claim();
    if (cell === RING_ENDED) throw this.#closed("send");
    if (cell === RING_BUSY) return false;
    this.#cells.write(cell, bytes);
    this.#ring.publish(cell);
    if (this.#receivers.size > 0) this.#look();
    return true;
  }

  #tryReceive(): Received<Value> | undefined {
    if (this.#kept.length > 0) return { done: false, value: this.#kept.shift()! };
    if (this.#receivers.size > 0) return undefined;
    const cell = this.#ring.take();
    if (cell === RING_BUSY) return undefined;
    if (cell === RING_ENDED) return end();
    const value = this.#valueOf(cell);
    if (this.#senders.size > 0) this.#look();
    return { done: false, value };
  }

  /** Serves those that wait as far as possible, and sees to it that this thread is rung when there is more to do. */
  #look(): void {
    // What was received makes room, and what was sent can be received.
    let hasServed = true;
    while (hasServed) {
      hasServed = false;
      // What is taken cannot be put back for other threads, so nothing is for a `select` that is over: its receiver may be here while its sender wins.
      while (this.#receivers.hasTaker() && this.#receiveForOne()) hasServed = true;
      while (this.#senders.hasTaker() && this.#sendForOne()) hasServed = true;
    }
    if (this.#receivers.size === 0) this.#restReceiving();
    if (this.#senders.size === 0) this.#restSending();
    this.#place.hold(this.#receivers.size > 0 || this.#senders.size > 0);
  }

  /** False when the thread has to wait. */
  #receiveForOne(): boolean {
    if (this.#kept.length > 0) {
      const waiter = this.#receivers.take();
      if (waiter === undefined) return false;
      waiter.settle({ done: false, value: this.#kept.shift()! });
      return true;
    }
    const { receivers } = this.#ring;
    let cell = this.#ring.take();
    if (cell === RING_BUSY && !(this.#hasReceiverEntered && receivers.has(this.#self))) {
      receivers.enter(this.#self);
      this.#hasReceiverEntered = true;
      cell = this.#ring.take();
    }
    if (cell === RING_BUSY) return false;
    if (cell === RING_ENDED) {
      this.#receivers.take()?.settle(end());
      return true;
    }
    const value = this.#valueOf(cell);
    const waiter = this.#receivers.take();
    if (waiter === undefined) this.#kept.push(value);
    else waiter.settle({ done: false, value });
    return true;
  }

  #sendForOne(): boolean {
    const { senders } = this.#ring;
    let cell = this.#ring.claim();
    if (cell === RING_BUSY && !(this.#hasSenderEntered && senders.has(this.#self))) {
      senders.enter(this.#self);
      this.#hasSenderEntered = true;
      cell = this.#ring.claim();
    }
    if (cell === RING_BUSY) return false;
    const waiter = this.#senders.take();
    if (cell === RING_ENDED) {
      waiter?.fail(this.#closed("send"));
      return true;
    }
    if (waiter === undefined) {
      this.#ring.giveUp(cell);
      return true;
    }
    this.#cells.write(cell, waiter.ask);
    this.#ring.publish(cell);
    waiter.settle();
    return true;
  }

  /** Nobody waits here any more. A wake-up that was for this thread is for another one. */
  #restReceiving(): void {
    if (!this.#hasReceiverEntered) return;
    this.#hasReceiverEntered = false;
    if (!this.#ring.receivers.leave(this.#self)) this.#ring.wakeReceiver();
  }

  #restSending(): void {
    if (!this.#hasSenderEntered) return;
    this.#hasSenderEntered = false;
    if (!this.#ring.senders.leave(this.#self)) this.#ring.wakeSender();
  }

  #valueOf(cell: number): Value {
    try {
      // The cast is safe as long as a channel's name has one meaning.
      return this.#cells.read(cell) as Value;
    } finally {
      this.#ring.release(cell);
    }
  }

  #closed(operation: string): RingloomError {
    return new RingloomError(
      "ERR_RINGLOOM_CLOSED",
      `Cannot ${operation}: the shared channel ${JSON.stringify(this.name)} is closed.`,
      { operation, details: { name: this.name } },
    );
  }
}

function end(): IteratorReturnResult<undefined> {
  return { done: true, value: undefined };
}
