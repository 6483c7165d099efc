/** Which seat a thread has: its way to tasks. */
import { RingloomError } from "../errors.js";
import type { Seat } from "./seat.js";
import { closed } from "./task-errors.js";

/** What the functions of `tasks()` need of a thread: a seat, or the line of a thread that has none (`task-line.ts`). */
export interface Spawner extends Pick<Seat, "functionNumber" | "spawn"> {
  /** How many threads run tasks, as far as this one knows. */
  readonly places: { readonly count: number };
}

/** The way of a thread that has no seat. */
export interface Line extends Spawner {
  /** Every call is refused, for ever. */
  readonly isClosed: boolean;
}

let current: Seat | undefined;
let openDefault: (() => Seat) | undefined;
let line: Line | undefined;

/** Makes `seat` this thread's. */
export function setSeat(seat: Seat | undefined): void {
  current = seat;
}

/** How this thread gets a seat when it first needs one. */
export function setDefaultSeat(open: () => Seat): void {
  openDefault = open;
}

/** Takes back what {@link setDefaultSeat} was given, with the seat that came of it: from then on the thread has none, unless it got another one meanwhile. */
export function withdrawSeat(open: () => Seat, seat: Seat): void {
  if (openDefault === open) openDefault = closedSeat;
  if (current === seat) current = undefined;
}

/** For a thread whose scheduler was closed. */
export function closedSeat(): never {
  throw closed("Cannot spawn: the scheduler is closed.");
}

/** Makes `next` this thread's way to tasks where it has no seat. False if it has one, or another line that is open. */
export function setLine(next: Line): boolean {
  if (current !== undefined || openDefault !== undefined || line?.isClosed === false) return false;
  line = next;
  return true;
}

/** This thread's seat, or its line. Throws as {@link currentSeat}. */
export function currentSpawner(operation: string): Spawner {
  return current ?? line ?? currentSeat(operation);
}

/** This thread's seat. Throws `ERR_RINGLOOM_WRONG_THREAD` on a thread that is none of the scheduler's. */
export function currentSeat(operation: string): Seat {
  current ??= openDefault?.();
  if (current !== undefined) return current;
  throw new RingloomError(
    "ERR_RINGLOOM_WRONG_THREAD",
    `Cannot use ${operation} here: call them on the main thread, on a shard that has threads for tasks (--compute), in a task, or on a thread that has called attachTasks().`,
    {
      operation,
    },
  );
}
