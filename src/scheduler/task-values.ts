/**
 * Arguments and outcomes of tasks, in place: in the task's own cache line where they are small, else in a block of the writer's slab.
 *
 *     payload word 0: about the arguments       1: about the outcome       2 to 11: what is inline, the arguments and then the outcome
 *
 * "About" is the length in bytes of what is inline, and the form; or the number of a value that goes by port. What the codec does not carry is cloned by `node:v8` into the same memory, which is slower, and counted. What is too large for a block,
 * has shared memory in it, or is to be handed over goes by port (`value-ports.ts`): only to a thread that is known, so a task with such arguments is placed when it is spawned. With arguments that go by port, the first inline word is the epoch of that
 * thread: its successor has none of what was sent to it.
 */
import { assert } from "../assert.js";
import { RingloomError } from "../errors.js";
import type { Segment } from "../shared/segment.js";
import { Slab } from "../shared/slab.js";
import { CANCELLED, FAILED, IDEMPOTENT, JOIN_INTEREST, LOST, threadOf } from "../shared/task-state.js";
import { TASK_PAYLOAD_WORDS } from "../shared/task-table.js";
import type { SharedWords } from "../shared/words.js";
import { CARGO_REFUSED, Cargo } from "./cargo.js";
import { CLONE_SHARED, cloneFromBytes, cloneToBytes } from "./clone.js";
import { Decoder } from "./decoder.js";
import { Encoder } from "./encoder.js";
import { fromThrownRecord, type ThrownRecord, toThrownRecord } from "./error-codec.js";
import { taskLost } from "./lost-tasks.js";
import type { SchedulerAssignment, SchedulerView } from "./scheduler-memory.js";
import { type TransferItem, TransferredValue } from "./transfer.js";
import { ValuePorts } from "./value-ports.js";

const WORD_BYTES = 4;
const ARGUMENTS = 0;
const OUTCOME = 1;
const INLINE = 2;
const INLINE_BYTES = (TASK_PAYLOAD_WORDS - INLINE) * WORD_BYTES;
/** Form: the value was cloned by `node:v8`, and its bytes are the cargo. */
const CLONED = 1 << 16;
const LENGTH_MASK = CLONED - 1;
/** Form: the value goes by port, and the other bits are its number. */
const PORTED = 1 << 31;
/** When the memory for values is used up, values from this size on go by port, and smaller ones are refused. */
const PORT_BYTES_MIN = 65_536;
const NO_ITEMS: readonly TransferItem[] = [];

/** A value that goes into a block. */
interface BlockValue {
  readonly value: unknown;
  /** Index of the word that gets the reference to its block. */
  readonly referenceWord: number;
}

/** How arguments go that shared memory does not take. */
export interface ArgumentRoute {
  /** The thread that alone will run the task, in its epoch. */
  readonly to: number;
  readonly epoch: number;
  /** What in them is handed over. */
  readonly transfer: readonly TransferItem[];
}

/** What of the assignment values have to do with. */
export type ValueParts = Pick<SchedulerAssignment, "words" | "line" | "portMib">;

/** What one thread's values have cost. */
export interface ValueCounts {
  /** Values that the codec did not carry, or that had to be cloned. */
  cloned: number;
  /** Values that found no room. */
  refused: number;
}

/** One thread's access to the values of all tasks. */
export class TaskValues {
  readonly counts: ValueCounts = { cloned: 0, refused: 0 };
  readonly ports: ValuePorts;
  readonly #segment: Segment;
  readonly #words: SharedWords;
  readonly #slab: Slab;
  readonly #cargo: Cargo;
  readonly #encoder: Encoder;
  readonly #decoder: Decoder;
  readonly #receiver: number;

  constructor(view: SchedulerView, { words: memory, line, portMib }: ValueParts) {
    this.#segment = view.segment;
    this.#words = view.words;
    this.#slab = new Slab(view.words, view.slab, view.segment.self);
    this.#cargo = new Cargo(view.words, this.#slab, memory);
    this.#encoder = new Encoder(memory);
    this.#decoder = new Decoder(memory);
    this.ports = new ValuePorts(view, line, portMib);
    this.#receiver = receiverWord(view.segment.self, this.ports.epoch);
  }

