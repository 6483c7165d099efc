/** How a thread that runs tasks reaches the functions of its server's shards (`invokeOnShard`): it opens a port to each that it calls, and its worker's own port takes the other end to the main thread, which passes it on to the shard. */
import { MessagePort } from "node:worker_threads";
import { ShardCalls, setShardCalls } from "../runtime/shard-functions.js";

/** What such a thread says. */
interface CallerMessage {
  readonly shard: number;
  readonly caller: MessagePort;
}

/** On the thread: `invokeOnShard` goes to `shardCount` shards from now on. Without a server there are none. */
export function openShardLine(port: MessagePort, shardCount: number): void {
  if (shardCount === 0) return;
  const connect = (shard: number, caller: MessagePort): void =>
    port.postMessage({ shard, caller } satisfies CallerMessage, [caller]);
  // A task may burn CPU for long.
  setShardCalls(new ShardCalls(shardCount, connect, { closesIdleLines: true }));
}

/** On the main thread: passes what the thread said on, if it was for a shard. */
export function passToShard(message: unknown, to: { connect(shard: number, caller: MessagePort): void }): void {
  if (isCallerMessage(message)) to.connect(message.shard, message.caller);
}

function isCallerMessage(message: unknown): message is CallerMessage {
  return (
    typeof message === "object" && message !== null && "caller" in message && message.caller instanceof MessagePort
  );
}
