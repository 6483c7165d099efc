/**
 * A driver's events, each contained: an exception of a handler is handed to `threw` and loses nothing else, neither the driver's own
 * bookkeeping behind the event nor other connections' events.
 */
import type { DriverEvents } from "./contract.js";

/** Wraps the events that a driver was given. */
export class ContainedEvents implements DriverEvents {
  readonly #events: DriverEvents;
  readonly #threw: (error: unknown) => void;

  constructor(events: DriverEvents, threw: (error: unknown) => void) {
    this.#events = events;
    this.#threw = threw;
  }

  accepted(slot: number, listener: number): void {
    try {
      this.#events.accepted(slot, listener);
    } catch (error) {
      this.#threw(error);
    }
  }

  connected(slot: number, errno: number): void {
    try {
      this.#events.connected(slot, errno);
    } catch (error) {
      this.#threw(error);
    }
  }

  received(slot: number, bytes: Uint8Array, offset: number, length: number): void {
    try {
      this.#events.received(slot, bytes, offset, length);
    } catch (error) {
      this.#threw(error);
    }
  }

  ended(slot: number): void {
    try {
      this.#events.ended(slot);
    } catch (error) {
      this.#threw(error);
    }
  }

  drained(slot: number): void {
    try {
      this.#events.drained(slot);
    } catch (error) {
      this.#threw(error);
    }
  }

  closed(slot: number, errno: number): void {
    try {
      this.#events.closed(slot, errno);
    } catch (error) {
      this.#threw(error);
    }
  }

  listenerStopped(listener: number): void {
    try {
      this.#events.listenerStopped(listener);
    } catch (error) {
      this.#threw(error);
    }
  }

  turnEnded(): void {
    try {
      this.#events.turnEnded();
    } catch (error) {
      this.#threw(error);
    }
  }
}
