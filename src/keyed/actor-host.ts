/**
 * The actors of one thread: which shard owns a key, how a call gets there, and what becomes of the instances when the thread's time is over.
 *
 * A rolling restart: the old thread tells its callers that another one serves (`ShardCallee.retire`), and they close their lines when all that they had called is answered. When nothing runs any more, it puts its instances away and lets the
 * keys go; the new thread, which has them waiting in its mailboxes, loads. So a key has one instance at a time, and the calls of one sender stay in order.
 */
import { isMainThread } from "node:worker_threads";
import { assert } from "../assert.js";
import { RingloomError } from "../errors.js";
import { Boundary } from "../runtime/boundary.js";
import { type ShardCalls, shardFunction } from "../runtime/shard-functions.js";
import { ownerOf } from "../scheduler/placement.js";
import type { ActorOutcome } from "./actor-cell.js";
import type { ActorKind } from "./actor-kind.js";
import { sendToDesk } from "./desk-line.js";

/** A call as it travels. */
export interface ActorCall {
  readonly actor: string;
  readonly key: string;
  readonly method: string;
  readonly args: readonly unknown[];
  readonly deadlineMs: number;
}

/** This thread's place among the shards. */
export interface ActorSeat {
  readonly shard: number;
  readonly shardCount: number;
  readonly calls: ShardCalls;
}

const FUNCTION = "ringloom:actor";

const kinds = new Map<string, ActorKind>();
let seat: ActorSeat | undefined;
let tenureLine: Boundary<number, true> | undefined;
let tenure: Promise<void> | undefined;
/** Another thread owns the keys, or is about to. */
let isAway = false;
let isClosed = false;

/** Says where this thread is; without it a program's main thread owns all keys. */
export function setActorSeat(next: ActorSeat): void {
  seat = next;
}

/** Where this thread is; undefined where no shard runs. */
export function actorSeat(): ActorSeat | undefined {
  return seat;
}

/** Registers an actor. The caller has checked that the name is free. */
export function addActor(kind: ActorKind): void {
  kinds.set(kind.parts.name, kind);
}

/** Whether there is an actor of that name. */
export function hasActor(name: string): boolean {
  return kinds.has(name);
}

/** Where a call has to go: undefined is this thread. Throws `ERR_RINGLOOM_WRONG_THREAD` where there are no actors. */
export function routeOf(key: string): { readonly shard: number; readonly calls: ShardCalls } | undefined {
  if (seat === undefined) {
    if (isMainThread) return undefined;
    throw new RingloomError(
      "ERR_RINGLOOM_WRONG_THREAD",
      "Cannot call an actor: this thread is neither a shard nor the main thread.",
      {
        operation: "actor",
      },
    );
  }
  const shard = ownerOf(key, seat.shardCount);
  // When the instances are put away, another thread's mailboxes are the right ones for calls of this thread too.
  return shard === seat.shard && !isAway ? undefined : { shard, calls: seat.calls };
}

/** Puts a call into the mailbox of its key on this thread, at once. */
export function callHere({ actor, key, ...message }: ActorCall): Promise<ActorOutcome> {
  const kind = kinds.get(actor);
  if (kind === undefined) return Promise.resolve({ refused: "no-actor" });
  if (isClosed) return Promise.resolve({ refused: "closed" });
  return kind.call(key, message);
}

/** The same, from other shards. */
export const remoteCall = shardFunction(FUNCTION, (call: ActorCall) => callHere(call));

/** Resolves when the keys of this thread's shard are its own: at once, unless the thread before it still has instances. */
export function ownKeys(): Promise<void> {
  if (seat === undefined) return Promise.resolve();
  tenure ??= claim(seat.shard);
  return tenure;
}

/** Asks for the keys as soon as the thread serves: before the one that will take over from it can ask. */
export function claimKeys(): void {
  // A claim that fails shows at the first call.
  if (kinds.size > 0) ownKeys().catch(() => undefined);
}

/** Another thread serves as this shard from now on. Resolves when all instances are put away and the keys let go. */
export async function handOverActors(callersGone: Promise<void>): Promise<void> {
  if (tenure === undefined) {
    isAway = true;
    return;
  }
  await callersGone;
  // Until then what this thread still does may call its own keys: who waits for such a call is waited for here.
  for (let busy = findBusy(); busy !== undefined; busy = findBusy()) await busy.whenIdle();
  isAway = true;
  await putAllAway("handover");
  tenureLine?.close();
}

/** The server stops: puts all instances away; calls are refused from then on. */
export async function closeActors(): Promise<void> {
  await putAllAway("stop");
  isClosed = true;
}

function findBusy(): ActorKind | undefined {
  return [...kinds.values()].find((kind) => kind.isBusy);
}

async function putAllAway(reason: "handover" | "stop"): Promise<void> {
  await Promise.all([...kinds.values()].map((kind) => kind.putAway(reason)));
}

async function claim(shard: number): Promise<void> {
  tenureLine = new Boundary<number, true>({ capacity: 1, timeoutMs: 0 });
  assert(tenureLine.port !== undefined, "a boundary that is made has a port to hand over");
  sendToDesk("actor", { want: "tenure", port: tenureLine.port });
  await tenureLine.call(shard);
}
