/**
 * The functions that tasks call, by number: a task carries the number, and any thread finds out which module and export it means.
 *
 * Append-only shared memory. Any thread adds; entries never change and never go. A thread that dies while it adds leaves a number that nobody has: a hole, behind which others go on.
 *
 *     word 0        count of numbers given out              any thread, by an atomic addition
 *     word 1        bytes of names given out                any thread, by an atomic addition
 *     word 2+2i     where the name of function i begins     the thread that got the number i
 *     word 3+2i     its length; stored last, so a length that is not 0 publishes the name. Negative once a thread has found the function
 *
 * A program may call names that its requests have chosen. So that wrong ones do not take all numbers, there are few of each module that nobody has found; and with the first wrong one, all that the module does export get theirs.
 */
import { RingloomError } from "../errors.js";
import { SharedWords } from "../shared/words.js";

/** Functions that one process can offer as tasks. */
export const FUNCTIONS_MAX = 1024;

/** Functions of one module that were called and that nobody has found, at most: wrong names, and those that are called for the first time while the module is imported. */
export const UNFOUND_MAX = 128;

const NAME_BYTES = 256 * 1024;
const COUNT = 0;
const BYTES_USED = 1;
const HEADER_WORDS = 2;
const TABLE_BYTES = (HEADER_WORDS + 2 * FUNCTIONS_MAX) * Int32Array.BYTES_PER_ELEMENT;

/** A function that tasks call. */
export interface TaskFunctionName {
  /** A file URL. */
  readonly module: string;
  /** The export's name. */
  readonly name: string;
}

/** Memory for the functions of a process. */
export function createFunctionTable(): SharedArrayBuffer {
  return new SharedArrayBuffer(TABLE_BYTES + NAME_BYTES);
}

/** The table, seen from one thread. */
export class FunctionTable {
  readonly #words: SharedWords;
  readonly #names: Uint8Array;
  readonly #numbers = new Map<string, number>();
  /** All entries below this one are in {@link #numbers}; some above may be. */
  #seen = 0;

  constructor(buffer: SharedArrayBuffer) {
    this.#words = new SharedWords(buffer, 0, TABLE_BYTES / Int32Array.BYTES_PER_ELEMENT);
    this.#names = new Uint8Array(buffer, TABLE_BYTES);
  }

  /**
   * The number of a function, which is added if it is new. Two threads that add the same one at once get two numbers, which mean the same.
   * @throws RingloomError `ERR_RINGLOOM_OVERLOADED` when the table is full, or has too many functions of the module that nobody has found.
   */
  numberOf(wanted: TaskFunctionName): number {
    this.#learn();
    const known = this.#numbers.get(keyOf(wanted));
    if (known !== undefined) return known;
    if (this.#unfoundOf(wanted.module) >= UNFOUND_MAX) {
      throw refused(wanted, `nobody has found ${UNFOUND_MAX} others of its module that were called`);
    }
    return this.#add(wanted);
  }

  /** The number's function is there. */
  found(number: number): void {
    const length = this.#words.load(HEADER_WORDS + 2 * number + 1);
    if (length > 0) this.#words.store(HEADER_WORDS + 2 * number + 1, -length);
  }

  /** All functions that a module exports are there: each has a number from now on, as far as there is room. */
  foundAll(module: string, names: readonly string[]): void {
    this.#learn();
    for (const name of names) {
      const wanted = { module, name };
      const known = this.#numbers.get(keyOf(wanted));
      if (known === undefined && this.#words.load(COUNT) >= FUNCTIONS_MAX) return;
      this.found(known ?? this.#add(wanted));
    }
  }

  #unfoundOf(module: string): number {
    let count = 0;
    for (const [key, number] of this.#numbers) {
      if (key.endsWith(` ${module}`) && this.#words.load(HEADER_WORDS + 2 * number + 1) > 0) count += 1;
    }
    return count;
  }

  #add(wanted: TaskFunctionName): number {
    const key = keyOf(wanted);
    const bytes = Buffer.from(key);
    const number = this.#words.add(COUNT, 1);
    const start = this.#words.add(BYTES_USED, bytes.length);
    if (number >= FUNCTIONS_MAX || start + bytes.length > NAME_BYTES) throw refused(wanted, "too many task functions");
    this.#names.set(bytes, start);
    this.#words.store(HEADER_WORDS + 2 * number, start);
    this.#words.store(HEADER_WORDS + 2 * number + 1, bytes.length);
    this.#numbers.set(key, number);
    return number;
  }

  /** What a number stands for, or undefined for one that nobody has. */
  nameOf(number: number): TaskFunctionName | undefined {
    const key = this.#keyOf(number);
    if (key === undefined) return undefined;
    const space = key.indexOf(" ");
    return { name: key.slice(0, space), module: key.slice(space + 1) };
  }

  #learn(): void {
    const count = Math.min(this.#words.load(COUNT), FUNCTIONS_MAX);
    for (let number = this.#seen; number < count; number++) {
      const key = this.#keyOf(number);
      // One that is being added, or never will be because its thread has died: looked at again the next time, and so is what comes behind it.
      if (key === undefined) continue;
      if (!this.#numbers.has(key)) this.#numbers.set(key, number);
      if (number === this.#seen) this.#seen += 1;
    }
  }

  #keyOf(number: number): string | undefined {
    if (!(number >= 0 && number < FUNCTIONS_MAX)) return undefined;
    const length = Math.abs(this.#words.load(HEADER_WORDS + 2 * number + 1));
    if (length === 0) return undefined;
    const start = this.#words.load(HEADER_WORDS + 2 * number);
    // A copy, because text decoders refuse shared memory.
    return Buffer.from(this.#names.subarray(start, start + length)).toString();
  }
}

function keyOf({ module, name }: TaskFunctionName): string {
  return `${name} ${module}`;
}

function refused({ module, name }: TaskFunctionName, why: string): RingloomError {
  return new RingloomError("ERR_RINGLOOM_OVERLOADED", `Cannot offer ${name}: ${why}.`, {
    operation: "tasks",
    details: { module, name, functionsMax: FUNCTIONS_MAX, unfoundMax: UNFOUND_MAX },
  });
}
