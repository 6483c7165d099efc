/** The last events of a room, for members that come back: bounded in number and bytes, the oldest go first. */
import { assert } from "../assert.js";

/** An event as it is sent. */
export interface LoggedEvent {
  readonly n: number;
  readonly text: string;
  /** The only member that gets it. */
  readonly to: string | undefined;
  /** The only member that does not. */
  readonly except: string | undefined;
}

/** How many places at its front may be empty before they are cut off. */
const EMPTY_MAX = 256;

/** See the top of the file. Events are pushed with the numbers 1, 2, 3 and so on. */
export class EventLog {
  readonly #countMax: number;
  readonly #bytesMax: number;
  #events: (LoggedEvent | undefined)[] = [];
  #first = 0;
  #bytes = 0;
  #droppedThrough = 0;

  constructor(countMax: number, bytesMax: number) {
    this.#countMax = countMax;
    this.#bytesMax = bytesMax;
  }

  get length(): number {
    return this.#events.length - this.#first;
  }

  /** The number of the last event. */
  get last(): number {
    return this.#droppedThrough + this.length;
  }

  /** The last event that is not there any more. */
  get droppedThrough(): number {
    return this.#droppedThrough;
  }

  push(event: LoggedEvent): void {
    assert(event.n === this.last + 1, "events are pushed in the order of their numbers");
    this.#events.push(event);
    this.#bytes += bytesOf(event);
    while (this.length > this.#countMax || this.#bytes > this.#bytesMax) this.#dropOldest();
  }

  /** Lets go of events that nobody will ask for. */
  dropThrough(n: number): void {
    while (this.length > 0 && this.#droppedThrough < n) this.#dropOldest();
  }

  /** The events of a member behind the n-th, oldest first. Those that are gone are missing: ask {@link EventLog.droppedThrough} before. */
  *after(n: number, member: string): Generator<LoggedEvent, void, undefined> {
    const start = this.#first + Math.max(n - this.#droppedThrough, 0);
    for (let index = start; index < this.#events.length; index++) {
      const event = this.#events[index];
      if (event !== undefined && isFor(event, member)) yield event;
    }
  }

  #dropOldest(): void {
    const event = this.#events[this.#first];
    assert(event !== undefined, "there is an event to drop");
    this.#events[this.#first] = undefined;
    this.#first += 1;
    this.#bytes -= bytesOf(event);
    this.#droppedThrough = event.n;
    if (this.#first > EMPTY_MAX && this.#first * 2 > this.#events.length) {
      this.#events = this.#events.slice(this.#first);
      this.#first = 0;
    }
  }
}

/** Texts have two bytes a character at most. */
function bytesOf({ text }: LoggedEvent): number {
  return text.length * 2;
}

/** Whether a member gets an event. */
export function isFor({ to, except }: Pick<LoggedEvent, "to" | "except">, member: string): boolean {
  return to === undefined ? except !== member : to === member;
}
