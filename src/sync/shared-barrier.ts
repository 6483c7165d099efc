/** A barrier that all threads of a server share. How it works: `src/shared/barrier-cells.ts`. */
import { RingloomError } from "../errors.js";
import { waitBegun, waitOver } from "../scheduler/open-waits.js";
import { BARRIER_BUSY, BarrierCells, type BarrierPhase, type BarrierShape } from "../shared/barrier-cells.js";
import { GATHERING_THREADS_MAX } from "../shared/gathering.js";
import { overloadedWait, type WaitOptions } from "../task/wait-errors.js";
import { armWait } from "../task/wait-limits.js";
import { checkInteger, openShared, type SharedOptions, type SharedPlace, waitingMaxOf } from "./shared-open.js";
import { type SharedSubject, sharedRefusal } from "./shared-waiters.js";

const OPERATION = "sharedBarrier";
const PARTIES_MAX = 4_096;

/**
 * What a party learns when all have come.
 * @experimental
 */
export interface SharedBarrierArrival {
  /** True for one of them, the last to come. */
  readonly isLast: boolean;
}

/**
 * Opens the barrier of that name, the same for all shards of the server and the threads that run its tasks, for 1 to 4,096 parties. The first call of a thread waits for the main thread to answer: make it at the module's top level.
 * @throws RingloomError `ERR_RINGLOOM_INVALID_OPTION`, also when it exists with other parties; otherwise as `sharedMutex`.
 * @example
 * ```ts run
 * import { sharedBarrier } from "ringloom/sync";
 * const warm = sharedBarrier("warm", 2);
 * const [first, second] = await Promise.all([warm.wait(), warm.wait()]); // on two shards, as a rule
 * console.log(first.isLast, second.isLast); // false true
 * ```
 * @experimental
 */
export function sharedBarrier(name: string, parties: number, options: SharedOptions = {}): SharedBarrier {
  checkInteger(OPERATION, "parties", parties, [1, PARTIES_MAX]);
  const shape: BarrierShape = { base: 0, threads: GATHERING_THREADS_MAX, parties };
  const structure = { kind: "barrier", shape, extraBytes: 0 } as const;
  const waitingMax = waitingMaxOf(options);
  return openShared(
    { operation: OPERATION, name, structure, waitingMax },
    (place) => new SharedBarrier(name, { place, shape, waitingMax }),
  );
}

interface BarrierParts {
  readonly place: SharedPlace;
  readonly shape: BarrierShape;
  readonly waitingMax: number;
}

interface Party {
  readonly resolve: (arrival: SharedBarrierArrival) => void;
  readonly reject: (error: unknown) => void;
  isLast: boolean;
  disarm: (() => void) | undefined;
}

/**
 * A barrier for all threads; see {@link sharedBarrier}. When all parties have come it begins anew. A party whose thread dies while it waits, or that gives up, breaks it for those that wait with it: they would wait for ever. The next ones to
 * come begin anew.
 * @experimental
 */
export class SharedBarrier {
  readonly name: string;
  readonly parties: number;
  readonly #place: SharedPlace;
  readonly #cells: BarrierCells;
  readonly #subject: SharedSubject;
  /** Those that have come, and have a cell. */
  readonly #arrived = new Set<Party>();
  /** Those that the last generation keeps waiting. */
  readonly #coming = new Set<Party>();

  /** @internal */
  constructor(name: string, { place, shape, waitingMax }: BarrierParts) {
    this.name = name;
    this.parties = shape.parties;
    this.#place = place;
    this.#cells = new BarrierCells(place.words, shape, place.self);
    this.#subject = { operation: "wait", what: `at the shared barrier ${JSON.stringify(name)}`, waitingMax };
    place.listen(() => this.#look());
  }

  /** Parties that wait, at about this moment. */
  get waiting(): number {
    return this.#cells.arrivedCount;
  }

  /**
   * Waits until all parties have come. Giving up breaks the barrier for the others.
   * @throws RingloomError (rejects) `ERR_RINGLOOM_BROKEN_BARRIER` when another party has died or given up, `ERR_RINGLOOM_ABORTED`, `ERR_RINGLOOM_TIMEOUT`, `ERR_RINGLOOM_OVERLOADED` when too many wait on this thread.
   */
  wait(options?: WaitOptions): Promise<SharedBarrierArrival> {
    const refused = sharedRefusal(this.#subject, options);
    if (refused !== undefined) return Promise.reject(refused);
    const { waitingMax } = this.#subject;
    if (this.#arrived.size + this.#coming.size >= waitingMax)
      return Promise.reject(overloadedWait(this.#subject, waitingMax));
    return new Promise((resolve, reject) => {
      const party: Party = { resolve, reject, isLast: false, disarm: undefined };
      waitBegun("waiter", party);
      this.#coming.add(party);
      if (options !== undefined) party.disarm = armWait(options, this.#subject, (error) => this.#giveUp(party, error));
      this.#look();
    });
  }

  /** Tells those of a generation that has ended, and lets the next ones come. */
  #look(): void {
    do {
      const { phase } = this.#cells;
      if (this.#arrived.size > 0 && phase !== "filling") this.#tell(phase);
    } while (this.#letOneCome());
    this.#place.hold(this.#arrived.size > 0 || this.#coming.size > 0);
  }

  #tell(phase: Exclude<BarrierPhase, "filling">): void {
    const parties = [...this.#arrived];
    this.#arrived.clear();
    this.#cells.leave();
    for (const party of parties) {
      leave(party);
      const { resolve, reject, isLast } = party;
      if (phase === "open") resolve({ isLast });
      else reject(this.#broken(phase));
    }
  }

  /** False when nobody comes, or has to wait for the last generation to leave. */
  #letOneCome(): boolean {
    const [party] = this.#coming;
    if (party === undefined) return false;
    const cell = this.#cells.arrive();
    if (cell === BARRIER_BUSY) return false;
    this.#coming.delete(party);
    // Cells are taken from the first one on.
    party.isLast = cell === this.parties - 1;
    this.#arrived.add(party);
    return true;
  }

  #giveUp(party: Party, error: RingloomError): void {
    // What has happened before is told first.
    this.#look();
    if (!this.#coming.delete(party)) {
      if (!this.#arrived.has(party)) return;
      if (this.#cells.giveUp()) {
        this.#arrived.delete(party);
        leave(party);
        party.reject(error);
        if (this.#arrived.size === 0) this.#cells.leave();
      }
    } else {
      leave(party);
      party.reject(error);
    }
    this.#look();
  }

  #broken(phase: "broken-by-death" | "broken-by-giving-up"): RingloomError {
    const [why, reason] =
      phase === "broken-by-death"
        ? ["the thread of another party has died", "thread-lost"]
        : ["another party has given up", "given-up"];
    return new RingloomError("ERR_RINGLOOM_BROKEN_BARRIER", `Cannot wait ${this.#subject.what}: ${why}.`, {
      operation: "wait",
      details: { name: this.name, reason },
    });
  }
}

/** It waits no more. */
function leave(party: Party): void {
  waitOver(party);
  party.disarm?.();
}
