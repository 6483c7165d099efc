// Tasks that spawn tasks, for run-variant.js: what the main thread spawns meets only the injector, these meet the run queues and thieves.
import { tasks } from "ringloom";
import { burn } from "../peers/kernel.js";

const self = tasks(new URL(import.meta.url));

/** One task of `steps` steps. */
export function leaf(seed, steps) {
  return burn(seed, steps);
}

/** A tree: `width` children for each task that is not at the bottom. Gives how many tasks there were. */
export async function tree(depth, width) {
  if (depth === 0) return 1;
  const counts = await Promise.all(Array.from({ length: width }, () => self.tree(depth - 1, width)));
  return counts.reduce((sum, count) => sum + count, 1);
}

/** `width` tasks at once, spawned from this thread and joined; one of them has `hotSteps` steps. Gives how many tasks there were. */
export async function fan(width, steps, hotSteps) {
  const all = Array.from({ length: width }, (_, index) => self.leaf(1, index === 0 ? hotSteps : steps));
  await Promise.all(all);
  return width + 1;
}
