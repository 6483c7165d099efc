/**
 * What a thread of a program can do in one step, as numbers, and how a step is spelled out for people.
 *
 * {@link START}, {@link WAKE} and {@link DIE} are not calls of `Words`: the checker adds them, so that a thread's start, the end of its sleep and its
 * death are steps like any other; {@link RING} is a doorbell of the kernel's (`doorbell.ts`).
 */

export const START = 0;
export const LOAD = 1;
export const STORE = 2;
export const ADD = 3;
export const OR = 4;
export const AND = 5;
export const EXCHANGE = 6;
export const COMPARE_EXCHANGE = 7;
export const WAIT = 8;
export const WAKE = 9;
export const NOTIFY = 10;
export const READ = 11;
export const WRITE = 12;
export const DIE = 13;
export const END = 14;
export const RING = 15;

/** Results of {@link WAIT}; the first means that the thread sleeps, and what becomes of it is the result of its {@link WAKE}. */
export const SLEPT = 0;
export const NOT_EQUAL = 1;
/** Results of {@link WAKE}. */
export const NOTIFIED = 2;
export const TIMED_OUT = 3;

/** `count` of a {@link NOTIFY} that wakes all. */
export const ALL = -1;

/** One recorded step; the meaning of `first`, `second` and `result` depends on `kind`. */
export interface Step {
  readonly kind: number;
  readonly index: number;
  readonly first: number;
  readonly second: number;
  readonly result: number;
}

/** Plain accesses: they belong to the step before them. */
export function isPayload(kind: number): boolean {
  return kind === READ || kind === WRITE;
}

/**
 * `true` when nobody could tell whether a thread that dies here has died before or after this step. After a load one can: what the thread has learned from it,
 * its reaper knows too.
 */
export function leavesNoTrace(kind: number): boolean {
  return kind === READ;
}

const NAMES = [
  "start",
  "load",
  "store",
  "add",
  "or",
  "and",
  "exchange",
  "compareExchange",
  "wait",
  "wake",
  "notify",
  "read",
  "write",
  "death",
  "end",
  "ring",
] as const;

/** The name of a kind, as the methods of `Words` are called. */
export function nameOfKind(kind: number): string {
  return NAMES[kind] ?? `step of kind ${kind}`;
}

/** A step as a person reads it: `compareExchange(3 head, 0, 5) = 0, replaced`. */
export function describeStep(step: Step, nameOf: (index: number) => string): string {
  const { first, second, result } = step;
  const word = nameOf(step.index);
  switch (step.kind) {
    case START:
      return "starts";
    case LOAD:
      return `load(${word}) = ${result}`;
    case STORE:
      return `store(${word}, ${first})`;
    case ADD:
      return `add(${word}, ${first}) = ${result}, now ${(result + first) | 0}`;
    case OR:
      return `or(${word}, ${first}) = ${result}, now ${result | first}`;
    case AND:
      return `and(${word}, ${first}) = ${result}, now ${result & first}`;
    case EXCHANGE:
      return `exchange(${word}, ${first}) = ${result}`;
    case COMPARE_EXCHANGE:
      return `compareExchange(${word}, ${first}, ${second}) = ${result}, ${result === first ? "replaced" : "left alone"}`;
    case WAIT:
      return `wait(${word}, ${first}) ${result === SLEPT ? "sleeps" : "finds another value"}`;
    case WAKE:
      return `wait(${word}) ${result === TIMED_OUT ? "times out" : "is woken"}`;
    case NOTIFY:
      return `notify(${word}${first === ALL ? "" : `, ${first}`}) wakes ${result}`;
    case READ:
      return `read(${word}) = ${result}`;
    case WRITE:
      return `write(${word}, ${first})`;
    case RING:
      return `ring(${word}) = ${result}, now ${(result + 1) | 0}`;
    case DIE:
      return "dies";
    default:
      return "ends";
  }
}
