/** SIGTERM and SIGINT, which reach only the main thread. */
import type { Supervisor } from "./supervisor.js";

/**
 * The same signal again within this time is an echo of the first, in milliseconds: on Ctrl-C the terminal signals the whole
 * process group, and npm then passes its own on to the server.
 */
export const SIGNAL_ECHO_MS = 500;

/**
 * The first signal stops the server in order, a further one cuts what is unfinished.
 * Returns a function that takes the handlers away again; it runs by itself when the server has stopped.
 *
 * @param heard Told about each signal, for the log; `isFirst` says which of the two it means.
 * @param nowMs The clock, in milliseconds.
 */
export function stopOnSignals(
  supervisor: Pick<Supervisor, "stop" | "cut" | "stopped">,
  heard: (signal: NodeJS.Signals, isFirst: boolean) => void,
  nowMs: () => number = () => performance.now(),
): () => void {
  let first: { readonly signal: NodeJS.Signals; readonly atMs: number } | undefined;
  function onSignal(signal: NodeJS.Signals): void {
    if (first === undefined) {
      first = { signal, atMs: nowMs() };
      heard(signal, true);
      void supervisor.stop();
    } else if (signal !== first.signal || nowMs() - first.atMs > SIGNAL_ECHO_MS) {
      heard(signal, false);
      supervisor.cut();
    }
  }
  function release(): void {
    process.off("SIGTERM", onSignal);
    process.off("SIGINT", onSignal);
  }
  process.on("SIGTERM", onSignal);
  process.on("SIGINT", onSignal);
  void supervisor.stopped.then(release);
  return release;
}
