/**
 * One key of an actor on the shard that owns it: its instance, and the calls that wait for it. One call runs at a time, in the order in which they came.
 *
 *     empty → loading → running ⇄ idle → being put away → empty
 */
import { monotonicMs } from "../observe/monotonic.js";
import { runIsolated } from "../runtime/isolated.js";
import { type ThrownRecord, toThrownRecord } from "../scheduler/error-codec.js";
import type { EvictionReason } from "./actor-options.js";

/** What became of a call; it crosses threads. */
export type ActorOutcome =
  | { readonly value: unknown }
  | { readonly thrown: ThrownRecord }
  | { readonly refused: "full-mailbox" | "full-shard" | "timeout" | "closed" | "no-actor" | "no-method" };

/** A call that waits. */
export interface ActorMessage {
  readonly method: string;
  readonly args: readonly unknown[];
  /** When nobody waits any more, a time of the clock that all threads share; 0 is never. */
  readonly deadlineMs: number;
  readonly settle: (outcome: ActorOutcome) => void;
}

/** What a cell needs of its actor. */
export interface CellHost {
  /** Makes the instance, when the keys are this thread's. */
  load(key: string): Promise<object>;
  evicted(instance: object, key: string, reason: EvictionReason): Promise<void>;
  /** It has something to do. */
  busy(): void;
  /** It has nothing to do any more. */
  idle(cell: ActorCell): void;
}

/** See the top of the file. */
export class ActorCell {
  readonly key: string;
  readonly #host: CellHost;
  readonly #mailbox: ActorMessage[] = [];
  #instance: object | undefined;
  #isBusy = false;
  /** When it was last found idle, a time of the shared clock. */
  idleSinceMs = 0;

  constructor(key: string, host: CellHost) {
    this.key = key;
    this.#host = host;
  }

  get isBusy(): boolean {
    return this.#isBusy;
  }

  get isEmpty(): boolean {
    return this.#instance === undefined;
  }

  get waiting(): number {
    return this.#mailbox.length;
  }

  put(message: ActorMessage): void {
    this.#mailbox.push(message);
    if (this.#isBusy) return;
    this.#begin();
    void this.#runAll();
  }

  /** Puts the instance away, if it is idle. What comes meanwhile waits, and loads it anew. */
  async evict(reason: EvictionReason): Promise<void> {
    const instance = this.#instance;
    if (this.#isBusy || instance === undefined) return;
    this.#begin();
    this.#instance = undefined;
    await this.#host.evicted(instance, this.key, reason);
    await this.#runAll();
  }

  #begin(): void {
    this.#isBusy = true;
    this.#host.busy();
  }

  async #runAll(): Promise<void> {
    for (let message = this.#mailbox.shift(); message !== undefined; message = this.#mailbox.shift()) {
      message.settle(await this.#run(message));
    }
    this.#isBusy = false;
    this.idleSinceMs = monotonicMs();
    this.#host.idle(this);
  }

  async #run({ method, args, deadlineMs }: ActorMessage): Promise<ActorOutcome> {
    if (deadlineMs > 0 && monotonicMs() >= deadlineMs) return { refused: "timeout" };
    try {
      return await runIsolated("RINGLOOM_ACTOR", async () => {
        this.#instance ??= await this.#host.load(this.key);
        const instance = this.#instance;
        const run: unknown = Reflect.get(instance, method);
        if (typeof run !== "function") return { refused: "no-method" };
        return { value: await (Reflect.apply(run, instance, args) as unknown) };
      });
    } catch (error) {
      return { thrown: toThrownRecord(error) };
    }
  }
}
