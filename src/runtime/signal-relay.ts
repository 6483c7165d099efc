/**
 * The main thread's side of signals: they reach only this thread, and it passes them on to every stream of every thread that listens.
 *
 * Each stream has a port. A signal is told once until the stream says that it has it, and if it came again meanwhile it is told once more: a thread that is busy collects two messages, however many signals there are.
 * Node has one listener for each signal, which goes with the last stream, so the system's default is back when nobody listens.
 */
import type { MessagePort } from "node:worker_threads";

/** What a stream says: it has got that signal. */
export type SignalTaken = NodeJS.Signals;

/** What a stream hears: first that it is listening, then signals. */
export type SignalNews = "listening" | NodeJS.Signals;

/** One stream and what it has not confirmed. */
interface Line {
  readonly port: MessagePort;
  /** `true` for a signal that came again before the stream had the first one. */
  readonly told: Map<NodeJS.Signals, boolean>;
}

const lines = new Map<NodeJS.Signals, Set<Line>>();

/** Passes these signals on through a port, until that is closed or its thread is gone. To be called on the main thread. */
export function relaySignals(port: MessagePort, names: readonly NodeJS.Signals[]): void {
  const line: Line = { port, told: new Map() };
  for (const name of names) add(name, line);
  port.on("message", (name: SignalTaken) => confirm(line, name));
  port.on("close", () => {
    for (const name of names) remove(name, line);
  });
  // It is the stream that keeps its thread alive, if anybody waits for it.
  port.unref();
  port.postMessage("listening" satisfies SignalNews);
}

function add(name: NodeJS.Signals, line: Line): void {
  const listening = lines.get(name);
  if (listening !== undefined) {
    listening.add(line);
    return;
  }
  // The listener comes first: if Node refuses it, nothing has changed.
  process.on(name, onSignal);
  lines.set(name, new Set([line]));
}

function remove(name: NodeJS.Signals, line: Line): void {
  const listening = lines.get(name);
  if (listening?.delete(line) !== true || listening.size > 0) return;
  lines.delete(name);
  process.off(name, onSignal);
}

function onSignal(name: NodeJS.Signals): void {
  for (const line of lines.get(name) ?? []) {
    const isUnconfirmed = line.told.has(name);
    line.told.set(name, isUnconfirmed);
    if (!isUnconfirmed) line.port.postMessage(name satisfies SignalNews);
  }
}

function confirm(line: Line, name: NodeJS.Signals): void {
  const cameAgain = line.told.get(name);
  line.told.delete(name);
  if (cameAgain !== true) return;
  line.told.set(name, false);
  line.port.postMessage(name satisfies SignalNews);
}
