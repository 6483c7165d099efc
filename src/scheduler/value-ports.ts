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
 * | KiB that were taken out of a port, modulo 2^32 | its receiver | load, by its sender: what it has sent less this is *under way*, and bounded. The word is the port's own, so nothing is left of it when either thread ends |
 * | whether a thread should sweep | who gives up a task that it has sent; the supervisor after a death | load, and the thread clears it |
 *
 * Values in the queue of a port are bytes, which cost their receiver no heap. So it reads no further than it must: up to the value that it wants, and what comes before that is *held*.
 *
 * Nobody is told that a value is not wanted any more. The task table is the truth about that too: a value names the slot and the generation of its task, and whoever reads the queue drops what belongs to no living task. A *sweep*
 * drops those at the front of each queue; it stops at one that is wanted, and goes on when that is taken. What is posted to a thread that dies is gone with its end of the port.
 */
import { MessageChannel, type MessagePort, receiveMessageOnPort, type TransferListItem } from "node:worker_threads";
import { assert } from "../assert.js";
import { isCloneRefusal, notCloneable, RingloomError } from "../errors.js";
import { DONE, FREE, generationOf, phaseOf, QUEUED } from "../shared/task-state.js";
import type { TaskTable } from "../shared/task-table.js";
import type { SharedWords } from "../shared/words.js";
import { fromPortForm, type PortForm, toPortForm } from "./port-form.js";
import type { Delivery, Introduction } from "./port-hub.js";
import { portSize } from "./port-size.js";
import type { SchedulerView } from "./scheduler-memory.js";
import { type TransferItem, transferList } from "./transfer.js";

/** Numbers of values are below this, so that they leave a bit of their word. */
const NUMBER_MASK = 0x7fff_ffff;
const KIB = 1024;
const KIB_PER_MIB = 1024;
const NO_SLOT = -1;

/** A value on its way. */
interface Parcel extends PortForm {
  readonly number: number;
  /** The task that it belongs to. */
  readonly slot: number;
  readonly generation: number;
  readonly isOutcome: boolean;
  /** What it counts while it is under way, 1 at least. */
  readonly kib: number;
}

/** What {@link ValuePorts.send} sends. */
export interface Outgoing {
  /** The receiver's. */
  readonly epoch: number;
  readonly slot: number;
  readonly isOutcome: boolean;
  readonly value: unknown;
  /** What in it is handed over. */
  readonly transfer: readonly TransferItem[];
}

interface Route {
  readonly epoch: number;
  readonly port: MessagePort;
  /** Modulo 2^32, as the receiver's count of what it has taken. */
  sentKib: number;
  readonly takenKib: Int32Array;
}

/** The receiving end of a port. */
interface Source {
  readonly from: number;
  readonly epoch: number;
  readonly port: MessagePort;
  readonly takenKib: Int32Array;
  /** Values that were read and not asked for yet. */
  heldCount: number;
  /** A sweep has stopped at one of those. */
  isSweepDue: boolean;
}

interface Held {
  readonly parcel: Parcel;
  readonly source: Source;
}

/** A value that somebody waits for. */
interface Wanted {
  readonly from: number;
  readonly resolve: () => void;
}

/** What became of values. All that the threads of a process sent was taken or dropped, is on its way, or is gone with a thread. */
export interface PortCounts {
  sent: number;
  taken: number;
  /** Their tasks were over. */
  dropped: number;
  /** Not sent, because too much was under way. */
  refused: number;
}

/** One thread's ports. */
export class ValuePorts {
  readonly counts: PortCounts = { sent: 0, taken: 0, dropped: 0, refused: 0 };
  /** Makes whoever passes ports on do so now, on the thread that does it. */
  relay: () => void = () => undefined;
  readonly #words: SharedWords;
  readonly #table: TaskTable;
  readonly #self: number;
  readonly #countWord: number;
  readonly #epochs: number;
  readonly #sweeps: number;
  readonly #line: MessagePort;
  readonly #epoch: number;
  readonly #kibMax: number;
  readonly #outgoing = new Map<number, Route>();
  readonly #incoming = new Set<Source>();
  readonly #held = new Map<number, Held>();
  readonly #waiting = new Map<number, Wanted>();

