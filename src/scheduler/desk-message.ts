/** How a thread that runs tasks reaches the desk where threads meet who share something by its name: through its worker's own port. */
import type { MessagePort, TransferListItem } from "node:worker_threads";
import type { DeskRequest } from "../keyed/desk.js";
import { setDeskLine } from "../keyed/desk-line.js";

/** What such a thread says. */
interface DeskMessage {
  readonly desk: DeskRequest;
}

/** On the thread: makes its port to the main thread the way to the desk. */
export function openDeskLine(port: MessagePort): void {
  setDeskLine((desk, transfer: readonly TransferListItem[]) =>
    port.postMessage({ desk } satisfies DeskMessage, transfer),
  );
}

/** On the main thread: passes what the thread said on, if it was for the desk. */
export function passToDesk(message: unknown, to: { desk(request: DeskRequest): void }): void {
  if (isDeskMessage(message)) to.desk(message.desk);
}

function isDeskMessage(message: unknown): message is DeskMessage {
  return typeof message === "object" && message !== null && "desk" in message;
}
