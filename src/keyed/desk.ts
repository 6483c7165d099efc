/** The supervisor's desk: where the shards of one server meet who share something by its name. */
import type { MessagePort } from "node:worker_threads";
import { OnceDesk } from "./once-desk.js";

/** What a shard wants of the desk. */
export type DeskRequest = { readonly want: "once"; readonly port: MessagePort };

/** One desk for each server; see the files that it consists of. */
export class Desk {
  readonly #once = new OnceDesk();

  obey(request: DeskRequest): void {
    switch (request.want) {
      case "once":
        this.#once.accept(request.port);
        return;
    }
  }
}
