/**
 * Arguments and outcomes of tasks, in place: in the task's own cache line where they are small, else in a block of the writer's slab.
 *
 *     payload word 0: about the arguments       1: about the outcome       2 to 11: what is inline, the arguments and then the outcome
 *
 * "About" is the length in bytes of what is inline, and the form. What the codec does not carry is cloned by `node:v8` into the same memory, which is slower, and counted.
 */
import { deserialize, serialize } from "node:v8";
import { assert } from "../assert.js";
import { RingloomError } from "../errors.js";
import type { Segment } from "../shared/segment.js";
import { Slab } from "../shared/slab.js";
import { CANCELLED, FAILED, IDEMPOTENT, LOST } from "../shared/task-state.js";
import { TASK_PAYLOAD_WORDS } from "../shared/task-table.js";
import type { SharedWords } from "../shared/words.js";
import { CARGO_REFUSED, Cargo } from "./cargo.js";
import { Decoder } from "./decoder.js";
import { Encoder } from "./encoder.js";
import { fromThrownRecord, type ThrownRecord, toThrownRecord } from "./error-codec.js";
import type { SchedulerView } from "./scheduler-memory.js";

const WORD_BYTES = 4;
const ARGUMENTS = 0;
const OUTCOME = 1;
const INLINE = 2;
const INLINE_BYTES = (TASK_PAYLOAD_WORDS - INLINE) * WORD_BYTES;
/** Form: the value was cloned by `node:v8`, and its bytes are the cargo. */
const CLONED = 1 << 16;
const LENGTH_MASK = CLONED - 1;

