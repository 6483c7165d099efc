// What a shard of run-topology.js does: spawns tasks and joins them, batch after batch, as handlers would.
import { shardFunction, tasks } from "ringloom";
import { App } from "ringloom/http";

const nested = tasks(new URL("./nested.js", import.meta.url));
const batch = (width, steps, hotSteps) =>
  Promise.all(Array.from({ length: width }, (_, index) => nested.leaf(1, index === 0 ? hotSteps : steps)));

/** By case: width, steps of a task, steps of the first one. */
const shapes = {
  "empty-1000": [1_000, 0, 0],
  "fan-balanced": [256, 2_000, 2_000],
  "fan-skewed": [256, 500, 200_000],
  even: [256, 2_000, 2_000],
};

export default new App();

/** Batches for so long; gives how many tasks there were. */
shardFunction("run", async (name, seconds) => {
  const [width, steps, hotSteps] = shapes[name];
  const endMs = performance.now() + seconds * 1_000;
  let count = 0;
  while (performance.now() < endMs) {
    await batch(width, steps, hotSteps);
    count += width;
  }
  return count;
});