  /** Blocks of this thread's slab that are in use. */
  get blocksNow(): number {
    this.#slab.collect();
    return this.#slab.blocksNow;
  }

  /**
   * Writes the arguments of a task that is not published yet. False when shared memory does not take them: then they are for {@link sendArguments}.
   * @throws RingloomError `ERR_RINGLOOM_OVERLOADED` when there is no room, `ERR_RINGLOOM_NOT_CLONEABLE`, or what a getter of an argument throws.
   */
  writeArguments(slot: number, args: readonly unknown[]): boolean {
    const { table } = this.#segment;
    this.#words.write(table.payloadWord(slot) + OUTCOME, 0);
    const payload = table.payloadWord(slot);
    const start = (payload + INLINE) * WORD_BYTES;
    const end = this.#encoder.encodeList(args, start, start + INLINE_BYTES);
    if (end > start) {
      this.#words.write(payload + ARGUMENTS, end - start);
      return true;
    }
    return this.#writeBlock(slot, ARGUMENTS, { value: args, referenceWord: table.argumentWord(slot) });
  }

  /** Sends the arguments of a task that is not published yet to the thread that will run it. From here to the publication nothing may fail: who has them could not know. Throws as {@link writeArguments} does. */
  sendArguments(slot: number, args: readonly unknown[], { to, epoch, transfer }: ArgumentRoute): void {
    const payload = this.#segment.table.payloadWord(slot);
    const number = this.ports.send(to, { epoch, slot, isOutcome: false, value: args, transfer });
    this.#words.write(payload + OUTCOME, 0);
    this.#words.write(payload + ARGUMENTS, number | PORTED);
    // If that thread dies, this is an epoch that its successor knows to be over.
    this.#words.write(payload + INLINE, receiverWord(to, epoch));
  }

  /** Whether the arguments of a task that this thread has claimed are gone, because they were sent to a thread that has ended. */
  areArgumentsLost(slot: number): boolean {
    const payload = this.#segment.table.payloadWord(slot);
    return this.#words.read(payload + ARGUMENTS) < 0 && this.#words.read(payload + INLINE) !== this.#receiver;
  }

