/**
 * Connections on other shards than the one that accepted or wanted them. A stream cannot move, its descriptor can: descriptors belong to the process, so the shard that is to have the connection adopts it.
 *
 *     serve → release → (descriptor, unread bytes, claim) by a call of a function there → adopt → handler
 *
 * CLAIM: one shared word for each hand-over, so that exactly one side closes the descriptor whatever fails in between. It is 0 while it is the giver's, 1 when the taker has it, 2 when the giver has taken it back. Both leave 0 by
 * compare-and-exchange, and whoever fails to does nothing more with the descriptor. A taker that could not adopt puts 0 back before it answers, unless a stream has the descriptor. If the giver's thread dies between, the descriptor stays open until the process ends.
 */
import { RingloomError } from "../errors.js";
import { shard } from "../messages/shard.js";
import { type InvokeOptions, invokeOnShard, type ShardFunction, shardFunction } from "../runtime/shard-functions.js";
import type { WaitOptions } from "../task/wait-errors.js";
import { checkWait } from "../task/wait-limits.js";
import { adoptStream, type ConnectTarget, configure, connect } from "./connect.js";
import { serveOne } from "./listener.js";
import { OwnedDescriptor } from "./owned-descriptor.js";
import type { NetStream } from "./stream.js";
import { checkStreamOptions, type StreamOptions } from "./stream-options.js";

const GIVERS = 0;
const TAKERS = 1;
const RECLAIMED = 2;
/** Behind the time that connecting may take, the other shard has so long to say that it did, in milliseconds. */
const ANSWER_MS = 1_000;

/**
 * Where a connection is to live: on the shard that asks, on all of them in turns, or on a certain one.
 * @experimental
 */
export type StreamPlacement = "here" | "round-robin" | { readonly shard: number };

/**
 * How a connection is given to its handler. `signal` and `timeoutMs` cover the way there, not what the handler does.
 * @experimental
 */
export interface PlacedOptions extends WaitOptions, StreamOptions {
  /** Default: `"round-robin"`. */
  readonly placement?: StreamPlacement | undefined;
}

/**
 * A handler of connections that each shard has. Made by {@link placedHandler}.
 * @experimental
 */
export interface PlacedHandler<Args extends readonly unknown[]> {
  readonly name: string;
  /** A handler for `NetListener.serve`: gives each connection to a shard, with these arguments. */
  on(placement: StreamPlacement, ...args: Args): (stream: NetStream) => Promise<void>;
  /**
   * Gives the connection to a shard, and resolves with its number when that has taken it. In turns, a shard that cannot take it is left out; the last to be asked is this thread.
   *
   * @throws what `NetStream.release` throws, and what `invokeOnShard` does, when the shard that was named does not take it; the connection is closed then.
   */
  give(stream: NetStream, options: PlacedOptions, ...args: Args): Promise<number>;
  /**
   * Connects on a shard, and resolves with its number when its handler has the stream.
   *
   * @throws what `connect` and `invokeOnShard` throw.
   */
  connect(target: ConnectTarget, options: PlacedOptions, ...args: Args): Promise<number>;
}

/**
 * Registers a handler under a name that is the same on all shards. Call it at the module's top level. The stream is closed when the handler has ended; one that fails is logged and takes only its own connection with it.
 * Arguments are structured clones. Where no shard runs, everything is done on the spot, and the number is 0.
 *
 * ```ts
 * import { listen, placedHandler } from "ringloom/net";
 *
 * const session = placedHandler("session", async (stream, greeting: string) => {
 *   await stream.writeAll(`${greeting}\n`);
 *   for await (const bytes of stream) await stream.writeAll(bytes);
 * });
 *
 * export async function serveHere(): Promise<void> {
 *   const listener = await listen({ port: 7000 });
 *   await listener.serve(session.on("round-robin", "hello"));
 * }
 * ```
 * @throws RingloomError `ERR_RINGLOOM_INVALID_OPTION` when the name is taken.
 * @experimental
 */
