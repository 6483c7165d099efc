/** Tests of what goes through the thread's driver: once over each driver that this machine has. */
import { after, before, describe } from "node:test";
import type { DriverName } from "../../src/driver/contract.js";
import { closeThreadDriver, configureThreadDriver } from "../../src/runtime/thread-driver.js";
import { driversUnderTest } from "./drivers.js";

/** Runs `body`, which defines tests, once for each driver; the thread has that driver then. */
export function describeOverDrivers(subject: string, body: (driver: DriverName) => void): void {
  for (const { name, skip } of driversUnderTest) {
    describe(`${subject}, ${name}`, { skip, timeout: 120_000 }, () => {
      before(() => configureThreadDriver({ name }));
      after(() => closeThreadDriver());
      body(name);
    });
  }
}
