/** What a room has to say, by gateway: collected while a handler runs, delivered behind it. */
import { type Delivery, deliver, type Entry, type GatewayAddress } from "./delivery.js";
import type { RoomLife } from "./gateway-beats.js";

interface Outlet {
  readonly address: GatewayAddress;
  readonly connections: Set<string>;
  entries: Entry[];
  serial: number;
}

/** See the top of the file. */
export class RoomOutbox {
  readonly #life: RoomLife;
  readonly #lost: (gateway: string) => void;
  readonly #outlets = new Map<string, Outlet>();
  #isFlushing = false;

  /** @param lost hears of a gateway that is not there any more */
  constructor(life: RoomLife, lost: (gateway: string) => void) {
    this.#life = life;
    this.#lost = lost;
  }

  /** The gateways that have connections to the room. */
  get gateways(): readonly string[] {
    return [...this.#outlets.values()]
      .filter(({ connections }) => connections.size > 0)
      .map(({ address }) => address.id);
  }

  /** The connections at one gateway. */
  connectionsAt(gateway: string): readonly string[] {
    return [...(this.#outlets.get(gateway)?.connections ?? [])];
  }

  attach(address: GatewayAddress, connection: string): void {
    let outlet = this.#outlets.get(address.id);
    if (outlet === undefined) {
      outlet = { address, connections: new Set(), entries: [], serial: 0 };
      this.#outlets.set(address.id, outlet);
    }
    outlet.connections.add(connection);
  }

  detach(gateway: string, connection: string): void {
    this.#outlets.get(gateway)?.connections.delete(connection);
  }

  /** Forgets a gateway and what was for it. */
  drop(gateway: string): void {
    this.#outlets.delete(gateway);
  }

  /** For all connections of all gateways. */
  toAll(entry: Entry): void {
    for (const outlet of this.#outlets.values()) if (outlet.connections.size > 0) this.#put(outlet, entry);
  }

  /** For one gateway, which had a connection at some time. */
  to(gateway: string, entry: Entry): void {
    const outlet = this.#outlets.get(gateway);
    if (outlet !== undefined) this.#put(outlet, entry);
  }

  #put(outlet: Outlet, entry: Entry): void {
    const last = outlet.entries.at(-1);
    // Of a state that changes several times in a turn the last value is enough.
    if (entry.kind === "state" && last?.kind === "state" && last.key === entry.key) outlet.entries.pop();
    outlet.entries.push(entry);
    if (this.#isFlushing) return;
    this.#isFlushing = true;
    // What one handler says without waiting leaves together.
    queueMicrotask(() => this.flush());
  }

  flush(): void {
    this.#isFlushing = false;
    for (const outlet of this.#outlets.values()) if (outlet.entries.length > 0) this.#send(outlet);
  }

  #send(outlet: Outlet): void {
    const { address, entries } = outlet;
    const delivery: Delivery = { ...this.#life, gateway: address.id, serial: outlet.serial, entries };
    outlet.serial += 1;
    outlet.entries = [];
    // A delivery that was refused is missed by its serial number: the gateway, if it lives, then closes its connections, and their clients come back.
    deliver(address, delivery).then(
      (isThere) => {
        if (!isThere) this.#lost(address.id);
      },
      () => this.#lost(address.id),
    );
  }
}