export function placedHandler<Args extends readonly unknown[]>(
  name: string,
  handler: (stream: NetStream, ...args: Args) => unknown,
): PlacedHandler<Args> {
  if (typeof handler !== "function") throw new TypeError("Cannot place connections: the handler is not a function");
  const run = (stream: NetStream, args: Args): Promise<void> =>
    serveOne(stream, (one) => handler(one, ...args), undefined);
  const placed: Placed<Args> = {
    run,
    take: shardFunction(`ringloom:take:${name}`, (given: Given<Args>) => takeHere(given, run)),
    connect: shardFunction(`ringloom:connect:${name}`, (wanted: Wanted<Args>) => connectHere(wanted, run)),
    turns: { next: 0 },
  };
  return {
    name,
    on:
      (placement, ...args) =>
      async (stream) => {
        const { handled } = await give(placed, stream, { placement }, args);
        // `serve` closes the stream behind its handler.
        await handled;
      },
    give: async (stream, options, ...args) => (await give(placed, stream, options, args)).shard,
    connect: (target, options, ...args) => connectThere(placed, target, options, args),
  };
}

interface Placed<Args extends readonly unknown[]> {
  readonly run: (stream: NetStream, args: Args) => Promise<void>;
  readonly take: ShardFunction<[Given<Args>], void>;
  readonly connect: ShardFunction<[Wanted<Args>], void>;
  readonly turns: { next: number };
}

/** Where a connection went, and if that is here, when its handler has ended. */
interface Gone {
  readonly shard: number;
  readonly handled?: Promise<void>;
}

/** A hand-over, as it travels. */
interface Given<Args> {
  readonly claim: Int32Array;
  readonly descriptor: number;
  readonly unread: Uint8Array;
  readonly options: StreamOptions;
  readonly args: Args;
}

/** A connection that another shard is to open. */
interface Wanted<Args> {
  readonly claim: Int32Array;
  readonly target: ConnectTarget;
  readonly options: StreamOptions & { readonly timeoutMs?: number };
  readonly args: Args;
}

function takeHere<Args extends readonly unknown[]>(
  { claim, descriptor, unread, options, args }: Given<Args>,
  run: Placed<Args>["run"],
): void {
  if (Atomics.compareExchange(claim, 0, GIVERS, TAKERS) !== GIVERS) return;
  const owned = new OwnedDescriptor(descriptor, Buffer.from(unread));
  let stream: NetStream;
  try {
    stream = adoptStream(owned, options);
  } catch (error) {
    // What a stream has taken stays the stream's, and this shard's.
    if (!owned.isClosed) {
      owned.take();
      Atomics.store(claim, 0, GIVERS);
    }
    throw error;
  }
  void run(stream, args);
}

async function connectHere<Args extends readonly unknown[]>(
  { claim, target, options, args }: Wanted<Args>,
  run: Placed<Args>["run"],
): Promise<void> {
  const stream = await connect(target, options);
  // Whoever wanted it has given up meanwhile.
  if (Atomics.compareExchange(claim, 0, GIVERS, TAKERS) === GIVERS) void run(stream, args);
  else stream.destroy();
}

