/** The watchdog over the shards of one server: joins the clockwork (`src/observe/watchdog.ts`) to the inspector and the log. */
import { log } from "../observe/log.js";
import { Pulses } from "../observe/pulse.js";
import { StackCapture } from "../observe/stack-capture.js";
import { Watchdog } from "../observe/watchdog.js";
import { shardThreadName } from "./shard-thread.js";

/** Begins to watch, on the supervisor's thread and before the shards start. Returns what ends it; 0 ms watches nothing. */
export async function watchShards(buffer: SharedArrayBuffer, thresholdMs: number): Promise<() => void> {
  if (thresholdMs === 0) return () => undefined;
  const pulses = new Pulses(buffer);
  const capture = await StackCapture.open((threadName, frames) => {
    for (let shard = 0; shard < pulses.shardCount; shard++) {
      if (threadName.endsWith(shardThreadName(shard))) watchdog.stackSeen(shard, frames);
    }
  });
  const watchdog = new Watchdog({
    pulses,
    thresholdMs,
    log,
    requestStack: (shard) => capture?.request(shardThreadName(shard)) === true,
  });
  watchdog.start();
  return () => {
    watchdog.stop();
    capture?.close();
  };
}
