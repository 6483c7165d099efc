/**
 * From a room to the shards that have its members' sockets. Each thread with such sockets is a gateway; what a room has for one travels in one message a turn, in order, and a thread that has taken another's
 * place as a shard is another gateway.
 */
import { randomUUID } from "node:crypto";
import { actorSeat } from "../keyed/actor-host.js";
import { invokeOnShard, shardFunction } from "../runtime/shard-functions.js";

/** A thread that has sockets. */
export interface GatewayAddress {
  readonly id: string;
  /** Undefined where no shards run. */
  readonly shard: number | undefined;
}

/** One thing to do at a gateway. `connection` is one of its own. */
export type Entry =
  | { readonly kind: "welcome"; readonly connection: string; readonly text: string }
  | { readonly kind: "all"; readonly text: string; readonly except: string | undefined }
  | { readonly kind: "one"; readonly connection: string; readonly text: string }
  | { readonly kind: "state"; readonly key: string; readonly text: string }
  | { readonly kind: "close"; readonly connection: string; readonly code: number; readonly reason: string };

/** What a room has for one gateway. */
export interface Delivery {
  readonly gateway: string;
  /** The name of the rooms. */
  readonly rooms: string;
  readonly key: string;
  /** Which life of the room it comes from. */
  readonly epoch: string;
  /** Counts the deliveries of that life to that gateway, so that a missing one is noticed. */
  readonly serial: number;
  readonly entries: readonly Entry[];
}

/** Takes what is for this thread's sockets in the rooms of one name. */
export type Receiver = (delivery: Delivery) => void;

const ownId = randomUUID();
const receivers = new Map<string, Receiver>();

/** This thread as a gateway. */
export function ownGateway(): GatewayAddress {
  return { id: ownId, shard: actorSeat()?.shard };
}

/** Has `receiver` called with what comes for the rooms of that name. */
export function receiveDeliveries(rooms: string, receiver: Receiver): void {
  receivers.set(rooms, receiver);
}

/** Delivers; false when the gateway is not there any more. What is given to one gateway arrives in that order. */
export async function deliver(to: GatewayAddress, delivery: Delivery): Promise<boolean> {
  if (to.id === ownId) return receive(delivery);
  if (to.shard === undefined) return false;
  return invokeOnShard(deliverFunction, { shard: to.shard, timeoutMs: 0 }, delivery);
}

const deliverFunction = shardFunction("ringloom:realtime", receive);

function receive(delivery: Delivery): boolean {
  if (delivery.gateway !== ownId) return false;
  receivers.get(delivery.rooms)?.(delivery);
  return true;
}
