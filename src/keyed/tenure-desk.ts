/**
 * The supervisor's side of who owns the keys of a shard. In a rolling restart two threads serve as one shard for a while; the second one is given the keys when the first has
 * put its actors away, or is gone. A thread holds them for as long as its line is open.
 */
import type { MessagePort } from "node:worker_threads";
import { Boundary } from "../runtime/boundary.js";

/** A thread's line: it asks with the number of its shard, and is answered when the keys are its own. */
export type TenureLine = Boundary<number, true>;

interface Claim {
  readonly line: TenureLine;
  readonly grant: (isGranted: true) => void;
}

/** See the top of the file. */
export class TenureDesk {
  /** By shard; the first has the keys. */
  readonly #claims = new Map<number, Claim[]>();

  /** Listens to a thread until it lets its keys go, or is gone. */
  accept(port: MessagePort): void {
    const line: TenureLine = new Boundary<number, true>({ port, capacity: 1 });
    line.serve((shard) => new Promise((grant) => this.#claim(shard, { line, grant })));
    line.unref();
    void line.closed.then(() => this.#left(line));
  }

  #claim(shard: number, claim: Claim): void {
    const claims = this.#claims.get(shard) ?? [];
    this.#claims.set(shard, claims);
    claims.push(claim);
    if (claims.length === 1) claim.grant(true);
  }

  #left(line: TenureLine): void {
    for (const claims of this.#claims.values()) {
      const index = claims.findIndex((claim) => claim.line === line);
      if (index === -1) continue;
      claims.splice(index, 1);
      if (index === 0) claims[0]?.grant(true);
    }
  }
}