  /** `mibMax` is how much may be under way to one other thread. */
  constructor(view: SchedulerView, line: MessagePort, mibMax: number) {
    this.#words = view.words;
    this.#table = view.segment.table;
    this.#self = view.segment.self;
    this.#countWord = view.portValues;
    this.#epochs = view.leaving.epochs;
    this.#sweeps = view.portSweeps;
    this.#line = line;
    this.#epoch = this.epochOf(this.#self);
    this.#kibMax = mibMax * KIB_PER_MIB;
    line.on("message", (delivery: Delivery) => {
      this.#add(delivery);
      for (const [number, { from }] of this.#waiting) this.#readUntil(number, from);
      this.sweep();
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

  /**
   * Sends a value and gives its number. A value is sent however large it is when nothing is under way to that thread.
   * @throws RingloomError `ERR_RINGLOOM_OVERLOADED`, `ERR_RINGLOOM_NOT_CLONEABLE`, or what a getter of the value throws; then nothing was sent and nothing handed over.
   */
  send(to: number, { epoch, slot, isOutcome, value, transfer }: Outgoing): number {
    const generation = generationOf(this.#table.stateOf(slot));
    const number = this.#words.add(this.#countWord, 1) & NUMBER_MASK;
    let list: TransferListItem[];
    try {
      list = transferList(transfer);
    } catch (error) {
      throw notCloneable("task", `${(error as Error).message}.`, error);
    }
    const form = toPortForm(value, new Set<object>(list));
    const kib = Math.max(1, Math.ceil(portSize(form.value) / KIB));
    const parcel: Parcel = { ...form, number, slot, generation, isOutcome, kib };
    const route = this.#routeTo(to, epoch);
    this.#checkRoom(route, kib, to);
    try {
      route.port.postMessage(parcel, list);
    } catch (error) {
      throw isCloneRefusal(error) ? notCloneable("task", String(error.message), error) : error;
    }
    route.sentKib = (route.sentKib + kib) | 0;
    this.counts.sent += 1;
    return number;
  }

  /** Whether a value that `from` has sent can be taken without waiting. */
  isHere(number: number, from: number): boolean {
    if (!this.#held.has(number)) this.#readUntil(number, from);
    return this.#held.has(number);
  }

  /** Resolves when a value can be taken. */
  arrival(number: number, from: number): Promise<void> {
    if (this.isHere(number, from)) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.set(number, { from, resolve }));
  }

  /** Takes a value that is here. */
  take(number: number, from: number): unknown {
    assert(this.isHere(number, from), "a value is taken when it has come");
    const held = this.#held.get(number)!;
    this.counts.taken += 1;
    this.#release(held);
    return fromPortForm(held.parcel);
  }

  /** Drops a value that is here; one that is not will be when its task is over. */
  drop(number: number, from: number): void {
    if (this.isHere(number, from)) this.#forget(this.#held.get(number)!);
  }

  /** Drops the outcomes of a task that is done, those of runs that were cut included. What comes later belongs to no living task. */
  dropOutcome(slot: number): void {
    this.sweep(slot);
  }

  /** Drops what belongs to tasks that are over, and the outcomes of `doneSlot`. Costs nothing on a thread to which nothing was ever sent. */
  sweep(doneSlot = NO_SLOT): void {
    if (this.#incoming.size === 0) return;
    this.#takePorts();
    for (const held of this.#held.values()) if (!this.#isWanted(held.parcel, doneSlot)) this.#forget(held);
    for (const source of this.#incoming) this.#sweepFront(source, doneSlot);
  }

  /** Asks a thread to sweep before it sleeps the next time. */
  askToSweep(thread: number): void {
    this.#words.store(this.#sweeps + thread, 1);
  }

  /** Sweeps if somebody has asked this thread to. */
  sweepIfAsked(): void {
    const word = this.#sweeps + this.#self;
    if (this.#words.load(word) === 0) return;
    this.#words.store(word, 0);
    this.sweep();
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

  #routeTo(to: number, epoch: number): Route {
    const known = this.#outgoing.get(to);
    if (known?.epoch === epoch) return known;
    known?.port.close();
    const { port1, port2 } = new MessageChannel();
    const taken = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT);
    const route: Route = { epoch, port: port1, sentKib: 0, takenKib: new Int32Array(taken) };
    this.#outgoing.set(to, route);
    if (to === this.#self) this.#add({ from: to, epoch, port: port2, taken });
    else {
      const introduction: Introduction = { to, epoch, port: port2, taken };
      this.#line.postMessage(introduction, [port2]);
      this.relay();
    }
    return route;
  }

  /** Bytes that nobody has asked for lie in the process' memory, so they are bounded, also those for calls that were given up. */
  #checkRoom({ sentKib, takenKib }: Route, kib: number, to: number): void {
    const underWayKib = (sentKib - Atomics.load(takenKib, 0)) | 0;
    if (underWayKib <= 0 || underWayKib + kib <= this.#kibMax) return;
    this.counts.refused += 1;
    throw new RingloomError(
      "ERR_RINGLOOM_OVERLOADED",
      `Cannot pass a value of about ${kib} KiB to or from a task: ${underWayKib} KiB of at most ${this.#kibMax} are under way to that thread.`,
      { operation: "task", details: { kib, underWayKib, kibMax: this.#kibMax, thread: to } },
    );
  }

  #add({ from, epoch, port, taken }: Delivery): void {
    this.#incoming.add({ from, epoch, port, takenKib: new Int32Array(taken), heldCount: 0, isSweepDue: false });
  }

  /** Takes in the ports that have come. */
  #takePorts(): void {
    this.relay();
    for (let found = receiveMessageOnPort(this.#line); found !== undefined; found = receiveMessageOnPort(this.#line)) {
      this.#add(found.message as Delivery);
    }
  }

  /** Reads what a thread has sent, up to one value. Its predecessors' ports may be there besides its own. */
  #readUntil(number: number, from: number): void {
    this.#takePorts();
    for (const source of this.#incoming) {
      if (source.from !== from) continue;
      for (let parcel = this.#next(source); parcel !== undefined; parcel = this.#next(source)) {
        this.#hold(parcel, source);
        if (parcel.number === number) return;
      }
    }
  }

  /** Drops what is not wanted from the front of a queue: what is behind a value that is held waits until that is taken. */
  #sweepFront(source: Source, doneSlot = NO_SLOT): void {
    source.isSweepDue = true;
    while (source.heldCount === 0) {
      const parcel = this.#next(source);
      if (parcel === undefined) {
        source.isSweepDue = false;
        return;
      }
      this.#hold(parcel, source, doneSlot);
    }
  }

  /** The next value of a queue. An empty one of a thread that has ended is closed. */
  #next(source: Source): Parcel | undefined {
    const { from, epoch, port } = source;
    // Before the queue is read: what a thread posted, it posted before its epoch ended.
    const isOver = this.epochOf(from) !== epoch;
    const found = receiveMessageOnPort(port);
    if (found !== undefined) return found.message as Parcel;
    if (isOver) {
      port.close();
      this.#incoming.delete(source);
    }
    return undefined;
  }

  #hold(parcel: Parcel, source: Source, doneSlot = NO_SLOT): void {
    if (!this.#isWanted(parcel, doneSlot)) {
      this.counts.dropped += 1;
      Atomics.add(source.takenKib, 0, parcel.kib);
      return;
    }
    this.#held.set(parcel.number, { parcel, source });
    source.heldCount += 1;
    const wanted = this.#waiting.get(parcel.number);
    this.#waiting.delete(parcel.number);
    wanted?.resolve();
  }

  #forget(held: Held): void {
    this.counts.dropped += 1;
    this.#release(held);
  }

  #release({ parcel, source }: Held): void {
    this.#held.delete(parcel.number);
    source.heldCount -= 1;
    Atomics.add(source.takenKib, 0, parcel.kib);
    if (source.isSweepDue) this.#sweepFront(source);
  }

  /** Whether the task that a value belongs to may still ask for it. */
  #isWanted({ slot, generation, isOutcome }: Parcel, doneSlot: number): boolean {
    if (isOutcome && slot === doneSlot) return false;
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
