/**
 * Values that shared memory does not take, on MessagePorts: large ones, those with shared memory in them, and those that hand buffers over.
 *
 * For each thread that this one sends to there is one port, made when it is first needed and introduced by the hub (`port-hub.ts`); its other end has one receiver, so whoever will read a value is known when it is sent.
 * A value is posted *before* the task, or its outcome, is published, and what is published says its number. So the receiver takes it from the port's queue without waiting, except while the port itself is still on
 * its way.
 *
 * | what | who writes | how others read it |
 * |---|---|---|
 * | count of values | any thread | an atomic addition, whose result is the value's number: no two values of a process have the same within 2^31 |
 * | epoch of a thread | the hub | load; the sender makes a new port when it has changed |
 *
 * Nobody is told that a value is not wanted any more. The task table is the truth about that too: a value names the slot and the generation of its task, and whoever reads the queue drops what belongs to no living task. What is
 * posted to a thread that dies is gone with its end of the port.
 */
import { MessageChannel, type MessagePort, receiveMessageOnPort, type TransferListItem } from "node:worker_threads";
import { assert } from "../assert.js";
import { isCloneRefusal, notCloneable } from "../errors.js";
import { DONE, FREE, generationOf, phaseOf, QUEUED } from "../shared/task-state.js";
import type { TaskTable } from "../shared/task-table.js";
import type { SharedWords } from "../shared/words.js";
import { fromPortForm, type PortForm, toPortForm } from "./port-form.js";
import type { Delivery, Introduction } from "./port-hub.js";
import type { SchedulerView } from "./scheduler-memory.js";
import { type TransferItem, transferList } from "./transfer.js";

/** Numbers of values are below this, so that they leave a bit of their word. */
const NUMBER_MASK = 0x7fff_ffff;

/** A value on its way. */
interface Parcel extends PortForm {
  readonly number: number;
  /** The task that it belongs to. */
  readonly slot: number;
  readonly generation: number;
  readonly isOutcome: boolean;
}

/** What {@link ValuePorts.send} sends. */
export interface Outgoing {
  readonly slot: number;
  readonly isOutcome: boolean;
  readonly value: unknown;
  /** What in it is handed over. */
  readonly transfer: readonly TransferItem[];
}

interface Route {
  readonly epoch: number;
  readonly port: MessagePort;
}

/** What became of values. All that the threads of a process sent was taken or dropped, is on its way, or is gone with a thread. */
export interface PortCounts {
  sent: number;
  taken: number;
  /** Their tasks were over. */
  dropped: number;
}

/** One thread's ports. */
export class ValuePorts {
  readonly counts: PortCounts = { sent: 0, taken: 0, dropped: 0 };
  /** Makes whoever passes ports on do so now, on the thread that does it. */
  relay: () => void = () => undefined;
  readonly #words: SharedWords;
  readonly #table: TaskTable;
  readonly #self: number;
  readonly #countWord: number;
  readonly #epochs: number;
  readonly #line: MessagePort;
  readonly #epoch: number;
  readonly #outgoing = new Map<number, Route>();
  readonly #incoming = new Set<Delivery>();
  /** What was read before it was asked for. */
  readonly #held = new Map<number, Parcel>();
  readonly #waiting = new Map<number, () => void>();

  constructor(view: SchedulerView, line: MessagePort) {
    this.#words = view.words;
    this.#table = view.segment.table;
    this.#self = view.segment.self;
    this.#countWord = view.portValues;
    this.#epochs = view.epochs;
    this.#line = line;
    this.#epoch = this.epochOf(this.#self);
    line.on("message", (delivery: Delivery) => {
      this.#incoming.add(delivery);
      this.#read();
    });
    // A task that waits keeps its thread alive, not the line.
    line.unref();
  }

  /** Ports of this thread, of both directions. */
  get portsNow(): number {
    return this.#outgoing.size + this.#incoming.size;
  }

  /** Whether anything was ever sent to this thread, by ports that are still there. */
  get hasIncoming(): boolean {
    return this.#incoming.size > 0;
  }

  /** Values that have come for tasks that did not ask for them yet. */
  get heldNow(): number {
    return this.#held.size;
  }

  /** Values that this thread sent or took. */
  get count(): number {
    return this.counts.sent + this.counts.taken;
  }

  /** This thread's own epoch. */
  get epoch(): number {
    return this.#epoch;
  }

  /** How many threads with that id have ended. */
  epochOf(thread: number): number {
    return this.#words.load(this.#epochs + thread);
  }

