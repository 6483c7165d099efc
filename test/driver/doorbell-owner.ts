/** A thread with a driver that answers to a doorbell, for the test that kills it. It adds the rings that it hears to a word of shared memory. */
import { parentPort, Worker, workerData } from "node:worker_threads";
import type { Doorbell, DriverName } from "../../src/driver/contract.js";
import { childDriver } from "./child-driver.js";

export interface OwnerOrder {
  readonly driver: DriverName;
  readonly doorbell: Doorbell;
  /** Word 0 counts calls of `rung`. */
  readonly heard: SharedArrayBuffer;
}

/** Starts the thread; `ready` when its driver listens. */
export function startOwner(order: OwnerOrder): { worker: Worker; ready: Promise<void> } {
  const worker = new Worker(new URL("./doorbell-owner.js", import.meta.url), {
    argv: [order.driver],
    workerData: { owner: order },
  });
  const ready = new Promise<void>((resolve, reject) => {
    worker.once("message", () => resolve());
    worker.once("error", reject);
  });
  return { worker, ready };
}

const { owner } = (workerData ?? {}) as { owner?: OwnerOrder };
if (owner !== undefined) {
  const heard = new Int32Array(owner.heard);
  const rung = (): void => {
    Atomics.add(heard, 0, 1);
  };
  const driver = childDriver({}, { doorbell: owner.doorbell, rung });
  await driver.listen({ host: "127.0.0.1", port: 0, backlog: 8, reusePort: false });
  parentPort?.postMessage("ready");
}
