/** The hint of a task that was queued for a place: it reaches the thread that serves the place, also when another one takes the place at that moment. */
import type { Segment } from "../shared/segment.js";
import { repinnedFrom, threadOf } from "../shared/task-state.js";
import { NOBODY, type Places } from "./places.js";

/** A task that was published, and the place that it was queued for. */
export interface PlacedTask {
  readonly slot: number;
  readonly place: number;
  /** The state that it was published with. */
  readonly state: number;
  /** Whether it stays with a thread that has got the hint, although another one serves the place. Default: never. */
  readonly stays?: ((thread: number) => boolean) | undefined;
}

/** Adds the hint, and calls `told` with each thread that has got it. False when nobody serves the place any more: then the caller has to give the task up. */
export function addPinnedHint(
  { inboxes, table }: Segment,
  places: Places,
  { told, ...task }: PlacedTask & { readonly told: (thread: number) => void },
): boolean {
  let { state } = task;
  for (;;) {
    const thread = threadOf(state);
    inboxes[thread]!.insert(task.slot);
    told(thread);
    // Behind the state and the hint; see `places.ts`.
    const holder = places.holderOf(task.place);
    if (holder === thread || task.stays?.(thread) === true) return true;
    if (holder === NOBODY) return false;
    const moved = repinnedFrom(state, holder);
    // Else it was claimed, or the reaper has moved it.
    if (!table.replace(task.slot, state, moved)) return true;
    state = moved;
  }
}
