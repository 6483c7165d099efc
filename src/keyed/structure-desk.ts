/**
 * The supervisor's side of the channels, locks and barriers that threads share: makes the memory for a name once, gives each thread a number in it, and mends what a dead thread leaves.
 *
 * Opening is not async, so the thread that asks waits on a word until it is answered; this side never waits.
 */
import type { MessagePort } from "node:worker_threads";
import { type BarrierShape, barrierGathering, barrierLength, buryBarrierThread } from "../shared/barrier-cells.js";
import { type GatheringShape, joinGathering } from "../shared/gathering.js";
import { buryPermitsThread, type PermitsShape, permitsGathering, permitsLength } from "../shared/permits.js";
import { type RateShape, ratesGathering, ratesLength } from "../shared/rate-table.js";
import { buryRingThread, type RingShape, ringGathering, ringLength } from "../shared/value-ring.js";
import { SharedWords, type Words } from "../shared/words.js";
import { SpareMemory } from "./spare-memory.js";

/** Structures that a server may have. */
export const STRUCTURES_MAX = 1_024;

/** What there is to open, with its shape, and bytes behind it that are its users'. */
export type StructureShape =
  | { readonly kind: "permits"; readonly shape: PermitsShape; readonly extraBytes: number }
  | { readonly kind: "ring"; readonly shape: RingShape; readonly extraBytes: number }
  | { readonly kind: "barrier"; readonly shape: BarrierShape; readonly extraBytes: number }
  | { readonly kind: "rates"; readonly shape: RateShape; readonly extraBytes: number };

/** What a thread asks for. */
export interface StructureAsk {
  /** With what it is, so that a mutex and a channel may have the same name. */
  readonly name: string;
  readonly structure: StructureShape;
  /** Its first word is set to 1, and woken, when the answer is there. */
  readonly bell: Int32Array;
}

/** What it gets, through its port. */
export type StructureAnswer =
  | { readonly memory: SharedArrayBuffer; readonly thread: number }
  /** It exists, and is another one. */
  | { readonly differs: StructureShape }
  /** No room: for another structure, or for another thread in this one. */
  | { readonly full: "structures" | "threads"; readonly max: number }
  /** The memory cannot be had. */
  | { readonly refused: string };

interface Structure {
  readonly structure: StructureShape;
  readonly memory: SharedArrayBuffer;
  readonly words: Words;
  readonly threads: Set<number>;
}

/** See the top of the file. */
export class StructureDesk {
  readonly #structures = new Map<string, Structure>();
  readonly #spare: SpareMemory;
  #livesGiven = 0;

  constructor(spare: SpareMemory = new SpareMemory()) {
    this.#spare = spare;
  }

  /** Answers, and keeps the thread's number for it until the port closes. */
  accept(port: MessagePort, { name, structure, bell }: StructureAsk): void {
    port.postMessage(this.#answer(name, structure, port));
    Atomics.store(bell, 0, 1);
    Atomics.notify(bell, 0);
  }

  #answer(name: string, asked: StructureShape, port: MessagePort): StructureAnswer {
    const known = this.#structures.get(name);
    if (known === undefined && this.#structures.size >= STRUCTURES_MAX)
      return { full: "structures", max: STRUCTURES_MAX };
    let found: Structure;
    try {
      found = known ?? this.#make(name, asked);
    } catch (error) {
      return { refused: error instanceof Error ? error.message : String(error) };
    }
    if (!isSame(found.structure, asked)) return { differs: found.structure };
    const { structure, memory, words, threads } = found;
    const max = structure.shape.threads;
    let thread = 0;
    while (threads.has(thread)) thread += 1;
    if (thread >= max) return { full: "threads", max };
    threads.add(thread);
    this.#livesGiven += 1;
    joinGathering(words, gatheringOf(structure), { thread, life: this.#livesGiven });
    // The port closes when the thread has run its last step.
    port.on("close", () => {
      bury(words, structure, thread);
      threads.delete(thread);
    });
    port.unref();
    return { memory, thread };
  }

  #make(name: string, structure: StructureShape): Structure {
    const memory = new SharedArrayBuffer(structureBytes(structure) + structure.extraBytes);
    const made: Structure = { structure, memory, words: new SharedWords(memory), threads: new Set() };
    this.#structures.set(name, made);
    this.#spare.take(memory.byteLength, { structure: name });
    return made;
  }
}

/** Bytes of a structure without those behind it: where those begin. */
export function structureBytes(structure: StructureShape): number {
  return Math.ceil(wordsOf(structure) / 16) * 64;
}

function wordsOf({ kind, shape }: StructureShape): number {
  switch (kind) {
    case "permits":
      return permitsLength(shape);
    case "ring":
      return ringLength(shape);
    case "barrier":
      return barrierLength(shape);
    case "rates":
      return ratesLength(shape);
  }
}

/** Where the threads of a structure meet. */
export function gatheringOf({ kind, shape }: StructureShape): GatheringShape {
  switch (kind) {
    case "permits":
      return permitsGathering(shape);
    case "ring":
      return ringGathering(shape);
    case "barrier":
      return barrierGathering(shape);
    case "rates":
      return ratesGathering(shape);
  }
}

function bury(words: Words, { kind, shape }: StructureShape, thread: number): void {
  switch (kind) {
    case "permits":
      return buryPermitsThread(words, shape, thread);
    case "ring":
      return buryRingThread(words, shape, thread);
    case "barrier":
      return buryBarrierThread(words, shape, thread);
    case "rates":
      // A thread takes permits in one step, so a dead one leaves nothing half done.
      return;
  }
}

function isSame(one: StructureShape, other: StructureShape): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}
