/** The supervisor's desk: where the shards of one server meet who share something by its name, and where they get what only the main thread has. */
import type { MessagePort } from "node:worker_threads";
import { relaySignals } from "../runtime/signal-relay.js";
import { serveTaskLine } from "../scheduler/task-desk.js";
import { type CacheAsk, CacheDesk, type CacheDeskOptions } from "./cache-desk.js";
import { OnceDesk } from "./once-desk.js";
import { type StructureAsk, StructureDesk } from "./structure-desk.js";
import { TenureDesk } from "./tenure-desk.js";

/** What a shard wants of the desk. The port is its line, open for as long as the thread is there. */
export type DeskRequest =
  | { readonly want: "once" | "flight" | "tenure" | "tasks"; readonly port: MessagePort }
  | { readonly want: "cache"; readonly port: MessagePort; readonly ask: CacheAsk }
  | { readonly want: "structure"; readonly port: MessagePort; readonly ask: StructureAsk }
  | { readonly want: "signals"; readonly port: MessagePort; readonly names: readonly NodeJS.Signals[] };

/** One desk for each server; see the files that it consists of. */
export class Desk {
  readonly #once = new OnceDesk({ keeps: true });
  readonly #flights = new OnceDesk({ keeps: false });
  readonly #tenure = new TenureDesk();
  readonly #caches: CacheDesk;
  readonly #structures = new StructureDesk();

  constructor(options: CacheDeskOptions = {}) {
    this.#caches = new CacheDesk(options);
  }

  obey(request: DeskRequest): void {
    switch (request.want) {
      case "once":
        this.#once.accept(request.port);
        return;
      case "flight":
        this.#flights.accept(request.port);
        return;
      case "tenure":
        this.#tenure.accept(request.port);
        return;
      case "tasks":
        serveTaskLine(request.port);
        return;
      case "cache":
        this.#caches.accept(request.port, request.ask);
        return;
      case "structure":
        this.#structures.accept(request.port, request.ask);
        return;
      case "signals":
        relaySignals(request.port, request.names);
        return;
    }
  }
}
