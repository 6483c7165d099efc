/** The supervisor's desk: where the shards of one server meet who share something by its name, and where they get what only the main thread has. */
import type { MessagePort } from "node:worker_threads";
import { relaySignals } from "../runtime/signal-relay.js";
import { serveTaskLine } from "../scheduler/task-desk.js";
import { type CacheAsk, CacheDesk } from "./cache-desk.js";
import { OnceDesk } from "./once-desk.js";
import { SpareMemory } from "./spare-memory.js";
import { type StructureAsk, StructureDesk } from "./structure-desk.js";
import { TenureDesk } from "./tenure-desk.js";

/** What a shard wants of the desk. The port is its line, open for as long as the thread is there. */
export type DeskRequest =
  | { readonly want: "once" | "flight" | "tenure" | "tasks"; readonly port: MessagePort }
  | { readonly want: "cache"; readonly port: MessagePort; readonly ask: CacheAsk }
  | { readonly want: "structure"; readonly port: MessagePort; readonly ask: StructureAsk }
  | { readonly want: "signals"; readonly port: MessagePort; readonly names: readonly NodeJS.Signals[] };

/** What threads share by its name. */
export class SharedNames {
  readonly spare = new SpareMemory();
  readonly once = new OnceDesk({ keeps: true });
  readonly flights = new OnceDesk({ keeps: false });
  readonly caches = new CacheDesk(this.spare);
  readonly structures = new StructureDesk(this.spare);
}

/** What a desk is told of its server. */
export interface DeskOptions {
  /** Default: those of the process, so that a program's main thread has the same things as the shards of its server, under the same names. */
  readonly names?: SharedNames;
  /** Memory that what is made may take before the operator hears of it. Default: any. */
  readonly spareBytes?: number | undefined;
}

let ofProcess: SharedNames | undefined;

/** One desk for each server, because shards of two may have the same number; see the files that it consists of. */
export class Desk {
  readonly #names: SharedNames;
  readonly #tenure = new TenureDesk();

  constructor({ names, spareBytes }: DeskOptions = {}) {
    ofProcess ??= new SharedNames();
    this.#names = names ?? ofProcess;
    if (spareBytes !== undefined) this.#names.spare.bytesMax = spareBytes;
  }

  obey(request: DeskRequest): void {
    switch (request.want) {
      case "once":
        this.#names.once.accept(request.port);
        return;
      case "flight":
        this.#names.flights.accept(request.port);
        return;
      case "tenure":
        this.#tenure.accept(request.port);
        return;
      case "tasks":
        serveTaskLine(request.port);
        return;
      case "cache":
        this.#names.caches.accept(request.port, request.ask);
        return;
      case "structure":
        this.#names.structures.accept(request.port, request.ask);
        return;
      case "signals":
        relaySignals(request.port, request.names);
        return;
    }
  }
}