/** Where a value may go. */
interface ValuePlace {
  /** Index of the word that gets the reference to its block. */
  readonly referenceWord: number;
  readonly mayBeInline: boolean;
}

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
  readonly #segment: Segment;
  readonly #words: SharedWords;
  readonly #slab: Slab;
  readonly #cargo: Cargo;
  readonly #encoder: Encoder;
  readonly #decoder: Decoder;

  constructor(view: SchedulerView, memory: SharedArrayBuffer) {
    this.#segment = view.segment;
    this.#words = view.words;
    this.#slab = new Slab(view.words, view.slab, view.segment.self);
    this.#cargo = new Cargo(view.words, this.#slab, memory);
    this.#encoder = new Encoder(memory);
    this.#decoder = new Decoder(memory);
  }

  /** Blocks of this thread's slab that are in use. */
  get blocksNow(): number {
    this.#slab.collect();
    return this.#slab.blocksNow;
  }

  /**
   * Writes the arguments of a task that is not published yet.
   * @throws RingloomError `ERR_RINGLOOM_OVERLOADED` when there is no room, or what `structuredClone` throws for what cannot be copied.
   */
  writeArguments(slot: number, args: readonly unknown[]): void {
    const { table } = this.#segment;
    this.#words.write(table.payloadWord(slot) + OUTCOME, 0);
    this.#write(slot, ARGUMENTS, args, { referenceWord: table.argumentWord(slot), mayBeInline: true });
  }

  /** Reads the arguments of a task that this thread has claimed. */
  readArguments(slot: number): readonly unknown[] {
    const args = this.#read(slot, ARGUMENTS, this.#segment.table.argumentOf(slot));
    assert(Array.isArray(args), "arguments are a list");
    return args as readonly unknown[];
  }

  /** Writes what a task that this thread has claimed returns. One that cannot be copied is a failure, which is written instead: then the answer is false. */
  writeValue(slot: number, value: unknown): boolean {
    try {
      this.#write(slot, OUTCOME, value, this.#placeOfOutcome(slot));
      return true;
    } catch (error) {
      this.writeError(slot, error);
      return false;
    }
  }

  /** Writes what a task that this thread has claimed threw. */
  writeError(slot: number, error: unknown): void {
    try {
      this.#write(slot, OUTCOME, toThrownRecord(error), this.#placeOfOutcome(slot));
    } catch {
      // No room for the error either. The origin finds no value and says so.
    }
  }

  #placeOfOutcome(slot: number): ValuePlace {
    const { table } = this.#segment;
    // The arguments of an idempotent task stay as they are: it may have to run again.
    return { referenceWord: table.resultWord(slot), mayBeInline: (table.stateOf(slot) & IDEMPOTENT) === 0 };
  }

  /**
   * The outcome of a task that is done: returns its value or throws its error.
   * @throws RingloomError `ERR_RINGLOOM_THREAD_LOST`, `ERR_RINGLOOM_ABORTED`, or what the function threw.
   */
  readOutcome(slot: number): unknown {
    const state = this.#segment.table.stateOf(slot);
    const reference = this.#segment.table.resultOf(slot);
    if ((state & LOST) !== 0) {
      throw new RingloomError("ERR_RINGLOOM_THREAD_LOST", "The thread that ran the task ended before it was done.", {
        operation: "task",
      });
    }
    // Whoever gives a task up waits for no outcome, so it was the task itself, by its deadline.
    if ((state & CANCELLED) !== 0) {
      throw new RingloomError("ERR_RINGLOOM_TIMEOUT", "The task's time is over.", { operation: "task" });
    }
    const hasFailed = (state & FAILED) !== 0;
    const hasValue = reference !== 0 || this.#words.read(this.#segment.table.payloadWord(slot) + OUTCOME) !== 0;
    if (hasFailed && !hasValue) {
      throw new RingloomError("ERR_RINGLOOM_OVERLOADED", "The task failed, and there was no memory to tell why.", {
        operation: "task",
      });
    }
    const value = this.#read(slot, OUTCOME, reference);
    if (hasFailed) throw fromThrownRecord(value as ThrownRecord);
    return value;
  }

  /** Gives back the blocks of a task that is settled, before its slot is freed. */
  release(slot: number): void {
    const { table } = this.#segment;
    this.#slab.releaseAt(table.argumentWord(slot));
    this.#slab.releaseAt(table.resultWord(slot));
  }

  /** Gives back what a run that was cut has left as the outcome. */
  releaseOutcome(slot: number): void {
    const { table } = this.#segment;
    this.#slab.releaseAt(table.resultWord(slot));
    this.#words.write(table.payloadWord(slot) + OUTCOME, 0);
  }

  #write(slot: number, about: number, value: unknown, { referenceWord, mayBeInline }: ValuePlace): void {
    const payload = this.#segment.table.payloadWord(slot);
    if (mayBeInline) {
      const start = (payload + INLINE) * WORD_BYTES;
      const end = this.#encoder.encode(value, start, start + INLINE_BYTES);
      if (end > start) {
        this.#words.write(payload + about, end - start);
        return;
      }
    }
    let reference = this.#cargo.put(value);
    let form = 0;
    if (reference === CARGO_REFUSED) {
      reference = this.#clone(value);
      form = CLONED;
    }
    this.#words.write(payload + about, form);
    this.#slab.lendAt(referenceWord, reference);
  }

  #clone(value: unknown): number {
    const bytes = serialize(value);
    const reference = this.#cargo.put(bytes);
    if (reference !== CARGO_REFUSED) {
      this.counts.cloned += 1;
      return reference;
    }
    this.counts.refused += 1;
    const bytesMax = this.#slab.blockWordsMax * WORD_BYTES;
    throw new RingloomError(
      "ERR_RINGLOOM_OVERLOADED",
      `Cannot pass a value of ${bytes.length} bytes to or from a task: ${bytes.length >= bytesMax ? `at most about ${bytesMax} fit` : "the memory for values is used up"}.`,
      { operation: "task", details: { bytes: bytes.length, bytesMax } },
    );
  }

  #read(slot: number, about: number, reference: number): unknown {
    const payload = this.#segment.table.payloadWord(slot);
    const header = this.#words.read(payload + about);
    if (reference === 0) {
      const start = (payload + INLINE) * WORD_BYTES;
      return this.#decoder.decode(start, start + (header & LENGTH_MASK));
    }
    const value = this.#cargo.read(reference);
    return (header & CLONED) === 0 ? value : deserialize(value as Uint8Array);
  }
}