async function give<Args extends readonly unknown[]>(
  placed: Placed<Args>,
  stream: NetStream,
  options: PlacedOptions,
  args: Args,
): Promise<Gone> {
  checkWait("place a connection", options);
  const streamOptions = streamOptionsOf(options);
  // Before the stream gives its descriptor away: a shard that refuses them would be one that has it already.
  checkStreamOptions("place a connection", streamOptions);
  const shards = shardsFor(options.placement, placed.turns);
  const own = ownShard();
  if (shards[0] === own) {
    configure(stream, streamOptions);
    return { shard: own, handled: placed.run(stream, args) };
  }
  const owned = await stream.release(options);
  try {
    for (const [index, to] of shards.entries()) {
      if (to === own) return { shard: to, handled: placed.run(adoptStream(owned, streamOptions), args) };
      const claim = newClaim();
      const { unread } = owned;
      try {
        const given = { claim, descriptor: owned.number, unread, options: streamOptions, args };
        await invokeOnShard(placed.take, callOptions(to, options), given);
        owned.take();
        return { shard: to };
      } catch (error) {
        // What the taker has is the taker's, even if its answer was lost.
        const isTaken = Atomics.compareExchange(claim, 0, GIVERS, RECLAIMED) !== GIVERS;
        if (isTaken) owned.take();
        if (isTaken || index === shards.length - 1 || options.signal?.aborted === true) throw unwrapped(error);
      }
    }
    return { shard: own };
  } finally {
    owned.close();
  }
}

async function connectThere<Args extends readonly unknown[]>(
  placed: Placed<Args>,
  target: ConnectTarget,
  options: PlacedOptions,
  args: Args,
): Promise<number> {
  checkWait("connect", options);
  checkStreamOptions("connect", options);
  const to = shardsFor(options.placement, placed.turns)[0] ?? ownShard();
  const { timeoutMs = 0 } = options;
  const streamOptions = streamOptionsOf(options);
  if (to === ownShard()) {
    void placed.run(await connect(target, { ...streamOptions, timeoutMs, signal: options.signal }), args);
    return to;
  }
  const claim = newClaim();
  try {
    const wanted = { claim, target, options: { ...streamOptions, timeoutMs }, args };
    const answerMs = timeoutMs === 0 ? 0 : timeoutMs + ANSWER_MS;
    await invokeOnShard(placed.connect, callOptions(to, { signal: options.signal, timeoutMs: answerMs }), wanted);
    return to;
  } catch (error) {
    Atomics.compareExchange(claim, 0, GIVERS, RECLAIMED);
    throw unwrapped(error);
  }
}

/** Whom to ask, in this order. */
function shardsFor(placement: StreamPlacement = "round-robin", turns: { next: number }): readonly number[] {
  const own = ownShard();
  if (placement === "here") return [own];
  if (placement !== "round-robin") {
    const { shard: to } = placement;
    if (Number.isInteger(to) && to >= 0 && to < shardCount()) return [to];
    throw new RangeError(`Cannot place a connection: there is no shard ${to} of ${shardCount()}`);
  }
  const count = shardCount();
  const first = turns.next++ % count;
  const others = Array.from({ length: count }, (_, index) => (first + index) % count);
  return first === own ? [own] : [...others.filter((one) => one !== own), own];
}

function streamOptionsOf({ noDelay, keepAlive, keepAliveIdleMs, readBufferBytes }: PlacedOptions): StreamOptions {
  return { noDelay, keepAlive, keepAliveIdleMs, readBufferBytes };
}

function callOptions(to: number, { signal, timeoutMs }: WaitOptions): InvokeOptions {
  const call = timeoutMs === undefined ? { shard: to } : { shard: to, timeoutMs };
  return signal === undefined ? call : { ...call, signal };
}

function newClaim(): Int32Array {
  return new Int32Array(new SharedArrayBuffer(4));
}

/** What the function threw on the other shard is what went wrong; that a call carried it does not matter to who asked. */
function unwrapped(error: unknown): unknown {
  const isCarried = error instanceof RingloomError && error.code === "ERR_RINGLOOM_CALL_FAILED";
  return isCarried && error.cause instanceof Error ? error.cause : error;
}

function ownShard(): number {
  return here().number;
}

function shardCount(): number {
  return here().count;
}

/** A thread that is no shard is the only one there is to it. */
function here(): { readonly number: number; readonly count: number } {
  try {
    return { number: shard.number, count: shard.count };
  } catch {
    return { number: 0, count: 1 };
  }
}
