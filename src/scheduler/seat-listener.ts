/** Seeing what is settled on a thread that has neither a driver nor an executor: the main thread. */
import type { Doorbell } from "../driver/contract.js";
import { LoopBell } from "./loop-bell.js";
import type { Seat } from "./seat.js";

/** How to listen. */
export interface ListenOptions {
  readonly doorbell: Doorbell;
  /** While tasks are in flight the thread looks so long before it sleeps, in microseconds: waking a sleeping thread costs more than most tasks. */
  readonly spinMicros: number;
  /** Called when the thread looks, whatever woke it. */
  readonly rung: () => void;
  readonly isClosed: () => boolean;
}

/** Settles what is done, until the seat is closed; then the bell has to be rung once more. */
export async function listenForSettled(
  seat: Seat,
  { doorbell, spinMicros, rung, isClosed }: ListenOptions,
): Promise<void> {
  const bell = new LoopBell(doorbell);
  while (!isClosed()) {
    if (!findsSettledSoon(seat, spinMicros)) await bell.next();
    rung();
    if (seat.drainSettled() > 0) await new Promise((resolve) => setImmediate(resolve));
  }
}

function findsSettledSoon(seat: Seat, spinMicros: number): boolean {
  if (seat.liveCount === 0) return false;
  const endMs = performance.now() + spinMicros / 1_000;
  do {
    if (seat.hasSettled()) return true;
  } while (performance.now() < endMs);
  return false;
}