  /** Sends a value and gives its number. Throws `ERR_RINGLOOM_NOT_CLONEABLE`, or what a getter of the value throws; then nothing was sent and nothing handed over. */
  send(to: number, { slot, isOutcome, value, transfer }: Outgoing): number {
    const generation = generationOf(this.#table.stateOf(slot));
    const number = this.#words.add(this.#countWord, 1) & NUMBER_MASK;
    let list: TransferListItem[];
    try {
      list = transferList(transfer);
    } catch (error) {
      throw notCloneable("task", `${(error as Error).message}.`, error);
    }
    const form = toPortForm(value, new Set<object>(list));
    const parcel: Parcel = { ...form, number, slot, generation, isOutcome };
    const { port } = this.#routeTo(to);
    try {
      port.postMessage(parcel, list);
    } catch (error) {
      throw isCloneRefusal(error) ? notCloneable("task", String(error.message), error) : error;
    }
    this.counts.sent += 1;
    return number;
  }

  /** Whether a value can be taken without waiting. */
  isHere(number: number): boolean {
    if (!this.#held.has(number)) this.#read();
    return this.#held.has(number);
  }

  /** Resolves when a value can be taken. */
  arrival(number: number): Promise<void> {
    if (this.isHere(number)) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.set(number, resolve));
  }

  /** Takes a value that is here. */
  take(number: number): unknown {
    assert(this.isHere(number), "a value is taken when it has come");
    const parcel = this.#held.get(number)!;
    this.#held.delete(number);
    this.counts.taken += 1;
    return fromPortForm(parcel);
  }

  /** Drops a value that is here, or will be when its task is over. */
  drop(number: number): void {
    this.sweep();
    this.#forget(number);
  }

  /** Drops the outcomes of a task that is done, those of runs that were cut included. What comes later belongs to no living task. */
  dropOutcome(slot: number): void {
    this.sweep();
    for (const [number, parcel] of this.#held) {
      if (parcel.isOutcome && parcel.slot === slot) this.#forget(number);
    }
  }

  /** Drops what belongs to tasks that are over. Costs nothing on a thread to which nothing was ever sent. */
  sweep(): void {
    if (this.#incoming.size === 0) return;
    this.#read();
    for (const [number, parcel] of this.#held) if (!this.#isWanted(parcel)) this.#forget(number);
  }

  /** Ends all ports, and with them what is on its way. */
  close(): void {
    this.#line.close();
    for (const { port } of this.#outgoing.values()) port.close();
    for (const { port } of this.#incoming) port.close();
    this.#outgoing.clear();
    this.#incoming.clear();
    this.#held.clear();
  }

  #routeTo(to: number): Route {
    const epoch = this.epochOf(to);
    const known = this.#outgoing.get(to);
    if (known?.epoch === epoch) return known;
    known?.port.close();
    const { port1, port2 } = new MessageChannel();
    const route: Route = { epoch, port: port1 };
    this.#outgoing.set(to, route);
    if (to === this.#self) this.#incoming.add({ from: to, epoch, port: port2 });
    else {
      const introduction: Introduction = { to, epoch, port: port2 };
      this.#line.postMessage(introduction, [port2]);
      this.relay();
    }
    return route;
  }

  /** Takes in what has come: ports first, then values. */
  #read(): void {
    this.relay();
    for (let found = receiveMessageOnPort(this.#line); found !== undefined; found = receiveMessageOnPort(this.#line)) {
      this.#incoming.add(found.message as Delivery);
    }
    for (const delivery of this.#incoming) {
      const { from, epoch, port } = delivery;
      // Before the queue is read: what a thread posted, it posted before its epoch ended.
      const isOver = this.epochOf(from) !== epoch;
      for (let found = receiveMessageOnPort(port); found !== undefined; found = receiveMessageOnPort(port)) {
        this.#hold(found.message as Parcel);
      }
      if (!isOver) continue;
      port.close();
      this.#incoming.delete(delivery);
    }
  }

  #forget(number: number): void {
    if (this.#held.delete(number)) this.counts.dropped += 1;
  }

  #hold(parcel: Parcel): void {
    if (!this.#isWanted(parcel)) {
      this.counts.dropped += 1;
      return;
    }
    this.#held.set(parcel.number, parcel);
    const resolve = this.#waiting.get(parcel.number);
    this.#waiting.delete(parcel.number);
    resolve?.();
  }

  /** Whether the task that a value belongs to may still ask for it. */
  #isWanted({ slot, generation, isOutcome }: Parcel): boolean {
    const state = this.#table.stateOf(slot);
    if (generationOf(state) !== generation) return false;
    const phase = phaseOf(state);
    // Arguments are posted before the task is published.
    return isOutcome ? phase !== FREE && phase !== QUEUED : phase !== DONE;
  }
}

/** A copy that nobody else has, for a task that may be run again. Throws as {@link ValuePorts.send} does. */
export function privateCopy(value: unknown): unknown {
  const form = toPortForm(value);
  try {
    return fromPortForm(structuredClone(form));
  } catch (error) {
    throw isCloneRefusal(error) ? notCloneable("task", String(error.message), error) : error;
  }
}
