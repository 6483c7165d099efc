/**
 * Many calls that hang on one signal, with one listener on it: Node warns of a leak when a signal has more than a few listeners, and each costs a search when it is removed.
 */
import { waitBegun, waitOver } from "./open-waits.js";

const watched = new WeakMap<AbortSignal, Set<() => void>>();

/** Calls `listener` once when the signal is aborted, which it must not be yet. Gives what ends that. Each listener must be a function of its own. */
export function onAbort(signal: AbortSignal, listener: () => void): () => void {
  const listeners = watched.get(signal) ?? watch(signal);
  listeners.add(listener);
  waitBegun("listener", listener);
  return () => {
    waitOver(listener);
    listeners.delete(listener);
  };
}

/** The event listener stays as long as the signal: it is one, and a signal that is used again and again needs no new one for each call. */
function watch(signal: AbortSignal): Set<() => void> {
  const listeners = new Set<() => void>();
  watched.set(signal, listeners);
  signal.addEventListener(
    "abort",
    () => {
      watched.delete(signal);
      for (const listener of listeners) {
        waitOver(listener);
        listener();
      }
    },
    { once: true },
  );
  return listeners;
}
