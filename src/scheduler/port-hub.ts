/**
 * How two threads get a MessagePort between them: the sender makes the channel, and the supervisor's thread passes the other end on, because it alone has a line to every thread.
 *
 *     sender ── introduction ──▶ hub ── delivery ──▶ receiver          later: sender ── values ──▶ receiver, past the hub
 *
 * A thread's id is used again by its successor, so an introduction names the *epoch* of the receiver: how many threads with that id have ended. Only the hub writes epochs. One that is late for its thread is dropped, and its port
 * with all that was sent into it; one that is early waits, because the thread has not started, or because the one before it is about to end (`leaving.ts`).
 */
import { MessageChannel, type MessagePort, receiveMessageOnPort } from "node:worker_threads";
import { assert } from "../assert.js";
import type { Words } from "../shared/words.js";

/** What a sender tells the hub. */
export interface Introduction {
  readonly to: number;
  /** The receiver's, when the sender made the channel. */
  readonly epoch: number;
  readonly port: MessagePort;
  /** A word in which the receiver counts what it takes out of the port. */
  readonly taken: SharedArrayBuffer;
}

/** What the hub tells the receiver. */
export interface Delivery {
  readonly from: number;
  /** The sender's. */
  readonly epoch: number;
  readonly port: MessagePort;
  readonly taken: SharedArrayBuffer;
}

interface Early {
  readonly to: number;
  /** The receiver's. */
  readonly epoch: number;
  readonly delivery: Delivery;
}

/** The supervisor's means to introduce threads to each other. */
export class PortHub {
  readonly #words: Words;
  readonly #epochs: number;
  /** By thread: the hub's end of its line. */
  readonly #lines = new Map<number, MessagePort>();
  /** Deliveries to threads that have not started. */
  readonly #early = new Set<Early>();

  /** `epochs` is the index of the word with the epoch of thread 0. */
  constructor(words: Words, epochs: number) {
    this.#words = words;
    this.#epochs = epochs;
  }

  /** Ports that wait for their thread to start. */
  get earlyCount(): number {
    return this.#early.size;
  }

  /** Begins a thread: gives its end of the line, to be transferred to it. */
  open(thread: number): MessagePort {
    assert(!this.#lines.has(thread), "a thread has one line");
    const { port1, port2 } = new MessageChannel();
    port1.on("message", (introduction: Introduction) => this.#pass(thread, introduction));
    // Whoever waits for a task keeps the process alive, not the line.
    port1.unref();
    this.#lines.set(thread, port1);
    for (const early of this.#early) {
      if (early.to !== thread) continue;
      this.#early.delete(early);
      port1.postMessage(early.delivery, [early.delivery.port]);
    }
    return port2;
  }

  /** Passes on what has come, now: what a thread has said before its last step included. */
  poll(): void {
    for (const [thread, line] of this.#lines) this.#read(thread, line);
  }

  /** A thread has ended: what it had to say is passed on, what was meant for it is dropped, and what is meant for its successor waits. */
  end(thread: number): void {
    const line = this.#lines.get(thread);
    if (line !== undefined) {
      this.#read(thread, line);
      line.close();
      this.#lines.delete(thread);
    }
    const epoch = this.#words.add(this.#epochs + thread, 1) + 1;
    for (const early of this.#early) {
      if (early.to !== thread || early.epoch === epoch) continue;
      this.#early.delete(early);
      early.delivery.port.close();
    }
  }

  /** Ends all lines. */
  close(): void {
    for (const thread of [...this.#lines.keys()]) this.end(thread);
    for (const { delivery } of this.#early) delivery.port.close();
    this.#early.clear();
  }

  #read(thread: number, line: MessagePort): void {
    for (let found = receiveMessageOnPort(line); found !== undefined; found = receiveMessageOnPort(line)) {
      this.#pass(thread, found.message as Introduction);
    }
  }

  #pass(from: number, { to, epoch, port, taken }: Introduction): void {
    const now = this.#words.load(this.#epochs + to);
    if (epoch !== now && epoch !== now + 1) {
      port.close();
      return;
    }
    const delivery: Delivery = { from, epoch: this.#words.load(this.#epochs + from), port, taken };
    const line = epoch === now ? this.#lines.get(to) : undefined;
    if (line === undefined) this.#early.add({ to, epoch, delivery });
    else line.postMessage(delivery, [port]);
  }
}
