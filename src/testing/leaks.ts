/** Finds what a piece of code leaves behind that still waits. */
import { fileURLToPath } from "node:url";
import { RingloomError } from "../errors.js";
import { endRecording, type OpenWait, recordOpenWaits } from "../scheduler/open-waits.js";

/** Stacks name the place of the caller, and not those of the package. */
const OWN_FOLDER = fileURLToPath(new URL("..", import.meta.url));
const SHOWN_MAX = 10;

/**
 * Calls a function, and makes sure that nothing waits any more that began in the meantime: no waiter at a channel, lock or event, also at those that threads share, none of their timers nor any of `ringloom/time`, no listener at a signal, no group with members. What other code
 * begins at the same time counts too, so tests that use this must not run concurrently in one process.
 * @returns What the function returns.
 * @throws (rejects) What the function throws, else RingloomError `ERR_RINGLOOM_LEAKED`, which says what is left and where it began; `details` counts it by kind.
 * @example
 * ```ts run
 * import { channel } from "ringloom/sync";
 * import { detectLeaks } from "ringloom/testing";
 * try {
 *   await detectLeaks(() => {
 *     void channel().recv();
 *   });
 * } catch (error) {
 *   console.log(String(error)); // … 1 waiter is left: …
 * }
 * ```
 * @experimental
 */
export async function detectLeaks<Result>(body: () => Result | PromiseLike<Result>): Promise<Result> {
  const recording = recordOpenWaits();
  try {
    const result = await body();
    // What was given up in the last step ends in this turn.
    await new Promise((resolve) => setImmediate(resolve));
    if (recording.size > 0) throw leaked([...recording.values()]);
    return result;
  } finally {
    endRecording(recording);
  }
}

function leaked(left: readonly OpenWait[]): RingloomError {
  const details: Record<string, number> = {};
  for (const { kind } of left) details[kind] = (details[kind] ?? 0) + 1;
  const counts = Object.entries(details).map(([kind, count]) => `${count} ${kind}${count === 1 ? "" : "s"}`);
  const places = left.slice(0, SHOWN_MAX).map(({ kind, stack }) => `  ${kind} ${placeOf(stack)}`);
  const verb = left.length === 1 ? "is" : "are";
  return new RingloomError("ERR_RINGLOOM_LEAKED", `${counts.join(", ")} ${verb} left:\n${places.join("\n")}`, {
    operation: "detectLeaks",
    details,
  });
}

/** The innermost caller that is no part of the package. */
function placeOf(stack: string): string {
  const frames = stack.split("\n").slice(1);
  return (frames.find((frame) => !frame.includes(OWN_FOLDER)) ?? frames.at(-1) ?? "").trim();
}
