/** SIGTERM, SIGINT and SIGHUP, which reach only the main thread. */
import { isatty } from "node:tty";
import type { RestartReport } from "./rolling-restart.js";
import type { Supervisor } from "./supervisor.js";

/**
 * The same signal again within this time is an echo of the first, in milliseconds: on Ctrl-C the terminal signals the whole
 * process group, and npm then passes its own on to the server.
 */
export const SIGNAL_ECHO_MS = 500;

/**
 * The first signal stops the server in order, a further one cuts what is unfinished. Before SIGTERM's stop the server serves on for
 * `readyDelayMs`: it comes from a platform that has yet to tell its load balancers. SIGINT comes from a person.
 * Returns a function that takes the handlers away again; it runs by itself when the server has stopped.
 *
 * @param heard Told about each signal, for the log; `isFirst` says which of the two it means.
 * @param nowMs The clock, in milliseconds.
 */
export function stopOnSignals(
  supervisor: Pick<Supervisor, "stop" | "cut" | "stopped" | "readyDelayMs">,
  heard: (signal: NodeJS.Signals, isFirst: boolean) => void,
  nowMs: () => number = () => performance.now(),
): () => void {
  let first: { readonly signal: NodeJS.Signals; readonly atMs: number } | undefined;
  function onSignal(signal: NodeJS.Signals): void {
    if (first === undefined) {
      first = { signal, atMs: nowMs() };
      heard(signal, true);
      void supervisor.stop({ readyDelayMs: signal === "SIGTERM" ? supervisor.readyDelayMs : 0 });
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

/** What {@link restartOnHangup} tells. */
export interface HangupEvents {
  /** `hasTerminal` is false when the signal says that the terminal is gone; the server then stops. */
  heard(hasTerminal: boolean): void;
  restarted(report: RestartReport): void;
  failed(error: unknown): void;
}

/**
 * SIGHUP restarts the shards one after the other. A server that was started from a terminal gets the same signal when that terminal closes, and must not
 * live on unseen: it then stops. The handler goes away when the server has stopped.
 *
 * @param isTerminal Whether standard output is a terminal, now. One that has been hung up is none any more.
 */
export function restartOnHangup(
  supervisor: Pick<Supervisor, "restart" | "stop" | "stopped">,
  events: HangupEvents,
  isTerminal: () => boolean = () => isatty(1),
): void {
  const hadTerminal = isTerminal();
  function onHangup(): void {
    const isGone = hadTerminal && !isTerminal();
    events.heard(!isGone);
    if (isGone) void supervisor.stop();
    else supervisor.restart().then(events.restarted, events.failed);
  }
  process.on("SIGHUP", onHangup);
  void supervisor.stopped.then(() => process.off("SIGHUP", onHangup));
}