  /** Whether the arguments of a task that this thread has claimed can be read now; else see {@link argumentsArrival}. */
  areArgumentsHere(slot: number): boolean {
    const about = this.#words.read(this.#segment.table.payloadWord(slot) + ARGUMENTS);
    return about >= 0 || this.ports.isHere(about & ~PORTED, this.#segment.table.originOf(slot));
  }

  /** Resolves when {@link areArgumentsHere}. */
  argumentsArrival(slot: number): Promise<void> {
    const about = this.#words.read(this.#segment.table.payloadWord(slot) + ARGUMENTS);
    if (about >= 0) return Promise.resolve();
    return this.ports.arrival(about & ~PORTED, this.#segment.table.originOf(slot));
  }

  /** Reads the arguments of a task that this thread has claimed. */
  readArguments(slot: number): readonly unknown[] {
    const about = this.#segment.table.payloadWord(slot) + ARGUMENTS;
    const header = this.#words.read(about);
    if (isInline(header)) {
      const start = (about - ARGUMENTS + INLINE) * WORD_BYTES;
      return this.#decoder.decodeList(start, start + (header & LENGTH_MASK));
    }
    const args = this.#read(slot, ARGUMENTS, this.#segment.table.argumentOf(slot));
    // They are taken out of the port once.
    if (header < 0) this.#words.write(about, 0);
    assert(Array.isArray(args), "arguments are a list");
    return args as readonly unknown[];
  }

  /** Writes what a task returns that this thread has claimed: `claimed` is what `TaskTable.claim` gave. One that cannot be copied is a failure, which is written instead: then the answer is false. */
  writeValue(slot: number, claimed: number, value: unknown): boolean {
    try {
      if (value instanceof TransferredValue) this.#sendOutcome(slot, value.value, value.items);
      else if (!this.#writeOutcome(slot, claimed, value)) this.#sendOutcome(slot, value, NO_ITEMS);
      return true;
    } catch (error) {
      this.writeError(slot, error);
      return false;
    }
  }

  /** Writes what a task that this thread has claimed threw. */
  writeError(slot: number, error: unknown): void {
    const { table } = this.#segment;
    const about = this.#words.read(table.payloadWord(slot) + ARGUMENTS);
    // Of a task whose function could not be loaded, nobody has read them.
    if (about < 0) this.ports.drop(about & ~PORTED, table.originOf(slot));
    try {
      const record = toThrownRecord(error);
      if (!this.#writeOutcome(slot, table.stateOf(slot), record)) this.#sendOutcome(slot, record, NO_ITEMS);
    } catch {
      // No room for the error either. The origin finds no value and says so.
    }
  }

  /** Who gave the task up, or has died, finds no value and does not look for one. */
  #sendOutcome(slot: number, value: unknown, transfer: readonly TransferItem[]): void {
    const { table } = this.#segment;
    if ((table.stateOf(slot) & JOIN_INTEREST) === 0) return;
    const to = table.originOf(slot);
    const number = this.ports.send(to, { epoch: this.ports.epochOf(to), slot, isOutcome: true, value, transfer });
    this.#words.write(table.payloadWord(slot) + OUTCOME, number | PORTED);
  }

  /** False when the value has to go by port. */
  #writeOutcome(slot: number, state: number, value: unknown): boolean {
    // The arguments of an idempotent task stay as they are: it may have to run again.
    const mayBeInline = (state & IDEMPOTENT) === 0;
    if (mayBeInline && this.#writeInline(slot, OUTCOME, value)) return true;
    return this.#writeBlock(slot, OUTCOME, { value, referenceWord: this.#segment.table.resultWord(slot) });
  }

  /**
   * The outcome of a task that is done: returns its value or throws its error.
   * @throws RingloomError `ERR_RINGLOOM_THREAD_LOST`, `ERR_RINGLOOM_ABORTED`, or what the function threw.
   */
  readOutcome(slot: number): unknown {
    const { table } = this.#segment;
    const state = table.stateOf(slot);
    const header = this.#words.read(table.payloadWord(slot) + OUTCOME);
    if ((state & (LOST | CANCELLED | FAILED)) === 0 && isInline(header)) return this.#readInline(slot, header);
    const reference = table.resultOf(slot);
    if ((state & LOST) !== 0) throw taskLost();
    // Whoever gives a task up waits for no outcome, so it was the task itself, by its deadline.
    if ((state & CANCELLED) !== 0) {
      throw new RingloomError("ERR_RINGLOOM_TIMEOUT", "The task's time is over.", { operation: "task" });
    }
    const hasFailed = (state & FAILED) !== 0;
    const hasValue = reference !== 0 || header !== 0;
    if (hasFailed && !hasValue) {
      throw new RingloomError("ERR_RINGLOOM_OVERLOADED", "The task failed, and there was no memory to tell why.", {
        operation: "task",
      });
    }
    const value = this.#read(slot, OUTCOME, reference);
    if (hasFailed) throw fromThrownRecord(value as ThrownRecord);
    return value;
  }

  /** Whether the outcome of a task that is done can be read now; else see {@link outcomeArrival}. */
  isOutcomeHere(slot: number): boolean {
    if (!this.#isOutcomePorted(slot)) return true;
    const { table } = this.#segment;
    const state = table.stateOf(slot);
    if ((state & LOST) !== 0) return true;
    return this.ports.isHere(this.#words.read(table.payloadWord(slot) + OUTCOME) & ~PORTED, threadOf(state));
  }

  /** Resolves when {@link isOutcomeHere}: the port of who ran the task is still on its way. */
  outcomeArrival(slot: number): Promise<void> {
    const { table } = this.#segment;
    const number = this.#words.read(table.payloadWord(slot) + OUTCOME) & ~PORTED;
    return this.ports.arrival(number, threadOf(table.stateOf(slot)));
  }

  /** Gives back the blocks of a task that is settled, before its slot is freed. */
  release(slot: number): void {
    const { table } = this.#segment;
    // A run that was cut may have sent its outcome and not said so.
    if (this.ports.hasIncoming && (this.#isOutcomePorted(slot) || (table.stateOf(slot) & LOST) !== 0)) {
      this.ports.dropOutcome(slot);
    }
    const payload = table.payloadWord(slot);
    // Whoever lends a block has written before that nothing is inline. The words of these two are shared with no other thread any more, but each look at them is an atomic one.
    if (isInline(this.#words.read(payload + ARGUMENTS)) && isInline(this.#words.read(payload + OUTCOME))) return;
    this.#slab.releaseAt(table.argumentWord(slot));
    this.#slab.releaseAt(table.resultWord(slot));
  }

  /** Gives back what a run that was cut has left as the outcome. */
  releaseOutcome(slot: number): void {
    const { table } = this.#segment;
    this.#slab.releaseAt(table.resultWord(slot));
    this.#words.write(table.payloadWord(slot) + OUTCOME, 0);
  }

  #isOutcomePorted(slot: number): boolean {
    return this.#words.read(this.#segment.table.payloadWord(slot) + OUTCOME) < 0;
  }

  /** False when the value is too large for the slot, or is nothing that the codec carries. */
  #writeInline(slot: number, about: number, value: unknown): boolean {
    const payload = this.#segment.table.payloadWord(slot);
    const start = (payload + INLINE) * WORD_BYTES;
    const end = this.#encoder.encode(value, start, start + INLINE_BYTES);
    if (end <= start) return false;
    this.#words.write(payload + about, end - start);
    return true;
  }

  #readInline(slot: number, header: number): unknown {
    const start = (this.#segment.table.payloadWord(slot) + INLINE) * WORD_BYTES;
    return this.#decoder.decode(start, start + (header & LENGTH_MASK));
  }

  /** False when the value has to go by port. */
  #writeBlock(slot: number, about: number, { value, referenceWord }: BlockValue): boolean {
    let reference = this.#cargo.put(value);
    let form = 0;
    if (reference === CARGO_REFUSED && this.#cargo.refusal.reason === "notEncodable") {
      const bytes = cloneToBytes(value, "task");
      if (bytes === CLONE_SHARED) return false;
      reference = this.#cargo.put(bytes);
      form = CLONED;
    }
    if (reference === CARGO_REFUSED) {
      this.#checkRefusal();
      return false;
    }
    if (form === CLONED) this.counts.cloned += 1;
    this.#words.write(this.#segment.table.payloadWord(slot) + about, form);
    this.#slab.lendAt(referenceWord, reference);
    return true;
  }

  /** Small values wait for no room and take no port: that would be the slower way for each of very many. */
  #checkRefusal(): void {
    const { reason, bytes } = this.#cargo.refusal;
    if (reason === "tooLarge" || bytes >= PORT_BYTES_MIN) return;
    this.counts.refused += 1;
    throw new RingloomError(
      "ERR_RINGLOOM_OVERLOADED",
      `Cannot pass a value of about ${bytes} bytes to or from a task: the memory for values is used up.`,
      { operation: "task", details: { bytes } },
    );
  }

  #read(slot: number, about: number, reference: number): unknown {
    const payload = this.#segment.table.payloadWord(slot);
    const header = this.#words.read(payload + about);
    if (header < 0) {
      const { table } = this.#segment;
      const from = about === ARGUMENTS ? table.originOf(slot) : threadOf(table.stateOf(slot));
      return this.ports.take(header & ~PORTED, from);
    }
    if (reference === 0) return this.#readInline(slot, header);
    const value = this.#cargo.read(reference);
    return (header & CLONED) === 0 ? value : cloneFromBytes(value as Uint8Array);
  }
}

/** Whether the value that a word is about lies in the slot itself. */
function isInline(header: number): boolean {
  return header > 0 && (header & LENGTH_MASK) !== 0;
}

/** Names a thread, as the one with that id in its epoch. Ids are below 64. */
function receiverWord(thread: number, epoch: number): number {
  return (epoch << 6) | thread;
}
