/** Tasks that are lost with their thread, and are spawned again by whoever waits for them: those whose arguments were sent to that thread, so that no other could be told to run them. */
import { RERUNS_MAX } from "../constants.js";
import { RingloomError } from "../errors.js";

const lostHere = new WeakSet<object>();

/** The error of a task whose thread ended. Nested tasks reject with an error of the same code, which must not count as this one. */
export function taskLost(): RingloomError {
  const error = new RingloomError(
    "ERR_RINGLOOM_THREAD_LOST",
    "The thread that ran the task ended before it was done.",
    { operation: "task" },
  );
  lostHere.add(error);
  return error;
}

/** Settles as `first` does, or as the rerun that `again` starts when that was lost, and so on, {@link RERUNS_MAX} times at most. `again` is given what is left of the time, 0 for no end. */
export async function againIfLost(
  first: Promise<unknown>,
  again: (timeoutMs: number) => Promise<unknown>,
  timeoutMs = 0,
): Promise<unknown> {
  const endMs = performance.now() + timeoutMs;
  let running = first;
  for (let reruns = 0; ; reruns++) {
    try {
      return await running;
    } catch (error) {
      if (reruns === RERUNS_MAX || typeof error !== "object" || error === null || !lostHere.has(error)) throw error;
    }
    // A timer takes whole milliseconds, and 0 is never.
    running = again(timeoutMs === 0 ? 0 : Math.max(1, endMs - performance.now()));
  }
}
