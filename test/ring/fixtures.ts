/** A native driver with nothing to do but echo, for tests of the loop hook. Also the body of the worker threads that those tests start. */
import { isMainThread, parentPort, workerData } from "node:worker_threads";
import { createDriver } from "../../src/driver/choose.js";
import type { Driver, DriverEvents, DriverOptions } from "../../src/driver/contract.js";

const SLAB_BYTES = 1024 * 1024;

/** A driver and a mode of the loop hook. */
export interface LoopMode {
  readonly driver: "uring" | "epoll";
  readonly loop: DriverOptions["loop"];
}

export function echoDriver(mode: LoopMode, overrides: Partial<DriverEvents> = {}): Driver {
  let driver: Driver;
  const events: DriverEvents = {
    accepted() {},
    connected() {},
    received(slot, bytes, offset, length) {
      const at = driver.reserve(slot, length);
      if (at < 0) return;
      driver.writeBytes.set(bytes.subarray(offset, offset + length), at);
      driver.commit(slot, length);
    },
    ended: (slot) => driver.closeAfterFlush(slot),
    drained() {},
    closed() {},
    listenerStopped() {},
    turnEnded() {},
    ...overrides,
  };
  driver = createDriver(
    mode.driver,
    {
      connectionsMax: 64,
      writePoolBytes: 1024 * 1024,
      receiveSlab: { bytes: new Uint8Array(SLAB_BYTES), offset: 0, length: SLAB_BYTES },
      ringEntries: 64,
      spin: { mode: "off", microsMax: 0 },
      loop: mode.loop,
    },
    events,
  );
  return driver;
}

/** Listens on a free port of 127.0.0.1. */
export async function listenLocally(driver: Driver): Promise<number> {
  const { port } = await driver.listen({ host: "127.0.0.1", port: 0, backlog: 64, reusePort: false });
  return port;
}

if (!isMainThread && (workerData as { role?: string } | null)?.role === "echo") {
  const driver = echoDriver((workerData as { mode: LoopMode }).mode);
  parentPort?.on("message", (message: unknown) => parentPort?.postMessage({ answer: message }));
  parentPort?.postMessage({ port: await listenLocally(driver) });
}

interface PulseThread {
  readonly role: "pulse";
  readonly mode: LoopMode;
  readonly heartbeat: SharedArrayBuffer;
  /** Not 0: what was asked for may end. */
  readonly release: Int32Array;
}

if (!isMainThread && (workerData as { role?: string } | null)?.role === "pulse") {
  const { mode, heartbeat, release } = workerData as PulseThread;
  const driver = echoDriver(mode);
  function spin(): void {
    if (Atomics.load(release, 0) === 0) setImmediate(spin);
  }
  parentPort?.on("message", (wish: "block" | "spin") => {
    parentPort?.postMessage("begun");
    if (wish === "block") Atomics.wait(release, 0, 0);
    else spin();
  });
  await listenLocally(driver);
  parentPort?.postMessage({ publishes: driver.publishPulse?.(new Int32Array(heartbeat)) !== undefined });
}
