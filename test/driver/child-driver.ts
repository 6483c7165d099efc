/** Creates the driver that a test's child process was told to use: its name is the first argument. */
import { openSync } from "node:fs";
import { createDriver } from "../../src/driver/choose.js";
import type { Driver, DriverEvents, DriverName, DriverWake } from "../../src/driver/contract.js";

export function childDriver(events: Partial<DriverEvents>, wake?: DriverWake): Driver {
  const slabBytes = 1024 * 1024;
  const nothing = (): void => {};
  return createDriver(
    process.argv[2] as DriverName,
    {
      connectionsMax: 64,
      writePoolBytes: 1024 * 1024,
      receiveSlab: { bytes: new Uint8Array(slabBytes), offset: 0, length: slabBytes },
      ringEntries: 256,
      spin: { mode: "off", microsMax: 0 },
      loop: "inverted",
      wake,
    },
    {
      accepted: nothing,
      connected: nothing,
      received: nothing,
      ended: nothing,
      drained: nothing,
      closed: nothing,
      listenerStopped: nothing,
      turnEnded: nothing,
      ...events,
    },
  );
}

/** Opens descriptors until the process can have no more. */
export function takeDescriptors(): number[] {
  const descriptors: number[] = [];
  for (;;) {
    try {
      descriptors.push(openSync("/dev/null", "r"));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EMFILE") throw error;
      return descriptors;
    }
  }
}
