/** The supervisor's desk: where the shards of one server meet who share something by its name. */
import type { MessagePort } from "node:worker_threads";
import { OnceDesk } from "./once-desk.js";
import { TenureDesk } from "./tenure-desk.js";

/** What a shard wants of the desk. */
export interface DeskRequest {
  readonly want: "once" | "tenure";
  readonly port: MessagePort;
}

/** One desk for each server; see the files that it consists of. */
export class Desk {
  readonly #once = new OnceDesk();
  readonly #tenure = new TenureDesk();

  obey({ want, port }: DeskRequest): void {
    switch (want) {
      case "once":
        this.#once.accept(port);
        return;
      case "tenure":
        this.#tenure.accept(port);
        return;
    }
  }
}
