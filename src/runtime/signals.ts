/** SIGTERM and SIGINT, which reach only the main thread. */
import type { Supervisor } from "./supervisor.js";

/**
 * The first signal stops the server in order, the second one cuts what is unfinished.
 * Returns a function that takes the handlers away again; it runs by itself when the server has stopped.
 *
 * @param heard Told about each signal, for the log.
 */
export function stopOnSignals(
  supervisor: Supervisor,
  heard: (signal: NodeJS.Signals, isSecond: boolean) => void,
): () => void {
  let isStopping = false;
  function onSignal(signal: NodeJS.Signals): void {
    heard(signal, isStopping);
    if (isStopping) supervisor.cut();
    else void supervisor.stop();
    isStopping = true;
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
